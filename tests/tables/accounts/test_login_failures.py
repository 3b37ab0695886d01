from __future__ import annotations

import gzip
import os
import time
from pathlib import Path
from typing import Any, Optional

import pytest

from tables.accounts.login_failures import LoginFailures, login_failures
from tables.host import Host
from tables.host.logins import records as login_records
from tables.host.logins.utmp import LAYOUT
from tables.schema import QueryContext
from tests.support.journal_writer import journal
from tests.support.scans import unseen_by

NOW = int(time.time())
START = NOW - 40_000
GUESSER = "203.0.113.9"
PASSWD = "root:x:0:0::/root:/bin/bash\nadmin:x:1000:1000::/home/admin:/bin/bash\n"


def plant(root: Path, path: str, data: bytes, mtime: Optional[int] = None) -> Path:
    target = root / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    if mtime is not None:
        os.utime(target, (mtime, mtime))
    return target


def log(*messages: str, start: int = START, every: int = 1, program: str = "sshd") -> bytes:
    stamps = (time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(start + number * every)) for number in range(len(messages)))
    return "".join(f"{stamp} web {program}[9]: {text}\n" for stamp, text in zip(stamps, messages)).encode()


def failed(user: str = "root", port: int = 1, address: str = GUESSER) -> str:
    return f"Failed password for {user} from {address} port {port} ssh2"


def guessing(count: int = 10, user: str = "root") -> list[str]:
    return [failed(user, 40_000 + number) for number in range(count)]


def accepted(user: str = "root", method: str = "password", address: str = GUESSER) -> str:
    return f"Accepted {method} for {user} from {address} port 9 ssh2"


def scan(root: Path, **options: Any) -> tuple[list[LoginFailures], tuple[str, ...], Optional[str]]:
    plant(root, "/etc/passwd", PASSWD.encode())
    host, query = Host(str(root)), QueryContext(**options)
    rows = list(login_failures.generate(host, query))
    return rows, query.unseen, query.truncated


def rows(root: Path) -> list[LoginFailures]:
    found, degraded, truncated = scan(root)
    assert (degraded, truncated) == ((), None)
    return found


def test_a_row_adds_up_one_account_at_one_address(tmp_path: Path) -> None:
    plant(tmp_path, "/var/log/auth.log", log(*guessing(12), accepted()))
    (row,) = rows(tmp_path)
    assert (row.remote_address, row.username, row.service) == (GUESSER, "root", "sshd")
    assert (row.failures, row.successes, row.successes_after_failures) == (12, 1, 1)
    assert (row.first_failure, row.last_failure) == (START, START + 11)
    assert row.first_success == row.last_success == row.first_success_after_failures == START + 12
    assert (row.methods, row.accepted_methods, row.invalid_user) == ("password", "password", False)
    assert (row.address_failures, row.address_accounts, row.origin) == (12, 1, "/var/log/auth.log")
    assert row.reasons == "brute_force,root_password_login,success_after_brute_force"


def reasons(root: Path) -> set[str]:
    return {reason for row in rows(root) for reason in (row.reasons or "").split(",") if reason}


@pytest.mark.parametrize(
    ("messages", "every", "expected"),
    [
        ([*guessing(9), accepted("admin")], 1, set()),
        ([*guessing(10), accepted("admin")], 1, {"brute_force", "success_after_brute_force"}),
        ([*guessing(10)], 1, {"brute_force"}),
        # Slow: one account only, then several.
        ([*guessing(80), accepted("admin")], 300, set()),
        ([*guessing(30), *guessing(25, "admin"), *guessing(25, "x"), accepted("admin")], 300,
         {"brute_force", "success_after_brute_force"}),
        ([*guessing(10), accepted("admin", "publickey")], 1, {"brute_force"}),
        ([failed(f"invalid user u{number}") for number in range(10)], 3600, {"many_accounts"}),
        ([accepted("root")], 1, {"root_password_login"}),
        ([accepted("root", "publickey")], 1, set()),
        # Before, not after.
        ([accepted("admin"), *guessing(10)], 120, set()),
    ],
)  # fmt: skip
def test_reasons(tmp_path: Path, messages: list[str], every: int, expected: set[str]) -> None:
    plant(tmp_path, "/var/log/secure", log(*messages, every=every, start=NOW - 90_000))
    assert reasons(tmp_path) == expected


