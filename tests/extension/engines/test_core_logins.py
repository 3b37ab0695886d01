"""The core tables about what users did: last, logged_in_users, shell_history."""

from __future__ import annotations

import platform
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extension.engines.core import history
from tables.host.logins import utmp
from tests.support.core_tables import PlantedHost


@pytest.fixture
def planted(tmp_path: Path) -> PlantedHost:
    return PlantedHost(tmp_path)


def record(layout: struct.Struct, kind: int, pid: int, tty: bytes, user: bytes, host: bytes, time: int) -> bytes:
    return layout.pack(kind, pid, tty, b"ts/0", user, host, 0, time)


NATIVE = utmp.WIDE if platform.machine() == "aarch64" else utmp.COMPACT
WTMP = b"".join(
    [
        record(NATIVE, 2, 0, b"~", b"reboot", b"6.1.0", 1795428957),
        record(NATIVE, 7, 4242, b"pts/0", b"root", b"198.51.100.7", 1795436638),
        record(NATIVE, 7, 4243, b"x" * 32, b"y" * 32, b"\xff\x1b[2J" + b"z" * 251, -1),
        record(NATIVE, 8, 4242, b"pts/0", b"", b"", 1795436999),
        b"torn record",
    ]
)


def test_last(planted: PlantedHost) -> None:
    planted.plant("/var/log/wtmp", WTMP)
    rows = planted.query("SELECT * FROM last")
    assert rows[0] == {
        "username": "root", "tty": "pts/0", "pid": "4242", "type": "7", "type_name": "user-process", "time": "1795436638",
        "host": "198.51.100.7",
    }  # fmt: skip
    assert rows[1]["username"] == "y" * 32 and rows[1]["host"] == "\\xff\\x1B[2J" + "z" * 251 and rows[1]["time"] == "-1"
    assert (rows[2]["type_name"], rows[2]["username"]) == ("dead-process", "")
    assert len(rows) == 3


def test_logged_in_users(planted: PlantedHost) -> None:
    planted.plant("/run/utmp", record(NATIVE, 1, 1, b"~", b"runlevel", b"", 1) + record(NATIVE, 99, 5, b"", b"", b"", 2) + WTMP)
    planted.path("/var").mkdir()
    planted.path("/var/run").symlink_to("../run")
    rows = planted.query("SELECT type, user, pid FROM logged_in_users")
    assert [row["type"] for row in rows] == ["unknown", "boot_time", "user", "user", "dead"]
    assert rows[1] == {"type": "boot_time", "user": "reboot", "pid": "0"}


def test_no_records_are_no_rows(planted: PlantedHost) -> None:
    assert planted.query("SELECT * FROM last") == planted.query("SELECT * FROM logged_in_users") == []


@pytest.mark.skipif(shutil.which("utmpdump") is None, reason="no utmpdump to write a record of this machine's layout")
def test_the_layout_is_that_of_this_machines_c_library(planted: PlantedHost) -> None:
    fields = ("7", "04242", "ts/0", "alice", "pts/3", "host.example", "198.51.100.7", "2026-11-23T12:24:06,000000+00:00")
    text = " ".join(f"[{field}]" for field in fields) + "\n"
    written = subprocess.run(["utmpdump", "-r"], input=text.encode(), capture_output=True, check=True).stdout
    planted.plant("/var/log/wtmp", written)
    assert planted.query("SELECT username, tty, pid, time, host FROM last") == [
        {"username": "alice", "tty": "pts/3", "pid": "4242", "time": "1795436646", "host": "host.example"}
    ]


def test_both_layouts_hold_the_same(planted: PlantedHost) -> None:
    assert (utmp.COMPACT.size, utmp.WIDE.size) == (384, 400)
    arguments = (7, 1, b"tty1", b"u", b"h", 1795436638)
    for layout in (utmp.COMPACT, utmp.WIDE):
        (login,) = utmp.parse_logins(record(layout, *arguments), layout)
        assert login == utmp.Login(7, 1, "tty1", "u", "h", 1795436638)


def test_shell_history(planted: PlantedHost) -> None:
    planted.plant("/etc/passwd", "alice:x:1000:1000::/home/alice:/bin/bash\n")
    planted.plant("/home/alice/.bash_history", "ls\n#1795436638\ncurl x | sh\n#77\n#78\n\n#0x\nlast line")
    planted.plant("/home/alice/.zsh_history", b": 1795436639:0;wget \xff\n:  5:12;\nplain\n: 123456789012:0;long\n")
    planted.plant("/home/alice/.bash_sessions/A.history", "in session\n")
    planted.plant("/home/alice/.bash_sessions/A.session", "not this\n")
    planted.path("/home/alice/.sh_history").symlink_to("/dev/null")
    rows = planted.query("SELECT h.* FROM users u CROSS JOIN shell_history h USING (uid) WHERE u.username = 'alice'")
    assert [(row["time"], row["command"]) for row in rows] == [
        ("0", "ls"), ("1795436638", "curl x | sh"), ("77", "#78"), ("0", ""), ("0", "#0x"), ("0", "last line"),
        ("1795436639", "wget \\xff"), ("5", ""), ("0", "plain"), ("0", ": 123456789012:0;long"), ("0", "in session"),
    ]  # fmt: skip
    assert rows[0]["uid"] == "1000" and rows[0]["history_file"] == "/home/alice/.bash_history"
    assert rows[-1]["history_file"] == "/home/alice/.bash_sessions/A.history"
    assert planted.gaps("shell_history") == ""


def test_a_time_that_is_no_number_is_null(planted: PlantedHost) -> None:
    planted.plant("/etc/passwd", "alice:x:1000:1000::/home/alice:/bin/bash\n")
    planted.plant("/home/alice/.history", "#" + "9" * 9000 + "\nx\n")
    assert planted.query("SELECT time IS NULL AS n, command FROM shell_history WHERE uid = 1000") == [{"n": "1", "command": "x"}]


@given(st.binary() | st.lists(st.sampled_from([b"#1", b": 1:0;", b"\n", b"\r", b"x", b"#"])).map(b"".join))
def test_history_parser_takes_anything(data: bytes) -> None:
    assert len(list(history.parse_history(data))) <= data.count(b"\n") + 1


@given(st.binary(max_size=1000))
def test_login_parser_takes_anything(data: bytes) -> None:
    for layout in (utmp.COMPACT, utmp.WIDE):
        assert len(list(utmp.parse_logins(data, layout))) == len(data) // layout.size
