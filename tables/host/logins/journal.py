"""systemd's journal files, read without systemd: the entries of chosen programs, or of chosen times.

Layout: https://systemd.io/JOURNAL_FILE_FORMAT/, little-endian throughout. The file is read with pread(2): journald cuts files
that it archives, and memory mapped beyond a file's end would kill this process.
"""

from __future__ import annotations

import errno
import math
import os
import struct
from collections import deque
from collections.abc import Collection, Iterator
from typing import NamedTuple, Optional

from tables.host.disk.files import Files, Unreadable

FOLDERS = ("/var/log/journal", "/run/log/journal")

_SIGNATURE = b"LPKSHHRH"
_XZ, _LZ4, _KEYED, _ZSTD, _COMPACT = 1, 2, 4, 8, 16
_KNOWN_FLAGS = _XZ | _LZ4 | _KEYED | _ZSTD | _COMPACT
_MIN_HEADER = 208
# type, flags, size of an object.
_OBJECT = struct.Struct("<BB6xQ")
_DATA, _FIELD, _ENTRY, _ENTRY_ARRAY = 1, 2, 3, 6
_COMPRESSED = _XZ | _LZ4 | (_ZSTD >> 1)
_MIN_ENTRY = 64
_MAX_OBJECT = 64 * 1024
_MAX_ARRAY = 4 * 1024 * 1024
_MAX_BUCKETS = 64 * 1024
_MAX_VALUES = 100_000
_MAX_CACHED = 20_000


class Entry(NamedTuple):
    """One entry: its time in unix seconds and those of its fields that were asked for, as text."""

    time: int
    fields: dict[str, str]


def journal_files(files: Files) -> list[str]:
    """The journal files of the host, newest first."""
    found = []
    for folder in FOLDERS:
        for machine in files.paths(folder):
            found += [path for path in files.paths(machine) if path.endswith((".journal", ".journal~"))]
    # A link that leads nowhere comes last, and fails by itself when it is read.
    return sorted(found, key=lambda path: (-_mtime(files, path), path))


def _mtime(files: Files, path: str) -> float:
    try:
        return files.stat(path).st_mtime
    except Unreadable:
        return -math.inf


