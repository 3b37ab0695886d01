"""What the file that a process runs contains: which of a set of byte strings, and whether a packer hides them."""

from __future__ import annotations

import math
import os
import stat
import struct
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Optional

from tables.host.disk.files import FileKey, file_key
from tables.host.processes.procfs import Procfs

# Miners are far smaller; a longer file is searched so far, in case one was padded.
MAX_SEARCHED = 64 << 20
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
    """`marks` are the names whose strings the file holds; `packer` says how it is packed, None when it is not."""

    marks: frozenset[str]
    packer: Optional[str]


class BinaryCache:
    """Remembers what the most recently seen files hold, so that each is read once as long as it does not change."""

    def __init__(self, needles: Needles) -> None:
        self.needles = needles
        self._known: OrderedDict[FileKey, BinaryFacts] = OrderedDict()

    def known(self, key: FileKey) -> Optional[BinaryFacts]:
        """What is remembered of a file, None when it was not read yet."""
        found = self._known.get(key)
        if found is not None:
            self._known.move_to_end(key)
        return found

    def examine(self, procfs: Procfs, pid: int, key: FileKey, deadline: float) -> Optional[BinaryFacts]:
        """Read the file that `pid` runs; None when it cannot be read, has changed, or time.monotonic() passed `deadline`."""
        try:
            fd = os.open(f"{pid}/exe", _FLAGS, dir_fd=procfs.fd)
        except OSError:
            return None
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or file_key(status) != key:
                return None
            facts = examine_fd(fd, status.st_size, self.needles, deadline)
        except OSError:
            return None
        finally:
            os.close(fd)
        if facts is not None:
            self._known[key] = facts
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return facts


def examine_fd(fd: int, size: int, needles: Needles, deadline: float) -> Optional[BinaryFacts]:
    """Look through the open file of `size` bytes, as far as MAX_SEARCHED; None when the deadline passed first."""
    head = os.pread(fd, _EDGE, 0)
    packer = packer_of(head, os.pread(fd, _EDGE, max(0, size - _EDGE)), os.pread(fd, _SAMPLE, _EDGE))
    if not _holds(fd, size, needles.any_of, deadline):
        return None if time.monotonic() > deadline else BinaryFacts(frozenset(), packer)
    found: set[str] = set()
    longest = max(len(text) for texts in needles.marks.values() for text in texts)
    for chunk in _chunks(fd, size, longest - 1):
        if time.monotonic() > deadline:
            return None
        found.update(name for name, texts in needles.marks.items() if name not in found and any(text in chunk for text in texts))
    return BinaryFacts(frozenset(found), packer)


def _holds(fd: int, size: int, text: bytes, deadline: float) -> bool:
    return any(time.monotonic() <= deadline and text in chunk for chunk in _chunks(fd, size, len(text) - 1))


def _chunks(fd: int, size: int, overlap: int) -> Iterator[bytes]:
    """The file in pieces that share `overlap` bytes, so that no string is cut apart."""
    for at in range(0, min(size, MAX_SEARCHED), _CHUNK):
        yield os.pread(fd, _CHUNK + overlap, at)


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