def test_a_success_the_day_after_guessing_does_not_count(tmp_path: Path) -> None:
    plant(tmp_path, "/var/log/auth.log", log(*guessing(20), start=NOW - 200_000) + log(accepted("admin"), start=NOW - 100_000))
    assert reasons(tmp_path) == {"brute_force"}


def test_names_that_are_no_accounts_are_only_counted(tmp_path: Path) -> None:
    plant(
        tmp_path, "/var/log/auth.log", log(failed("invalid user hunter2"), failed("invalid user admin"), failed("ldapuser"))
    )  # fmt: skip
    found = rows(tmp_path)
    assert {(row.username, row.invalid_user, row.failures) for row in found} == {
        (None, True, 1),
        ("admin", False, 1),
        ("ldapuser", False, 1),
    }
    assert not any("hunter2" in value for row in found for value in row.to_wire().values())


def test_one_connection_is_one_failure(tmp_path: Path) -> None:
    plant(
        tmp_path,
        "/var/log/auth.log",
        log(
            f"Invalid user x from {GUESSER} port 5",
            failed("invalid user x", 5),
            failed("invalid user x", 5),
            f"Connection closed by invalid user x {GUESSER} port 5 [preauth]",
            f"Connection reset by authenticating user root {GUESSER} port 6 [preauth]",
        ),
    )
    assert [(row.username, row.failures) for row in rows(tmp_path)] == [(None, 2), ("root", 1)]


def test_local_programs(tmp_path: Path) -> None:
    data = log(
        *["admin : 3 incorrect password attempts ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh"] * 4,
        "admin : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh",
        program="sudo",
    )
    plant(tmp_path, "/var/log/auth.log", data + log("FAILED SU (to root) admin on pts/0", program="su"))
    assert [(row.remote_address, row.username, row.service, row.failures, row.reasons) for row in rows(tmp_path)] == [
        (None, "admin", "sudo", 12, "brute_force,success_after_brute_force"),
        (None, "root", "su", 1, ""),
    ]


def test_rotated_and_compressed_logs_are_one_story(tmp_path: Path) -> None:
    plant(tmp_path, "/var/log/auth.log.2.gz", gzip.compress(log(*guessing(6), start=NOW - 3000)), NOW - 2900)
    plant(tmp_path, "/var/log/auth.log.1", log(*guessing(6), start=NOW - 2800), NOW - 2700)
    plant(tmp_path, "/var/log/auth.log", log(accepted("admin"), start=NOW - 600))
    found = rows(tmp_path)
    assert [(row.username, row.reasons) for row in found] == [
        ("admin", "brute_force,success_after_brute_force"),
        ("root", "brute_force"),
    ]
    assert found[1].origin == "/var/log/auth.log.1,/var/log/auth.log.2.gz"


def test_messages_only_where_there_is_no_log_of_logins(tmp_path: Path) -> None:
    plant(tmp_path, "/var/log/messages", log(*guessing(3)))
    assert [row.failures for row in rows(tmp_path)] == [3]
    plant(tmp_path, "/var/log/secure", log(*guessing(2)))
    assert [row.failures for row in rows(tmp_path)] == [2]


def entries(messages: list[str], start: int, **fields: str) -> list[tuple[int, dict[str, str]]]:
    return [
        (start + at, {"_COMM": "sshd", "_UID": "0", "_PID": str(at), **fields, "MESSAGE": text})
        for at, text in enumerate(messages)
    ]


