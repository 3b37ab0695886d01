"""The arguments and variables of a process however many they are: both ends whole, of the rest what a pattern wants."""

from __future__ import annotations

import itertools
import os
import re
from typing import NamedTuple, Optional

from tables.host.disk.files import read_fd
from tables.host.processes.procfs import Procfs

# Bytes and strings of each end that are kept whole.
END_BYTES = 1 << 17
END_STRINGS = 4000
# What is kept of the rest, and how far is read: the kernel gives a new program 6 MiB at most (fs/exec.c, bprm_stack_limits).
_REST_BYTES = 1 << 18
_REST_STRINGS = 4000
_READ_BYTES = 16 << 20
_CHUNK = 1 << 16
# Options in a row, before a border, that are kept together with what follows them.
_OPTIONS = 8
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class Strings(NamedTuple):
    """Strings in their order, and how many there are in all; `missed` says what was not looked at, "" when nothing."""

    kept: list[str]
    total: int
    missed: str


def read_strings(procfs: Procfs, pid: int, name: str, wanted: re.Pattern[bytes]) -> Optional[Strings]:
    """The strings in /proc/PID/`name` (cmdline or environ); None when it is gone or not ours to read.

    Of the first and last 4,000, and 128 KiB, all are kept; of those between only what `wanted` matches at the beginning of
    a string, up to 256 KiB. A match may reach over several strings (a NUL parts them). Takes time linear in the file, and
    below 1 MiB of memory.
    """
    try:
        fd = os.open(f"{pid}/{name}", _FLAGS, dir_fd=procfs.fd)
    except OSError:
        return None
    try:
        return _Reader(fd, wanted).read()
    except OSError:
        return None
    finally:
        os.close(fd)


class _Reader:
    """One pass over one such file."""

    def __init__(self, fd: int, wanted: re.Pattern[bytes]) -> None:
        self._fd = fd
        self._wanted = wanted
        self._count = self._bytes = 0
        self._is_whole = False
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._is_full = False

    def read(self) -> Strings:
        head = self._next(END_BYTES)
        # A process can write over the NULs, and then has fewer strings than it was given.
        if self._is_whole and self._count <= 2 * END_STRINGS:
            return Strings(_texts(head), self._count, "")
        ends = [found.end() for found in itertools.islice(re.finditer(b"\0", head), END_STRINGS)]
        at = ends[-1] if ends else len(head)
        head, tail = head[:at], head[at:]
        while not self._is_whole and self._bytes < _READ_BYTES:
            tail += self._next(_CHUNK)
            if len(tail) > END_BYTES + _CHUNK:
                tail = self._search(tail, len(tail) - END_BYTES)
        ends = [found.end() for found in re.finditer(b"\0", tail[:-1])]
        if len(ends) >= END_STRINGS:
            tail = self._search(tail, ends[-END_STRINGS])
        missed = "" if self._is_whole else f"what follows its first {self._bytes >> 20} MiB was not read"
        if self._is_full:
            missed = f"not all of its {self._count} strings between the first and the last {END_STRINGS} were looked at"
        return Strings([text for part in (head, *self._rest, tail) for text in _texts(part)], self._count, missed)

    def _search(self, data: bytes, at: int) -> bytes:
        """Keep what is wanted of the beginning of `data`, as far as about `at`; gives back the rest."""
        at = data.rfind(b"\0", 0, at) + 1 or at
        for _ in range(_OPTIONS):
            start = data.rfind(b"\0", 0, max(0, at - 1)) + 1
            if not data.startswith(b"-", start):
                break
            # An option keeps its value.
            at = start
        for found in () if self._is_full else self._wanted.finditer(data, 0, at):
            if self._rest_bytes + len(found[0]) > _REST_BYTES or len(self._rest) >= _REST_STRINGS:
                self._is_full = True
                break
            self._rest.append(found[0])
            self._rest_bytes += len(found[0])
        return data[at:]

    def _next(self, size: int) -> bytes:
        data = read_fd(self._fd, size)
        self._is_whole = len(data) < size
        self._count += data.count(b"\0")
        self._bytes += len(data)
        return data


def _texts(data: bytes) -> list[str]:
    return os.fsdecode(data[:-1] if data.endswith(b"\0") else data).split("\0") if data else []
