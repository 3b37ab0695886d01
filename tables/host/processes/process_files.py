"""Files as a process itself names them: below its own root folder, in its own mount namespace."""

from __future__ import annotations

import os
import stat
from typing import Optional

from tables.host.disk.mounts import parse_mountinfo
from tables.host.processes.procfs import Procfs

# Looking up a name on these may wait for another machine, or for a program of the very user we examine, without end.
_REMOTE = frozenset({"9p", "afs", "ceph", "cifs", "coda", "nfs", "nfs4", "smb3", "virtiofs"})
_MOUNTINFO_LIMIT = 8 << 20


class ProcessFiles:
    """Reads files by the names that processes use; file systems that can keep us waiting are left alone."""

    def __init__(self, procfs: Procfs) -> None:
        self.procfs = procfs
        self._remote: dict[Optional[str], list[str]] = {}

    def read(self, pid: int, path: str, limit: int) -> Optional[bytes]:
        """The first `limit` bytes of the regular file that `pid` calls `path`; None when there is no such file to read.

        `path` may be relative, to the process's working folder. Links are followed as the kernel follows them for us.
        """
        found = self.read_with_status(pid, path, limit)
        return found[0] if found else None

    def read_with_status(self, pid: int, path: str, limit: int) -> Optional[tuple[bytes, os.stat_result]]:
        """Like `read`, with the status of the file that was read."""
        if "\0" in path:
            return None
        folder = self.procfs.try_readlink(f"{pid}/cwd") or "/" if not path.startswith("/") else "/"
        if self.is_remote(pid, os.path.normpath(os.path.join(folder, path))):
            return None
        inside = f"{pid}/root{path}" if path.startswith("/") else f"{pid}/cwd/{path}"
        try:
            # Opening a device can already do something (a watchdog starts); O_PATH opens nothing.
            found = os.open(inside, os.O_PATH | os.O_CLOEXEC, dir_fd=self.procfs.fd)
        except (OSError, ValueError):
            return None
        try:
            status = os.fstat(found)
            if not stat.S_ISREG(status.st_mode):
                return None
            data = self.procfs.try_read(f"self/fd/{found}", limit)
            return None if data is None else (data, status)
        finally:
            os.close(found)

    def names(self, pid: int, folder: str) -> list[str]:
        """The names in the folder that `pid` calls `folder` (an absolute path), sorted; [] when it cannot be listed."""
        if "\0" in folder or self.is_remote(pid, folder):
            return []
        try:
            fd = os.open(f"{pid}/root{folder}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.procfs.fd)
        except (OSError, ValueError):
            return []
        try:
            return sorted(os.listdir(fd))
        except OSError:
            return []
        finally:
            os.close(fd)

    def is_remote(self, pid: int, path: str) -> bool:
        """Whether the absolute `path` of `pid` is on (or below the mount point of) a network or FUSE file system."""
        namespace = self.procfs.try_readlink(f"{pid}/ns/mnt")
        if namespace is None or namespace not in self._remote:
            data = self.procfs.try_read(f"{pid}/mountinfo", _MOUNTINFO_LIMIT) or b""
            self._remote[namespace] = [
                mount.mount_point
                for mount in parse_mountinfo(data)
                # Where the whole machine runs from one of these, it hangs with or without us.
                if mount.fs_type.startswith("fuse") or (mount.fs_type in _REMOTE and mount.mount_point != "/")
            ]
        return any(path == point or path.startswith(point.rstrip("/") + "/") for point in self._remote[namespace])
