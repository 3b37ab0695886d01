from __future__ import annotations

import os
from pathlib import Path

import pytest

from tables.host.disk.files import Files
from tables.host.startup.restart_units import RestartUnits
from tables.schema import QueryContext
from tests.support.planted_files import plant

UNIT = "[Unit]\nDescription=x\n\n[Service]\nExecStart=/opt/a \\\n  --b\n{}\n[Install]\nRestart=never\n"


@pytest.mark.parametrize(
    ("text", "drop_in", "restart", "paths"),
    [
        (UNIT.format("Restart=always"), "", "always", ["/opt/a"]),
        (UNIT.format(""), "", None, []),
        (UNIT.format("#Restart=always\n;Restart=always"), "", None, []),
        (UNIT.format("Restart = on-failure"), "[Service]\nRestart=no\n", "no", []),
        (UNIT.format(""), "[Service]\nExecStart=\nExecStart=-+/tmp/m -x\nRestart=always", "always", ["/tmp/m"]),
    ],
)
def test_a_service_with_its_drop_in(tmp_path: Path, text: str, drop_in: str, restart: str | None, paths: list[str]) -> None:
    plant(tmp_path, "/etc/systemd/system/a.service", text)
    plant(tmp_path, "/run/systemd/system/a.service.d/x.conf", drop_in)
    (unit,) = RestartUnits(Files(str(tmp_path)), QueryContext())
    assert (unit.restart, list(unit.starts.paths())) == (restart, paths)


def test_units_of_the_system_of_users_and_drop_ins(tmp_path: Path) -> None:
    plant(tmp_path, "/etc/passwd", "u:x:1:1::/home/u:/bin/sh\nbroken\n")
    plant(tmp_path, "/usr/lib/systemd/system/a.service", "[Service]\nExecStart=/usr/bin/a\nRestart=on-failure\n")
    plant(tmp_path, "/etc/systemd/system/a.service.d/z.conf", "[Service]\nRestart=always\n")
    plant(tmp_path, "/etc/systemd/system/b.service", "[Service]\nExecStart=/usr/bin/b\n")
    plant(tmp_path, "/usr/lib/systemd/system/b.service", "[Service]\nExecStart=/usr/bin/b\nRestart=always\n")
    plant(tmp_path, "/home/u/.config/systemd/user/c.service", "[Service]\nExecStart=/bin/sh -c 'exec %h/.x/c'\nRestart=always\n")
    plant(tmp_path, "/etc/systemd/system/d.service", "[Service]\nExecStart=/opt/d\n")
    plant(tmp_path, "/etc/systemd/system/d.timer", "[Timer]\nOnUnitActiveSec=60\n")
    os.mkfifo(tmp_path / "etc/systemd/system/fifo.service")
    units = {unit.name: unit for unit in RestartUnits(Files(str(tmp_path)), QueryContext())}
    assert sorted(units) == ["a.service", "b.service", "c.service", "d.service"]
    assert units["d.service"].restarts and list(units["d.service"].starts.paths()) == ["/opt/d"]
    assert (units["a.service"].restart, units["a.service"].path) == ("always", "/usr/lib/systemd/system/a.service")
    assert not units["b.service"].restarts, "the file in /etc wins"
    assert list(units["c.service"].starts.paths()) == ["/home/u/.x/c"]
