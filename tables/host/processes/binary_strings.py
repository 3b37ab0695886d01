"""What the file that a process runs contains: which of a set of byte strings, and whether a packer hides them."""

from __future__ import annotations

import errno
import math
import os
import stat
import struct
import time
from collections import Counter, OrderedDict
from collections.abc import Mapping
from typing import NamedTuple, Optional

from tables.host.disk.footprint import FileKey, file_key
from tables.host.disk.unmarked import open_unmarked
from tables.host.processes.procfs import Procfs

# Miners are far smaller; of a file padded to more, holes left out, the beginning and the end are searched.
MAX_SEARCHED = 2 << 30
_END = 64 << 20
# Searches that can be left unfinished at a time.
_UNFINISHED = 256
_CHUNK = 1 << 20
_EDGE = 4096
_KEPT = 4096
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
# UPX's header magic (upx src/stub/src/include/linux.h); it is at the start and at the end of a packed ELF file.
_UPX = b"UPX!"
# Bits a byte above which machine code and its data do not come, only what is compressed or encrypted.
_DENSE = 7.2
_SAMPLE = 64 << 10


class Needles(NamedTuple):
    """What to look for: `any_of` is a string without which no file is searched further, `marks` are strings by their names."""

    any_of: bytes
    marks: Mapping[str, tuple[bytes, ...]]


class BinaryFacts(NamedTuple):
    """`marks` are the names whose strings the file holds; `packer` says how it is packed, None when it is not.

    `is_cut` tells that of a file of more than MAX_SEARCHED bytes only the beginning and the end were searched.
    """

    marks: frozenset[str]
    packer: Optional[str]
    is_cut: bool = False


class BinaryCache:
    """Remembers what the most recently seen files hold, so that each is read once as long as it does not change."""

    def __init__(self, needles: Needles) -> None:
        self.needles = needles
        self._known: OrderedDict[FileKey, BinaryFacts] = OrderedDict()
        self._unfinished: OrderedDict[FileKey, Search] = OrderedDict()

    def known(self, key: FileKey) -> Optional[BinaryFacts]:
        """What is remembered of a file, None when it was not read yet."""
        found = self._known.get(key)
        if found is not None:
            self._known.move_to_end(key)
        return found

    def examine(self, procfs: Procfs, pid: int, key: FileKey, deadline: float) -> Optional[BinaryFacts]:
        """Read the file that `pid` runs; None when it cannot be read, has changed, or time.monotonic() passed `deadline`.

        The next call goes on where that happened.
        """
        try:
            fd = open_unmarked(f"{pid}/exe", _FLAGS, procfs.fd)
        except OSError:
            return None
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or file_key(status) != key:
                return None
            search = self._unfinished.pop(key, None) or Search(status.st_size, self.needles)
            facts = search.go_on(fd, deadline)
            if facts is None:
                self._unfinished[key] = search
                while len(self._unfinished) > _UNFINISHED:
                    self._unfinished.popitem(last=False)
        except OSError:
            return None
        finally:
            os.close(fd)
        if facts is not None:
            self._known[key] = facts
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return facts


class Search:
    """The search through one file, which can be left and taken up again."""

    def __init__(self, size: int, needles: Needles) -> None:
        self._size = size
        self._needles = needles
        self._longest = max(len(text) for texts in needles.marks.values() for text in texts)
        self._is_filtered = self._is_cut = False
        self._searched = self._at = 0
        self._found: set[str] = set()

    def go_on(self, fd: int, deadline: float) -> Optional[BinaryFacts]:
        """What the open file holds; None when time.monotonic() passed `deadline` first."""
        while (chunk := self._next(fd)) is not None:
            if not self._is_filtered and self._needles.any_of in chunk:
                self._is_filtered = True
                self._searched = self._at = 0
            elif self._is_filtered:
                self._found.update(
                    name
                    for name, texts in self._needles.marks.items()
                    if name not in self._found and any(text in chunk for text in texts)
                )
            if time.monotonic() > deadline and self._at < self._size:
                return None
        head, tail = os.pread(fd, _EDGE, 0), os.pread(fd, _EDGE, max(0, self._size - _EDGE))
        return BinaryFacts(frozenset(self._found), packer_of(head, tail, os.pread(fd, _SAMPLE, _EDGE)), self._is_cut)

    def _next(self, fd: int) -> Optional[bytes]:
        """The next piece, holes passed over; pieces share some bytes, so that no string is cut apart. None at the end."""
        try:
            self._at = os.lseek(fd, self._at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return None
        if self._searched == MAX_SEARCHED and self._size - self._at > _END:
            self._is_cut = True
            self._at = self._size - _END
        chunk = os.pread(fd, _CHUNK + self._longest - 1, self._at)
        self._searched += _CHUNK
        self._at += _CHUNK
        return chunk or None


def examine_fd(fd: int, size: int, needles: Needles, deadline: float) -> Optional[BinaryFacts]:
    """Look through the open file of `size` bytes; None when the deadline passed first."""
    return Search(size, needles).go_on(fd, deadline)


def packer_of(head: bytes, tail: bytes, body: bytes) -> Optional[str]:
    """How an ELF file (elf(5)) is packed, by its first and last 4 KiB and what follows the first: "UPX", "unknown", or None.

    A packer whose name was removed shows by an ELF file without section headers whose content is dense.
    """
    if len(head) < 64 or head[:4] != b"\x7fELF":
        return None
    if _UPX in head or _UPX in tail:
        return "UPX"
    order = ">" if head[5] == 2 else "<"
    (sections,) = struct.unpack_from(f"{order}H", head, 60 if head[4] == 2 else 48)
    return "unknown" if sections == 0 and len(body) >= _EDGE and _bits_a_byte(body) > _DENSE else None


def _bits_a_byte(data: bytes) -> float:
    total = len(data)
    return -sum(count / total * math.log2(count / total) for count in Counter(data).values())
