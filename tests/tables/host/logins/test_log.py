from __future__ import annotations

import datetime
import zoneinfo
from typing import Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.host.logins.log import FAILURE, GIVEN_UP, SUCCESS, Attempt, Clock, Line, is_relevant, parse_line, parse_message

UTC = datetime.timezone.utc


@pytest.mark.parametrize(
    ("program", "message", "attempt"),
    [
        (
            "sshd",
            "Failed password for root from 203.0.113.5 port 2222 ssh2",
            Attempt(FAILURE, "sshd", "root", "203.0.113.5", 2222, "password"),
        ),
        (
            "sshd-session",
            "Failed password for invalid user admin from 2001:db8::1 port 2222 ssh2",
            Attempt(FAILURE, "sshd", "admin", "2001:db8::1", 2222, "password", True),
        ),
        (
            "sshd",
            "Accepted publickey for bob from ::ffff:203.0.113.5 port 22 ssh2: ED25519 SHA256:abc",
            Attempt(SUCCESS, "sshd", "bob", "203.0.113.5", 22, "publickey"),
        ),
        (
            "sshd",
            "Failed publickey for bob from 203.0.113.5 port 22 ssh2: RSA SHA256:abc",
            Attempt(FAILURE, "sshd", "bob", "203.0.113.5", 22, "publickey"),
        ),
        (
            "sshd",
            "Accepted keyboard-interactive/pam for bob from UNKNOWN port 65535 ssh2",
            Attempt(SUCCESS, "sshd", "bob", None, 65535, "keyboard-interactive/pam"),
        ),
        (
            "sshd",
            "message repeated 5 times: [ Failed password for root from 203.0.113.5 port 2222 ssh2]",
            Attempt(FAILURE, "sshd", "root", "203.0.113.5", 2222, "password", times=5),
        ),
        ("sshd", "Invalid user  from 203.0.113.5 port 33", Attempt(GIVEN_UP, "sshd", "", "203.0.113.5", 33, None, True)),
        (
            "sshd",
            "error: maximum authentication attempts exceeded for root from 203.0.113.5 port 33 ssh2 [preauth]",
            Attempt(GIVEN_UP, "sshd", "root", "203.0.113.5", 33),
        ),
        (
            "sshd",
            "Connection closed by authenticating user root 203.0.113.5 port 33 [preauth]",
            Attempt(GIVEN_UP, "sshd", "root", "203.0.113.5", 33),
        ),
        (
            "sudo",
            "   alice : 3 incorrect password attempts ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/ls",
            Attempt(FAILURE, "sudo", "alice", times=3),
        ),
        ("sudo", "alice : user NOT in sudoers ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/x", Attempt(FAILURE, "sudo", "alice")),
        (
            "sudo",
            "alice : PWD=/ ; USER=root ; COMMAND=/bin/echo 3 incorrect password attempts ; x",
            Attempt(SUCCESS, "sudo", "alice"),
        ),
        ("su", "FAILED SU (to root) alice on pts/0", Attempt(FAILURE, "su", "root")),
        ("su", "(to root) alice on pts/0", Attempt(SUCCESS, "su", "root")),
        ("login", "FAILED LOGIN (1) on '/dev/tty1' FOR 'root', Authentication failure", Attempt(FAILURE, "login", "root")),
        ("login", "FAILED LOGIN 2 FROM tty1 FOR root, Authentication failure", Attempt(FAILURE, "login", "root")),
        ("login", "pam_unix(login:session): session opened for user root(uid=0) by (uid=0)", Attempt(SUCCESS, "login", "root")),
        (
            "vsftpd",
            "pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=x rhost=203.0.113.5  user=bob",
            Attempt(FAILURE, "vsftpd", "bob", "203.0.113.5"),
        ),
    ],
)
def test_attempts(program: str, message: str, attempt: Attempt) -> None:
    assert parse_message(program, message) == attempt
    line = f"Nov 23 15:47:14 web {program}[12]: {message}".encode()
    assert is_relevant(line) or "login:session" in message
    assert parse_line(line) == Line("Nov 23 15:47:14", program, message)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (
            "sshd",
            "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.5  user=root",
        ),
        ("sshd", "PAM 2 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.5  user=root"),
        ("sshd", "Connection closed by 203.0.113.5 port 22 [preauth]"),
        ("sshd", "Server listening on 0.0.0.0 port 22."),
        ("sudo", "pam_unix(sudo:auth): conversation failed"),
        ("sudo", "alice : a password is required ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/ls"),
        ("CRON", "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)"),
        ("ftpd", "pam_unix(x:auth): authentication failure; ruser=a rhost=198.51.100.1 rhost=203.0.113.5  user=bob"),
    ],
)
def test_what_is_told_elsewhere_or_is_no_attempt(program: str, message: str) -> None:
    assert parse_message(program, message) is None


