"""Writes small journal files as journald does, following https://systemd.io/JOURNAL_FILE_FORMAT/."""

from __future__ import annotations

import struct
from collections.abc import Sequence

_HEADER = 264
_COMPACT, _KEYED = 16, 4
_BUCKETS = 8


class _Arena:
    def __init__(self) -> None:
        self.data = bytearray(_HEADER)
        self.objects = 0

    def add(self, kind: int, body: bytes, flags: int = 0) -> int:
        """Append an object; its offset."""
        self.data += bytes(-len(self.data) % 8)
        offset = len(self.data)
        self.data += struct.pack("<BB6xQ", kind, flags, 16 + len(body)) + body
        self.objects += 1
        self.last = offset
        return offset

    def put(self, offset: int, value: int) -> None:
        struct.pack_into("<Q", self.data, offset, value)

    def get(self, offset: int) -> int:
        return int(struct.unpack_from("<Q", self.data, offset)[0])


def _jenkins(data: bytes) -> int:
    """Bob Jenkins' lookup3 hashlittle2, as journald takes it: the first value in the upper half."""

    def rot(value: int, by: int) -> int:
        return ((value << by) | (value >> (32 - by))) & 0xFFFFFFFF

    a = b = c = (0xDEADBEEF + len(data)) & 0xFFFFFFFF
    while len(data) > 12:
        x, y, z = struct.unpack_from("<III", data)
        a, b, c = (a + x) & 0xFFFFFFFF, (b + y) & 0xFFFFFFFF, (c + z) & 0xFFFFFFFF
        for by in (4, 6, 8, 16, 19, 4):
            a = ((a - c) & 0xFFFFFFFF) ^ rot(c, by)
            c = (c + b) & 0xFFFFFFFF
            a, b, c = b, c, a
        data = data[12:]
    if data:
        x, y, z = struct.unpack("<III", data.ljust(12, b"\0"))
        a, b, c = (a + x) & 0xFFFFFFFF, (b + y) & 0xFFFFFFFF, (c + z) & 0xFFFFFFFF
        for by in (14, 11, 25, 16, 4, 14, 24):
            c = ((c ^ b) - rot(b, by)) & 0xFFFFFFFF
            a, b, c = b, c, a
        # Seven steps have turned the three once more than full rounds.
        a, b, c = c, a, b
    return (c << 32) | b


def journal(entries: Sequence[tuple[int, dict[str, str]]], is_compact: bool = False) -> bytes:
    """A journal file with these entries: unix seconds and fields."""
    arena = _Arena()
    tables = {}
    for kind in (4, 5):
        tables[kind] = arena.add(kind, bytes(16 * _BUCKETS)) + 16
    payload_at = 72 if is_compact else 64
    data_at: dict[bytes, int] = {}
    fields: dict[bytes, int] = {}
    used: dict[int, list[int]] = {}

    def hang(table: int, digest: int, offset: int) -> None:
        bucket = table + 16 * (digest % _BUCKETS)
        tail = arena.get(bucket + 8)
        arena.put(tail + 24 if tail else bucket, offset)
        arena.put(bucket + 8, offset)

    offsets = []
    for number, (time, values) in enumerate(entries, 1):
        items = []
        for name, value in values.items():
            payload = f"{name}={value}".encode("utf-8", "surrogateescape")
            if payload not in data_at:
                digest = _jenkins(payload)
                body = struct.pack("<QQQQQQ", digest, 0, 0, 0, 0, 0) + bytes(payload_at - 64) + payload
                data_at[payload] = arena.add(1, body)
                hang(tables[4], digest, data_at[payload])
                key = name.encode()
                if key not in fields:
                    field_digest = _jenkins(key)
                    fields[key] = arena.add(2, struct.pack("<QQQ", field_digest, 0, 0) + key)
                    hang(tables[5], field_digest, fields[key])
                arena.put(data_at[payload] + 32, arena.get(fields[key] + 32))
                arena.put(fields[key] + 32, data_at[payload])
            items.append((data_at[payload], _jenkins(payload)))
        xor = 0
        for _, digest in items:
            xor ^= digest
        packed = b"".join(struct.pack("<I", at) if is_compact else struct.pack("<QQ", at, digest) for at, digest in sorted(items))
        offset = arena.add(3, struct.pack("<QQQ16sQ", number, time * 1_000_000, number, b"\1" * 16, xor) + packed)
        offsets.append(offset)
        for at, _ in items:
            used.setdefault(at, []).append(offset)
    item = "<I" if is_compact else "<Q"
    arrays = 0

    def array(numbers: Sequence[int]) -> int:
        nonlocal arrays
        arrays += 1
        return arena.add(6, bytes(8) + b"".join(struct.pack(item, number) for number in numbers))

    for at, found in used.items():
        arena.put(at + 40, found[0])
        arena.put(at + 56, len(found))
        # The rest in a chain of arrays, the first of them short.
        rest = found[1:]
        before = at + 48
        for part in (rest[:2], rest[2:]):
            if part:
                offset = array(part)
                arena.put(before, offset)
                before = offset + 16
    entry_array = array(offsets) if offsets else 0
    times = [time * 1_000_000 for time, _ in entries] or [0]
    header = struct.pack(
        "<8sIIB7x16s16s16s16sQQQQQQQQQQQQQQQQQQQ", b"LPKSHHRH", 0, _COMPACT if is_compact else 0, 0,
        b"\2" * 16, b"\3" * 16, b"\1" * 16, b"\4" * 16, _HEADER, len(arena.data) - _HEADER,
        tables[4], 16 * _BUCKETS, tables[5], 16 * _BUCKETS, arena.last, arena.objects, len(entries), len(entries),
        1 if entries else 0, entry_array, times[0], times[-1], len(entries), len(data_at), len(fields), 0, arrays,
    )  # fmt: skip
    arena.data[: len(header)] = header
    return bytes(arena.data) + bytes(-len(arena.data) % 8)
