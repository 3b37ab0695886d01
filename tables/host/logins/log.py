"""Log lines of sshd, sudo, su, login and PAM: when, by which program, and the login attempt that they tell of."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import NamedTuple, Optional

FAILURE = "failure"
# A failed or given-up connection: counts only where no FAILURE of the same connection is logged.
GIVEN_UP = "given up"
SUCCESS = "success"

SSHD = "sshd"
_MAX_REPEATS = 100_000
_MAX_ADDRESS = 255

# Traditional (RFC 3164, without a year) or RFC 3339 time, host, on busybox facility.level, program, pid, message.
_LINE = re.compile(
    rb"(?P<stamp>[A-Z][a-z]{2} [ 0-9]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?) "
    rb"(?:<\d{1,3}>)?\S{1,255} +(?:[a-z0-9]+\.[a-z]+ )?"
    rb"(?P<program>[A-Za-z][A-Za-z0-9_.@/-]{0,63})(?:\[\d+\])?: (?P<message>.*)",
    re.DOTALL,
)
_REPEATED = re.compile(r"message repeated (\d{1,9}) times: \[ (.*)\]", re.DOTALL)
# glibc's and OpenSSH 9.8's names for the same programs.
_PROGRAMS = {"sshd": SSHD, "sshd-session": SSHD, "sshd-auth": SSHD, "sudo": "sudo", "su": "su", "login": "login"}
PROGRAMS = frozenset(_PROGRAMS)

# The name comes from the other side, and may itself read like the rest of the line: what is matched before it is bounded,
# it is as long as can be, and what follows it must end the line.
_END = r" from (\S+)(?: port (\d{1,5}))?(?: ssh2?)?"
_PREAUTH = r"(?: \[preauth\])?"
_DECIDED = re.compile(r"(Accepted|Failed) ([a-z0-9/@.-]{1,64}) for (invalid user |illegal user )?(.*)" + _END, re.DOTALL)
_INVALID = re.compile(r"(?:Invalid|Illegal) user (.*)" + _END, re.DOTALL)
_TOO_MANY = re.compile(
    r"(?:error: )?(?:maximum authentication attempts exceeded|Too many authentication failures) for (invalid user )?(.*)"
    + _END + _PREAUTH, re.DOTALL
)  # fmt: skip
_LEFT = re.compile(
    r"(?:Connection (?:closed|reset) by|Disconnected from) (authenticating|invalid) user (.*) (\S+) port (\d{1,5})" + _PREAUTH,
    re.DOTALL,
)
_WITH_KEY = re.compile(
    r"((?:Accepted|Failed) (?:publickey|hostbased) for .* port \d{1,5} ssh2): [A-Z0-9-]{2,40} (?:ID |SHA256:|MD5:).*", re.DOTALL
)

# sudo pads the name; what it was asked to do follows, chosen by the user, so only what comes first counts.
_SUDO = re.compile(r" *(\S{1,256}) : (?:(\d{1,3}) incorrect password attempts? ;|(user NOT in sudoers) ;|[A-Z]{2,16}=)")
_SU = re.compile(r"(FAILED SU )?\(to (\S{1,256})\) (\S{1,256}) on \S+")
_LOGIN_FAILED = re.compile(
    r"FAILED LOGIN (?:SESSION )?\(?\d*\)? ?(?:on '[^']{0,64}'|FROM \S{1,255})(?: from '([^']{0,255})')?"
    r" FOR '?(.*?)'?, [A-Z][A-Za-z ]{3,60}",
    re.DOTALL,
)
_LOGIN_OPENED = re.compile(r"pam_unix\(login:session\): session opened for user (\S{1,256}?)(?:\(uid=\d+\))? by .*", re.DOTALL)
_PAM_FAILED = re.compile(
    r"pam_[a-z]+\(([A-Za-z0-9_.-]{1,64}):auth\): authentication failure; .* rhost=(\S*)(?: +user=(.*))?", re.DOTALL
)
_SESSION_SERVICES = frozenset({"sshd", "sudo", "sudo-i", "su", "su-l", "login"})


class Line(NamedTuple):
    """One line of a syslog file: the time as written, the program and its message, bytes that are no UTF-8 escaped."""

    stamp: str
    program: str
    message: str


class Attempt(NamedTuple):
    """One attempt to log in or to become somebody, or `times` equal ones.

    `username` is the account asked for, for sudo the one that asked; `address` and `port` tell where from, None when local.
    `is_invalid` says that the program called the account unknown or not allowed.
    """

    verdict: str
    service: str
    username: str
    address: Optional[str] = None
    port: Optional[int] = None
    method: Optional[str] = None
    is_invalid: bool = False
    times: int = 1


def is_relevant(line: bytes) -> bool:
    """Whether the line may tell of a login; far cheaper than parsing it."""
    return (
        b"Failed " in line
        or b" user " in line
        or b"Accepted " in line
        or b" : " in line
        or b"(to " in line
        or b"FAILED LOGIN" in line
        or b"authentication failure" in line
        or b"authentication attempts" in line
        or b"authentication failures" in line
    )


def parse_line(line: bytes) -> Optional[Line]:
    """The parts of one line of a syslog file; None when it is none."""
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    return Line(match["stamp"].decode(), match["program"].decode(), match["message"].decode("utf-8", "surrogateescape"))


def parse_message(program: str, message: str) -> Optional[Attempt]:
    """The login attempt that `message`, logged by `program`, tells of; None when it tells of none, or of one told before.

    PAM's own lines count only for programs that do not log their attempts themselves. Never raises; linear time.
    """
    count = 1
    repeated = _REPEATED.fullmatch(message) if message.startswith("message repeated ") else None
    if repeated:
        count, message = min(int(repeated[1]), _MAX_REPEATS), repeated[2]
    attempt = _PARSERS.get(_PROGRAMS.get(program, ""), _pam)(message)
    if attempt is None:
        return None
    if attempt.address is not None and len(attempt.address) > _MAX_ADDRESS:
        return None
    return attempt if count == 1 else attempt._replace(times=attempt.times * count)


def plain_address(address: str) -> Optional[str]:
    """An address as the log has it, IPv4 behind `::ffff:` as IPv4; None for sshd's UNKNOWN and for nothing."""
    if address in ("", "UNKNOWN"):
        return None
    return address[7:] if address.lower().startswith("::ffff:") and "." in address else address


