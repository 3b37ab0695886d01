"""What each cgroup says of its tasks and of the CPU time they used, against the members that /proc lists (cgroups(7)).

pids.current counts tasks, and cpu.stat (cpuacct.usage in version 1) time, of the cgroup and all below it, whatever hides a task
from a listing; neither depends on clock ticks.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Optional

from tables.host import Host
from tables.host.disk.mounts import parse_mountinfo
from tables.host.processes.census import Census
from tables.host.processes.procfs import CLOCK_TICKS
from tables.host.processes.task_lists import cgroup_members

_SHORTEST_WINDOW = 0.5


@dataclass(frozen=True)
class CgroupUse:
    """The CPU time of a cgroup at one moment: all of it in seconds, and what its listed members hold in clock ticks."""

    monotonic: float
    used_seconds: float
    seen_ticks: int
    members: frozenset[int]


@dataclass(frozen=True)
class CgroupCount:
    """One cgroup and those below it. Numbers that the kernel does not give here are None."""

    path: str
    processes: int
    processes_listed: int
    tasks: Optional[int]
    threads_listed: int
    is_quiet: bool
    window_seconds: Optional[float] = None
    used_cores: Optional[float] = None
    seen_cores: Optional[float] = None

    @property
    def disagrees(self) -> bool:
        """Whether it counts more tasks, or names more processes, than are listed, while nothing began or ended."""
        return self.is_quiet and (self.tasks_hidden > 0 or self.processes > self.processes_listed)

    @property
    def tasks_hidden(self) -> int:
        """Tasks that the cgroup counts and no listed member has; only a quiet count says anything."""
        return 0 if self.tasks is None else self.tasks - self.threads_listed

    @property
    def residual_cores(self) -> Optional[float]:
        """Cores kept busy by nobody listed."""
        return None if self.used_cores is None or self.seen_cores is None else self.used_cores - self.seen_cores


class CgroupCensus:
    """Counts the cgroups of a host; remembers what they had used at the last count."""

    def __init__(self) -> None:
        self._last: dict[str, CgroupUse] = {}

    def count(self, host: Host, census: Census) -> list[CgroupCount]:
        """Every cgroup that has tasks, and those around it, with the members that `census` lists."""
        tasks, times = _controllers(host)
        before: dict[str, Optional[int]] = {}
        members: dict[str, set[int]] = defaultdict(set)
        for _, path, own in cgroup_members(host.truth):
            for around in _around(path) if own else ():
                members[around].update(own)
        for path in members:
            before[path] = _number(tasks, path, "pids.current")
        counts = []
        uses: dict[str, CgroupUse] = {}
        for path, pids in members.items():
            stats = [census.stats[pid] for pid in pids & census.stats.keys()]
            used = _used_seconds(times, path)
            if used is not None:
                uses[path] = CgroupUse(time.monotonic(), used, sum(stat.cpu_ticks for stat in stats), frozenset(pids))
            after = _number(tasks, path, "pids.current")
            counts.append(
                CgroupCount(
                    path,
                    len(pids),
                    len(pids & census.listed),
                    after,
                    sum(stat.num_threads for stat in stats),
                    # Members that have ended since they were listed have no status.
                    after == before[path] and len(stats) == len(pids & census.listed),
                    *self._window(uses.get(path), self._last.get(path)),
                )
            )
        self._last = {path: self._kept(path, use) for path, use in uses.items()}
        return counts

    @property
    def has_window(self) -> bool:
        """Whether there was a count before, so that the next one tells the CPU time used since."""
        return bool(self._last)

    def _kept(self, path: str, now: CgroupUse) -> CgroupUse:
        # Two counts in quick succession make no window.
        last = self._last.get(path)
        return now if last is None or now.monotonic - last.monotonic >= _SHORTEST_WINDOW else last

    @staticmethod
    def _window(now: Optional[CgroupUse], last: Optional[CgroupUse]) -> tuple[Optional[float], ...]:
        """(seconds, cores used, cores seen) since the last count; None while members came and went: their time is lost."""
        if now is None or last is None or now.members != last.members:
            return (None, None, None)
        seconds = now.monotonic - last.monotonic
        if seconds < _SHORTEST_WINDOW:
            return (None, None, None)
        used, seen = now.used_seconds - last.used_seconds, (now.seen_ticks - last.seen_ticks) / CLOCK_TICKS
        return (seconds, used / seconds, seen / seconds)


def _around(path: str) -> list[str]:
    """The cgroup and those around it, the root apart, which counts nothing."""
    parts = path.strip("/").split("/")
    return ["/" + "/".join(parts[:number]) for number in range(1, len(parts) + 1)] if path != "/" else []


def _controllers(host: Host) -> tuple[str, str]:
    """Folders of the hierarchies that count tasks and CPU time: the unified one, or those of version 1."""
    data = host.truth.try_read("self/mountinfo", 8 << 20) or b""
    found: dict[str, str] = {}
    for mount in parse_mountinfo(data):
        if mount.fs_type == "cgroup2":
            found.setdefault("unified", mount.mount_point)
        elif mount.fs_type == "cgroup":
            for name in mount.super_options.split(","):
                found.setdefault(name, mount.mount_point)
    unified = found.get("unified", "")
    return found.get("pids", unified), found.get("cpuacct", unified)


def _read(folder: str, path: str, name: str) -> Optional[bytes]:
    try:
        fd = os.open(f"{folder}{path}/{name}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return os.read(fd, 4096)
    except OSError:
        return None
    finally:
        os.close(fd)


def _number(folder: str, path: str, name: str) -> Optional[int]:
    data = (_read(folder, path, name) or b"").strip()
    return int(data) if data.isdigit() else None


def _used_seconds(folder: str, path: str) -> Optional[float]:
    nanoseconds = _number(folder, path, "cpuacct.usage")
    if nanoseconds is not None:
        return nanoseconds / 1e9
    microseconds = cpu_stat(_read(folder, path, "cpu.stat") or b"").get(b"usage_usec")
    return None if microseconds is None else microseconds / 1e6


def cpu_stat(data: bytes) -> Mapping[bytes, int]:
    """The numbers of a cpu.stat file by their names."""
    fields = (line.split() for line in data.splitlines())
    return {field[0]: int(field[1]) for field in fields if len(field) == 2 and field[1].isdigit()}
