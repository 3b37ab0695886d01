"""rpm's older databases of given package headers, written byte by byte from the formats' descriptions."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

PAGE = 4096


def berkeley(headers: Sequence[bytes], order: str = "<") -> bytes:
    """A Berkeley DB hash table of one bucket that holds the headers, the large ones on pages of their own."""
    pages: list[bytes] = []
    # One bucket at page 1; a page holds what fits, and chains to the next.
    items = [(struct.pack("<I", 0), struct.pack("<I", len(headers)))]
    items += [(struct.pack("<I", number), blob) for number, blob in enumerate(headers, 1)]
    chains: list[list[tuple[bytes, bytes]]] = [[]]
    room = PAGE - 26
    overflow: list[bytes] = []
    for key, value in items:
        big = len(value) > PAGE // 4
        needed = 1 + len(key) + (12 if big else 1 + len(value)) + 4
        if needed > room:
            chains.append([])
            room = PAGE - 26
        room -= needed
        chains[-1].append((key, value))
    first_overflow = 1 + len(chains)
    for number, chain in enumerate(chains, 1):
        body, offsets, position = b"", [], PAGE
        for key, value in chain:
            for data in (b"\1" + key, b"\1" + value):
                if len(data) > PAGE // 4:
                    at = first_overflow + len(overflow)
                    data = struct.pack(f"{order}B3xII", 3, at, len(value))
                    pieces = [value[start : start + PAGE - 26] for start in range(0, len(value), PAGE - 26)]
                    for index, piece in enumerate(pieces):
                        following = at + index + 1 if index + 1 < len(pieces) else 0
                        overflow.append(page(order, at + index, following, 1, len(piece), 7) + piece)
                position -= len(data)
                offsets.append(position)
                body = data + body
        head = page(order, number, number + 1 if number < len(chains) else 0, len(offsets), position, 13)
        table = struct.pack(f"{order}{len(offsets)}H", *offsets)
        pages.append((head + table).ljust(position, b"\0") + body)
    pages += [one.ljust(PAGE, b"\0") for one in overflow]
    last = len(pages)
    meta = struct.pack(f"{order}8xIIIIBBBxIII", 0, 0x00061561, 9, PAGE, 0, 8, 0, 0, last, 0)
    meta = meta.ljust(72, b"\0") + struct.pack(f"{order}IIIII", 0, 1, 0, 0, len(items)) + bytes(4)
    meta += struct.pack(f"{order}32I", *([1] * 32))
    return b"".join([meta.ljust(PAGE, b"\0"), *pages])


def page(order: str, number: int, following: int, entries: int, offset: int, kind: int) -> bytes:
    return struct.pack(f"{order}8xIIIHHBB", number, 0, following, entries, offset, 0, kind)


def ndb(headers: Sequence[bytes], slot_pages: int = 1) -> bytes:
    """rpm's NDB format, with a freed slot between the packages."""
    slots, blobs = [], b""
    block = slot_pages * PAGE // 16
    for number, blob in enumerate(headers, 1):
        content = struct.pack("<4sIII", b"BlbS", number, 0, len(blob)) + blob
        content += bytes(-(len(content) + 12) % 16) + struct.pack("<II4s", zlib.adler32(content), len(blob), b"BlbE")
        slots += [(number, block, len(content) // 16), (0, 0, 0)]
        block += len(content) // 16
        blobs += content
    head = struct.pack("<4sIIII", b"RpmP", 0, 1, slot_pages, len(headers) + 1).ljust(32, b"\0")
    slots += [(0, 0, 0)] * (slot_pages * PAGE // 16 - 2 - len(slots))
    return head + b"".join(struct.pack("<4sIII", b"Slot", *slot) for slot in slots) + blobs
