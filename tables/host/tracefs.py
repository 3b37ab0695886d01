"""The files of tracefs: read from a mount of our own that nobody sees and nothing covers, else from where it is mounted."""

from __future__ import annotations

import errno
import os

from tables.host import Host, syscalls
from tables.host.files import Unreadable

# Where tracefs is mounted (Documentation/trace/ftrace.rst).
_FOLDERS = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
# What fsopen(2) and fsmount(2) say to a caller without the right to mount, on a kernel without them or without tracefs.
_NO_MOUNT = frozenset({errno.EPERM, errno.EACCES, errno.ENOSYS, errno.ENODEV, errno.EINVAL, errno.EBUSY})


def open_tracing(host: Host, name: str) -> int:
    """A descriptor of the file `name` of tracefs; Unreadable where it cannot be had, which `is_missing` where there is none.

    A descriptor of its own for each reader: the position of a file is shared by all who share its descriptor.
    """
    if host.is_live:
        try:
            return _open_private(name)
        except OSError as error:
            if error.errno not in _NO_MOUNT and error.errno != errno.ENOENT:
                raise Unreadable(f"tracefs {name}", error.strerror or str(error), error.errno) from None
    folder = next((folder for folder in _FOLDERS if host.files.exists(f"{folder}/{name}")), None)
    if folder is None:
        raise Unreadable(f"tracefs {name}", "tracefs is not mounted, or has no such file", errno.ENOENT)
    return host.files.open(f"{folder}/{name}")


def _open_private(name: str) -> int:
    mount = syscalls.mount_private("tracefs")
    try:
        return os.open(name, _FLAGS, dir_fd=mount)
    finally:
        os.close(mount)
