"""Lists of tasks that the kernel keeps apart from the listing of /proc: of each cgroup, and of the scheduler."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tables.host.mounts import parse_mountinfo
from tables.host.procfs import Procfs

_MAX_CGROUPS = 4_000
_SCHED_DEBUG = "/sys/kernel/debug/sched/debug"
_SCHED_DEBUG_LIMIT = 64 << 20
# A comm has at most 15 bytes, so at most that many fields may stand between the state and the pid.
_MAX_FIELDS = 10


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
