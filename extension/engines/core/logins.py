"""osquery's tables of login records: last (wtmp), logged_in_users (utmp)."""

from __future__ import annotations

import platform
import struct
from collections.abc import Iterator
from typing import NamedTuple

from extension.engines.core import CoreRow, core_table
from extension.engines.core.reading import Reader
from tables.host import Host
from tables.schema import QueryContext

# struct utmp of glibc (utmp(5), bits/utmp.h): type, pid, line, id, user, host, exit status, session, time, address.
# x86-64 keeps the 32-bit session and time of older programs (384 bytes); aarch64 has 64-bit ones (400 bytes).
COMPACT = struct.Struct("<hxxi32s4s32s256s4xii4x16x20x")
WIDE = struct.Struct("<hxxi32s4s32s256s4xqq8x16x24x")
_LAYOUT = WIDE if platform.machine() == "aarch64" else COMPACT

_USER_PROCESS = 7
_DEAD_PROCESS = 8
_LAST_TYPES = {_USER_PROCESS: "user-process", _DEAD_PROCESS: "dead-process"}
_UTMP_TYPES = ("empty", "runlevel", "boot_time", "new_time", "old_time", "init", "login", "user", "dead", "accounting")


class Login(NamedTuple):
    """One record; `time` in unix seconds."""

    kind: int
    pid: int
    tty: str
    user: str
    host: str
    time: int


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def parse_logins(data: bytes, layout: struct.Struct = _LAYOUT) -> Iterator[Login]:
    """Yield the records of a utmp or wtmp file; an incomplete one at its end is left out."""
    for kind, pid, line, _, user, host, _, time in layout.iter_unpack(data[: len(data) - len(data) % layout.size]):
        yield Login(kind, pid, _text(line), _text(user), _text(host), time)


@core_table("last")
def last(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """The logins and logouts in /var/log/wtmp, oldest first."""
    for login in parse_logins(Reader(host, "last").read("/var/log/wtmp") or b""):
        if login.kind in _LAST_TYPES:
            yield {
                "username": login.user, "tty": login.tty, "pid": login.pid, "type": login.kind,
                "type_name": _LAST_TYPES[login.kind], "time": login.time, "host": login.host,
            }  # fmt: skip


@core_table("logged_in_users")
def logged_in_users(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """Every record in /var/run/utmp but those of pid 1: sessions, and also boot, login prompts and ended sessions."""
    for login in parse_logins(Reader(host, "logged_in_users").read("/var/run/utmp") or b""):
        if login.pid != 1:
            yield {
                "type": _UTMP_TYPES[login.kind] if 0 <= login.kind < len(_UTMP_TYPES) else "unknown",
                "user": login.user, "tty": login.tty, "host": login.host, "time": login.time, "pid": login.pid,
            }  # fmt: skip
