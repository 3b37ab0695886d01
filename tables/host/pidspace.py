"""The pid space asked number by number, and pids that the kernel names elsewhere than in the /proc listing."""

from __future__ import annotations

import ctypes
import errno
import os
import select
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from tables.host.mounts import parse_mountinfo
from tables.host.procfs import Procfs
from tables.host.syscalls import PIDFD_OPEN, pidfd_open

# The largest pid any kernel hands out (PID_MAX_LIMIT, include/linux/threads.h).
PID_MAX_LIMIT = 4_194_304
_CHUNK = 65_536
_MAX_CGROUPS = 4_000
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
    """Whether this kernel has pidfd_open(2) (Linux 5.3) and lets us call it; without it there is no sweep."""
    try:
        os.close(pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


def sweep(first: int, last: int, seconds: float, pause: float = 0.0) -> tuple[list[int], int]:
    """Ask for every pid from `first` to `last` whether it leads a process.

    Returns those that do and the last number asked, which is below `last` when `seconds` were used up. Threads are not
    counted: pidfd_open answers for thread group leaders only. `pause` seconds are slept after each 65,536 numbers.
    """
    alive: list[int] = []
    deadline = time.monotonic() + seconds
    asked = first - 1
    while asked < last and time.monotonic() < deadline:
        top = min(asked + _CHUNK, last)
        for pid, fd in [(pid, fd) for pid in range(asked + 1, top + 1) if (fd := _fast_syscall(PIDFD_OPEN, pid, 0)) >= 0]:
            os.close(fd)
            alive.append(pid)
        asked = top
        if pause and asked < last:
            time.sleep(pause)
    return alive, asked


@dataclass
class SweepProgress:
    """How far the sweep over all numbers has come; `finished` is the unix time when the last one was complete."""

    asked: int = 0
    finished: Optional[float] = None

    def is_due(self, every_seconds: float) -> bool:
        """Whether no sweep was completed within the last `every_seconds`."""
        return self.finished is None or not 0 <= time.time() - self.finished < every_seconds

    def advance(self, seconds: float, pause: float) -> list[int]:
        """Sweep on from where the last call stopped, for at most `seconds`; the living processes met on the way."""
        alive, self.asked = sweep(self.asked + 1, PID_MAX_LIMIT, seconds, pause)
        if self.asked >= PID_MAX_LIMIT:
            self.asked, self.finished = 0, time.time()
        return alive


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


def cgroup_pids(procfs: Procfs) -> Iterator[int]:
    """Pids listed in cgroup.procs files (cgroups(7)), a view of the tasks that does not pass through /proc/PID.

    Reads the unified hierarchy, or one of version 1 where there is no unified one: every task is in each.
    """
    mounts = list(parse_mountinfo(procfs.try_read("self/mountinfo", 8 << 20) or b""))
    roots = [mount.mount_point for mount in mounts if mount.fs_type == "cgroup2"]
    roots += [mount.mount_point for mount in mounts if mount.fs_type == "cgroup"]
    if not roots:
        return
    pending = [roots[0]]
    read = 0
    while pending and read < _MAX_CGROUPS:
        folder = pending.pop()
        read += 1
        try:
            with os.scandir(folder) as entries:
                pending += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
            # Tasks of a foreign pid namespace show as 0.
            yield from (pid for pid in map(int, Path(folder, "cgroup.procs").read_bytes().split()) if pid)
        except OSError:
            continue