def _port(text: Optional[str]) -> Optional[int]:
    return int(text) if text else None


def _sshd(message: str) -> Optional[Attempt]:
    if message.startswith(("Accepted ", "Failed ")):
        with_key = _WITH_KEY.fullmatch(message)
        match = _DECIDED.fullmatch(with_key[1] if with_key else message)
        if match is None:
            return None
        verdict = SUCCESS if match[1] == "Accepted" else FAILURE
        return Attempt(verdict, SSHD, match[4], plain_address(match[5]), _port(match[6]), match[2], match[3] is not None)
    if message.startswith(("Invalid user ", "Illegal user ")):
        match = _INVALID.fullmatch(message)
        return Attempt(GIVEN_UP, SSHD, match[1], plain_address(match[2]), _port(match[3]), None, True) if match else None
    if message.startswith(("Connection ", "Disconnected ")):
        match = _LEFT.fullmatch(message)
        if match is None:
            return None
        return Attempt(GIVEN_UP, SSHD, match[2], plain_address(match[3]), _port(match[4]), None, match[1] == "invalid")
    match = _TOO_MANY.fullmatch(message) if " authentication " in message else None
    if match is None:
        return None
    return Attempt(GIVEN_UP, SSHD, match[2], plain_address(match[3]), _port(match[4]), None, match[1] is not None)


def _sudo(message: str) -> Optional[Attempt]:
    match = _SUDO.match(message)
    if match is None:
        return None
    if match[2] or match[3]:
        return Attempt(FAILURE, "sudo", match[1], times=max(int(match[2] or 1), 1))
    return Attempt(SUCCESS, "sudo", match[1])


def _su(message: str) -> Optional[Attempt]:
    match = _SU.fullmatch(message)
    return Attempt(FAILURE if match[1] else SUCCESS, "su", match[2]) if match else None


