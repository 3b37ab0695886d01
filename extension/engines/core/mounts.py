"""osquery's mounts table."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from extension.engines.core import CoreRow, core_table
from tables.host import Host
from tables.schema import QueryContext

# What getmntent(3) undoes.
_ESCAPE = re.compile(rb"\\(040|011|012|134)")
# Asking such a file system for its size waits for a server, perhaps for ever.
_REMOTE = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "coda", "fuse", "fuseblk", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4",
     "orangefs", "smb3", "smbfs", "virtiofs"}
)  # fmt: skip
_SIZES = ("blocks_size", "blocks", "blocks_free", "blocks_available", "inodes", "inodes_free")
_MOUNTS_LIMIT = 16 << 20


class MountEntry(NamedTuple):
    """One line of /proc/mounts (proc_pid_mounts(5))."""

    device: bytes
    path: bytes
    fs_type: bytes
    flags: bytes


@core_table("mounts", needs_live=True)
def mounts(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """One row per mount in our mount namespace.

    The sizes, cut to 32 bits as osquery does, are 0 for autofs and where they cannot be read; for network file systems and
    FUSE they are not asked for and NULL.
    """
    with_sizes = query.uses(*_SIZES)
    for entry in parse_mounts(host.procfs.read("mounts", _MOUNTS_LIMIT)):
        row: CoreRow = {"device": entry.device, "path": entry.path, "type": entry.fs_type, "flags": entry.flags}
        row["device_alias"] = _alias(host, os.fsdecode(entry.device))
        if with_sizes:
            row.update(_sizes(host, os.fsdecode(entry.path), os.fsdecode(entry.fs_type)))
        yield row


def parse_mounts(data: bytes) -> Iterator[MountEntry]:
    """Yield the mounts in a /proc/mounts file; lines that are none are passed over."""
    for line in data.split(b"\n"):
        fields = [_ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), field) for field in line.split()]
        if len(fields) >= 4 and not line.startswith(b"#"):
            yield MountEntry(*fields[:4])


def _alias(host: Host, device: str) -> str:
    """The device's path with links resolved; as it is when there is no such path."""
    if not device.startswith("/"):
        return device
    try:
        host.files.stat(device)
        found = os.path.realpath(host.files.locate(device))
    except OSError:
        return device
    return found if host.is_live else found[len(host.files.root) :]


def _sizes(host: Host, path: str, fs_type: str) -> CoreRow:
    if fs_type in _REMOTE or fs_type.startswith("fuse."):
        return {}
    try:
        if fs_type == "autofs":
            raise OSError("asking would mount it")
        found = os.statvfs(host.files.locate(path))
    except OSError:
        return dict.fromkeys(_SIZES, 0)
    values = (found.f_bsize, found.f_blocks, found.f_bfree, found.f_bavail, found.f_files, found.f_ffree)
    return {name: value & 0xFFFF_FFFF for name, value in zip(_SIZES, values)}
