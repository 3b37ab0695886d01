"""CPU use of every process: since the last call, since its start, and what limits it."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

from tables.errors import TableError
from tables.host import Host
from tables.host.processes.cgroups import CpuQuotas
from tables.host.processes.columns import is_hidden_column, process_column
from tables.host.processes.cpu_use import CpuHistory, CpuUse
from tables.host.processes.procfs import CLOCK_TICKS, Process, Procfs, parse_cgroup
from tables.host.processes.visibility import Visibility
from tables.schema import BIGINT, DOUBLE, TEXT, QueryContext, Row, column, table

_TABLE = "process_cpu_usage"
# include/uapi/linux/sched.h
_POLICIES = {0: "other", 1: "fifo", 2: "rr", 3: "batch", 5: "idle", 6: "deadline", 7: "ext"}
_RESET_ON_FORK = 0x4000_0000
# Thousands of processes are in a few cgroups.
_parse_cgroup = functools.lru_cache(maxsize=1024)(parse_cgroup)


@dataclass(frozen=True)
class ProcessCpuUsage(Row):
    """One process and the CPU time it uses."""

    pid: int = process_column("pid", index=True)
    process_name: str = process_column("process_name")
    exe_path: Optional[str] = process_column("exe_path")
    cmdline: Optional[str] = process_column("cmdline")
    owner_uid: Optional[int] = process_column("owner_uid")
    parent: int = process_column("parent")
    start_time: int = process_column("start_time")
    is_hidden: int = is_hidden_column()
    cpu_percent: float = column(DOUBLE, "CPU use over window_seconds, 100 = one core all the time; changes with every call")
    cpu_percent_host: float = column(DOUBLE, "the same as a part of all cores, 100 = the whole host; changes with every call")
    cpu_percent_since_start: float = column(DOUBLE, "average since its start, 100 = one core; changes with every call")
    half_cores: int = column(
        BIGINT, "CPU use over window_seconds in halves of a core (2 = one core), steady near an edge: for alerts on change"
    )
    window_seconds: float = column(
        DOUBLE, "what is measured: since the last call, 0.3 s at the first, since its start if later; changes with every call"
    )
    user_time: int = column(BIGINT, "milliseconds used in user space so far; changes with every call")
    system_time: int = column(BIGINT, "milliseconds used in the kernel so far; changes with every call")
    run_queue_wait_percent: Optional[float] = column(
        DOUBLE,
        "time its threads waited for a CPU over window_seconds, 100 = one thread all the time; NULL where it has used no CPU or "
        "only begun to; changes with every call",
    )
    threads: int = column(BIGINT, "its threads")
    busy_threads: Optional[int] = column(
        BIGINT, "threads on a CPU for at least 80 % of window_seconds; NULL as run_queue_wait_percent; changes with every call"
    )
    nice: int = column(BIGINT, "nice value of its main thread, 19 yields to all others")
    scheduling_policy: Optional[str] = column(TEXT, "policy of its main thread: other, batch, idle, fifo, rr, deadline or ext")
    affinity: Optional[str] = column(TEXT, "CPUs its main thread may run on, as `0-3,8`")
    cgroup_path: Optional[str] = process_column("cgroup_path")
    cgroup_cpu_quota: Optional[float] = column(
        DOUBLE, "cores that its cgroup and those around it allow (cpu.max, cpu.cfs_quota_us), NULL without a limit"
    )


def parse_status(data: bytes) -> tuple[Optional[int], Optional[str]]:
    """(real user id, CPUs allowed) from /proc/PID/status; None for what is not there."""
    uid = _line(data, b"Uid").split()[:1]
    allowed = _line(data, b"Cpus_allowed_list").strip()
    return int(uid[0]) if uid and uid[0].isdigit() and len(uid[0]) <= 10 else None, os.fsdecode(allowed) or None


def _line(data: bytes, name: bytes) -> bytes:
    return data.partition(b"\n" + name + b":")[2].partition(b"\n")[0]


def _policy(pid: int) -> Optional[str]:
    try:
        number = os.sched_getscheduler(pid) & ~_RESET_ON_FORK
    except OSError:
        return None
    return _POLICIES.get(number, str(number))


@table(
    _TABLE,
    ProcessCpuUsage,
    needs_live=True,
    remembers=True,
    scan_early=True,
    description="CPU use of every process since the last call and since its start, in steps too, with threads, nice and limits.",
    sop_steps=(6,),
    examples=[
        "SELECT pid, process_name, cmdline, cpu_percent, cpu_percent_since_start, busy_threads, nice FROM process_cpu_usage "
        "ORDER BY cpu_percent DESC LIMIT 20",
        "SELECT pid, process_name, exe_path, cmdline, start_time, half_cores FROM process_cpu_usage WHERE half_cores > 0",
    ],
)
def process_cpu_usage(host: Host, query: QueryContext) -> Iterator[ProcessCpuUsage]:
    """One row per process; kernel threads only where they used CPU over the window. minehunt's own work is included.

    The first call samples for 0.3 s, later ones measure since the call before, and every query of this extension is
    such a call. A process is known by pid and start, so that no number is carried over to a later process with the
    same pid; what started meanwhile is measured since its start. Read from /proc/PID/{stat,status,exe,cmdline,cgroup},
    /proc/PID/task/TID/schedstat, sched_getscheduler(2) and the CPU limits of cgroup versions 1 and 2.

    Cannot see: what ended before the second look (process_census accounts for that in cpu_seen_cores).
    """
    if not host.is_live:
        raise TableError(f"processes can be examined on the running system only, not below {host.files.root}")
    procfs = host.truth
    if not host.is_root:
        query.could_not_see("not root: other users' executables are not readable")
    uses, is_cut = host.state(_TABLE, CpuHistory).measure(procfs)
    if is_cut:
        query.truncate("more processes than are kept in memory")
    quotas = CpuQuotas(host.files, procfs)
    visibility = Visibility(host)
    for use in uses:
        query.check_time()
        process = Process(procfs, use.stat)
        if process.is_kernel_thread and not use.cores:
            continue
        row = _row(procfs, process, use, quotas, visibility.is_hidden(process))
        if process.is_same_process():
            yield row


def _row(procfs: Procfs, process: Process, use: CpuUse, quotas: CpuQuotas, is_hidden: bool) -> ProcessCpuUsage:
    stat = process.stat
    uid, allowed = parse_status(procfs.try_read_once(f"{stat.pid}/status", 8192) or b"")
    groups = procfs.try_read_once(f"{stat.pid}/cgroup", 65536) or b""
    quota = quotas.cores(groups)
    return ProcessCpuUsage(
        pid=stat.pid,
        process_name=process.name,
        exe_path=process.exe_path,
        cmdline=process.cmdline or None,
        owner_uid=uid,
        parent=stat.ppid,
        start_time=process.start_time,
        is_hidden=is_hidden,
        cpu_percent=round(use.cores * 100, 1),
        cpu_percent_host=round(use.cores * 100 / (os.cpu_count() or 1), 2),
        cpu_percent_since_start=round(use.cores_since_start * 100, 2),
        half_cores=use.half_cores,
        window_seconds=round(use.seconds, 3),
        user_time=stat.utime * 1000 // CLOCK_TICKS,
        system_time=stat.stime * 1000 // CLOCK_TICKS,
        run_queue_wait_percent=None if use.wait_cores is None else round(use.wait_cores * 100, 1),
        threads=stat.num_threads,
        busy_threads=use.busy_threads,
        nice=stat.nice,
        scheduling_policy=_policy(stat.pid),
        affinity=allowed,
        cgroup_path=_parse_cgroup(groups) or None,
        cgroup_cpu_quota=None if quota is None else round(quota, 3),
    )