@given(st.text(alphabet="root from 1.2.3.4 port 22 ssh2: RSA SHA256:x[]invalid user for Accepted password", max_size=200))
def test_a_name_cannot_change_where_it_comes_from(name: str) -> None:
    for message in (
        f"Failed password for invalid user {name} from 203.0.113.5 port 2222 ssh2",
        f"Failed publickey for invalid user {name} from 203.0.113.5 port 2222 ssh2: RSA SHA256:abc",
        f"Invalid user {name} from 203.0.113.5 port 2222",
        f"Connection closed by invalid user {name} 203.0.113.5 port 2222 [preauth]",
        f"maximum authentication attempts exceeded for invalid user {name} from 203.0.113.5 port 2222 ssh2 [preauth]",
    ):
        attempt = parse_message("sshd", message)
        assert attempt is not None
        assert (attempt.verdict != SUCCESS, attempt.address, attempt.port) == (True, "203.0.113.5", 2222)


@given(st.sampled_from(["sshd", "sudo", "su", "login", "x"]), st.text(max_size=300))
def test_no_message_raises(program: str, message: str) -> None:
    parse_message(program, message)
    parse_message(program, "Failed password for " + message)
    parse_message(program, "pam_unix(a:auth): authentication failure; " + message)


@given(st.binary(max_size=300))
def test_no_line_raises(line: bytes) -> None:
    parse_line(line)
    parse_line(b"Nov 23 15:47:14 web sshd[1]: " + line)


def test_a_message_of_a_megabyte_takes_no_long_time() -> None:
    for text in (" from a" * 150_000, " " * 1_000_000, "Failed password for " * 50_000, "rhost=" * 160_000):
        for start in ("Failed password for ", "Connection closed by invalid user ", "Accepted publickey for ", "Invalid user "):
            parse_message("sshd", start + text)
        parse_message("ftpd", "pam_unix(a:auth): authentication failure; " + text)
        parse_message("sudo", text)


@pytest.mark.parametrize(
    ("line", "stamp"),
    [
        (b"2026-11-23T15:47:14.123456+01:00 web sshd[1]: x", "2026-11-23T15:47:14.123456+01:00"),
        (b"2026-11-23T15:47:14Z web sshd: x", "2026-11-23T15:47:14Z"),
        (b"Nov  3 15:47:14 alpine auth.info sshd[9]: x", "Nov  3 15:47:14"),
        (b"Nov 23 15:47:14 web sshd", None),
        (b"sshd[1]: Accepted password for root", None),
        (b"", None),
    ],
)
def test_lines(line: bytes, stamp: Optional[str]) -> None:
    parsed = parse_line(line)
    assert (parsed.stamp if parsed else None) == stamp


def unix(*moment: int) -> int:
    return int(datetime.datetime(*moment, tzinfo=UTC).timestamp())  # type: ignore[arg-type]


def test_times() -> None:
    clock = Clock(2026, UTC)
    assert clock.seconds("2026-11-23T15:47:14.123456+01:00") == unix(2026, 11, 23, 14, 47, 14)
    assert clock.seconds("2026-11-23T15:47:14Z") == clock.seconds("2026-11-23 15:47:14") == unix(2026, 11, 23, 15, 47, 14)
    assert clock.seconds("2026-13-23T15:47:14Z") is None
    assert clock.seconds("Nov  3 15:47:14") == unix(2026, 11, 3, 15, 47, 14)
    assert clock.seconds("Foo  3 15:47:14") is None
    assert clock.seconds("Feb 30 15:47:14") is None
    berlin = Clock(2026, zoneinfo.ZoneInfo("Europe/Berlin"))
    assert berlin.seconds("Jul  1 12:00:00") == unix(2026, 7, 1, 10, 0, 0)


def test_the_year_follows_from_the_order() -> None:
    clock = Clock.for_file(["Nov", "Dec", "Jan", "Nov", "Jan"], unix(2026, 1, 20, 0, 0, 0), UTC)
    assert [clock.seconds(f"{month}  5 00:00:00") for month in ("Nov", "Dec", "Jan", "Dec", "Nov", "Jan")] == [
        unix(2024, 11, 5, 0, 0, 0),
        unix(2024, 12, 5, 0, 0, 0),
        unix(2025, 1, 5, 0, 0, 0),
        # A line of the old year that comes late.
        unix(2024, 12, 5, 0, 0, 0),
        unix(2025, 11, 5, 0, 0, 0),
        unix(2026, 1, 5, 0, 0, 0),
    ]
    assert Clock.for_file(["Dec"], unix(2026, 1, 2, 0, 0, 0), UTC).year == 2025
    assert Clock.for_file(["Jan"], unix(2026, 1, 2, 0, 0, 0), UTC).year == 2026
    assert Clock.for_file([], unix(2026, 1, 2, 0, 0, 0), UTC).year == 2026
