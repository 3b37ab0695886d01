from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.host.disk.files import Files
from tables.host.startup.restart_files import RestartFiles, parse_service
from tests.support.planted_files import plant

UNIT = "[Unit]\nDescription=x\n\n[Service]\nExecStart=/opt/a \\\n  --b\n{}\n[Install]\nRestart=never\n"


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([UNIT.format("Restart=always")], ("always", ("/opt/a    --b",))),
        ([UNIT.format("")], (None, ("/opt/a    --b",))),
        ([UNIT.format("#Restart=always\n;Restart=always")], (None, ("/opt/a    --b",))),
        ([UNIT.format("Restart = on-failure"), "[Service]\nRestart=no\n"], ("no", ("/opt/a    --b",))),
        ([UNIT.format(""), "[Service]\nExecStart=\nExecStart=-+/tmp/m -x\nRestart=always"], ("always", ("/tmp/m -x",))),
    ],
)
def test_a_service_with_its_drop_ins(texts: list[str], expected: tuple[str | None, tuple[str, ...]]) -> None:
    assert parse_service(*texts) == expected


@given(st.text(max_size=400))
def test_no_text_raises(text: str) -> None:
    parse_service(text, text)


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
    units = RestartFiles(Files(str(tmp_path))).units()
    assert sorted(units) == ["a.service", "b.service", "c.service", "d.service"]
    assert units["d.service"].restarts and list(units["d.service"].starts.paths()) == ["/opt/d"]
    assert (units["a.service"].restart, units["a.service"].path) == ("always", "/usr/lib/systemd/system/a.service")
    assert not units["b.service"].restarts, "the file in /etc wins"
    assert list(units["c.service"].starts.paths()) == ["/home/u/.x/c"]


def test_cron_jobs_of_every_kind(tmp_path: Path) -> None:
    plant(tmp_path, "/etc/crontab", "SHELL=/bin/sh\n* * * * * root cd /opt/z && ./z\n")
    plant(tmp_path, "/etc/cron.d/d", "@reboot root sh /opt/run\n")
    plant(tmp_path, "/opt/run", "#!/bin/sh\n/tmp/inner &\n")
    plant(tmp_path, "/var/spool/cron/crontabs/u", "* * * * * /tmp/user\n")
    plant(tmp_path, "/etc/cron.hourly/gcc.sh", "#!/bin/sh\ncp /lib/a /lib/b\n/lib/b\n")
    plant(tmp_path, "/etc/cron.hourly/README", "/lib/c\n")
    found = {(job.path, job.line): set(job.starts.paths()) for job in RestartFiles(Files(str(tmp_path))).cron_jobs()}
    assert found == {
        ("/etc/crontab", 2): {"/opt/z/z"},
        ("/etc/cron.d/d", 1): {"/opt/run", "/tmp/inner"},
        ("/var/spool/cron/crontabs/u", 1): {"/tmp/user"},
        ("/etc/cron.hourly/gcc.sh", 0): {"/lib/b"},
        ("/etc/cron.hourly/README", 0): set(),
    }


def test_a_new_run_of_a_unit_is_counted(tmp_path: Path) -> None:
    link = tmp_path / "run/systemd/units/invocation:a.service"
    link.parent.mkdir(parents=True)
    files = RestartFiles(Files(str(tmp_path)))
    assert files.unit_restarts("a.service") is None
    for run, expected in (("one", 0), ("one", 0), ("two", 1), ("three", 2)):
        link.unlink(missing_ok=True)
        link.symlink_to(run)
        assert files.unit_restarts("a.service") == expected