class JournalFile:
    """One journal file. `unread` counts the values that were passed over because they are compressed.

    `first` and `last` are the times of its oldest and newest entry, in unix seconds. Raises Unreadable when the file is none or
    is of a newer kind. Objects that point outside the file, or in circles, end what is read of it.
    """

    def __init__(self, files: Files, path: str) -> None:
        self.path = path
        self.unread = 0
        self.fd = files.open(path)
        try:
            self.size = os.fstat(self.fd).st_size
            header = self._read(0, _MIN_HEADER)
            if len(header) < _MIN_HEADER or not header.startswith(_SIGNATURE):
                raise Unreadable(path, "not a journal file", errno.EINVAL)
            (flags,) = struct.unpack_from("<I", header, 12)
            if flags & ~_KNOWN_FLAGS:
                raise Unreadable(path, f"a newer kind of journal file (flags {flags:#x})", errno.ENOTSUP)
        except OSError:
            self.close()
            raise
        self.is_compact = bool(flags & _COMPACT)
        self._fields_at, self._fields_size = struct.unpack_from("<QQ", header, 120)
        self._count, self._entries_at = struct.unpack_from("<Q16xQ", header, 152)
        self.first, self.last = (value // 1_000_000 for value in struct.unpack_from("<QQ", header, 184))
        self._cache: dict[int, Optional[tuple[str, str]]] = {}

    def close(self) -> None:
        """Close the file."""
        os.close(self.fd)

    def entries(self, field: str, values: Collection[str], wanted: Collection[str], limit: int) -> Iterator[Entry]:
        """The newest `limit` entries for each of the `values` of `field`, oldest first, with those of their fields `wanted`."""
        for value, offset in self._values(field):
            if value in values:
                for entry in self._entries_of(offset, limit):
                    found = self._entry(entry, wanted)
                    if found is not None:
                        yield found

    def between(self, spans: Collection[tuple[int, int]], wanted: Collection[str]) -> Iterator[Entry]:
        """All entries of one of the `spans` (first and last second), in the order of the file, with their fields `wanted`."""
        for offset in self._listed(self._entries_at, self._count):
            head = self._read(offset, 32)
            when = struct.unpack_from("<Q", head, 24)[0] // 1_000_000 if len(head) == 32 else 0
            if any(first <= when <= last for first, last in spans):
                found = self._entry(offset, wanted)
                if found is not None:
                    yield found

    def _read(self, offset: int, size: int) -> bytes:
        if offset >= self.size:
            return b""
        try:
            return os.pread(self.fd, size, offset)
        except OSError as error:
            raise Unreadable(self.path, str(error), errno.EIO) from None

    def _object(self, offset: int, kind: int, limit: int = _MAX_OBJECT) -> bytes:
        """The object at `offset`, cut after `limit` bytes; b"" when there is none of that kind."""
        # Objects are aligned; journald writes the type last, so one that is being written has none.
        if offset < _MIN_HEADER or offset % 8:
            return b""
        data = self._read(offset, min(limit, 1024))
        if len(data) < _OBJECT.size:
            return b""
        found, _, size = _OBJECT.unpack_from(data)
        if found != kind or size < _OBJECT.size:
            return b""
        size = min(size, limit)
        return data[:size] if size <= len(data) else data + self._read(offset + len(data), size - len(data))

    def _values(self, field: str) -> Iterator[tuple[str, int]]:
        """Each value of `field` in this file, with the offset of its data object."""
        offset = self._field_head(field.encode())
        for _ in range(_MAX_VALUES):
            data = self._object(offset, _DATA, 1024)
            if len(data) < 64:
                return
            name, _, value = self._payload(data).partition("=")
            if name == field:
                yield value, offset
            # A new value is put before the older ones.
            (following,) = struct.unpack_from("<Q", data, 32)
            if following >= offset:
                return
            offset = following

    def _field_head(self, name: bytes) -> int:
        """Offset of the newest value of the field `name`; 0 when no entry has it. All fields are looked at: they are few."""
        table = self._read(self._fields_at, min(self._fields_size, _MAX_BUCKETS * 16))
        for (offset,) in struct.iter_unpack("<Q8x", table[: len(table) - len(table) % 16]):
            while offset:
                data = self._object(offset, _FIELD, 1024)
                if len(data) < 40:
                    break
                following, head = struct.unpack_from("<QQ", data, 24)
                if data[40:] == name:
                    return int(head)
                if following <= offset:
                    break
                offset = following
        return 0

    def _entries_of(self, data_at: int, limit: int) -> deque[int]:
        """The offsets of the newest `limit` entries that have the value at `data_at`, oldest first."""
        found: deque[int] = deque(maxlen=limit)
        data = self._object(data_at, _DATA, 64)
        if len(data) < 64:
            return found
        first, array_at, count = struct.unpack_from("<QQQ", data, 40)
        if first:
            found.append(first)
        found.extend(self._listed(array_at, count - bool(first)))
        return found

    def _listed(self, array_at: int, count: int) -> Iterator[int]:
        """The offsets in a chain of entry arrays, at most `count`."""
        # No file has room for more; damaged ones may name the same entries over and over.
        left = min(count, self.size // _MIN_ENTRY)
        item = struct.Struct("<I" if self.is_compact else "<Q")
        while array_at and left > 0:
            array = self._object(array_at, _ENTRY_ARRAY, _MAX_ARRAY)
            if len(array) < 24:
                return
            items = array[24 : len(array) - (len(array) - 24) % item.size]
            offsets = [offset for (offset,) in item.iter_unpack(items) if offset][:left]
            yield from offsets
            left -= len(offsets)
            (following,) = struct.unpack_from("<Q", array, 16)
            if following <= array_at:
                return
            array_at = following

    def _entry(self, offset: int, wanted: Collection[str]) -> Optional[Entry]:
        entry = self._object(offset, _ENTRY)
        if len(entry) < _MIN_ENTRY:
            return None
        (realtime,) = struct.unpack_from("<Q", entry, 24)
        item = struct.Struct("<I" if self.is_compact else "<Q8x")
        items = entry[64 : len(entry) - (len(entry) - 64) % item.size]
        fields: dict[str, str] = {}
        for (data_at,) in item.iter_unpack(items):
            if data_at not in self._cache:
                if len(self._cache) >= _MAX_CACHED:
                    self._cache.clear()
                self._cache[data_at] = self._field(data_at, wanted)
            found = self._cache[data_at]
            if found is not None:
                fields.setdefault(*found)
        return Entry(realtime // 1_000_000, fields)

    def _field(self, offset: int, wanted: Collection[str]) -> Optional[tuple[str, str]]:
        """Name and value of the data object at `offset`; None for a field that is not wanted."""
        name, equals, value = self._payload(self._object(offset, _DATA)).partition("=")
        return (name, value) if equals and name in wanted else None

    def _payload(self, data: bytes) -> str:
        if len(data) < 64:
            return ""
        payload = data[72 if self.is_compact else 64 :]
        if data[1] & _COMPRESSED:
            # Only values above 512 bytes are compressed, unless journald.conf says otherwise.
            self.unread += 1
            return ""
        return payload.decode("utf-8", "surrogateescape")
