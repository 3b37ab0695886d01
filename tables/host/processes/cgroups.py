"""What a process's cgroup says: the systemd unit it belongs to, and how much CPU it may use (cgroups(7))."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

from tables.host.disk.files import Files, Unreadable
from tables.host.disk.mounts import Mount, parse_mountinfo
from tables.host.processes.procfs import Procfs

# Unit types that hold processes, systemd.unit(5); a slice only groups them.
_UNIT_ENDINGS = (".service", ".scope", ".mount", ".swap", ".socket")
_MAX_FOLDERS = 10_000
_MAX_DEPTH = 64
_NO_LIMIT = float("inf")


def systemd_unit(cgroup_path: str) -> Optional[str]:
    """The innermost systemd service, scope, mount, swap or socket that a cgroup path names."""
    return next((part for part in reversed(cgroup_path.split("/")) if part.endswith(_UNIT_ENDINGS)), None)


def cpu_group(data: bytes) -> tuple[bool, str]:
    """(whether version 1 limits its CPU, path of the cgroup that does) from /proc/PID/cgroup; path "" when none does."""
    unified = ""
    for line in data.decode("utf-8", "surrogateescape").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if "cpu" in controllers.split(","):
            return True, path
        if number == "0":
            unified = path
    return False, unified


def cores_of_cpu_max(text: str) -> float:
    """Cores that a cpu.max file allows (`max 100000`, `50000 100000`); infinity when it sets no limit."""
    fields = text.split()
    return _cores(fields[0], fields[1]) if len(fields) == 2 else _NO_LIMIT


def _cores(quota: str, period: str) -> float:
    # Both are 64-bit numbers of microseconds; the quota is -1 or `max` where there is none.
    if not all(number.isdecimal() and len(number) < 20 for number in (quota, period)) or not int(period):
        return _NO_LIMIT
    return int(quota) / int(period)


class CpuQuotas:
    """How many cores a process's cgroup may use, by its own limit and those of the cgroups around it; each is read once."""

    def __init__(self, files: Files, procfs: Procfs) -> None:
        self._files = files
        mounts = list(parse_mountinfo(procfs.try_read("self/mountinfo", 8 << 20) or b""))
        self._v1 = _widest(mount for mount in mounts if mount.fs_type == "cgroup" and "cpu" in mount.super_options.split(","))
        self._v2 = _widest(mount for mount in mounts if mount.fs_type == "cgroup2")
        self._limits: dict[str, float] = {}
        self._cores: dict[bytes, Optional[float]] = {}

    def cores(self, groups: bytes) -> Optional[float]:
        """Cores that all of the cgroup may use together; None when nothing limits it or the limit cannot be read.

        `groups` is what a process's /proc/PID/cgroup holds.
        """
        if groups in self._cores:
            return self._cores[groups]
        cores = self._tightest(groups)
        if len(self._cores) < _MAX_FOLDERS:
            self._cores[groups] = cores
        return cores

    def _tightest(self, groups: bytes) -> Optional[float]:
        is_v1, path = cpu_group(groups)
        mount = self._v1 if is_v1 else self._v2
        # A cgroup outside of the namespace that the mount shows is written with `..`.
        if mount is None or ".." in path.split("/") or not (path + "/").startswith(mount.root.rstrip("/") + "/"):
            return None
        folder = mount.mount_point.rstrip("/")
        limit = self._limit(folder, is_v1)
        for part in path[len(mount.root.rstrip("/")) :].split("/")[:_MAX_DEPTH]:
            if part:
                folder = f"{folder}/{part}"
                limit = min(limit, self._limit(folder, is_v1))
        return None if limit == _NO_LIMIT else limit

    def _limit(self, folder: str, is_v1: bool) -> float:
        limit = self._limits.get(folder)
        if limit is None:
            if is_v1:
                limit = _cores(self._read(f"{folder}/cpu.cfs_quota_us"), self._read(f"{folder}/cpu.cfs_period_us"))
            else:
                limit = cores_of_cpu_max(self._read(f"{folder}/cpu.max"))
            if len(self._limits) < _MAX_FOLDERS:
                self._limits[folder] = limit
        return limit

    def _read(self, path: str) -> str:
        try:
            return self._files.read_text(path, 4096).strip()
        except Unreadable:
            return ""


def _widest(mounts: Iterator[Mount]) -> Optional[Mount]:
    """The mount that shows most of its hierarchy."""
    return min(mounts, key=lambda mount: len(mount.root), default=None)
