"""Which mounts a walk through the local file systems enters: each file system once, none of another machine's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tables.host.disk.mounts import Mount

# Kept in memory, or named by something else than a device below /dev.
_LOCAL = frozenset({"tmpfs", "ramfs", "rootfs", "devtmpfs", "btrfs", "zfs", "bcachefs", "ubifs", "jffs2"})
# Images that cannot be written, so that nothing in them is new.
_IMAGES = frozenset({"squashfs", "iso9660", "erofs", "cramfs", "romfs"})
# Without files of their own; overlayfs shows files of folders that the walk meets where they are kept.
_PSEUDO = frozenset(
    {
        "proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "debugfs", "tracefs", "securityfs", "selinuxfs", "bpf", "nsfs",
        "efivarfs", "configfs", "pstore", "hugetlbfs", "autofs", "binfmt_misc", "rpc_pipefs", "fusectl", "nfsd", "overlay",
        "fuse.lxcfs", "fuse.portal", "fuse.gvfsd-fuse", "sysctl", "resctrl", "smackfs", "binder",
    }
)  # fmt: skip


class Boundaries(NamedTuple):
    """Where a walk must not go: `closed` are mount points, each with its device (major:minor).

    `left_out` names those of them that may hold files which the walk meets nowhere else, as "type at mount point".
    """

    closed: dict[str, str]
    left_out: tuple[str, ...]


def boundaries(mounts: Iterable[Mount], folder: str) -> Boundaries:
    """Where a walk that begins at `folder` has to stop, given the mounts in the order of mountinfo.

    Where `folder` itself lies is entered whatever it is: it was asked for.
    """
    # The mount that came last at a mount point covers the others there.
    visible = {mount.mount_point: mount for mount in mounts}
    below = [mount for point, mount in visible.items() if _is_below(point, folder)]
    around = [mount for point, mount in visible.items() if point == folder or _is_below(folder, point)]
    entered = [max(around, key=lambda mount: len(mount.mount_point))] if around else []
    closed: dict[str, str] = {}
    left_out = []
    for mount in sorted(below, key=lambda mount: (len(mount.root), len(mount.mount_point), mount.mount_point)):
        if not _is_local(mount):
            closed[mount.mount_point] = mount.device
            if mount.fs_type not in _PSEUDO | _IMAGES:
                left_out.append(f"{mount.fs_type} at {mount.mount_point}")
        elif any(_shows(other, mount, folder) for other in entered):
            closed[mount.mount_point] = mount.device
        else:
            entered.append(mount)
    return Boundaries(closed, tuple(sorted(left_out)))


def _is_local(mount: Mount) -> bool:
    if mount.fs_type in _IMAGES or mount.fs_type.startswith("fuse"):
        return False
    return mount.fs_type in _LOCAL or mount.source.startswith("/dev/")


def _shows(entered: Mount, mount: Mount, folder: str) -> bool:
    """Whether a walk through `entered`, from `folder` on, meets the files of `mount` as well."""
    if entered.device != mount.device:
        return False
    top = entered.root
    if _is_below(folder, entered.mount_point):
        # The walk begins inside that mount, and so sees only a part of it.
        top = entered.root.rstrip("/") + folder[len(entered.mount_point.rstrip("/")) :]
    return mount.root == top or _is_below(mount.root, top)


def _is_below(path: str, folder: str) -> bool:
    return path != folder and path.startswith(folder.rstrip("/") + "/")
