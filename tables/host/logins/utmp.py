"""The login records of glibc: utmp, wtmp and btmp."""

from __future__ import annotations

import platform
import struct
from collections.abc import Iterator
from typing import NamedTuple

# struct utmp of glibc (utmp(5), bits/utmp.h): type, pid, line, id, user, host, exit status, session, time, address.
# x86-64 keeps the 32-bit session and time of older programs (384 bytes); aarch64 has 64-bit ones (400 bytes).
COMPACT = struct.Struct("<hxxi32s4s32s256s4xii4x16x20x")
WIDE = struct.Struct("<hxxi32s4s32s256s4xqq8x16x24x")
LAYOUT = WIDE if platform.machine() == "aarch64" else COMPACT

LOGIN_PROCESS = 6
USER_PROCESS = 7
DEAD_PROCESS = 8


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


def parse_logins(data: bytes, layout: struct.Struct = LAYOUT) -> Iterator[Login]:
    """Yield the records of a utmp, wtmp or btmp file; an incomplete one at its end is left out."""
    for kind, pid, line, _, user, host, _, time in layout.iter_unpack(data[: len(data) - len(data) % layout.size]):
        yield Login(kind, pid, _text(line), _text(user), _text(host), time)
