"""osquery's hash table."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from typing import Optional

from extension.engines.core import CoreRow, core_table
from extension.engines.core.files import parent_folder
from extension.engines.core.patterns import paths_asked_for
from extension.engines.core.reading import READ_MAX, Reader
from tables.host import Host
from tables.schema import QueryContext

_ALGORITHMS = ("md5", "sha1", "sha256")
_MAX_CACHED = 2000


def _digests(reader: Reader, path: str, wanted: list[str], query: QueryContext) -> dict[str, str]:
    """Hex digests of the file, {} when it is over READ_MAX bytes; those of an unchanged file are taken from the cache.

    Unlike osquery's, the cache also compares the change time, which no program can set back.
    """
    fd = reader.host.files.open(path)
    try:
        found = os.fstat(fd)
        cache: dict[tuple[int, ...], dict[str, str]] = reader.host.state("hash: cache", dict)
        identity = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        # A file of size 0 may be one of procfs, whose contents change without any of these.
        known = cache.get(identity, {}) if found.st_size else {}
        missing = [name for name in wanted if name not in known]
        if missing:
            made = _read_digests(fd, missing, query)
            if made is None:
                reader.missed(path, f"larger than {READ_MAX} bytes")
                return {}
            known = {**known, **made}
            if len(cache) >= _MAX_CACHED:
                cache.clear()
            cache[identity] = known
        reader.found(path)
        return known
    finally:
        os.close(fd)


def _read_digests(fd: int, algorithms: list[str], query: QueryContext) -> Optional[dict[str, str]]:
    """Digests of what `fd` holds, None when that is more than READ_MAX bytes."""
    if os.fstat(fd).st_size > READ_MAX:
        return None
    digests = [hashlib.new(name, usedforsecurity=False) for name in algorithms]
    total = 0
    while total <= READ_MAX:
        query.check_time()
        chunk = os.read(fd, 1 << 20)
        if not chunk:
            return {digest.name: digest.hexdigest() for digest in digests}
        total += len(chunk)
        for digest in digests:
            digest.update(chunk)
    return None


def _is_regular(host: Host, path: str) -> bool:
    try:
        return stat.S_ISREG(host.files.stat(path).st_mode)
    except OSError:
        return False


@core_table("hash", index=["path"], required=["path", "directory"], optimized=["path", "directory"])
def file_hashes(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """Digests of the regular files asked for by path, and of those in the folders asked for by directory.

    A file over 50 MiB, or one that we may not read, has a row with empty digests, as in osquery.
    """
    reader = Reader(host, "hash", query)
    asked = [(path, parent_folder(path)) for path in paths_asked_for(reader, query, "path")]
    for folder in paths_asked_for(reader, query, "directory"):
        if reader.is_folder(folder):
            asked += [(os.path.join(folder, name), folder) for name in reader.names(folder)]
    wanted = [name for name in _ALGORITHMS if query.uses(name)]
    for path, folder in asked:
        query.check_time()
        if not _is_regular(host, path):
            continue
        digests: dict[str, str] = {}
        try:
            digests = _digests(reader, path, wanted, query)
        except OSError as error:
            reader.missed(path, error.strerror or str(error))
        yield {"path": path, "directory": folder, **{name: digests.get(name, "") for name in _ALGORITHMS}}
