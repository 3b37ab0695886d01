"""Files as a process itself names them: below its own root folder, in its own mount namespace."""

from __future__ import annotations

import os
import stat
from typing import Optional

from tables.host.disk.tree import PATH, open_in_root
from tables.host.processes.procfs import Procfs

# Looking up a name on these may wait for another machine, or for a program of the very user we examine, without end.
_REMOTE = frozenset({"9p", "afs", "ceph", "cifs", "coda", "nfs", "nfs4", "smb3", "virtiofs"})


class ProcessFiles:
    """Reads files by the names that processes use; file systems that can keep us waiting are left alone."""

    def __init__(self, procfs: Procfs) -> None:
        self.procfs = procfs
        self._remote: dict[Optional[str], list[str]] = {}

    def read(self, pid: int, path: str, limit: int) -> Optional[bytes]:
        """The first `limit` bytes of the regular file that `pid` calls `path`; None when there is no such file to read.

        `path` may be relative, to the process's working folder. Links are followed inside the process's own root folder.
        """
        found = self.read_with_status(pid, path, limit)
        return found[0] if found else None

    def read_with_status(self, pid: int, path: str, limit: int) -> Optional[tuple[bytes, os.stat_result]]:
        """Like `read`, with the status of the file that was read."""
        inside = path if path.startswith("/") else os.path.join(self._working_folder(pid), path)
        # Opening a device can already do something (a watchdog starts); O_PATH opens nothing.
        found = self._open(pid, inside, PATH)
        if found is None:
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
        fd = self._open(pid, folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if fd is None:
            return []
        try:
            return sorted(os.listdir(fd))
        except OSError:
            return []
        finally:
            os.close(fd)

    def _working_folder(self, pid: int) -> str:
        """The process's working folder, as it is named inside its root."""
        root = self.procfs.try_readlink(f"{pid}/root") or "/"
        folder = self.procfs.try_readlink(f"{pid}/cwd") or "/"
        # Both are named from our own root, where that leads there (proc_pid_cwd(5)).
        return folder[len(root) :] or "/" if root != "/" and (folder + "/").startswith(root + "/") else folder

    def _open(self, pid: int, path: str, flags: int) -> Optional[int]:
        """A descriptor of the absolute `path` inside the process's root; None when it cannot be had."""
        if "\0" in path or self.is_remote(pid, os.path.normpath(path)):
            return None
        try:
            root = os.open(f"{pid}/root", PATH | os.O_DIRECTORY, dir_fd=self.procfs.fd)
        except OSError:
            return None
        try:
            return open_in_root(root, path, flags)
        except (OSError, ValueError):
            return None
        finally:
            os.close(root)

    def is_remote(self, pid: int, path: str) -> bool:
        """Whether the absolute `path` of `pid` is on (or below the mount point of) a network or FUSE file system."""
        namespace = self.procfs.namespace(pid, "mnt")
        if namespace is None or namespace not in self._remote:
            self._remote[namespace] = [
                mount.mount_point
                for mount in self.procfs.mounts(pid)
                # Where the whole machine runs from one of these, it hangs with or without us.
                if mount.fs_type.startswith("fuse") or (mount.fs_type in _REMOTE and mount.mount_point != "/")
            ]
        return any(path == point or path.startswith(point.rstrip("/") + "/") for point in self._remote[namespace])
