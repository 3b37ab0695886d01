"""Processes that exist and are not shown, or are shown as something else."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Optional

from tables.host import Host
from tables.host.census import Census, take_census
from tables.host.files import sha256_fd
from tables.host.overmounts import Overmount
from tables.host.pidspace import Held, SweepProgress, cgroup_pids, has_pidfd, hold, last_pid_if_never_wrapped, sweep
from tables.host.procfs import Process, Procfs
from tables.schema import BIGINT, TEXT, QueryContext, Row, column, table

_ROUNDS = 2
_ROUND_SECONDS = 0.25
_SWEEP_SECONDS = 6.0
_SWEEP_PAUSE = 0.005
_SWEEP_EVERY = 24 * 3600.0


@dataclass(frozen=True)
class HiddenProcess(Row):
    """A process that one view of the kernel shows and another does not."""

    pid: int = column(BIGINT, "process id", index=True)
    how_hidden: str = column(
        TEXT,
        "overmount (something mounted over /proc/PID), overmount_decoy (another process's folder mounted there), "
        "overmount_file (over a file below it), overmount_elsewhere (in another mount namespace), proc_overmount (over /proc), "
        "libc_readdir (a library filters the listing), getdents (the kernel's listing lacks it), proc_lookup (/proc/PID cannot "
        "be opened either)",
    )
    how_seen: str = column(
        TEXT, "views that show it, comma-separated: cgroup, getdents, mountinfo, named, pidfd, private_procfs, status_pid"
    )
    process_name: Optional[str] = column(TEXT, "its comm, read behind the cover")
    cmdline: Optional[str] = column(TEXT, "its command line")
    exe_path: Optional[str] = column(TEXT, "its executable")
    exe_sha256: Optional[str] = column(TEXT, "SHA-256 of the running executable, deleted or not (up to 256 MiB)")
    cwd: Optional[str] = column(TEXT, "its working folder")
    parent: Optional[int] = column(BIGINT, "pid of its parent")
    parent_name: Optional[str] = column(TEXT, "comm of its parent")
    owner_uid: Optional[int] = column(BIGINT, "its real user id")
    start_time: Optional[int] = column(BIGINT, "its start in unix seconds")
    cgroup_path: Optional[str] = column(TEXT, "its cgroup, which names the unit or container that started it")
    container_id: Optional[str] = column(TEXT, "id of the container it runs in")
    mount_source: Optional[str] = column(TEXT, "what is mounted over its folder")
    decoy_pid: Optional[int] = column(BIGINT, "pid of the process whose data is shown in its place")
    confirmations: int = column(BIGINT, "times it was found hidden in this scan, a quarter of a second apart")
    evidence: str = column(TEXT, "what was compared, in words")


@dataclass
class _Suspect:
    """A pid on which two views differ."""

    pid: int
    seen: set[str] = field(default_factory=set)
    how: Optional[str] = None
    overmount: Optional[Overmount] = None
    decoy_pid: Optional[int] = None


def _sightings(host: Host, census: Census) -> dict[int, _Suspect]:
    """Every pid on which the views that cost milliseconds differ."""
    suspects: dict[int, _Suspect] = {}

    def note(pid: int, seen: str, how: Optional[str] = None) -> _Suspect:
        suspect = suspects.setdefault(pid, _Suspect(pid))
        suspect.seen.add(seen)
        suspect.how = suspect.how or how
        return suspect

    for overmount in census.mounts.overmounts:
        suspect = note(overmount.pid, "mountinfo", _overmount_kind(overmount))
        suspect.overmount = suspect.overmount or overmount
    for pid, stat in census.stats.items():
        if stat.pid != pid:
            note(pid, "status_pid", "overmount_decoy").decoy_pid = stat.pid
    for pid in census.listed - census.stats.keys():
        if host.has_truth and host.truth.process(pid) is not None:
            note(pid, "private_procfs", "overmount")
    for pid in census.listed - _libc_pids(host):
        note(pid, "getdents", "libc_readdir")
    if census.mounts.hidepid and not host.is_root:
        return suspects
    if host.has_truth:
        for pid in host.truth.pids():
            if pid not in census.listed:
                note(pid, "private_procfs", "proc_overmount")
    for pid in set(cgroup_pids(host.truth)) - census.listed:
        note(pid, "cgroup")
    named = {number for stat in census.stats.values() for number in (stat.ppid, stat.pgrp, stat.session)}
    if census.disagrees or census.processes_expected is None:
        named |= {child for pid in census.listed for child in _children(host.truth, pid)}
    for pid in named - census.listed - {0}:
        note(pid, "named")
    return suspects


def _overmount_kind(overmount: Overmount) -> str:
    if not overmount.is_ours:
        return "overmount_elsewhere"
    if overmount.below:
        return "overmount_file"
    return "overmount_decoy" if overmount.mount.fs_type == "proc" and overmount.mount.root != "/" else "overmount"


def _libc_pids(host: Host) -> set[int]:
    """The pids that a program sees which lists /proc with readdir(3), as ps does."""
    return {int(name) for name in os.listdir(host.proc_path) if name.isdigit()}


def _children(procfs: Procfs, pid: int) -> list[int]:
    """Children of the main thread, from a list that the kernel keeps apart from the pid listing."""
    return [int(child) for child in (procfs.try_read(f"{pid}/task/{pid}/children") or b"").split()]


def _swept(host: Host, census: Census, query: QueryContext) -> list[int]:
    """Pids found by asking for each number: at once when an oracle disagrees, over the whole space at least daily."""
    if not has_pidfd():
        return []
    progress = host.state("pid_sweep", SweepProgress)
    seconds = min(_SWEEP_SECONDS, query.seconds_left() / 2)
    found: list[int] = []
    if census.disagrees:
        bound = last_pid_if_never_wrapped(host.truth, census.forks)
        if bound is not None:
            found, _ = sweep(1, bound, seconds)
    if progress.is_due(_SWEEP_EVERY) or (census.disagrees and not set(found) - census.listed):
        found += progress.advance(seconds, _SWEEP_PAUSE)
    return found


def _confirm(host: Host, suspects: dict[int, _Suspect]) -> Iterator[tuple[_Suspect, int]]:
    """Yield (suspect, confirmations) for those that stay hidden, and alive, over two further looks."""
    held: dict[int, Held] = {pid: hand for pid in suspects if (hand := hold(pid)) is not None}
    try:
        for look in range(_ROUNDS + 1):
            if not held:
                return
            # The first look follows at once: it drops what merely started or ended meanwhile.
            time.sleep(_ROUND_SECONDS if look else 0)
            census = take_census(host)
            again = _sightings(host, census)
            for pid in list(held):
                suspect = suspects[pid]
                fresh = again.get(pid)
                hidden = (fresh is not None and fresh.how == suspect.how) if suspect.how else pid not in census.listed
                if not hidden or not held[pid].is_alive:
                    held.pop(pid).close()
                elif fresh is not None:
                    suspect.seen |= fresh.seen
        for pid in held:
            suspects[pid].seen.add("pidfd")
            yield suspects[pid], _ROUNDS + 1
    finally:
        for hand in held.values():
            hand.close()


def _describe(host: Host, pid: int) -> Optional[Process]:
    """The process itself, read where no mount reaches, else through another thread's folder of the same process."""
    process = host.truth.process(pid)
    if process is not None and process.pid == pid:
        return process
    # Thread ids mostly follow the leader's; their folders answer although no listing has them.
    for number in range(pid + 1, pid + 65):
        status = host.procfs.try_read(f"{number}/status", 4096) or b""
        if b"\nTgid:\t%d\n" % pid in status:
            return host.procfs.process(number)
    return None


