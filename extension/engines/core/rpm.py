"""osquery's rpm_packages table."""

from __future__ import annotations

import os
import sqlite3
import struct
from collections.abc import Iterator
from typing import Union
from urllib.parse import quote

from extension.engines.core import CoreRow, core_table
from extension.engines.core.reading import Reader
from tables.host import Host
from tables.schema import QueryContext, TableError

_FOLDERS = ("/usr/lib/sysimage/rpm", "/var/lib/rpm")
_OTHER_DATABASES = {"Packages": "Berkeley DB", "Packages.db": "NDB"}
# Tags and types of a header entry (rpm: include/rpm/rpmtag.h).
_TAGS = {
    1000: "name", 1001: "version", 1002: "release", 1044: "source", 1009: "size", 269: "sha1", 1022: "arch", 1003: "epoch",
    1008: "install_time", 1011: "vendor", 1016: "package_group",
}  # fmt: skip
_NUMBERS = {2: ">B", 3: ">H", 4: ">I", 5: ">Q"}
_STRINGS = frozenset({6, 8, 9})
_ENTRY = struct.Struct(">IIII")
_MAX_HEADER = 256 * 1024 * 1024


def parse_header(blob: bytes) -> dict[str, Union[str, int]]:
    """The columns found in a package header as the rpm database stores it, without the magic that package files have.

    Two counts (index entries, bytes of data), the index (tag, type, offset, count), then the data, all big-endian.
    Entries that point outside the data are left out.
    """
    if len(blob) < 8:
        return {}
    count, size = struct.unpack_from(">II", blob)
    start = 8 + count * _ENTRY.size
    if start + size > len(blob):
        return {}
    found: dict[str, Union[str, int]] = {}
    for position in range(8, start, _ENTRY.size):
        tag, kind, offset, _ = _ENTRY.unpack_from(blob, position)
        column = _TAGS.get(tag)
        if column is None or column in found or offset >= size:
            continue
        if kind in _STRINGS:
            end = blob.find(b"\0", start + offset, start + size)
            if end >= 0:
                found[column] = blob[start + offset : end].decode("utf-8", "surrogateescape")
        elif kind in _NUMBERS and offset + struct.calcsize(_NUMBERS[kind]) <= size:
            (found[column],) = struct.unpack_from(_NUMBERS[kind], blob, start + offset)
    return found


def _headers(reader: Reader, path: str) -> Iterator[bytes]:
    """The headers in rpm's SQLite database; what a running rpm has in its write-ahead log is not seen, and said to be."""
    log = f"{path}-wal"
    if reader.host.files.exists(log) and reader.host.files.stat(log).st_size:
        reader.missed(log, "changes not yet in the database are not read")
    else:
        reader.found(log)
    # An ordinary read-only open may create files beside the database; an immutable one never does.
    location = f"file:{quote(reader.host.files.locate(path))}?mode=ro&immutable=1"
    try:
        database = sqlite3.connect(location, uri=True, check_same_thread=False)
        try:
            for (blob,) in database.execute("SELECT blob FROM Packages WHERE length(blob) <= ?", (_MAX_HEADER,)):
                yield bytes(blob)
        finally:
            database.close()
    except (sqlite3.Error, TypeError, ValueError) as error:
        raise TableError(f"{path}: {error}") from None


@core_table("rpm_packages", index=["name", "version", "release", "arch", "epoch"], optimized=["name"], budget_seconds=60.0)
def rpm_packages(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """The packages in rpm's SQLite database; size in bytes, install_time in unix seconds.

    No rows on a host without rpm; a database in an older format (Berkeley DB, NDB) is an error that names it.
    """
    reader = Reader(host, "rpm_packages")
    seen = set()
    for folder in _FOLDERS:
        canonical = reader.canonical(folder)
        if canonical in seen:
            continue
        seen.add(canonical)
        path = os.path.join(folder, "rpmdb.sqlite")
        if host.files.exists(path):
            os.close(host.files.open(path))
            for blob in _headers(reader, path):
                query.check_time()
                columns = parse_header(blob)
                yield {**dict.fromkeys(_TAGS.values(), ""), **columns}
            return
        for name, kind in _OTHER_DATABASES.items():
            other = os.path.join(folder, name)
            if host.files.exists(other):
                raise TableError(f"{other}: {kind} package databases can be read only by osquery or rpm itself")
