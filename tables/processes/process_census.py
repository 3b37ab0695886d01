"""The kernel's own counts of processes, threads and CPU time beside what is listed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Optional

from tables.host import Host
from tables.host.processes.census import Census, cpu_windows, take_census, wait_for_windows
from tables.host.processes.cgroup_census import CgroupCensus, CgroupCount
from tables.host.processes.cgroups import systemd_unit
from tables.host.processes.pidspace import SweepProgress, pid_max
from tables.schema import BIGINT, DOUBLE, TEXT, QueryContext, Row, column, table

_RECOUNTS = 2
_PAUSE_SECONDS = 0.25
# So many cores that a cgroup uses for none of its listed members are no matter of rounding.
_RESIDUAL_CORES = 0.25


@dataclass(frozen=True)
class ProcessCensus(Row):
    """One count of the whole host, or of a cgroup in which it disagrees; NULL where a number cannot be had or compared here."""

    pid_namespace_initial: int = column(BIGINT, "1 in the initial pid namespace, where the kernel's counts are comparable")
    proc_mounts: int = column(BIGINT, "mounts stacked at /proc (1 is normal)")
    hidepid: Optional[str] = column(TEXT, "hidepid option of /proc, empty when it shows every process to everyone")
    processes_expected: Optional[int] = column(BIGINT, "processes that the kernel counts (st_nlink of /proc, cgroup.procs)")
    processes_seen: int = column(BIGINT, "processes that /proc lists")
    processes_hidden: Optional[int] = column(BIGINT, "the difference; means something only when `quiet` is 1")
    threads_expected: Optional[int] = column(BIGINT, "threads that the kernel counts (/proc/loadavg, pids.current)")
    threads_seen: Optional[int] = column(BIGINT, "threads of the listed processes; NULL while threads were starting or ending")
    threads_hidden: Optional[int] = column(BIGINT, "the difference")
    quiet: int = column(BIGINT, "1 if nothing started or ended while processes were counted")
    window_seconds: Optional[float] = column(DOUBLE, "length of the last CPU window: since the last call, half a second at first")
    cpu_busy_cores: Optional[float] = column(DOUBLE, "cores kept busy in that window, by /proc/stat or the cgroup's cpu.stat")
    cpu_seen_cores: Optional[float] = column(DOUBLE, "cores that the listed processes and their children account for")
    residual_cores: Optional[float] = column(DOUBLE, "cores kept busy by nobody listed (about 0 on an honest host)")
    residual_cores_min: Optional[float] = column(DOUBLE, "smallest residual of the last three windows")
    windows: int = column(BIGINT, "CPU windows so far, at most 3")
    forks_per_second: Optional[float] = column(DOUBLE, "processes and threads started per second in the last window")
    last_full_sweep: Optional[int] = column(BIGINT, "when hidden_processes last completed a sweep over all pids, in unix seconds")
    swept_to: int = column(BIGINT, "how far the sweep under way has come, 0 when none is")
    pid_max: int = column(BIGINT, "pids are handed out below this number")
    degraded: int = column(BIGINT, "1 if something could not be counted")
    degraded_why: Optional[str] = column(TEXT, "what, and why, separated by `; `")
    cgroup_path: str = column(TEXT, "cgroup that the row counts, with those below it; empty for the whole host")
    unit: Optional[str] = column(TEXT, "innermost systemd unit of that cgroup")


def _round(value: Optional[float]) -> Optional[float]:
    return None if value is None else round(value, 2)


@table(
    "process_census",
    ProcessCensus,
    needs_live=True,
    remembers=True,
    scan_early=True,
    description="Processes, threads and CPU time that the kernel counts, beside what /proc lists: hiding shows as a difference.",
    sop_steps=(6, 11),
    examples=[
        "SELECT processes_hidden, threads_hidden, residual_cores_min FROM process_census WHERE quiet = 1 AND degraded = 0",
    ],
    cache_seconds=2.0,
)
def process_census(host: Host, query: QueryContext) -> Iterator[ProcessCensus]:
    """One row for the host, and one for each cgroup whose own counts disagree with what is listed.

    The first call takes two seconds (three half-second CPU windows); later ones milliseconds. The rows of cgroups name the unit
    in which something hides: its pids.current counts more tasks, or its cpu.stat more CPU time, than those of its members have
    that /proc lists. They are there only while they disagree.

    A hidden process makes processes_hidden positive whatever hides it from the listing, and one that computes makes
    residual_cores positive even if nothing else shows it. A difference in the counts is looked at twice more.
    residual_cores errs upwards under a parent that never waits for its many short-lived children (SIGCHLD ignored):
    read it together with forks_per_second. All columns but the flags change with every call: not for differential use.

    Read from /proc/stat, /proc/loadavg, /proc/PID/stat, the link count of /proc (fs/proc/root.c) and the cgroups' files. Not
    comparable in a child pid namespace, behind lxcfs, or, without root, under hidepid: `degraded_why` says so.
    """
    census = take_census(host)
    for _ in range(_RECOUNTS):
        if not census.disagrees:
            break
        census = take_census(host)
    cgroups = host.state("cgroup_census", CgroupCensus)
    if not cgroups.has_window:
        cgroups.count(host, census)
    wait_for_windows(host)
    windows = cpu_windows(host)
    last = windows[-1] if windows else None
    progress = host.state("pid_sweep", SweepProgress)
    query.could_not_see(*census.degraded)
    yield ProcessCensus(
        cgroup_path="",
        pid_namespace_initial=census.is_initial_pid_namespace,
        proc_mounts=len(census.mounts.stack),
        hidepid=census.mounts.hidepid or None,
        processes_expected=census.processes_expected,
        processes_seen=len(census.listed),
        processes_hidden=census.processes_hidden,
        threads_expected=census.threads_expected,
        threads_seen=census.threads_seen,
        threads_hidden=census.threads_hidden,
        quiet=census.quiet,
        window_seconds=_round(last.seconds if last else None),
        cpu_busy_cores=_round(last.busy_cores if last else None),
        cpu_seen_cores=_round(last.seen_cores if last else None),
        residual_cores=_round(last.residual_cores if last else None),
        residual_cores_min=_round(min(window.residual_cores for window in windows) if windows else None),
        windows=len(windows),
        forks_per_second=_round(last.forks_per_second if last else None),
        last_full_sweep=None if progress.finished is None else int(progress.finished),
        swept_to=progress.asked,
        pid_max=pid_max(host.truth),
        degraded=bool(census.degraded),
        degraded_why="; ".join(census.degraded),
    )
    if census.is_initial_pid_namespace and host.is_root:
        yield from (_cgroup_row(census, count) for count in _disagreeing(host, cgroups))


def _disagreeing(host: Host, cgroups: CgroupCensus) -> list[CgroupCount]:
    """The cgroups that count more than is listed, in three looks for tasks; CPU time was measured over a whole window."""
    first = cgroups.count(host, take_census(host))
    busy = {count.path: count for count in first if (count.residual_cores or 0) >= _RESIDUAL_CORES}
    hiding = {count.path: count for count in first if count.disagrees}
    for _ in range(_RECOUNTS):
        if hiding:
            time.sleep(_PAUSE_SECONDS)
            hiding = {
                count.path: count for count in cgroups.count(host, take_census(host)) if count.disagrees and count.path in hiding
            }
    return [replace(busy.get(path, count), **_tasks(count)) for path, count in {**busy, **hiding}.items()]


def _tasks(count: CgroupCount) -> dict[str, Any]:
    return {name: getattr(count, name) for name in ("processes", "processes_listed", "tasks", "threads_listed", "is_quiet")}


def _cgroup_row(census: Census, count: CgroupCount) -> ProcessCensus:
    return ProcessCensus(
        cgroup_path=count.path,
        unit=systemd_unit(count.path),
        pid_namespace_initial=census.is_initial_pid_namespace,
        processes_expected=count.processes,
        processes_seen=count.processes_listed,
        processes_hidden=count.processes - count.processes_listed,
        threads_expected=count.tasks,
        threads_seen=count.threads_listed,
        threads_hidden=None if count.tasks is None else count.tasks_hidden,
        quiet=count.is_quiet,
        window_seconds=_round(count.window_seconds),
        cpu_busy_cores=_round(count.used_cores),
        cpu_seen_cores=_round(count.seen_cores),
        residual_cores=_round(count.residual_cores),
        degraded=bool(census.degraded),
        degraded_why="; ".join(census.degraded),
    )
