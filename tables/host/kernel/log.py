"""What the kernel's log says of modules that taint the kernel: /dev/kmsg, read without waiting for more."""

from __future__ import annotations

import os
import re
import stat
from typing import NamedTuple, Optional

from tables.host import Host
from tables.host.disk.files import Unreadable
from tables.unseen import say_cut

_PATH = "/dev/kmsg"
_DEVICE = os.makedev(1, 11)
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_MAX_BYTES = 32 << 20
# A record is priority,sequence,microseconds,flags;text (Documentation/ABI/testing/dev-kmsg). Of the priority the lower three bits
# are the level, the rest the facility: 0 is the kernel's own, which nothing written to /dev/kmsg can have.
_RECORD = re.compile(rb"^[0-7],(\d{1,19}),(\d{1,19}),[^;\n]*;(.*)$", re.MULTILINE)
_NUMBER = re.compile(rb"\d{1,3},(\d{1,19}),")
# kernel/module/main.c (kernel/module.c before 5.19): check_modinfo, load_module, check_modinfo_livepatch.
_TAINT = re.compile(
    r"([A-Za-z0-9_.-]{1,63}): (?:"
    r"(?P<O>loading out-of-tree module taints kernel)|"
    r"(?P<E>module verification failed: )|"
    r"(?P<P>module license .*taints kernel)|"
    r"(?P<F>.*: kernel tainted)|"
    r"(?P<C>module is from the staging directory))"
)


class TaintLine(NamedTuple):
    """A line with which the kernel said that a module tainted it: the taint's letter, microseconds since boot, the text."""

    module: str
    taint: str
    microseconds: int
    text: str


def parse_taint_lines(data: bytes) -> list[TaintLine]:
    """The lines of the kernel's own in records of /dev/kmsg that name a module and its taint."""
    found = []
    for _, microseconds, raw in _RECORD.findall(data):
        text = raw[:300].decode("ascii", "replace")
        match = _TAINT.match(text)
        if match and match.lastgroup:
            found.append(TaintLine(match[1].replace("-", "_"), match.lastgroup, int(microseconds), text))
    return found


class TaintLog(NamedTuple):
    """The taint lines that the kernel's log still has, and whether the log has lost its beginning."""

    lines: list[TaintLine]
    is_cut: bool


def taint_log(host: Host) -> TaintLog:
    """What is in the kernel's log now; OSError when it cannot be read."""
    data = _read(host)
    first = _NUMBER.match(data)
    return TaintLog(parse_taint_lines(data), first is not None and int(first[1]) > 0)


def _read(host: Host) -> bytes:
    fd = os.open(host.files.locate(_PATH), _FLAGS)
    try:
        status = os.fstat(fd)
        is_log = status.st_rdev == _DEVICE if stat.S_ISCHR(status.st_mode) else stat.S_ISREG(status.st_mode) and not host.is_live
        if not is_log:
            raise Unreadable(_PATH, "not the kernel's log")
        pieces: list[bytes] = []
        read = 0
        while read < _MAX_BYTES and (piece := _record(fd)) is not None:
            pieces.append(piece)
            read += len(piece)
        if read >= _MAX_BYTES:
            say_cut(f"{_PATH}: only the first {_MAX_BYTES >> 20} MiB were read")
        return b"".join(pieces)
    finally:
        os.close(fd)


def _record(fd: int) -> Optional[bytes]:
    """The next record; b"" for one that was overwritten meanwhile, None at the end."""
    try:
        return os.read(fd, 8192) or None
    except BlockingIOError:
        return None
    except BrokenPipeError:
        return b""
