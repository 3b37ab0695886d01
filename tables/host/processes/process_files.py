"""Files as a process itself names them: below its own root folder, in its own mount namespace."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import Optional

from tables.host import Host
from tables.host.disk.files import read_fd
from tables.host.disk.mounts import Mount
from tables.host.disk.settings_files import SettingsFile, read_settings
from tables.host.disk.tree import PATH, open_in_root
from tables.host.disk.unmarked import open_unmarked
from tables.host.processes.procfs import Procfs

# Looking up a name on these may wait for another machine, or for a program of the very user we examine, without end.
_REMOTE = frozenset({"9p", "afs", "ceph", "cifs", "coda", "nfs", "nfs4", "smb3", "virtiofs"})
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class ProcessFiles:
    """Reads files by the names that processes use; file systems that can keep us waiting are left alone."""

    def __init__(self, procfs: Procfs) -> None:
        self.procfs = procfs
        # File systems of which the user of this object has said that they are left alone.
        self.told: set[tuple[Optional[str], str]] = set()
        self._remote: dict[Optional[str], list[Mount]] = {}

    def read(self, pid: int, path: str, limit: int) -> Optional[bytes]:
        """The first `limit` bytes of the regular file that `pid` calls `path`; None when there is no such file to read.

        `path` may be relative, to the process's working folder. Links are followed inside the process's own root folder.
        """
        found = self.read_with_status(pid, path, limit)
        return found[0] if found else None

    def read_settings(self, pid: int, path: str, limit: int) -> Optional[SettingsFile]:
        """Like `read`, of a file of settings: blanks and comments do not count."""
        fd = self.open(pid, path)
        if fd is None:
            return None
        try:
            return read_settings(fd, limit)
        except OSError:
            return None
        finally:
            os.close(fd)

    def read_with_status(self, pid: int, path: str, limit: int) -> Optional[tuple[bytes, os.stat_result]]:
        """Like `read`, with the status of the file that was read."""
        fd = self.open(pid, path)
        if fd is None:
            return None
        try:
            return read_fd(fd, limit), os.fstat(fd)
        except OSError:
            return None
        finally:
            os.close(fd)

    def open(self, pid: int, path: str) -> Optional[int]:
        """A descriptor of the regular file that `pid` calls `path`; None when there is no such file to read."""
        inside = path if path.startswith("/") else os.path.join(self._working_folder(pid), path)
        # Opening a device can already do something (a watchdog starts); O_PATH opens nothing.
        found = self._open(pid, inside, PATH)
        if found is None:
            return None
        try:
            if not stat.S_ISREG(os.fstat(found).st_mode):
                return None
            return open_unmarked(f"self/fd/{found}", _READ, self.procfs.fd)
        except OSError:
            return None
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
        return self._remote_mount(pid, path) is not None

    def left_alone(self, pid: int, path: str) -> Optional[str]:
        """The file system for which the absolute `path` of `pid` is not looked at, as "TYPE at FOLDER"; None when it is."""
        mount = self._remote_mount(pid, os.path.normpath(path))
        return f"{mount.fs_type} at {mount.mount_point}" if mount else None

    def cover(self, pid: int, path: str, device: int) -> Optional[str]:
        """The network or FUSE file system mounted over the running file of `pid`, which lies at `path` on another `device`.

        As "TYPE at FOLDER"; None when there is none. The mount decides that lies nearest above the path, the last one there.
        """
        if not self._remote_mounts(pid):
            return None
        above = [mount for mount in self.procfs.mounts(pid) if path.startswith(mount.mount_point.rstrip("/") + "/")]
        nearest = max(enumerate(above), key=lambda one: (len(one[1].mount_point), one[0]), default=(0, None))[1]
        if nearest is None or not _is_remote(nearest) or nearest.device == f"{os.major(device)}:{os.minor(device)}":
            return None
        return f"{nearest.fs_type} at {nearest.mount_point}"

    def is_remote_device(self, pid: int, device: int) -> bool:
        """Whether a network or FUSE file system that `pid` sees is this device (st_dev)."""
        return any(mount.device == f"{os.major(device)}:{os.minor(device)}" for mount in self._remote_mounts(pid))

    def _remote_mount(self, pid: int, path: str) -> Optional[Mount]:
        for mount in self._remote_mounts(pid):
            if path == mount.mount_point or path.startswith(mount.mount_point.rstrip("/") + "/"):
                return mount
        return None

    def _remote_mounts(self, pid: int) -> list[Mount]:
        namespace = self.procfs.namespace(pid, "mnt")
        if namespace is None or namespace not in self._remote:
            self._remote[namespace] = [mount for mount in self.procfs.mounts(pid) if _is_remote(mount)]
        return self._remote[namespace]


def remote_here(host: Host) -> Callable[[str], bool]:
    """Whether an absolute path, as this process sees it, is on a network or FUSE file system; none is on a mounted disk."""
    if not host.is_live:
        return lambda _: False
    files = ProcessFiles(host.procfs)
    return lambda path: files.is_remote(os.getpid(), path)


def _is_remote(mount: Mount) -> bool:
    # Where the whole machine runs from another, it hangs with or without us.
    return mount.fs_type.startswith("fuse") or (mount.fs_type in _REMOTE and mount.mount_point != "/")
