"""Lists of tasks that the kernel keeps apart from the listing of /proc: of each cgroup, and of the scheduler."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from tables.host.disk.mounts import parse_mountinfo
from tables.host.processes.procfs import Procfs
from tables.unseen import say_cut

_MAX_CGROUPS = 4_000
# Reading thousands of cgroups for every scan would cost more than most scans.
_KEPT_SECONDS = 5.0
_SCHED_DEBUG = "/sys/kernel/debug/sched/debug"
_SCHED_DEBUG_LIMIT = 64 << 20
# A comm has at most 15 bytes, so at most that many fields may stand between the state and the pid.
_MAX_FIELDS = 10


class Unlisted:
    """Pids that the listing of /proc lacks: those that cgroups name, and those that were found hidden."""

    def __init__(self, procfs: Procfs) -> None:
        self._procfs = procfs
        self._lock = threading.Lock()
        self._found: frozenset[int] = frozenset()
        self._read = -_KEPT_SECONDS
        self._in_cgroups: frozenset[int] = frozenset()

    def found(self, pids: Iterable[int]) -> None:
        """Remember what the last search for hidden processes found."""
        self._found = frozenset(pids)

    def pids(self) -> frozenset[int]:
        """Pids that may be unlisted; some of them are listed, and some have ended. The cgroups are read every few seconds."""
        with self._lock:
            if time.monotonic() - self._read > _KEPT_SECONDS:
                self._in_cgroups = frozenset(cgroup_pids(self._procfs))
                self._read = time.monotonic()
            return self._in_cgroups | self._found


def cgroup_members(procfs: Procfs) -> Iterator[tuple[str, str, list[int]]]:
    """Each cgroup as (folder, path below its hierarchy's root, pids in its cgroup.procs), the ones around it first.

    A view of the tasks that does not pass through /proc/PID (cgroups(7)). Reads the unified hierarchy, or one of version 1
    where there is no unified one: every task is in each. At most 4,000 cgroups are read.
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
            pids = [pid for pid in map(int, Path(folder, "cgroup.procs").read_bytes().split()) if pid]
        except OSError:
            # A threaded cgroup has its tasks in cgroup.threads, and its processes in the one that it belongs to.
            continue
        yield folder, folder[len(roots[0]) :] or "/", pids
    if pending:
        say_cut(f"only {_MAX_CGROUPS} cgroups were read; {pending[-1]} was not")


def cgroup_pids(procfs: Procfs) -> dict[int, str]:
    """The cgroup's path of every pid that a cgroup.procs file lists."""
    return {pid: path for _, path, pids in cgroup_members(procfs) for pid in pids}


def scheduler_tasks(procfs: Procfs) -> dict[int, str]:
    """The comm of every task, threads included, that the scheduler's own report names; {} where the kernel offers none.

    /sys/kernel/debug/sched/debug where debugfs is mounted, /proc/sched_debug before Linux 5.13 (kernel/sched/debug.c).
    """
    data = procfs.try_read("sched_debug", _SCHED_DEBUG_LIMIT)
    if data is None:
        try:
            data = Path(_SCHED_DEBUG).read_bytes()[:_SCHED_DEBUG_LIMIT]
        except OSError:
            return {}
    return dict(_scheduler_lines(data))


def _scheduler_lines(data: bytes) -> Iterator[tuple[int, str]]:
    for line in data.splitlines():
        # The state letter, behind `>` for what runs; a comm, which may hold blanks; the pid; a number with a point.
        fields = line.lstrip(b" >").split()
        if not fields or len(fields[0]) != 1 or not fields[0].isalpha():
            continue
        for number in range(2, min(len(fields) - 1, _MAX_FIELDS)):
            if fields[number].isdigit() and b"." in fields[number + 1]:
                yield int(fields[number]), os.fsdecode(b" ".join(fields[1:number]))
                break
