"""The running kernel's code and read-only data: /proc/kcore, read a few bytes at a time, with addresses from /proc/kallsyms."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Iterable
from typing import NamedTuple, Optional

from tables.host import Host
from tables.host.disk.files import read_fd

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_CHUNK = 1 << 20
_MAX_SYMBOLS = 128 << 20
_MAX_SEGMENTS = 4096
# The longest line of kallsyms: address, kind, KSYM_NAME_LEN, module.
_MAX_LINE = 1024
_MAX_READ = 64 << 10
_PT_LOAD = 1


class Symbol(NamedTuple):
    """A symbol's address, and the bytes up to the next one."""

    address: int
    length: int


class Symbols(NamedTuple):
    """The wanted symbols by name; a name may stand for several. `builtin` are pages of ftrace's, kprobes' and BPF's code."""

    named: dict[str, list[Symbol]]
    builtin: frozenset[int]


def parse_symbols(pieces: Iterable[bytes], wanted: Iterable[str]) -> Symbols:
    """The `wanted` symbols in kallsyms(5) given in pieces; those of modules are left out."""
    names = b"|".join(sorted(re.escape(name.encode("ascii")) for name in wanted))
    # The kernel's own symbols are sorted by address (kernel/kallsyms.c): the next line's tells how far one goes.
    line = re.compile(rb"^([0-9a-f]{8,16}) [A-Za-z] (" + names + rb")\n(?=([0-9a-f]{8,16}) )", re.MULTILINE)
    builtin = re.compile(rb"^([0-9a-f]{8,16}) [A-Za-z] \S{1,512}\t\[(?:__builtin__\w+|bpf)\]$", re.MULTILINE)
    found: dict[str, dict[int, int]] = {}
    pages: set[int] = set()
    rest = b""
    for piece in pieces:
        data = rest + piece
        for address, name, following in line.findall(data):
            start = int(address, 16)
            found.setdefault(name.decode("ascii"), {}).setdefault(start, max(0, int(following, 16) - start))
        # Few of the many pieces have any, and looking at each line for one costs as much as all the names.
        if b"\t[__builtin__" in data or b"\t[bpf]" in data:
            pages.update(int(address, 16) >> 12 for address in builtin.findall(data))
        # Two whole lines, so that a symbol at the end is seen with the one after it.
        rest = data[data.rfind(b"\n", 0, max(0, len(data) - 2 * _MAX_LINE)) + 1 :]
    return Symbols({name: [Symbol(*symbol) for symbol in symbols.items()] for name, symbols in found.items()}, frozenset(pages))


def symbols(host: Host, wanted: Iterable[str], check_time: Callable[[], None]) -> Symbols:
    """As `parse_symbols`, of the running kernel; all addresses are 0 where the kernel does not tell them. OSError as it comes."""
    fd = os.open("kallsyms", _FLAGS, dir_fd=host.truth.fd)
    try:
        return parse_symbols(_pieces(fd, check_time), wanted)
    finally:
        os.close(fd)


def _pieces(fd: int, check_time: Callable[[], None]) -> Iterable[bytes]:
    read = 0
    while read < _MAX_SYMBOLS and (piece := read_fd(fd, _CHUNK)):
        check_time()
        read += len(piece)
        yield piece


class KernelMemory:
    """An open /proc/kcore. OSError when there is none, or lockdown(7) forbids it."""

    def __init__(self, host: Host) -> None:
        self.fd = os.open("kcore", _FLAGS, dir_fd=host.truth.fd)
        try:
            self._segments = parse_segments(lambda offset, length: os.pread(self.fd, length, offset))
        except BaseException:
            os.close(self.fd)
            raise

    def close(self) -> None:
        """Close the file."""
        os.close(self.fd)

    def read(self, address: int, length: int) -> Optional[bytes]:
        """`length` bytes at a kernel address, at most 64 KiB; None where the file has none for it. OSError when it fails."""
        length = min(length, _MAX_READ)
        for start, offset, size in self._segments:
            if start <= address < start + size:
                return os.pread(self.fd, min(length, start + size - address), offset + address - start)
        return None


def parse_segments(read: Callable[[int, int], bytes]) -> list[tuple[int, int, int]]:
    """(address, place in the file, bytes) of each loaded part of a 64-bit little-endian ELF core (elf(5)); [] of another file."""
    head = read(0, 64)
    if len(head) < 64 or head[:6] != b"\x7fELF\x02\x01":
        return []
    (place,) = struct.unpack_from("<Q", head, 32)
    entry, count = struct.unpack_from("<HH", head, 54)
    if entry < 56 or place >= 1 << 62:
        return []
    count = min(count, _MAX_SEGMENTS)
    table = read(place, entry * count)
    found = []
    for index in range(len(table) // entry):
        kind, _, offset, address, _, size = struct.unpack_from("<IIQQQQ", table, index * entry)
        if kind == _PT_LOAD and offset < 1 << 63:
            found.append((address, offset, size))
    return found
