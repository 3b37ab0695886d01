"""Pids on which independent views of the kernel differ: found by many, confirmed by what still answers for them."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Optional

from tables.host import Host
from tables.host.processes.census import Census, cpu_windows, take_census
from tables.host.processes.cpu_sampling import sample_cpus
from tables.host.processes.forked_sweep import forked_sweep
from tables.host.processes.overmounts import Overmount
from tables.host.processes.pid_views import answering
from tables.host.processes.pidspace import Held, SweepProgress, Swept, hold, last_pid_if_never_wrapped, sweep
from tables.host.processes.procfs import Procfs
from tables.host.processes.task_lists import cgroup_pids, scheduler_tasks
from tables.schema import QueryContext

_ROUNDS = 2
_ROUND_SECONDS = 0.25
_SWEEP_SECONDS = 6.0
_SWEEP_PAUSE = 0.005
_SWEEP_EVERY = 24 * 3600.0
# So many cores busy for nobody listed are worth asking the CPUs, and so large a part of their time names a suspect.
_RESIDUAL_CORES = 0.25
_SAMPLED_SHARE = 0.05
# Views that show that a pid is alive; the others only name it.
_LISTS = frozenset({"cgroup", "private_procfs", "cpu_samples", "sched_debug"})


@dataclass
class Suspect:
    """A pid on which two views differ: `seen` are the views that show it, `how` what hides it where that is known already."""

    pid: int
    seen: set[str] = field(default_factory=set)
    how: Optional[str] = None
    overmount: Optional[Overmount] = None
    decoy_pid: Optional[int] = None
    cgroup_path: str = ""
    name: str = ""
    confirmations: int = 0


class Search:
    """One search of the host; what could not be compared is said to the query."""

    def __init__(self, host: Host, query: QueryContext) -> None:
        self.host = host
        self.query = query

    def found(self) -> Iterator[Suspect]:
        """Those that stay hidden, and alive, over two further looks."""
        census = take_census(self.host)
        self.query.could_not_see(*census.degraded)
        suspects = self._sightings(census)
        if not (census.mounts.hidepid and not self.host.is_root):
            for pid, seen, name in self._deep_sightings(census):
                suspect = suspects.setdefault(pid, Suspect(pid))
                suspect.seen.add(seen)
                suspect.name = suspect.name or name
        yield from self._confirmed(suspects)

    def _sightings(self, census: Census) -> dict[int, Suspect]:
        """Every pid on which the views that cost milliseconds differ."""
        host = self.host
        suspects: dict[int, Suspect] = {}

        def note(pid: int, seen: str, how: Optional[str] = None) -> Suspect:
            suspect = suspects.setdefault(pid, Suspect(pid))
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
            for pid in host.truth.listed():
                if pid not in census.listed:
                    note(pid, "private_procfs", "proc_overmount")
        for pid, path in cgroup_pids(host.truth).items():
            if pid not in census.listed:
                note(pid, "cgroup").cgroup_path = path
        named = {number for stat in census.stats.values() for number in (stat.ppid, stat.pgrp, stat.session)}
        if census.disagrees or census.processes_expected is None:
            named |= {child for pid in census.listed for child in _children(host.truth, pid)}
        for pid in named - census.listed - {0}:
            note(pid, "named")
        return suspects

    def _deep_sightings(self, census: Census) -> Iterator[tuple[int, str, str]]:
        """(pid, view, comm if that tells it) of what costs more: asked for when a count disagrees, or a sweep is due."""
        swept = self._swept(census)
        found = [(pid, "pidfd_open", "") for pid in swept.leaders]
        found += [(pid, "sched_getscheduler", "") for pid in swept.others]
        if census.disagrees or swept.leaders or swept.others:
            found += [(pid, "sched_debug", name) for pid, name in scheduler_tasks(self.host.truth).items()]
        found += [(pid, "cpu_samples", "") for pid in self._on_cpus(census)]
        unlisted = {pid for pid, _, _ in found} - census.listed
        if unlisted:
            threads = _threads(self.host.truth, census)
            yield from (one for one in found if one[0] in unlisted and one[0] not in threads)

    def _swept(self, census: Census) -> Swept:
        """What answers when each number is asked for: at once when an oracle disagrees, the whole space at least daily."""
        progress = self.host.state("pid_sweep", SweepProgress)
        seconds = min(_SWEEP_SECONDS, self.query.seconds_left() / 2)
        found = Swept([], [], 0)
        if census.disagrees:
            bound = last_pid_if_never_wrapped(self.host.truth, census.forks)
            if bound is not None:
                found = sweep(1, bound, seconds)
        is_due = progress.is_due(_SWEEP_EVERY)
        if is_due and self.host.settings.is_quick and census.processes_expected is not None and not census.disagrees:
            self.query.cannot_tell("--quick: not every pid was asked for, since the kernel's counts agree with its listing")
        elif is_due or (census.disagrees and not set(found.leaders) - census.listed):
            cores = self.host.settings.side_by_side
            more = progress.advance(
                lambda first, last: (
                    sweep(first, last, seconds, _SWEEP_PAUSE) if cores == 1 else forked_sweep(first, last, seconds, cores)
                )
            )
            found = Swept(found.leaders + more.leaders, found.others + more.others, more.asked)
        return found

    def _on_cpus(self, census: Census) -> list[int]:
        """Unlisted pids that the CPUs are found running, asked only while they are busy for nobody that is listed."""
        windows = cpu_windows(self.host)
        if not (windows and windows[-1].residual_cores >= _RESIDUAL_CORES) or not self.host.is_root:
            return []
        samples: Counter[int] = Counter()
        try:
            samples = sample_cpus(self.host.truth, 2 * _ROUND_SECONDS)
        except OSError as error:
            self.query.could_not_see(f"who keeps the CPUs busy cannot be asked: {error}")
        enough = _SAMPLED_SHARE * 2 * _ROUND_SECONDS * 1000
        return [pid for pid, count in samples.items() if pid not in census.listed and count >= enough]

    def _confirmed(self, suspects: dict[int, Suspect]) -> Iterator[Suspect]:
        """Those that the same views show alive, and the same thing hides, in each of three looks."""
        shown = {pid: answering(pid) | (suspect.seen & _LISTS) for pid, suspect in suspects.items()}
        # What only names a pid, as a session does whose leader has ended, shows nobody alive.
        alive = {pid: views for pid, views in shown.items() if views}
        held: dict[int, Optional[Held]] = {pid: hold(pid) for pid in alive}
        try:
            for look in range(_ROUNDS + 1):
                if not alive:
                    return
                sampled = self._pause(_ROUND_SECONDS if look else 0, alive.values())
                census = take_census(self.host)
                again = self._sightings(census)
                for pid in list(alive):
                    suspect, fresh, hand = suspects[pid], again.get(pid), held[pid]
                    # What the scheduler named once is asked by the calls from here on.
                    views = answering(pid) | (fresh.seen & _LISTS if fresh else set()) | sampled.get(pid, frozenset())
                    alive[pid] &= views
                    hidden = (fresh is not None and fresh.how == suspect.how) if suspect.how else pid not in census.listed
                    if not hidden or not alive[pid] or (hand is not None and not hand.is_alive):
                        del alive[pid]
                    elif fresh is not None:
                        suspect.seen |= fresh.seen
                        suspect.cgroup_path = suspect.cgroup_path or fresh.cgroup_path
            late = _threads(self.host.truth, census) if any(suspects[pid].how is None for pid in alive) else frozenset()
            for pid in alive.keys() - late:
                suspects[pid].seen |= alive[pid]
                suspects[pid].confirmations = _ROUNDS + 1
                yield suspects[pid]
        finally:
            for hand in held.values():
                if hand is not None:
                    hand.close()

    def _pause(self, seconds: float, alive: Iterable[frozenset[str]]) -> dict[int, frozenset[str]]:
        """Wait; where a suspect was met on a CPU, by looking at the CPUs meanwhile. Who was met on one, as a view."""
        if any("cpu_samples" in views for views in alive):
            with suppress(OSError):
                counted = sample_cpus(self.host.truth, max(seconds, _ROUND_SECONDS))
                return {pid: frozenset({"cpu_samples"}) for pid in counted}
        # The first look follows at once: it drops what merely started or ended meanwhile.
        time.sleep(seconds)
        return {}


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


def _threads(procfs: Procfs, census: Census) -> frozenset[int]:
    """Ids of all threads, but the first, of the processes of a census."""
    found: set[int] = set()
    for pid, stat in census.stats.items():
        if stat.num_threads > 1:
            with suppress(OSError):
                found.update(procfs.thread_ids(pid))
    return frozenset(found) - census.listed
