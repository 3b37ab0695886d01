"""How many processes and threads the kernel says there are and how much CPU it says was used, against what is listed.

Sources: the link count of procfs's root gives the number of processes (proc_links.py); the fourth field of /proc/loadavg
counts all threads; the CPU time of every dead process goes to the parent that waited for it, so over any interval the time in
/proc/stat equals the growth of what the listed processes hold.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import closing
from dataclasses import dataclass
from typing import Optional

from tables.host import Host
from tables.host.processes import proc_links
from tables.host.processes.overmounts import ProcMounts, find_proc_mounts
from tables.host.processes.procfs import CLOCK_TICKS, Procfs, ProcStat

_ATTEMPTS = 5
_COUNTS = frozenset({"/proc/stat", "/proc/loadavg"})
_WINDOWS = 3
_SHORTEST_WINDOW = 0.5


@dataclass(frozen=True)
class CpuSample:
    """CPU ticks at one moment: used by all, and held by the listed processes with their reaped children."""

    monotonic: float
    boottime: float
    busy_ticks: int
    seen_ticks: int
    forks: int


@dataclass(frozen=True)
class CpuWindow:
    """What happened between two samples; all but `seconds` and `forks_per_second` in cores."""

    seconds: float
    busy_cores: float
    seen_cores: float
    forks_per_second: float

    @property
    def residual_cores(self) -> float:
        """Cores kept busy by nobody listed."""
        return self.busy_cores - self.seen_cores


@dataclass(frozen=True)
class Census:
    """One count of the host. Numbers the kernel does not give here (child pid namespace, lxcfs, hidepid) are None."""

    listed: frozenset[int]
    stats: dict[int, ProcStat]
    mounts: ProcMounts
    processes_expected: Optional[int]
    threads_expected: Optional[int]
    threads_seen: Optional[int]
    quiet: bool
    forks: int
    degraded: tuple[str, ...]
    is_initial_pid_namespace: bool

    @property
    def processes_hidden(self) -> Optional[int]:
        """Processes that the kernel counts and the listing lacks; only a quiet count says anything."""
        return None if self.processes_expected is None else self.processes_expected - len(self.listed)

    @property
    def threads_hidden(self) -> Optional[int]:
        """Threads that the kernel counts and no listed process has."""
        if self.threads_expected is None or self.threads_seen is None:
            return None
        return self.threads_expected - self.threads_seen

    @property
    def disagrees(self) -> bool:
        """Whether an oracle counted more than is listed while nothing was starting or ending."""
        return self.quiet and ((self.processes_hidden or 0) > 0 or (self.threads_hidden or 0) > 0)


def _cpu_line(data: bytes) -> tuple[int, int]:
    """(user + nice + system ticks, forks since boot) from /proc/stat; guest time is already inside user."""
    _, user, nice, system = data.split(None, 4)[:4]
    _, _, rest = data.partition(b"\nprocesses ")
    return int(user) + int(nice) + int(system), int(rest.split(None, 1)[0])


def _listing(procfs: Procfs) -> tuple[frozenset[int], proc_links.Entries]:
    """(listed pids, number of other entries) by raw getdents64."""
    entries = dict(procfs.entries())
    return frozenset(int(name) for name in entries if name.isdigit()), proc_links.count(entries)


def _read_stats(procfs: Procfs, pids: frozenset[int]) -> dict[int, ProcStat]:
    found = {}
    for pid in sorted(pids):
        process = procfs.process(pid)
        if process is not None:
            found[pid] = process.stat
    return found


def take_census(host: Host) -> Census:
    """Count everything once, up to five times over until nothing started or ended in between ("quiet").

    Also keeps a CPU sample for `cpu_windows`. Raises OSError when /proc cannot be read at all.
    """
    # Opened anew each time: a folder opened earlier would not show what has been mounted over /proc since.
    with closing(Procfs.open(host.proc_path)) as public:
        return _count(host, public)


def _count(host: Host, public: Procfs) -> Census:
    truth = host.truth
    for _ in range(_ATTEMPTS):
        busy, forks = _cpu_line(truth.read("stat"))
        links = truth.stat(".").st_nlink
        listed, root = _listing(public)
        if host.has_truth:
            # Something mounted over /proc has other entries than procfs itself.
            root = _listing(truth)[1]
        counted = truth.stat(".").st_nlink == links and _cpu_line(truth.read("stat"))[1] == forks
        if counted:
            break
    sampled, boottime = time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME)
    threads_before = _thread_count(truth)
    stats = _read_stats(public, listed)
    forks_after = _cpu_line(truth.read("stat"))[1]
    threads_quiet = forks_after == forks and _thread_count(truth) == threads_before and len(stats) == len(listed)
    initial = truth.is_initial_pid_namespace
    mounts = find_proc_mounts(truth, sorted(listed))
    # A private procfs shows the kernel's own numbers whatever is mounted over them.
    faked: frozenset[str] = frozenset() if host.has_truth else _COUNTS & mounts.covered_files
    files_count = host.state("proc links: convention", lambda: proc_links.convention(truth))
    degraded = _degradations(host, mounts, initial, faked, files_count)
    usable = initial and not (mounts.hidepid and not host.is_root)
    census = Census(
        listed,
        stats,
        mounts,
        proc_links.processes(links, root, files_count) if usable and files_count is not None else None,
        threads_before if usable and threads_quiet and "/proc/loadavg" not in faked else None,
        sum(stat.num_threads for stat in stats.values()) if threads_quiet else None,
        counted,
        forks,
        degraded,
        initial,
    )
    if usable and "/proc/stat" not in faked:
        seen = sum(stat.cpu_ticks for stat in stats.values())
        _remember(host, CpuSample(sampled, boottime, busy, seen, forks))
    return census


def _thread_count(procfs: Procfs) -> int:
    return int(procfs.read("loadavg", 128).split()[3].partition(b"/")[2])


def _degradations(
    host: Host, mounts: ProcMounts, initial: bool, faked: frozenset[str], files_count: Optional[bool]
) -> tuple[str, ...]:
    reasons = []
    if not host.is_root:
        reasons.append("not root: other mount namespaces and what lies behind mounts cannot be read")
    elif not host.has_truth:
        reasons.append("no private procfs (needs CAP_SYS_ADMIN and Linux 5.2): hidden processes are found but not described")
    if not initial:
        reasons.append("not in the initial pid namespace: the kernel's counts cover the whole host and cannot be compared")
    elif files_count is None:
        reasons.append("how this kernel counts the links of /proc is not known: its number of processes is not compared")
    if mounts.hidepid and not host.is_root:
        reasons.append(f"/proc is mounted with hidepid={mounts.hidepid}: other users' processes are invisible")
    if faked:
        reasons.append(f"{' and '.join(sorted(faked))} covered by a mount (lxcfs?): not compared")
    return tuple(reasons)


def _samples(host: Host) -> deque[CpuSample]:
    return host.state("cpu_samples", lambda: deque[CpuSample](maxlen=_WINDOWS + 1))


def _remember(host: Host, sample: CpuSample) -> None:
    samples = _samples(host)
    if samples:
        passed = sample.monotonic - samples[-1].monotonic
        # Two counts in quick succession make no window; a suspended machine makes a false one.
        if passed < _SHORTEST_WINDOW:
            return
        if abs(sample.boottime - samples[-1].boottime - passed) > 1.0:
            samples.clear()
    samples.append(sample)


def cpu_windows(host: Host) -> list[CpuWindow]:
    """The last (at most three) windows between samples, oldest first; [] before the second sample."""
    samples = list(_samples(host))
    windows = []
    for before, after in zip(samples, samples[1:]):
        seconds = after.monotonic - before.monotonic
        per_core = CLOCK_TICKS * seconds
        windows.append(
            CpuWindow(
                seconds,
                (after.busy_ticks - before.busy_ticks) / per_core,
                (after.seen_ticks - before.seen_ticks) / per_core,
                (after.forks - before.forks) / seconds,
            )
        )
    return windows


def wait_for_windows(host: Host) -> None:
    """Take further censuses, half a second apart, until there are three windows; for the first call after start."""
    while len(_samples(host)) <= _WINDOWS:
        before = len(_samples(host))
        time.sleep(_SHORTEST_WINDOW + 0.05)
        take_census(host)
        if len(_samples(host)) == before:
            return