def _login(message: str) -> Optional[Attempt]:
    match = _LOGIN_FAILED.fullmatch(message)
    if match:
        return Attempt(FAILURE, "login", match[2], plain_address(match[1] or ""), is_invalid=match[2] == "UNKNOWN")
    match = _LOGIN_OPENED.fullmatch(message)
    return Attempt(SUCCESS, "login", match[1]) if match else None


def _pam(message: str) -> Optional[Attempt]:
    # A second rhost= would be somebody's invention: then nothing tells the true one.
    match = _PAM_FAILED.fullmatch(message) if message.count("rhost=") == 1 else None
    if match is None or match[1] in _SESSION_SERVICES:
        return None
    return Attempt(FAILURE, match[1], match[3] or "", plain_address(match[2]), is_invalid=not match[3])


_PARSERS: dict[str, Callable[[str], Optional[Attempt]]] = {SSHD: _sshd, "sudo": _sudo, "su": _su, "login": _login}


class Clock:
    """Turns the times of one log file into unix seconds; times without a year must come in order, oldest line first.

    `zone` is the host's time zone, `year` that of the file's first line.
    """

    def __init__(self, year: int, zone: datetime.tzinfo) -> None:
        self.year = year
        self.zone = zone
        self._month = 0

    def seconds(self, stamp: str) -> Optional[int]:
        """The unix time of a `Line.stamp`; None when there is no such date."""
        if stamp[0].isdigit():
            minute = _iso_minute(stamp[:16].replace(" ", "T"), _OFFSET.search(stamp, 19)[0], self.zone)  # type: ignore[index]
            return None if minute is None else minute + int(stamp[17:19])
        minute = _minute(self._year_of(_MONTHS.get(stamp[:3], 0)), stamp[:12], self.zone)
        return None if minute is None else minute + int(stamp[13:15])

    def _year_of(self, month: int) -> int:
        if (self._month, month) == (1, 12):
            # A line of December that comes late, among those of January.
            return self.year - 1
        self.year += self._month - month > 6
        self._month = month
        return self.year

    @classmethod
    def for_file(cls, months: Iterable[str], changed: int, zone: datetime.tzinfo) -> Clock:
        """The clock of a file, from the months (`Nov`) of its lines in their order and its last change.

        The first line's month is enough for a file that spans less than a year.
        """
        clock = cls(0, zone)
        month = 0
        for name in months:
            month = _MONTHS.get(name, 0)
            clock._year_of(month)
        try:
            last = datetime.datetime.fromtimestamp(changed, zone)
        # Anybody who may write the file may give it any time, and a time zone file may be damaged.
        except (OSError, OverflowError, ValueError):
            last = datetime.datetime.now(datetime.timezone.utc)
        return cls(last.year - (month > last.month) - clock.year, zone)


_MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
_OFFSET = re.compile(r"(?:Z|[+-]\d\d:?\d\d)?$")


@lru_cache(maxsize=4096)
def _minute(year: int, stamp: str, zone: datetime.tzinfo) -> Optional[int]:
    """Unix time of the minute `Nov 23 15:47` of a year."""
    try:
        moment = datetime.datetime(year, _MONTHS[stamp[:3]], int(stamp[4:6]), int(stamp[7:9]), int(stamp[10:12]), tzinfo=zone)
        return int(moment.timestamp())
    except (KeyError, ValueError, OverflowError):
        return None


@lru_cache(maxsize=4096)
def _iso_minute(minute: str, offset: str, zone: datetime.tzinfo) -> Optional[int]:
    """Unix time of a minute such as `2026-11-23T15:47`, at an offset such as `+01:00`, or in `zone` where that is empty."""
    if offset == "Z":
        offset = "+00:00"
    elif offset and ":" not in offset:
        offset = f"{offset[:3]}:{offset[3:]}"
    try:
        moment = datetime.datetime.fromisoformat(minute + offset)
        return int((moment if offset else moment.replace(tzinfo=zone)).timestamp())
    except (ValueError, OverflowError):
        return None