def _exe_sha256(process: Process) -> Optional[str]:
    try:
        fd = os.open(f"{process.pid}/exe", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=process.procfs.fd)
    except OSError:
        return None
    try:
        return sha256_fd(fd)
    except OSError:
        return None
    finally:
        os.close(fd)


def _evidence(suspect: _Suspect, how: str, process: Optional[Process]) -> str:
    pid = suspect.pid
    parts = [f"pid {pid} is alive (pidfd) and seen by {', '.join(sorted(suspect.seen))}"]
    if suspect.overmount is not None:
        where = "" if suspect.overmount.is_ours else f" in the mount namespace of pid {suspect.overmount.seen_by}"
        parts.append(f"{suspect.overmount.source} is mounted over /proc/{pid}{suspect.overmount.below}{where}")
    if suspect.decoy_pid is not None:
        parts.append(f"/proc/{pid} shows pid {suspect.decoy_pid}")
    if how == "libc_readdir":
        parts.append("readdir(3) leaves it out though getdents64(2) lists it: look at /etc/ld.so.preload and LD_PRELOAD")
    if how in ("getdents", "proc_lookup"):
        parts.append("the kernel's own listing of /proc lacks it: suspect a kernel module")
    if process is None:
        parts.append("its details cannot be read here")
    return "; ".join(parts)


