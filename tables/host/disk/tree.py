"""Where a path leads inside a root folder: resolved by the kernel, or by descriptors, and never by comparing names.

openat2(2) with RESOLVE_IN_ROOT follows every link, absolute ones and `..` too, inside the folder that a descriptor stands for,
whatever is exchanged meanwhile. Before Linux 5.6, or where a filter forbids it, the path is walked one component at a time.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
from typing import NamedTuple

PATH = os.O_PATH | os.O_CLOEXEC
_OPENAT2 = 437  # on every architecture (include/uapi/asm-generic/unistd.h)
_RESOLVE_NO_MAGICLINKS, _RESOLVE_IN_ROOT = 0x02, 0x10
_HOW = struct.Struct("=QQQ")
_NOT_OFFERED = frozenset({errno.ENOSYS, errno.EPERM, errno.EINVAL})
# The kernel gives up when a folder was moved while `..` was resolved (openat2(2)).
_ATTEMPTS = 16
_MAX_LINKS = 40
_libc = ctypes.CDLL(None, use_errno=True)


class Walked(NamedTuple):
    """What a walk found: an O_PATH descriptor, which the caller closes, the path inside the root, and how it got there."""

    fd: int
    path: str
    by_alternatives: bool


def open_in_root(root: int, path: str, flags: int, follow: bool = True) -> int:
    """A descriptor of `path` inside the folder `root`, opened with `flags`; of a link itself where `follow` is false.

    `flags` are those of open(2); O_CREAT makes no sense here. Raises OSError as open(2), ELOOP after 40 links.
    """
    encoded = os.fsencode(path)
    how = _HOW.pack(flags | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW), 0, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
    code = 0
    for _ in range(_ATTEMPTS):
        fd = int(_libc.syscall(ctypes.c_long(_OPENAT2), ctypes.c_int(root), encoded, how, ctypes.c_size_t(_HOW.size)))
        if fd >= 0:
            return fd
        code = ctypes.get_errno()
        if code != errno.EAGAIN:
            break
    if code not in _NOT_OFFERED:
        raise OSError(code, os.strerror(code), path)
    return _open_by_walk(root, path, flags, follow)


def _open_by_walk(root: int, path: str, flags: int, follow: bool) -> int:
    walked = walk(root, path, follow)
    try:
        if stat.S_ISLNK(os.fstat(walked.fd).st_mode) and not flags & os.O_PATH:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        # Behind a descriptor there is no name left to exchange.
        return os.dup(walked.fd) if flags & os.O_PATH else os.open(f"/proc/self/fd/{walked.fd}", flags | os.O_CLOEXEC)
    finally:
        os.close(walked.fd)


def walk(root: int, path: str, follow: bool = True) -> Walked:
    """Follow `path` inside the folder `root` one component at a time; OSError as open(2), ELOOP after 40 links."""
    pending = _components(path)
    opened: list[int] = []
    names: list[str] = []
    links = 0
    by_alternatives = False
    try:
        while pending:
            part = pending.pop()
            if part == "..":
                if opened:
                    os.close(opened.pop())
                    names.pop()
                continue
            fd = os.open(part, PATH | os.O_NOFOLLOW, dir_fd=opened[-1] if opened else root)
            opened.append(fd)
            names.append(part)
            if not stat.S_ISLNK(os.fstat(fd).st_mode) or not (follow or pending):
                continue
            links += 1
            target = os.readlink("", dir_fd=fd)
            if links > _MAX_LINKS or not target:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            by_alternatives |= target.startswith("/etc/alternatives/")
            keep = 0 if target.startswith("/") else len(opened) - 1
            for folder in opened[keep:]:
                os.close(folder)
            del opened[keep:], names[keep:]
            pending += _components(target)
        found = os.dup(opened[-1] if opened else root)
        os.set_inheritable(found, False)
        return Walked(found, "/" + "/".join(names), by_alternatives)
    finally:
        for fd in opened:
            os.close(fd)


def _components(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")][::-1]
