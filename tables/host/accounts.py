"""The account files: passwd, group and shadow, as glibc reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple, Optional

_MAX_ID = 0xFFFF_FFFF
_NUMBER = re.compile(r"-?[0-9]{1,18}")


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


def _records(data: bytes, fields: int) -> Iterator[list[str]]:
    """The lines of an account file, as `fields` fields each; blank lines and comments are passed over, as glibc does."""
    for raw in data.split(b"\n"):
        line = raw.decode("utf-8", "surrogateescape").lstrip()
        if line and not line.startswith("#"):
            record = line.split(":", fields - 1)
            yield record + [""] * (fields - len(record))


def _id(text: str, is_nis: bool) -> Optional[int]:
    """A user or group id as glibc reads it; lines for NIS (`+` or `-`) may leave it out."""
    if is_nis and not text:
        return 0
    return min(int(text[:20]), _MAX_ID) if text.isascii() and text.isdigit() else None


@lru_cache(maxsize=4)
def parse_passwd(data: bytes) -> tuple[Account, ...]:
    """The accounts in the contents of /etc/passwd; lines without valid ids are passed over."""
    found = []
    for name, _, uid_text, gid_text, gecos, home, shell in _records(data, 7):
        is_nis = name.startswith(("+", "-"))
        uid, gid = _id(uid_text, is_nis), _id(gid_text, is_nis)
        if uid is not None and gid is not None:
            found.append(Account(name, uid, gid, gecos, home, shell))
    return tuple(found)


@lru_cache(maxsize=4)
def parse_group(data: bytes) -> tuple[Group, ...]:
    """The groups in the contents of /etc/group; lines without a valid id are passed over."""
    found = []
    for name, _, gid_text, members in _records(data, 4):
        gid = _id(gid_text, name.startswith(("+", "-")))
        if gid is not None:
            found.append(Group(name, gid, tuple(filter(None, (member.strip() for member in members.split(","))))))
    return tuple(found)


def parse_shadow(data: bytes) -> Iterator[ShadowEntry]:
    """Yield the entries in the contents of /etc/shadow; lines with a field that is no number are passed over."""
    for name, password, *numbers in _records(data, 9):
        if all(not text or _NUMBER.fullmatch(text) for text in numbers):
            yield ShadowEntry(name, password, tuple(int(text) if text else None for text in numbers))
