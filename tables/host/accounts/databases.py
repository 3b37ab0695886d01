"""The account files: passwd, group and shadow, as glibc reads them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple, Optional

_MAX_ID = 0xFFFF_FFFF
_NUMBER = re.compile(r"-?[0-9]{1,18}")
_PASSWD_FIELDS = 7
_UID_MIN = re.compile(r"^[ \t]*UID_MIN[ \t]+([0-9]{1,9})", re.MULTILINE)
_DEFAULT_UID_MIN = 1000
NOBODY = 65534

# Programs that end a login at once, or do one thing and end it.
_NO_LOGIN = frozenset({"nologin", "false", "true", "sync", "halt", "shutdown", "poweroff", "null"})

# The algorithms of crypt(5) by what their hashes begin with, longer beginnings first.
_ALGORITHMS = (
    ("$gy$", "gost-yescrypt"),
    ("$sha1", "sha1"),
    ("$md5", "sunmd5"),
    ("$y$", "yescrypt"),
    ("$1$", "md5"),
    ("$2", "bcrypt"),
    ("$3$", "nt"),
    ("$5$", "sha256"),
    ("$6$", "sha512"),
    ("$7$", "scrypt"),
    ("_", "bsdi"),
)
_DES = re.compile(r"[./0-9A-Za-z]{13}")


class Account(NamedTuple):
    """One line of /etc/passwd (passwd(5))."""

    name: str
    uid: int
    gid: int
    gecos: str
    home: str
    shell: str


class Group(NamedTuple):
    """One line of /etc/group (group(5))."""

    name: str
    gid: int
    members: tuple[str, ...]


class ShadowEntry(NamedTuple):
    """One line of /etc/shadow (shadow(5)); `days` are its seven numbers, last change to flag, None where one is empty."""

    name: str
    password: str
    days: tuple[Optional[int], ...]
    line: int = 0

    @property
    def last_change(self) -> Optional[int]:
        """When the password was last changed (unix seconds of that day); None when the entry does not say."""
        return _seconds(self.days[0])

    @property
    def expires(self) -> Optional[int]:
        """When the account expires (unix seconds of that day); None for never."""
        return _seconds(self.days[5])


class PasswdLine(NamedTuple):
    """One line of /etc/passwd, from 1; `fields` are how many it has, `account` is None where its ids are no numbers.

    `password` is its second field: `x` where the password is in /etc/shadow, empty for none at all.
    """

    line: int
    name: str
    password: str
    fields: int
    account: Optional[Account]

    @property
    def is_nis(self) -> bool:
        """Whether it brings in accounts of NIS (nsswitch.conf(5), "compat")."""
        return self.name.startswith(("+", "-"))

    @property
    def is_malformed(self) -> bool:
        """Whether it has other than seven fields, no name, or ids that are no numbers."""
        return not self.is_nis and (self.fields != _PASSWD_FIELDS or not self.name or self.account is None)


def _seconds(days: Optional[int]) -> Optional[int]:
    return days * 86400 if days is not None and 0 <= days < 1_000_000 else None


def _records(data: bytes, fields: int) -> Iterator[tuple[int, list[str]]]:
    """(line, at most `fields` fields) of an account file; blank lines and comments are passed over, as glibc does."""
    for number, raw in enumerate(data.split(b"\n"), 1):
        line = raw.decode("utf-8", "surrogateescape").lstrip()
        if line and not line.startswith("#"):
            yield number, line.split(":", fields - 1)


def _padded(record: list[str], fields: int) -> list[str]:
    return record + [""] * (fields - len(record))


def _id(text: str, is_nis: bool) -> Optional[int]:
    """A user or group id as glibc reads it; lines for NIS (`+` or `-`) may leave it out."""
    if is_nis and not text:
        return 0
    return min(int(text[:20]), _MAX_ID) if text.isascii() and text.isdigit() else None


def passwd_lines(data: bytes) -> Iterator[PasswdLine]:
    """The lines of /etc/passwd as glibc reads them, those without valid ids included."""
    for line, record in _records(data, _PASSWD_FIELDS):
        name, password, uid_text, gid_text, gecos, home, shell = _padded(record, _PASSWD_FIELDS)
        is_nis = name.startswith(("+", "-"))
        uid, gid = _id(uid_text, is_nis), _id(gid_text, is_nis)
        is_account = uid is not None and gid is not None
        account = Account(name, uid or 0, gid or 0, gecos, home, shell) if is_account else None
        # What follows a seventh colon is read as part of the shell.
        yield PasswdLine(line, name, password, len(record) + shell.count(":"), account)


@lru_cache(maxsize=4)
def parse_passwd(data: bytes) -> tuple[Account, ...]:
    """The accounts in the contents of /etc/passwd; lines without valid ids are passed over."""
    return tuple(line.account for line in passwd_lines(data) if line.account is not None)


@lru_cache(maxsize=4)
def parse_group(data: bytes) -> tuple[Group, ...]:
    """The groups in the contents of /etc/group; lines without a valid id are passed over."""
    found = []
    for _, record in _records(data, 4):
        name, _, gid_text, members = _padded(record, 4)
        gid = _id(gid_text, name.startswith(("+", "-")))
        if gid is not None:
            found.append(Group(name, gid, tuple(filter(None, (member.strip() for member in members.split(","))))))
    return tuple(found)


def parse_shadow(data: bytes) -> Iterator[ShadowEntry]:
    """Yield the entries in the contents of /etc/shadow; lines with a field that is no number are passed over."""
    for line, record in _records(data, 9):
        name, password, *numbers = _padded(record, 9)
        if all(not text or _NUMBER.fullmatch(text) for text in numbers):
            yield ShadowEntry(name, password, tuple(int(text) if text else None for text in numbers), line)


def groups_by_account(accounts: Iterable[Account], groups: Iterable[Group]) -> dict[str, tuple[Group, ...]]:
    """The groups of each account by its name: its own first, then those that list it."""
    listed: dict[str, list[Group]] = {}
    by_gid: dict[int, Group] = {}
    for group in groups:
        by_gid.setdefault(group.gid, group)
        for member in group.members:
            listed.setdefault(member, []).append(group)
    found = {}
    for account in accounts:
        own = by_gid.get(account.gid)
        found[account.name] = tuple(dict.fromkeys([*([own] if own else []), *listed.get(account.name, [])]))
    return found


def password_state(field: str) -> tuple[str, Optional[str]]:
    """(state, algorithm) of a password field: empty, disabled (no password fits), locked (a hash behind `!`) or set.

    The algorithm is its name in crypt(5), `des` for the oldest, `unknown`; None where there is no hash.
    """
    hashed = field.lstrip("!")
    if not field:
        return "empty", None
    if not hashed or hashed.startswith("*") or hashed in ("x", "NP", "LK"):
        return "disabled", None
    algorithm = next((name for prefix, name in _ALGORITHMS if hashed.startswith(prefix)), None)
    if algorithm is None:
        algorithm = "des" if _DES.fullmatch(hashed) else "unknown"
    return ("set" if hashed == field else "locked"), algorithm


def is_login_shell(shell: str) -> bool:
    """Whether a login with this shell gets further than a farewell; without one it is /bin/sh (passwd(5))."""
    return posixpath.basename(shell) not in _NO_LOGIN


def uid_min(login_defs: str) -> int:
    """The lowest uid of people's accounts by login.defs(5), 1000 unless it says otherwise."""
    found = _UID_MIN.search(login_defs)
    return int(found[1]) if found and int(found[1]) > 0 else _DEFAULT_UID_MIN


def is_system_uid(uid: int, lowest: int) -> bool:
    """Whether an account is a service's rather than a person's or root's; `lowest` is `uid_min`."""
    return 0 < uid < lowest or uid == NOBODY
