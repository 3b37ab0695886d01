"""A seccomp filter that denies system calls about one pid, as a kernel module that hides it does (seccomp(2))."""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
from collections.abc import Iterable

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_LOAD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
# Offsets in struct seccomp_data: the call's number, and the low words of its arguments on little-endian machines.
_NUMBER, _ARGUMENTS = 0, 16
# Call → (its number on x86-64, which argument is the pid).
CALLS = {
    "pidfd_open": (434, 0), "kill": (62, 0), "tkill": (200, 0), "sched_getscheduler": (145, 0), "sched_getaffinity": (204, 0),
    "getsid": (124, 0), "getpgid": (121, 0), "getpriority": (140, 1), "prlimit": (302, 0), "get_robust_list": (274, 0),
    "ioprio_get": (252, 1),
}  # fmt: skip
IS_SUPPORTED = platform.machine() == "x86_64"


def deny(pid: int, calls: Iterable[str]) -> None:
    """Have the kernel answer ESRCH to this process, and those it starts, whenever one of the calls is about `pid`."""
    program = []
    for number, argument in (CALLS[name] for name in calls):
        program += [
            (_LOAD, 0, 0, _NUMBER),
            (_JUMP_EQUAL, 0, 3, number),
            (_LOAD, 0, 0, _ARGUMENTS + 8 * argument),
            (_JUMP_EQUAL, 0, 1, pid),
            (_RETURN, 0, 0, _ERRNO | errno.ESRCH),
        ]
    program.append((_RETURN, 0, 0, _ALLOW))
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
    filters = struct.pack("@HP", len(program), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((_PR_SET_NO_NEW_PRIVS, 1, None), (_PR_SET_SECCOMP, _MODE_FILTER, ctypes.create_string_buffer(filters))):
        if libc.prctl(ctypes.c_int(arguments[0]), ctypes.c_ulong(arguments[1]), arguments[2], None, None):
            raise OSError(ctypes.get_errno(), "prctl")
