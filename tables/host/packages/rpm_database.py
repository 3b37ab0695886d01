"""rpm's database (SQLite, Berkeley DB or NDB): the headers of its packages, and the package that lists a file."""

from __future__ import annotations

import os
import struct
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Optional, Union

from tables.errors import TableError
from tables.host.disk.files import Files
from tables.host.packages.rpm_older_databases import berkeley_headers, ndb_headers

if TYPE_CHECKING:
    import sqlite3

FOLDERS = ("/usr/lib/sysimage/rpm", "/var/lib/rpm")
DATABASE = "rpmdb.sqlite"
# By the name of their file; where an upgrade left an older one, rpm uses the first of these.
_OLDER_DATABASES = {"Packages.db": ndb_headers, "Packages": berkeley_headers}

# Types of a header entry (rpm: include/rpm/rpmtag.h), and the tags that together name a package's files.
_NUMBERS = {2: "B", 3: "H", 4: "I", 5: "Q"}
_STRING, _STRING_ARRAY, _I18N_STRING = 6, 8, 9
_NAME, _DIR_INDEXES, _BASE_NAMES, _DIR_NAMES = 1000, 1116, 1117, 1118
_FILE_TAGS = frozenset({_NAME, _DIR_INDEXES, _BASE_NAMES, _DIR_NAMES})
_FILE_DIGESTS, _FILE_FLAGS, _VERIFY_FLAGS, _DIGEST_ALGORITHM = 1035, 1037, 1045, 5011
_DIGEST_TAGS = _FILE_TAGS | {_FILE_DIGESTS, _FILE_FLAGS, _VERIFY_FLAGS, _DIGEST_ALGORITHM}
# RPMFILE_CONFIG and RPMFILE_GHOST (rpmfiles.h), RPMVERIFY_FILEDIGEST (rpmvf.h), and hashes by number (rpmcrypto.h).
_CONFIG_OR_GHOST = 1 << 0 | 1 << 6
_VERIFIES_DIGEST = 1 << 0
_ALGORITHMS = {1: "md5", 2: "sha1", 8: "sha256", 9: "sha384", 10: "sha512"}
_ENTRY = struct.Struct(">IIII")
MAX_HEADER = 256 * 1024 * 1024

Values = list[Union[str, int]]


def parse_header(blob: bytes, tags: Collection[int]) -> dict[int, Values]:
    """The values of the entries `tags` of a package header as the database stores it, without a package file's magic.

    Two counts (index entries, bytes of data), the index (tag, type, offset, count), then the data, all big-endian.
    Never raises: entries that point outside the data are left out, and an array that ends outside is cut.
    """
    if len(blob) < 8:
        return {}
    count, size = struct.unpack_from(">II", blob)
    start = 8 + count * _ENTRY.size
    end = start + size
    if end > len(blob):
        return {}
    found: dict[int, Values] = {}
    for position in range(8, start, _ENTRY.size):
        tag, kind, offset, length = _ENTRY.unpack_from(blob, position)
        if tag not in tags or tag in found or offset >= size:
            continue
        values: Values = []
        if kind in (_STRING, _STRING_ARRAY, _I18N_STRING):
            values = _strings(blob, start + offset, end, 1 if kind == _STRING else max(length, 1))
        elif kind in _NUMBERS:
            fitting = (size - offset) // struct.calcsize(_NUMBERS[kind])
            values = list(struct.unpack_from(f">{min(max(length, 1), fitting)}{_NUMBERS[kind]}", blob, start + offset))
        if values:
            found[tag] = values
    return found


def _strings(blob: bytes, start: int, end: int, count: int) -> Values:
    values: Values = []
    while len(values) < count and (stop := blob.find(b"\0", start, end)) >= 0:
        values.append(blob[start:stop].decode("utf-8", "surrogateescape"))
        start = stop + 1
    return values


def find(files: Files) -> Optional[str]:
    """The path of rpm's database, None where there is none."""
    names = (DATABASE, *_OLDER_DATABASES)
    return next((path for folder in FOLDERS for name in names if files.exists(path := f"{folder}/{name}")), None)


def pending_log(files: Files, database: str) -> Optional[str]:
    """The write-ahead log beside `database` when it holds changes, which are not read here; None when it is empty."""
    if database.rpartition("/")[2] in _OLDER_DATABASES:
        return None
    log = f"{database}-wal"
    return log if files.exists(log) and files.stat(log).st_size else None


def open_database(files: Files, path: str) -> sqlite3.Connection:
    """The database at `path`, for reading only; sqlite3.Error when it is none, Unreadable when it is no regular file.

    An ordinary read-only open may create files beside the database; an immutable one never does.
    """
    import sqlite3  # Hosts without rpm never need it.

    # SQLite would wait at a FIFO, and follow links out of the root folder.
    fd = files.open(path)
    try:
        database = sqlite3.connect(f"file:/proc/self/fd/{fd}?mode=ro&immutable=1", uri=True, check_same_thread=False)
        database.execute("PRAGMA schema_version")
        return database
    finally:
        os.close(fd)


