"""The pid space asked number by number, and a hold on one process of it."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import select
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Optional

from tables.host.processes.procfs import Procfs
from tables.host.syscalls import PIDFD_OPEN, pidfd_open

# The largest pid any kernel hands out (PID_MAX_LIMIT, include/linux/threads.h).
PID_MAX_LIMIT = 4_194_304
_CHUNK = 65_536
# Numbers of sched_getscheduler(2), which musl's own function never asks.
_SCHED_GETSCHEDULER = {"x86_64": 145, "aarch64": 120}.get(platform.machine())
# No such call, or a seccomp filter that refuses it.
_NO_PIDFD = frozenset({errno.ENOSYS, errno.EPERM})
# PyDLL keeps the interpreter lock over the call: giving it up and taking it back costs more than the call itself.
_fast_syscall = ctypes.PyDLL(None).syscall


class Held:
    """A hold on one living process: while it lasts, the pid cannot pass to another process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._fd: Optional[int] = None
        try:
            self._fd = pidfd_open(pid)
        except OSError as error:
            if error.errno not in _NO_PIDFD:
                raise
            # Signal 0 is only asked about, never sent; it also answers for threads.
            os.kill(pid, 0)

    @property
    def is_alive(self) -> bool:
        """Whether the process has not exited yet (a zombie has)."""
        if self._fd is None:
            return _answers_signal(self.pid)
        poller = select.poll()
        poller.register(self._fd, select.POLLIN)
        return not poller.poll(0)

    def close(self) -> None:
        """Let go."""
        if self._fd is not None:
            os.close(self._fd)


def _answers_signal(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def hold(pid: int) -> Optional[Held]:
    """Hold the process `pid`; None when there is no process of that number, as for a thread id."""
    try:
        return Held(pid)
    except OSError:
        return None


def has_pidfd() -> bool:
    """Whether this kernel has pidfd_open(2) (Linux 5.3) and lets us call it."""
    try:
        os.close(pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


class Swept(NamedTuple):
    """What answered in a sweep: processes by pidfd_open(2), and what only the scheduler knows, threads above all."""

    leaders: list[int]
    others: list[int]
    asked: int


def sweep(first: int, last: int, seconds: float, pause: float = 0.0) -> Swept:
    """Ask for every pid from `first` to `last` whether it is alive, by two calls that share no code in the kernel.

    pidfd_open(2) answers for processes only, sched_getscheduler(2) for threads too. `asked` is the last number asked, below
    `last` when `seconds` were used up. `pause` seconds are slept after each 65,536 numbers.
    """
    found = Swept([], [], first - 1)
    deadline = time.monotonic() + seconds
    while found.asked < last and time.monotonic() < deadline:
        numbers = range(found.asked + 1, min(found.asked + _CHUNK, last) + 1)
        leaders = [(pid, fd) for pid in numbers if (fd := _fast_syscall(PIDFD_OPEN, pid, 0)) >= 0]
        for pid, fd in leaders:
            os.close(fd)
            found.leaders.append(pid)
        led = {pid for pid, _ in leaders}
        if _SCHED_GETSCHEDULER is not None:
            found.others.extend(pid for pid in numbers if _fast_syscall(_SCHED_GETSCHEDULER, pid) >= 0 and pid not in led)
        found = found._replace(asked=numbers[-1])
        if pause and found.asked < last:
            time.sleep(pause)
    return found


@dataclass
class SweepProgress:
    """How far the sweep over all numbers has come; `finished` is the unix time when the last one was complete."""

    asked: int = 0
    finished: Optional[float] = None

    def is_due(self, every_seconds: float) -> bool:
        """Whether no sweep was completed within the last `every_seconds`."""
        return self.finished is None or not 0 <= time.time() - self.finished < every_seconds

    def advance(self, sweep: Callable[[int, int], Swept]) -> Swept:
        """Sweep on, by `sweep` from a first to a last pid, from where the last call stopped; what was met on the way."""
        found = sweep(self.asked + 1, PID_MAX_LIMIT)
        self.asked = found.asked
        if self.asked >= PID_MAX_LIMIT:
            self.asked, self.finished = 0, time.time()
        return found


def pid_max(procfs: Procfs) -> int:
    """The number below which pids are handed out (proc_sys_kernel(5)); the kernel's limit when it cannot be read."""
    data = procfs.try_read("sys/kernel/pid_max", 64)
    return int(data) if data and data.strip().isdigit() else PID_MAX_LIMIT


def last_pid_if_never_wrapped(procfs: Procfs, forks: int) -> Optional[int]:
    """The highest pid handed out so far, or None when the numbers may have started over.

    A shortcut, not a proof: clone3(2) with set_tid and ns_last_pid can place a process higher.
    """
    if forks >= pid_max(procfs):
        return None
    return int(procfs.read("loadavg", 128).split()[4])
