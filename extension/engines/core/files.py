"""osquery's file table."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import Optional

from extension.engines.core import CoreRow, core_table
from extension.engines.core.patterns import paths_asked_for
from extension.engines.core.reading import Reader
from tables.host import Host
from tables.host.disk.files import Unreadable
from tables.schema import QueryContext

_TYPES = {
    stat.S_IFREG: "regular",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFBLK: "block",
    stat.S_IFCHR: "character",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}


def file_name(path: str) -> str:
    """The last component as Boost's path::filename gives it: `.` after a closing slash, `/` for the root."""
    name = path.rpartition("/")[2]
    return name or ("." if path.strip("/") else "/")


def parent_folder(path: str) -> str:
    """All but the last component as Boost's path::parent_path gives it."""
    head, slash, name = path.rpartition("/")
    return head.rstrip("/") or (slash if name else "")


def _row(host: Host, path: str, folder: str) -> Optional[CoreRow]:
    """The row of one path, None when nothing is there.

    All but `symlink` is about the file that a link leads to; a dangling link has its own numbers and no known type.
    `device` is the device number of a device file, 0 for others, and `btime` is always 0, as in osquery on Linux.
    """
    try:
        link = host.files.stat(path, follow=False)
    except Unreadable:
        return None
    is_link = stat.S_ISLNK(link.st_mode)
    found, kind, target = link, _TYPES.get(stat.S_IFMT(link.st_mode), "unknown"), None
    if is_link:
        try:
            target = os.readlink(host.files.locate(path, follow=False))
            found = host.files.stat(path)
            kind = _TYPES.get(stat.S_IFMT(found.st_mode), "unknown")
        except Unreadable as error:
            kind = "unknown" if error.is_missing else "error"
        except OSError:
            return None
    return {
        "path": path, "directory": folder, "filename": file_name(path), "inode": found.st_ino, "uid": found.st_uid,
        "gid": found.st_gid, "mode": f"{stat.S_IMODE(found.st_mode):04o}", "device": found.st_rdev, "size": found.st_size,
        "block_size": found.st_blksize, "atime": found.st_atime_ns // 10**9, "mtime": found.st_mtime_ns // 10**9,
        "ctime": found.st_ctime_ns // 10**9, "btime": 0, "hard_links": found.st_nlink, "symlink": is_link, "type": kind,
        "symlink_target_path": target,
    }  # fmt: skip


@core_table("file", index=["path"], required=["path", "directory"], optimized=["path", "directory"])
def file(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """The files asked for by path, and all entries, dotfiles included, of the folders asked for by directory."""
    reader = Reader(host, "file", query)
    asked = [(path, parent_folder(path)) for path in paths_asked_for(reader, query, "path")]
    for folder in paths_asked_for(reader, query, "directory", only_folders=True):
        if reader.is_folder(folder):
            asked += [(os.path.join(folder, name), folder) for name in reader.names(folder)]
    for path, folder in asked:
        query.check_time()
        row = _row(host, path, folder)
        if row is not None:
            yield row
