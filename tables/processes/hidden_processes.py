"""Processes that exist and are not shown, or are shown as something else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

from tables.host import Host
from tables.host.containers.columns import container_column, names_containers
from tables.host.processes.columns import process_column
from tables.host.processes.hidden_pids import Search, Suspect
from tables.host.processes.pidspace import hold
from tables.host.processes.procfs import Process, container_id
from tables.schema import BIGINT, TEXT, QueryContext, Row, column, table


@dataclass(frozen=True)
class HiddenProcess(Row):
    """A process that one view of the kernel shows and another does not."""

    pid: int = process_column("pid", index=True)
    how_hidden: str = column(
        TEXT,
        "overmount (something mounted over /proc/PID), overmount_decoy (another process's folder mounted there), "
        "overmount_file (over a file below it), overmount_elsewhere (in another mount namespace), proc_overmount (over /proc), "
        "libc_readdir (a library filters the listing), getdents (the kernel's listing lacks it), proc_lookup (/proc/PID cannot "
        "be opened either), pid_lookup (pidfd_open and kill deny it too)",
    )
    how_seen: str = column(
        TEXT,
        "views that show it, comma-separated: lists (cgroup, cpu_samples, getdents, mountinfo, named, private_procfs, "
        "sched_debug, status_pid), and calls that answer for it (clock_gettime, get_robust_list, getpgid, getpriority, getsid, "
        "ioprio_get, kill, pidfd_open, prlimit, sched_getaffinity, sched_getscheduler, tkill)",
    )
    process_name: Optional[str] = process_column("process_name")
    cmdline: Optional[str] = process_column("cmdline")
    exe_path: Optional[str] = process_column("exe_path")
    exe_sha256: Optional[str] = column(TEXT, "SHA-256 of the running executable, deleted or not (up to 256 MiB)")
    cwd: Optional[str] = process_column("cwd")
    parent: Optional[int] = process_column("parent")
    parent_name: Optional[str] = process_column("parent_name")
    owner_uid: Optional[int] = process_column("owner_uid")
    start_time: Optional[int] = process_column("start_time")
    cgroup_path: Optional[str] = process_column("cgroup_path")
    container_id: Optional[str] = process_column("container_id")
    container_name: Optional[str] = container_column("container_name")
    image: Optional[str] = container_column("image")
    pod: Optional[str] = container_column("pod")
    mount_source: Optional[str] = column(TEXT, "what is mounted over its folder")
    decoy_pid: Optional[int] = column(BIGINT, "pid of the process whose data is shown in its place")
    confirmations: int = column(BIGINT, "times it was found hidden in this scan, a quarter of a second apart")
    evidence: str = column(TEXT, "what was compared, in words")


def _describe(host: Host, pid: int) -> Optional[Process]:
    """The process itself, read where no mount reaches, else through another thread's folder of the same process."""
    process = host.truth.process(pid)
    if process is not None and process.pid == pid:
        return process
    # Thread ids mostly follow the leader's; their folders answer although no listing has them.
    for number in range(pid + 1, pid + 65):
        status = host.procfs.try_read_once(f"{number}/status", 4096) or b""
        if b"\nTgid:\t%d\n" % pid in status:
            return host.procfs.process(number)
    return None


def _denied(host: Host, pid: int) -> str:
    """Which lookups of an unlisted pid are denied as well."""
    if host.truth.process(pid):
        return "getdents"
    hand = hold(pid)
    if hand is None:
        return "pid_lookup"
    hand.close()
    return "proc_lookup"


def _evidence(suspect: Suspect, how: str, process: Optional[Process]) -> str:
    pid = suspect.pid
    parts = [f"pid {pid} is alive and seen by {', '.join(sorted(suspect.seen))}"]
    if suspect.overmount is not None:
        where = "" if suspect.overmount.is_ours else f" in the mount namespace of pid {suspect.overmount.seen_by}"
        parts.append(f"{suspect.overmount.source} is mounted over /proc/{pid}{suspect.overmount.below}{where}")
    if suspect.decoy_pid is not None:
        parts.append(f"/proc/{pid} shows pid {suspect.decoy_pid}")
    if how == "libc_readdir":
        parts.append("readdir(3) leaves it out though getdents64(2) lists it: look at /etc/ld.so.preload and LD_PRELOAD")
    if how in ("getdents", "proc_lookup", "pid_lookup"):
        parts.append("the kernel's own listing of /proc lacks it: suspect a kernel module")
    if process is None:
        parts.append("its details cannot be read here")
    return "; ".join(parts)


@table(
    "hidden_processes",
    HiddenProcess,
    needs_live=True,
    remembers=True,
    scan_early=True,
    description="Processes hidden from ps and osquery: covered by mounts, filtered from the listing, or posing as another.",
    sop_steps=(11,),
    examples=["SELECT pid, how_hidden, process_name, exe_path, cmdline, cgroup_path, evidence FROM hidden_processes"],
    cache_seconds=2.0,
)
@names_containers
def hidden_processes(host: Host, query: QueryContext) -> Iterator[HiddenProcess]:
    """One row per process on which independent views of the kernel differ, confirmed by two further looks.

    Every call compares: mounts over /proc and /proc/PID in every mount namespace (/proc/PID/mountinfo), the pid inside
    each /proc/PID/stat, readdir(3) with getdents64(2), the listing with that of a private procfs (fsmount(2)), with
    cgroup.procs, and with the pids that parents, process groups and sessions name. When the kernel's own count of
    processes or threads is higher than the listing, and once a day, every pid is asked for with pidfd_open(2) and
    sched_getscheduler(2), and the scheduler's own report is read; while CPUs are busy for nobody that is listed, they are
    asked what they run (perf_event_open(2)). A pid counts as alive while one view that shares no code with the others
    answers for it in every look, whichever a kernel module denies.
    What a hidden process is, is read from the private procfs, over which nothing can be mounted.

    Cannot see: a process that a kernel module hides from all of these calls and lists; with hidepid and without root, other
    users' processes.
    """
    search = Search(host, query)
    found: list[int] = []
    for suspect in search.found():
        found.append(suspect.pid)
        yield _row(host, suspect)
    host.unlisted.found(found)


def _row(host: Host, suspect: Suspect) -> HiddenProcess:
    pid = suspect.pid
    process = _describe(host, pid)
    how = suspect.how or _denied(host, pid)
    return HiddenProcess(
        pid=pid,
        how_hidden=how,
        how_seen=",".join(sorted(suspect.seen)),
        process_name=process.name if process else suspect.name,
        cmdline=process.cmdline if process else None,
        exe_path=process.exe_path if process else None,
        exe_sha256=process.exe_sha256() if process else None,
        cwd=process.cwd if process else None,
        parent=process.stat.ppid if process else None,
        parent_name=process.parent_name if process else None,
        owner_uid=process.uid if process else None,
        start_time=process.start_time if process else None,
        cgroup_path=process.cgroup_path if process else suspect.cgroup_path,
        container_id=process.container_id if process else container_id(suspect.cgroup_path),
        mount_source=suspect.overmount.source if suspect.overmount else None,
        decoy_pid=suspect.decoy_pid,
        confirmations=suspect.confirmations,
        evidence=_evidence(suspect, how, process),
    )