def headers(files: Files, path: str) -> Iterator[bytes]:
    """Every package header of at most MAX_HEADER bytes in the database at `path`; TableError when it cannot be read."""
    older = _OLDER_DATABASES.get(path.rpartition("/")[2])
    if older is not None:
        fd = files.open(path)
        try:
            yield from older(lambda size, offset: os.pread(fd, size, offset), MAX_HEADER)
        except (OSError, ValueError) as error:
            raise TableError(f"{path}: {error}") from None
        finally:
            os.close(fd)
        return
    import sqlite3

    try:
        with closing(open_database(files, path)) as database:
            for (blob,) in database.execute("SELECT blob FROM Packages WHERE length(blob) <= ?", (MAX_HEADER,)):
                yield bytes(blob)
    except (sqlite3.Error, TypeError, ValueError) as error:
        raise TableError(f"{path}: {error}") from None


def file_owners(files: Files, path: str, wanted: Iterable[str]) -> dict[str, str]:
    """The package of each of the `wanted` file names (absolute, spelled as rpm does) that some package lists.

    Raises TableError naming the database when it cannot be read.
    """
    owners: dict[str, str] = {}
    for listed, header, _ in _listed(files, path, wanted, _FILE_TAGS):
        owners.setdefault(listed, str(header.get(_NAME, [""])[0]))
    return owners


def file_digests(files: Files, path: str, wanted: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Name, hash algorithm (as hashlib calls it) and hex digest of those of the `wanted` files that packages bring as they are.

    Left out are configuration and ghost files, and those that rpm itself does not compare (`%verify(not filedigest)`).
    Raises TableError naming the database when it cannot be read.
    """
    for listed, header, index in _listed(files, path, wanted, _DIGEST_TAGS):
        flags, verified = _number(header, _FILE_FLAGS, index, 0), _number(header, _VERIFY_FLAGS, index, _VERIFIES_DIGEST)
        algorithm = _ALGORITHMS.get(_number(header, _DIGEST_ALGORITHM, 0, 1))
        digests = header.get(_FILE_DIGESTS, [])
        digest = str(digests[index]) if index < len(digests) else ""
        if digest and algorithm and not flags & _CONFIG_OR_GHOST and verified & _VERIFIES_DIGEST:
            yield listed, algorithm, digest.lower()


def _number(header: dict[int, Values], tag: int, index: int, otherwise: int) -> int:
    values = header.get(tag, [])
    return int(values[index]) if index < len(values) and isinstance(values[index], int) else otherwise


def _listed(
    files: Files, path: str, wanted: Iterable[str], tags: Collection[int]
) -> Iterator[tuple[str, dict[int, Values], int]]:
    """Each of the `wanted` names that a package lists, with those `tags` of its header and the file's number there.

    Asks SQLite's index of base names, so that only the headers of the few packages in question are read; of an older database
    all are.
    """
    by_base: dict[str, list[str]] = {}
    for name in wanted:
        by_base.setdefault(name.rpartition("/")[2], []).append(name)
    if path.rpartition("/")[2] in _OLDER_DATABASES:
        for blob in headers(files, path):
            header = parse_header(blob, tags)
            for index, base in enumerate(header.get(_BASE_NAMES, [])):
                if base in by_base and (listed := _file_name(header, index)) in by_base[str(base)]:
                    yield listed, header, index
        return
    import sqlite3

    try:
        with closing(open_database(files, path)) as database:
            candidates: dict[int, list[tuple[int, str]]] = {}
            for base in by_base:
                # Bytes, because a base name need not be UTF-8.
                sql = "SELECT hnum, idx FROM Basenames WHERE key IN (CAST(?1 AS TEXT), ?1)"
                for number, index in database.execute(sql, (os.fsencode(base),)):
                    candidates.setdefault(int(number), []).append((int(index), base))
            for number, found in candidates.items():
                sql = "SELECT blob FROM Packages WHERE hnum = ? AND length(blob) <= ?"
                for (blob,) in database.execute(sql, (number, MAX_HEADER)):
                    header = parse_header(bytes(blob), tags)
                    for index, base in found:
                        listed = _file_name(header, index)
                        if listed in by_base[base]:
                            yield listed, header, index
    except (sqlite3.Error, TypeError, ValueError) as error:
        raise TableError(f"{path}: {error}") from None


def _file_name(header: dict[int, Values], index: int) -> str:
    """The file number `index` of a header: its folder's name, which ends in a slash, and its base name; "" when there is none."""
    try:
        folder = header[_DIR_NAMES][int(header[_DIR_INDEXES][index])]
        return f"{folder}{header[_BASE_NAMES][index]}"
    except (KeyError, IndexError, ValueError):
        return ""