def test_the_journal_counts_outside_the_time_of_the_text_logs(tmp_path: Path) -> None:
    path = "/var/log/journal/0123456789abcdef0123456789abcdef/system.journal"
    plant(tmp_path, path, journal([*entries(guessing(4), START - 9000), *entries(guessing(5), START)]))
    assert [row.failures for row in rows(tmp_path)] == [9]
    plant(tmp_path, "/var/log/auth.log", log(*guessing(5)))
    assert [(row.failures, row.origin) for row in rows(tmp_path)] == [(9, f"/var/log/auth.log,{path}")]


def test_a_users_own_words_in_the_journal_do_not_count(tmp_path: Path) -> None:
    path = "/run/log/journal/0123456789abcdef0123456789abcdef/user-1000.journal"
    ran = "admin : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh"
    lies = entries(guessing(5), START, _UID="1000")
    plant(tmp_path, path, journal([*lies, *entries([ran], START + 10, _UID="1000", _COMM="sudo")]))
    assert [(row.service, row.successes) for row in rows(tmp_path)] == [("sudo", 1)]


def record(kind: int, user: str, address: str, moment: int, tty: str = "ssh:notty") -> bytes:
    return LAYOUT.pack(kind, 1, tty.encode(), b"", user.encode(), address.encode(), 0, moment)


def test_wtmp_and_btmp_fill_what_no_log_holds(tmp_path: Path) -> None:
    plant(tmp_path, "/var/log/btmp", b"".join(record(6, "root", GUESSER, START + number) for number in range(11)))
    plant(tmp_path, "/var/log/btmp.1", record(6, "hunter2", GUESSER, START - 99) + b"torn")
    console, x11 = record(7, "admin", "", START + 12, "tty1"), record(7, "admin", ":0", START + 12, "tty7")
    plant(tmp_path, "/var/log/wtmp", record(7, "root", GUESSER, START + 13, "pts/0") + console + x11)
    found = rows(tmp_path)
    assert [(row.username, row.failures, row.successes, row.service) for row in found] == [
        (None, 1, 0, "sshd"),
        ("root", 11, 1, "sshd"),
    ]
    # wtmp does not tell whether it was by password.
    assert found[1].reasons == "brute_force,success_after_brute_force"
    plant(tmp_path, "/var/log/auth.log", log(failed(), start=START - 1000))
    assert [row.failures for row in rows(tmp_path)] == [1]


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    plant(tmp_path, "/var/log/btmp", b"")
    found, degraded, _ = scan(tmp_path)
    assert found == []
    assert degraded == ("no log of logins: none of auth.log, secure, messages, a journal, wtmp and btmp has any content",)


def test_what_cannot_be_read_is_said_and_the_rest_reported(tmp_path: Path) -> None:
    plant(tmp_path, "/var/log/auth.log", log(*guessing(3)))
    plant(tmp_path, "/var/log/auth.log.1", gzip.compress(log(*guessing(30)))[:-30])
    plant(tmp_path, "/var/log/auth.log.2.zst", b"\x28\xb5\x2f\xfd" + bytes(100))
    plant(tmp_path, "/var/log/journal/a/b.journal", b"junk")
    os.mkfifo(tmp_path / "var/log/secure")
    found, degraded, _ = scan(tmp_path)
    assert sum(row.failures for row in found) >= 3
    assert len(degraded) == 3, degraded
    assert any("zstd" in text for text in degraded) and any("not a journal" in text for text in degraded)


def test_hostile_lines(tmp_path: Path) -> None:
    data = (
        b"\0\xff\n"
        + b"a" * (1 << 20)
        + b"\n"
        + log(*guessing(2))
        + b"2026-99-99T00:00:00Z h sshd[1]: x\n"
        + b"Foo 11 00:00:00 h sshd[1]: x\n"
    )
    plant(tmp_path, "/var/log/auth.log", data)
    name = b"Failed password for \xff\x1b[2K from 203.0.113.9 port 1 ssh2\n"
    with (tmp_path / "var/log/auth.log").open("ab") as file:
        file.write(log("x")[:26] + b"web sshd[1]: " + name)
    found = rows(tmp_path)
    assert sum(row.failures for row in found) == 3
    assert all(value.isprintable() for row in found for value in row.to_wire().values())


