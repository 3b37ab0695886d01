"""System calls that Python has no (or only a slow) call for, by number, with errors as OSError."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import sys
from collections.abc import Iterator

# The numbers above 423 are the same on every architecture (include/uapi/asm-generic/unistd.h).
_OPEN_TREE = 428
_FSOPEN = 430
_FSCONFIG = 431
_FSMOUNT = 432
PIDFD_OPEN = 434
_MACHINE = platform.machine()
_GETDENTS64 = {"x86_64": 217, "aarch64": 61}.get(_MACHINE)
_OPENAT = {"x86_64": 257, "aarch64": 56}.get(_MACHINE)
_READ = {"x86_64": 0, "aarch64": 63}.get(_MACHINE)
_STATX = {"x86_64": 332, "aarch64": 291}.get(_MACHINE)
_BPF = {"x86_64": 321, "aarch64": 280}.get(_MACHINE)

_FSOPEN_CLOEXEC = 1
_FSCONFIG_CMD_CREATE = 6
_FSMOUNT_CLOEXEC = 1
_OPEN_TREE_CLONE = 1
_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_STATX_SIZE = 0x200

DT_DIR = 4

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long


def _call(number: int, *arguments: object) -> int:
    result: int = _syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def getdents64(fd: int) -> Iterator[tuple[bytes, int]]:
    """Yield (name, d_type) of every entry of the open directory `fd`, read by the raw system call from its start.

    A library that replaces readdir (getdents(2)) does not see this call. On an architecture whose number is not known
    here the libc listing is used instead, so that callers still get every entry libc shows.
    """
    if _GETDENTS64 is None:
        for entry in os.scandir(fd):
            yield os.fsencode(entry.name), DT_DIR if entry.is_dir(follow_symlinks=False) else 0
        return
    os.lseek(fd, 0, os.SEEK_SET)
    buffer = ctypes.create_string_buffer(256 * 1024)
    while filled := list_folder(fd, buffer):
        data = buffer.raw[:filled]
        position = 0
        # struct linux_dirent64: ino u64, off u64, reclen u16, type u8, NUL-terminated name.
        while position < filled:
            length = data[position + 16] | data[position + 17] << 8
            end = data.index(b"\0", position + 19)
            yield data[position + 19 : end], data[position + 18]
            position += length


def list_folder(fd: int, buffer: ctypes.Array[ctypes.c_char]) -> int:
    """Fill `buffer` with the next struct linux_dirent64 of the open directory `fd`; how many bytes, 0 at its end."""
    if _GETDENTS64 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    return _call(_GETDENTS64, ctypes.c_int(fd), buffer, ctypes.c_size_t(len(buffer)))


def openat(path: str, flags: int) -> int:
    """open(2) by number, past a library that replaces it; by libc on an architecture whose number is not known here."""
    if _OPENAT is None:
        return os.open(path, flags)
    return _call(_OPENAT, ctypes.c_int(_AT_FDCWD), os.fsencode(path), ctypes.c_int(flags), ctypes.c_int(0))


def read(fd: int, size: int) -> bytes:
    """At most `size` bytes of `fd`, by number like `openat`."""
    if _READ is None:
        return os.read(fd, size)
    buffer = ctypes.create_string_buffer(size)
    filled = _call(_READ, ctypes.c_int(fd), buffer, ctypes.c_size_t(size))
    return buffer.raw[:filled]


def file_size(fd: int) -> int:
    """The size of an open file in bytes by statx(2); by libc before Linux 4.11."""
    # struct statx (include/uapi/linux/stat.h): stx_size is the 64-bit number at byte 40 of 256.
    buffer = ctypes.create_string_buffer(256)
    try:
        if _STATX is None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        _call(_STATX, ctypes.c_int(fd), b"", ctypes.c_int(_AT_EMPTY_PATH), ctypes.c_uint(_STATX_SIZE), buffer)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        return os.fstat(fd).st_size
    return int.from_bytes(buffer.raw[40:48], sys.byteorder)


def pidfd_open(pid: int) -> int:
    """A file descriptor that stays on this process (pidfd_open(2), Linux 5.3); OSError when `pid` leads no process."""
    return _call(PIDFD_OPEN, ctypes.c_int(pid), ctypes.c_uint(0))


def mount_private_procfs() -> int:
    """A descriptor of a procfs of our pid namespace that is attached nowhere; as `mount_private`."""
    return mount_private("proc")


def mount_private(kind: str) -> int:
    """A descriptor of a file system of this kind that is attached nowhere: unseen, and nothing can be mounted over it.

    Needs CAP_SYS_ADMIN and Linux 5.2 (fsopen(2), fsmount(2)); OSError otherwise.
    """
    context = _call(_FSOPEN, kind.encode("ascii"), ctypes.c_uint(_FSOPEN_CLOEXEC))
    try:
        _call(_FSCONFIG, ctypes.c_int(context), ctypes.c_uint(_FSCONFIG_CMD_CREATE), None, None, ctypes.c_int(0))
        return _call(_FSMOUNT, ctypes.c_int(context), ctypes.c_uint(_FSMOUNT_CLOEXEC), ctypes.c_uint(0))
    finally:
        os.close(context)


def clone_mount(path: str) -> int:
    """A descriptor of a detached copy of the mount at `path`, without the mounts on top of its folders (open_tree(2))."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC
    return _call(_OPEN_TREE, ctypes.c_int(_AT_FDCWD), os.fsencode(path), ctypes.c_uint(flags))


def bpf(command: int, attribute: ctypes.Array[ctypes.c_char]) -> int:
    """The result of a command for BPF objects; `attribute` is a union bpf_attr (bpf(2)), which it may fill. OSError if not."""
    if _BPF is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    return _call(_BPF, ctypes.c_int(command), attribute, ctypes.c_uint(len(attribute)))
