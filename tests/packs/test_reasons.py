"""A reason that is worth an alert is reported from everywhere that starts commands by itself."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from extension.engines import ResultRow
from extension.engines.embedded import EmbeddedEngine
from extension.pack.model import load_pack, shipped_pack
from tables.host import Host
from tables.reasons.command_patterns import patterns
from tests.support.planted_files import plant

ALERTS = sorted({pattern.name for pattern in patterns() if pattern.is_alert})


def example(name: str) -> str:
    """A command that the pattern names, on one line and without cron's %."""
    lines = (line for pattern in patterns() if pattern.name == name for line in pattern.must_match)
    return next(line for line in lines if not {"\n", "%", "\r"} & set(line) and not line.startswith("$"))


def unit(command: str) -> str:
    quoted = command.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'[Service]\nExecStart=/bin/sh -c "{quoted}"\n[Install]\nWantedBy=multi-user.target\n'


PLACES = {
    "/etc/cron.d/a": lambda command: f"*/5 * * * * root {command}\n",
    "/etc/systemd/system/a.service": unit,
    "/etc/profile.d/a.sh": lambda command: f"{command}\n",
    "/etc/rc.local": lambda command: f"#!/bin/sh\n{command}\nexit 0\n",
}


def detected(root: Path, words: Iterable[str]) -> list[ResultRow]:
    """The rows of all detections whose SQL has one of the words."""
    engine = EmbeddedEngine(Host(str(root)))
    queries = [query for query in load_pack(shipped_pack()).queries() if query.kind == "detection"]
    asked = [query.sql for query in queries if any(word in query.sql for word in words) and not engine.inapplicable(query.sql)]
    return [row for sql in asked for row in engine.query(sql)]


# A unit starts no shell in which an alias would outlive its line.
CASES = [
    (name, place) for name in ALERTS for place in PLACES if (name, place) != ("hides_from_tools", "/etc/systemd/system/a.service")
]


@pytest.mark.parametrize(("name", "place"), CASES)
def test_every_alert_is_reported_from_every_place(tmp_path: Path, name: str, place: str) -> None:
    plant(tmp_path, "/var/lib/dpkg/info/base.list", "/.\n")
    plant(tmp_path, "/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n")
    plant(tmp_path, "/usr/bin/ps", b"\x7fELF", 0o755)
    plant(tmp_path, place, PLACES[place](example(name)), 0o755 if place == "/etc/rc.local" else 0o644)
    found = detected(tmp_path, ("_commands", "scheduled_jobs"))
    assert any(row.get("path") == place and name in f"{row.get('reasons')},{row.get('program_reasons')}" for row in found), found


def test_an_everyday_job_is_reported_from_nowhere(tmp_path: Path) -> None:
    plant(tmp_path, "/var/lib/dpkg/info/base.list", "/.\n/usr/bin/logrotate\n")
    plant(tmp_path, "/usr/bin/logrotate", b"\x7fELF", 0o755)
    plant(tmp_path, "/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n")
    for place, text in PLACES.items():
        plant(tmp_path, place, text("/usr/bin/logrotate /etc/logrotate.conf"), 0o755 if place == "/etc/rc.local" else 0o644)
    assert detected(tmp_path, ("",)) == []