@table(
    "hidden_processes",
    HiddenProcess,
    needs_live=True,
    description="Processes hidden from ps and osquery: covered by mounts, filtered from the listing, or posing as another.",
    sop_steps=(11,),
    examples=["SELECT pid, how_hidden, process_name, exe_path, cmdline, cgroup_path, evidence FROM hidden_processes"],
    cache_seconds=2.0,
)
def hidden_processes(host: Host, query: QueryContext) -> Iterator[HiddenProcess]:
    """One row per process on which independent views of the kernel differ, confirmed by two further looks.

    Every call compares: mounts over /proc and /proc/PID in every mount namespace (/proc/PID/mountinfo), the pid inside
    each /proc/PID/stat, readdir(3) with getdents64(2), the listing with that of a private procfs (fsmount(2)), with
    cgroup.procs, and with the pids that parents, process groups and sessions name. When the kernel's own count of
    processes or threads is higher than the listing, and once a day, every pid is asked for with pidfd_open(2).
    What a hidden process is, is read from the private procfs, over which nothing can be mounted.

    Cannot see: a process that a kernel module hides from pidfd_open as well (its CPU time still shows in
    process_census); with hidepid and without root, other users' processes.
    """
    census = take_census(host)
    notes = list(census.degraded)
    if not has_pidfd():
        notes.append("no pidfd_open (Linux 5.3): the pid space is not swept")
    host.status.degrade("hidden_processes", *notes)
    suspects = _sightings(host, census)
    if not (census.mounts.hidepid and not host.is_root):
        for pid in set(_swept(host, census, query)) - census.listed:
            suspects.setdefault(pid, _Suspect(pid)).seen.add("pidfd")
    for suspect, confirmations in _confirm(host, suspects):
        pid = suspect.pid
        process = _describe(host, pid)
        how = suspect.how or ("getdents" if host.procfs.process(pid) else "proc_lookup")
        yield HiddenProcess(
            pid=pid,
            how_hidden=how,
            how_seen=",".join(sorted(suspect.seen)),
            process_name=process.name if process else None,
            cmdline=process.cmdline if process else None,
            exe_path=process.exe_path if process else None,
            exe_sha256=_exe_sha256(process) if process else None,
            cwd=process.cwd if process else None,
            parent=process.stat.ppid if process else None,
            parent_name=process.parent_name if process else None,
            owner_uid=process.uid if process else None,
            start_time=process.start_time if process else None,
            cgroup_path=process.cgroup_path if process else None,
            container_id=process.container_id if process else None,
            mount_source=suspect.overmount.source if suspect.overmount else None,
            decoy_pid=suspect.decoy_pid,
            confirmations=confirmations,
            evidence=_evidence(suspect, how, process),
        )
