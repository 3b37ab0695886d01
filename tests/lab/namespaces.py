"""What a room is made of: mounts, namespaces, a loopback device; by system calls, so that no tool need be installed."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import struct
from typing import Optional

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_SIOCSIFADDR, _SIOCSIFFLAGS = 0x8916, 0x8914
_UP = 1
_CLONE_NEWNET, _CLONE_NEWNS = 0x40000000, 0x20000
MS_BIND = 4096
_MNT_DETACH = 2


def mount(source: str, target: str, kind: Optional[str] = None, flags: int = MS_BIND, options: str = "") -> None:
    """mount(2), as a bind mount unless told otherwise; OSError names the target."""
    encoded = (os.fsencode(source), os.fsencode(target), kind.encode() if kind else None)
    if _LIBC.mount(*encoded, ctypes.c_ulong(flags), options.encode() or None):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


def end_with_parent(by: int = signal.SIGKILL) -> None:
    """Have the kernel send this process a signal that ends it when its parent ends, however that comes about."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, by, 0, 0, 0)


def new_network() -> None:
    """Leave the network namespace for an empty one."""
    _unshare(_CLONE_NEWNET)


def new_mounts() -> None:
    """Leave the mount namespace for a copy of it."""
    _unshare(_CLONE_NEWNS)


def _unshare(flags: int) -> None:
    if _LIBC.unshare(flags):
        raise OSError(ctypes.get_errno(), "unshare")


def unmount(target: str) -> None:
    """Take off what is mounted there, at once if it is in use."""
    _LIBC.umount2(os.fsencode(target), _MNT_DETACH)


def bring_up_loopback(*addresses: str) -> None:
    """Switch on `lo` in the network namespace of the caller and give it more addresses."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _UP))
        for number, address in enumerate(addresses):
            name = b"lo:%d" % number
            request = struct.pack("16sHH4s8x", name, socket.AF_INET, 0, socket.inet_aton(address))
            fcntl.ioctl(control, _SIOCSIFADDR, request)
