"""Folders that another machine serves: looking into them may wait for ever, or mount something."""

from __future__ import annotations

from collections.abc import Iterable

from tables.host import Host
from tables.host.disk.mounts import Mount, parse_mountinfo

_REMOTE = ("afs", "autofs", "ceph", "cifs", "fuse.", "gfs", "glusterfs", "lustre", "ncpfs", "nfs", "smb")
# Served by the kernel or by this machine itself.
_LOCAL = ("fuse.lxcfs", "fuse.fuse-overlayfs", "fuse.mergerfs", "fuseblk")


class NetworkMounts:
    """The network and automounter file systems among `mounts`."""

    def __init__(self, mounts: Iterable[Mount]) -> None:
        self._folders = tuple(
            mount.mount_point.rstrip("/") + "/"
            for mount in mounts
            if mount.fs_type.startswith(_REMOTE) and mount.fs_type not in _LOCAL and mount.mount_point != "/"
        )

    @classmethod
    def of(cls, host: Host) -> NetworkMounts:
        """Those of the running host; a mounted disk has none."""
        return cls(parse_mountinfo(host.truth.try_read("self/mountinfo", 8 << 20) or b"") if host.is_live else ())

    def holds(self, path: str) -> bool:
        """Whether `path` lies on one of them."""
        return f"{path}/".startswith(self._folders)
