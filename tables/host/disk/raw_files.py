"""One file read past libc by system call numbers, and what libc says about it instead."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable
from typing import NamedTuple, Optional

from tables.host import syscalls
from tables.host.disk.files import HASH_LIMIT, Files, Unreadable
from tables.host.disk.unmarked import unmarked

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_MISSING = frozenset({errno.ENOENT, errno.ENOTDIR})
_CHUNK = 1 << 16


class RawFile(NamedTuple):
    """A regular file as the kernel shows it: its first bytes, its size by statx, its status, and its SHA-256 if asked for."""

    data: bytes
    file_size: int
    status: os.stat_result
    sha256: Optional[str]


def read_raw(
    files: Files, path: str, limit: int, with_hash: bool = False, feed: Optional[Callable[[bytes], bool]] = None
) -> Optional[RawFile]:
    """The regular file at `path`, at most `limit` bytes of it, read by the kernel's own calls; None when there is none.

    `feed` is given the whole file in pieces, as long as it answers that it wants more. The hash is of the whole file, None
    above HASH_LIMIT. Raises Unreadable for what is no regular file or not ours to read.
    """
    located = files.locate(path)
    if "\0" in located:
        return None
    try:
        # Opening a device can already do something; O_PATH opens nothing.
        found = syscalls.openat(located, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _MISSING:
            return None
        raise Unreadable(path, error.strerror or str(error), error.errno) from None
    try:
        if not stat.S_ISREG(os.fstat(found).st_mode):
            raise Unreadable(path, "not a regular file", errno.EINVAL)
        fd = unmarked(lambda flags: syscalls.openat(f"/proc/self/fd/{found}", flags), _FLAGS)
    except Unreadable:
        raise
    except OSError as error:
        raise Unreadable(path, error.strerror or str(error), error.errno) from None
    finally:
        os.close(found)
    try:
        return _contents(fd, limit, with_hash, feed)
    except OSError as error:
        raise Unreadable(path, error.strerror or str(error), error.errno) from None
    finally:
        os.close(fd)


def _contents(fd: int, limit: int, with_hash: bool, feed: Optional[Callable[[bytes], bool]]) -> RawFile:
    status, size = os.fstat(fd), syscalls.file_size(fd)
    wants_hash = with_hash and size <= HASH_LIMIT
    digest = hashlib.sha256()
    kept = b""
    read = 0
    while (read < (HASH_LIMIT if wants_hash else limit) or feed is not None) and (chunk := syscalls.read(fd, _CHUNK)):
        if feed is not None and not feed(chunk):
            feed = None
        kept += chunk[: limit - len(kept)] if len(kept) < limit else b""
        read += len(chunk)
        digest.update(chunk)
    return RawFile(kept, size, status, digest.hexdigest() if wants_hash else None)


def differences(files: Files, path: str, limit: int) -> list[str]:
    """How the file at `path` is shown differently by different calls, as sorted reasons; [] when all agree.

    size_mismatch: the kernel gives another size than bytes; hidden_from_libc, content_differs: libc, which a preloaded
    library can replace, does not show the file, or shows other content; hidden_from_listing: its folder does not list it.
    """
    raw = read_raw(files, path, limit)
    reasons = set()
    try:
        shown: Optional[bytes] = files.head(path, limit)
    except Unreadable as error:
        if not error.is_missing:
            raise
        shown = None
    if raw is not None and shown is None:
        reasons.add("hidden_from_libc")
    elif (raw.data if raw else None) != shown:
        reasons.add("content_differs")
    if raw is not None and len(raw.data) < limit and raw.file_size != len(raw.data):
        reasons.add("size_mismatch")
    if raw is not None and not _is_listed(files, path):
        reasons.add("hidden_from_listing")
    return sorted(reasons)


def _is_listed(files: Files, path: str) -> bool:
    folder, _, name = path.rpartition("/")
    try:
        fd = os.open(files.locate(folder or "/"), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        return any(listed == os.fsencode(name) for listed, _ in syscalls.getdents64(fd))
    finally:
        os.close(fd)
