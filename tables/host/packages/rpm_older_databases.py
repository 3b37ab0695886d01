"""rpm's databases before SQLite: Berkeley DB's hash tables (EL 8, Amazon Linux 2) and NDB (SLES, openSUSE).

Both give the package headers as rpm_database.parse_header takes them. Formats: Berkeley DB's db_page.h (versions 8 to 10 of its
hash access method), rpm's lib/backend/ndb/rpmpkg.c. Each page and block is read once, whatever the file says.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

# Bytes of a file: size and offset; fewer where it ends.
Read = Callable[[int, int], bytes]

_HASH_MAGIC = 0x00061561
_META = struct.Struct("12x4I")  # after the log position and page number: magic, version, page size, …
_PAGE = struct.Struct("8xIIIHHBB")  # number, previous, next, entries, offset or length, level, type
_HASH_PAGES, _OVERFLOW_PAGE = (2, 13), 7
_IN_PAGE, _OFF_PAGE = 1, 3
_PAGE_SIZES = tuple(1 << power for power in range(9, 17))

# Eight gigabytes at the size of page that rpm's databases have; a file may be long and hold nothing.
_MOST_PAGES = 1 << 21

_NDB_PAGE, _NDB_BLOCK, _NDB_UNUSED_SLOTS = 4096, 16, 2
_NDB_SLOT = struct.Struct("<4sIII")  # magic, package, first block, blocks
_NDB_BLOB = struct.Struct("<4sIII")  # magic, package, time, length
_NDB_TAIL = 12


def berkeley_headers(read: Read, largest: int) -> Iterator[bytes]:
    """The values of a Berkeley DB hash table, of at most `largest` bytes each; ValueError where it is none or broken.

    The entry 0, the number of the package installed last, is left out, as are pages that no bucket uses.
    """
    meta = read(512, 0)
    order = next((mark for mark in "<>" if len(meta) == 512 and struct.unpack_from(f"{mark}I", meta, 12)[0] == _HASH_MAGIC), None)
    if order is None:
        raise ValueError("not a Berkeley DB hash table")
    _, version, page_size, _ = struct.unpack_from(f"{order}{_META.format}", meta)
    (last,) = struct.unpack_from(f"{order}I", meta, 32)
    if not 8 <= version <= 10 or page_size not in _PAGE_SIZES:
        raise ValueError(f"a Berkeley DB hash table of version {version} with pages of {page_size} bytes")
    if last > _MOST_PAGES:
        raise ValueError(f"{last} pages are more than are read")
    table = _Berkeley(read, order, page_size, last)
    for number in range(1, last + 1):
        yield from table.values_of_page(number, largest)


class _Berkeley:
    """One hash table; `order` is its byte order in struct's words."""

    def __init__(self, read: Read, order: str, page_size: int, last: int) -> None:
        self._read, self._order, self._size, self._last = read, order, page_size, last
        self._head = struct.Struct(order + _PAGE.format)
        # A page is part of one value; one that is named again would make the time endless.
        self._taken: set[int] = set()

    def values_of_page(self, number: int, largest: int) -> Iterator[bytes]:
        page = self._page(number)
        found, _, _, entries, _, _, kind = self._head.unpack_from(page)
        if kind not in _HASH_PAGES:
            return
        if found != number or self._head.size + 2 * entries > self._size or entries % 2:
            raise ValueError(f"page {number} is broken")
        offsets = struct.unpack_from(f"{self._order}{entries}H", page, self._head.size)
        # Keys and values by turns, from the page's end downwards.
        for start, end in zip(offsets[1::2], offsets[::2]):
            if not self._head.size + 2 * entries <= start < end <= self._size:
                raise ValueError(f"page {number} is broken")
            value = page[start:end]
            if value[0] == _IN_PAGE and len(value) > 5:
                yield value[1:]
            elif value[0] == _OFF_PAGE and len(value) == 12:
                first, length = struct.unpack_from(f"{self._order}II", value, 4)
                if length <= largest:
                    yield self._overflow(first, length)

    def _overflow(self, number: int, length: int) -> bytes:
        parts = []
        wanted = length
        while wanted > 0:
            if not 0 < number <= self._last or number in self._taken:
                raise ValueError(f"page {number} is part of no value or of two")
            self._taken.add(number)
            page = self._page(number)
            found, _, following, _, held, _, kind = self._head.unpack_from(page)
            if found != number or kind != _OVERFLOW_PAGE or not 0 < held <= min(wanted, self._size - self._head.size):
                raise ValueError(f"page {number} is broken")
            parts.append(page[self._head.size : self._head.size + held])
            wanted -= held
            number = following
        return b"".join(parts)

    def _page(self, number: int) -> bytes:
        page = self._read(self._size, number * self._size)
        if len(page) != self._size:
            raise ValueError(f"it ends before page {number}")
        return page


def ndb_headers(read: Read, largest: int) -> Iterator[bytes]:
    """The blobs of rpm's own database format, of at most `largest` bytes each; ValueError where it is none or broken."""
    head = read(32, 0)
    if len(head) < 32 or head[:4] != b"RpmP":
        raise ValueError("not a database in rpm's NDB format")
    version, _, pages = struct.unpack_from("<III", head, 4)
    if version:
        raise ValueError(f"an NDB database of version {version}")
    if pages > _MOST_PAGES:
        raise ValueError(f"{pages} slot pages are more than are read")
    free = pages * _NDB_PAGE // _NDB_BLOCK
    for block, count, package in sorted(_ndb_slots(read, pages)):
        if block < free:
            raise ValueError(f"block {block} is part of no package or of two")
        free = block + count
        magic, its, _, length = _NDB_BLOB.unpack(_exactly(read, _NDB_BLOB.size, block * _NDB_BLOCK))
        end = _exactly(read, 4, free * _NDB_BLOCK - 4)
        if (magic, its, end) != (b"BlbS", package, b"BlbE") or _NDB_BLOB.size + length + _NDB_TAIL > count * _NDB_BLOCK:
            raise ValueError(f"package {package} is broken")
        if length <= largest:
            yield _exactly(read, length, block * _NDB_BLOCK + _NDB_BLOB.size)


def _ndb_slots(read: Read, pages: int) -> Iterator[tuple[int, int, int]]:
    """First block, count of blocks and number of each package."""
    for number in range(pages):
        page = _exactly(read, _NDB_PAGE, number * _NDB_PAGE)
        for magic, package, block, count in list(_NDB_SLOT.iter_unpack(page))[0 if number else _NDB_UNUSED_SLOTS :]:
            if magic != b"Slot":
                raise ValueError(f"slot page {number} is broken")
            if block:
                yield block, count, package


def _exactly(read: Read, size: int, offset: int) -> bytes:
    data = read(size, offset)
    if len(data) != size:
        raise ValueError(f"it ends before byte {offset + size}")
    return data
