"""The files of tracefs: read from a mount of our own that nobody sees and nothing covers, else from where it is mounted."""

from __future__ import annotations

import errno
import os
from typing import Optional

from tables.host import Host, syscalls
from tables.host.disk.files import Unreadable

# Where tracefs is mounted (Documentation/trace/ftrace.rst).
_FOLDERS = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
NO_FTRACE = errno.ENOTSUP


def open_tracing(host: Host, name: str) -> int:
    """A descriptor of the file `name` of tracefs; Unreadable where it cannot be had, which `is_missing` where there is none.

    Its errno is NO_FTRACE where tracefs is there without the file: a kernel whose functions cannot be traced.
    A descriptor of its own for each reader: the position of a file is shared by all who share its descriptor.
    """
    mount = _private_mount() if host.is_live else None
    if mount is not None:
        try:
            return os.open(name, _FLAGS, dir_fd=mount)
        except OSError as error:
            if error.errno == errno.ENOENT:
                raise Unreadable(f"tracefs {name}", "this kernel has no such file", NO_FTRACE) from None
            hint = ", as under lockdown" if error.errno == errno.EPERM else ""
            raise Unreadable(f"tracefs {name}", f"{error.strerror}{hint}", error.errno) from None
        finally:
            os.close(mount)
    folder = next((folder for folder in _FOLDERS if host.files.exists(f"{folder}/{name}")), None)
    if folder is None:
        raise Unreadable(f"tracefs {name}", "tracefs is not mounted, or has no such file", errno.ENOENT)
    return host.files.open(f"{folder}/{name}")


def _private_mount() -> Optional[int]:
    """A tracefs of our own; None without the right to mount, before Linux 5.2, or where the kernel has no tracefs."""
    try:
        return syscalls.mount_private("tracefs")
    except OSError:
        return None
