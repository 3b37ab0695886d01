"""Reading evidence: files and what procfs says, without setting their access times where the kernel lets us."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from typing import Any, Optional

from tables.errors import TableError
from tables.host.disk.file_status import Statuses, file_status
from tables.host.disk.files import Files, Unreadable, read_fd

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


@dataclass(frozen=True)
class Item:
    """One thing that was read, or why it could not be: `facts` are its status, and how it was read."""

    source: str
    data: Optional[bytes]
    facts: dict[str, Any]


def read_file(path: str, limit: int, folder: Optional[int] = None) -> Item:
    """The regular file at `path` (below the open folder, where one is given), at most `limit` bytes of it.

    A link is followed once, and told. Never raises: what went wrong is in the facts.
    """
    facts: dict[str, Any] = {}
    try:
        link = os.lstat(path, dir_fd=folder) if folder is not None else os.lstat(path)
        if stat.S_ISLNK(link.st_mode):
            facts["link_to"] = os.fsdecode(os.readlink(os.fsencode(path), dir_fd=folder))
        fd, facts["read_by"] = _open(path, folder)
    except (OSError, ValueError) as error:
        return Item(path, None, {**facts, "why_not": _why(error)})
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return Item(path, None, {**facts, "why_not": "not a regular file"})
        facts.update(_facts(status))
        if folder is None:
            facts["btime"] = _birth(path)
        data = read_fd(fd, limit)
        if len(data) == limit and status.st_size > limit:
            facts["cut_at"] = limit
        return Item(path, data, facts)
    except OSError as error:
        return Item(path, None, {**facts, "why_not": _why(error)})
    finally:
        os.close(fd)


def _open(path: str, folder: Optional[int]) -> tuple[int, str]:
    try:
        return os.open(path, _FLAGS | os.O_NOATIME, dir_fd=folder), "open(2) with O_NOATIME"
    except OSError as error:
        # Another owner's file, or a file system that knows no such thing, as procfs.
        if error.errno not in (errno.EPERM, errno.EINVAL, errno.EACCES):
            raise
    return os.open(path, _FLAGS, dir_fd=folder), "open(2)"


def _facts(status: os.stat_result) -> dict[str, Any]:
    return {
        "device": f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}",
        "inode": status.st_ino,
        "owner_uid": status.st_uid,
        "owner_gid": status.st_gid,
        "mode": f"{stat.S_IMODE(status.st_mode):04o}",
        "file_size": status.st_size,
        "atime": status.st_atime,
        "mtime": status.st_mtime,
        "ctime": status.st_ctime,
    }


def _birth(path: str) -> Optional[float]:
    try:
        born = file_status(Files(), path, Statuses()).btime_ns
    except (TableError, Unreadable, OSError, ValueError):
        return None
    return None if born is None else born / 1e9


def _why(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