def test_running_late_gives_what_there_is(tmp_path: Path) -> None:
    plant(tmp_path, "/var/log/auth.log", log(*guessing(3)))
    found, _, truncated = scan(tmp_path, budget_seconds=1.0)
    assert found == [] and truncated is not None and "out of time" in truncated


def test_bounds_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, "/var/log/auth.log", log(*guessing(30)))
    plant(tmp_path, "/var/log/auth.log.1", log(*guessing(30)), NOW - 9000)
    monkeypatch.setattr(login_records, "FILE_LIMIT", 1000)
    monkeypatch.setattr(login_records, "TOTAL_LIMIT", 900)
    found, _, truncated = scan(tmp_path)
    # Of the newest log the newest lines.
    assert [(row.failures < 15, row.last_failure) for row in found] == [(True, START + 29)]
    assert truncated is not None and "auth.log.1: " in truncated


def test_this_host_is_read() -> None:
    host = Host()
    rows = list(login_failures.generate(host, QueryContext()))
    assert rows or unseen_by(login_failures, host)


def test_traditional_times_are_the_hosts_own(tmp_path: Path) -> None:
    plant(tmp_path, "/etc/localtime", Path("/usr/share/zoneinfo/Europe/Berlin").read_bytes())
    stamp = time.strftime("%b %e %H:%M:%S", time.gmtime(1_782_900_000 + 7200))
    plant(tmp_path, "/var/log/auth.log", f"{stamp} web sshd[1]: {failed()}\n".encode(), 1_782_900_100)
    assert [row.first_failure for row in rows(tmp_path)] == [1_782_900_000]


def test_a_link_that_leads_nowhere_hides_no_other_log(tmp_path: Path) -> None:
    plant(tmp_path, "/var/log/auth.log", log(*guessing(10)))
    (tmp_path / "var/log/auth.log.1").symlink_to("missing")
    journals = tmp_path / "var/log/journal/1"
    journals.mkdir(parents=True)
    (journals / "a.journal").symlink_to("missing")
    found, degraded, _ = scan(tmp_path)
    assert [row.failures for row in found] == [10]
    assert degraded == ("/var/log/journal/1/a.journal: No such file or directory",)


@pytest.mark.parametrize("mtime", [-(10**11), 10**13])
def test_a_log_of_an_impossible_time_is_read(tmp_path: Path, mtime: int) -> None:
    stamp = time.strftime("%b %e %H:%M:%S", time.gmtime(START))
    try:
        plant(tmp_path, "/var/log/auth.log", f"{stamp} web sshd[1]: {failed()}\n".encode() * 10, mtime)
    except OSError:
        pytest.skip("this file system keeps no such times")
    assert [row.failures for row in scan(tmp_path)[0]] == [10]


@pytest.mark.parametrize(
    "zone", [b"TZif2", b"TZif2" + b"\0" * 39 + b"TZif2" + b"\0" * 39, b"TZif2" + b"\0" * 39 + b"TZif2" + b"\0" * 39 + b"\nX"]
)
def test_a_damaged_time_zone_is_utc(tmp_path: Path, zone: bytes) -> None:
    plant(tmp_path, "/etc/localtime", zone)
    plant(tmp_path, "/var/log/auth.log", log(*guessing(10)))
    assert [row.failures for row in rows(tmp_path)] == [10]


def test_the_bound_on_journal_entries_is_for_all_journals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_records, "_JOURNAL_ENTRIES", 5)
    for number in range(3):
        name = f"/var/log/journal/1/{number}.journal"
        plant(tmp_path, name, journal(entries(guessing(4), START + number * 100)), START + number)
    found, _, truncated = scan(tmp_path)
    assert sum(row.failures for row in found) == 5
    assert truncated is not None and "not read" in truncated
