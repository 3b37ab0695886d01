"""Whether a pid is alive, asked of parts of the kernel that share no code: what hooks one of them rarely hooks all.

Each is a system call that looks the pid up for a purpose of its own and changes nothing. They answer for threads as well,
except pidfd_open(2).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import time
from collections.abc import Callable, Mapping

from tables.host.syscalls import pidfd_open

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
# Numbers of calls for which neither Python nor libc has a wrapper.
_NUMBERS: Mapping[str, Mapping[str, int]] = {
    "x86_64": {"tkill": 200, "ioprio_get": 252, "get_robust_list": 274},
    "aarch64": {"tkill": 130, "ioprio_get": 31, "get_robust_list": 100},
}
_IOPRIO_WHO_PROCESS = 1
# include/linux/posix-timers.h: the CPU clock of a process is its pid, inverted, above three bits of flags.
_CPUCLOCK_SCHED = 2
# What is alive may still be none of our business.
_REFUSED = frozenset({errno.EPERM, errno.EACCES})


def _pidfd_open(pid: int) -> None:
    os.close(pidfd_open(pid))


def _cpu_clock(pid: int) -> None:
    time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)


def _by_number(name: str, *arguments: int) -> int:
    ctypes.set_errno(0)
    result: int = _syscall(ctypes.c_long(_NUMBERS[platform.machine()][name]), *map(ctypes.c_long, arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result


def _get_robust_list(pid: int) -> None:
    head, length = ctypes.c_void_p(), ctypes.c_size_t()
    _by_number("get_robust_list", pid, ctypes.addressof(head), ctypes.addressof(length))


# By the name of the call; kernel/pid.c, signal.c, sched/syscalls.c, sys.c, posix-cpu-timers.c, futex, block/ioprio.c.
VIEWS: Mapping[str, Callable[[int], object]] = {
    "pidfd_open": _pidfd_open,
    "kill": lambda pid: os.kill(pid, 0),  # Signal 0 is only asked about, never sent.
    "tkill": lambda pid: _by_number("tkill", pid, 0),
    "sched_getscheduler": os.sched_getscheduler,
    "sched_getaffinity": os.sched_getaffinity,
    "getsid": os.getsid,
    "getpgid": os.getpgid,
    "getpriority": lambda pid: os.getpriority(os.PRIO_PROCESS, pid),
    "prlimit": lambda pid: resource.prlimit(pid, resource.RLIMIT_NOFILE),
    "clock_gettime": _cpu_clock,
    "get_robust_list": _get_robust_list,
    "ioprio_get": lambda pid: _by_number("ioprio_get", _IOPRIO_WHO_PROCESS, pid),
}


def answering(pid: int) -> frozenset[str]:
    """The names of the views in which `pid` is alive; a call that this kernel lacks, or that is forbidden here, gives none."""
    return frozenset(name for name, ask in VIEWS.items() if _answers(ask, pid))


def _answers(ask: Callable[[int], object], pid: int) -> bool:
    try:
        ask(pid)
    except OSError as error:
        # A seccomp filter refuses a call for every pid, our own included.
        return error.errno in _REFUSED and _is_allowed(ask)
    except (KeyError, ValueError, OverflowError):
        return False
    return True


def _is_allowed(ask: Callable[[int], object]) -> bool:
    try:
        ask(os.getpid())
    except OSError:
        return False
    return True
