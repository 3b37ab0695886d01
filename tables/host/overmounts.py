"""Mounts that cover /proc or a process's folder in it, in every mount namespace on the host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, Optional

from tables.host.mounts import Mount, parse_mountinfo
from tables.host.procfs import Procfs

_PROC_PID = re.compile(r"/proc/([0-9]+)(/.*)?")
_LIMIT = 8 << 20


class Overmount(NamedTuple):
    """A mount over /proc/PID, or over a file below it: `pid` is in our namespace, `seen_by` a process that has it mounted."""

    pid: int
    mount: Mount
    below: str
    is_ours: bool
    seen_by: int

    @property
    def source(self) -> str:
        """What is mounted there, as a reader wants it: a decoy's /proc path, a device with its folder, or a type."""
        if self.mount.fs_type == "proc":
            return "/proc" + self.mount.root if self.mount.root != "/" else "proc"
        if self.mount.root == "/":
            return f"{self.mount.fs_type} {self.mount.source}"
        return f"{self.mount.source}:{self.mount.root}"


class ProcMounts(NamedTuple):
    """What is mounted on and below /proc: `stack` are the mounts at /proc itself in our namespace, bottom first."""

    stack: tuple[Mount, ...]
    overmounts: tuple[Overmount, ...]
    covered_files: frozenset[str]

    @property
    def hidepid(self) -> str:
        """The hidepid option in force ("" when processes are shown to everyone; proc(5))."""
        found = re.search(r"(?:^|,)hidepid=([^,]+)", self.stack[-1].super_options if self.stack else "")
        return "" if not found or found[1] in ("0", "off") else found[1]


def _proc_lines(data: bytes) -> list[Mount]:
    return list(parse_mountinfo(b"\n".join(line for line in data.split(b"\n") if b" /proc" in line)))


def find_proc_mounts(truth: Procfs, pids: list[int]) -> ProcMounts:
    """Read the mounts of our own mount namespace, of pid 1's, and of each other one that a process in `pids` is in."""
    own = _proc_lines(truth.read("self/mountinfo", _LIMIT))
    stack = tuple(mount for mount in own if mount.mount_point == "/proc")
    covered = frozenset(mount.mount_point for mount in own if mount.mount_point.startswith("/proc/"))
    found = list(_overmounts(truth, own, own, True, truth_pid(truth), pids))
    seen = {truth.try_readlink("self/ns/mnt"), None}
    for pid in dict.fromkeys([1, *pids]):
        namespace = truth.try_readlink(f"{pid}/ns/mnt")
        if namespace in seen:
            continue
        seen.add(namespace)
        mounts = _proc_lines(truth.try_read(f"{pid}/mountinfo", _LIMIT) or b"")
        found += _overmounts(truth, mounts, own, False, pid, pids)
    return ProcMounts(stack, tuple(found), covered)


def truth_pid(procfs: Procfs) -> int:
    """Our own pid as this procfs numbers it."""
    return int(procfs.try_readlink("self") or 0)


def _overmounts(
    truth: Procfs, mounts: list[Mount], own: list[Mount], is_ours: bool, seen_by: int, pids: list[int]
) -> Iterator[Overmount]:
    for mount in mounts:
        match = _PROC_PID.fullmatch(mount.mount_point)
        if not match or (not is_ours and mount in own):
            continue
        pid: Optional[int] = int(match[1])
        if not is_ours and truth.try_readlink(f"{seen_by}/ns/pid") != truth.try_readlink("self/ns/pid"):
            pid = _translate(truth, int(match[1]), seen_by, pids)
        if pid is not None:
            yield Overmount(pid, mount, match[2] or "", is_ours, seen_by)


def _translate(truth: Procfs, number: int, member: int, pids: list[int]) -> Optional[int]:
    """Our pid of the process that is `number` in the pid namespace of `member` (the NSpid line of /proc/PID/status)."""
    namespace = truth.try_readlink(f"{member}/ns/pid")
    for pid in pids:
        if truth.try_readlink(f"{pid}/ns/pid") == namespace:
            _, _, rest = (truth.try_read(f"{pid}/status", 8192) or b"").partition(b"\nNSpid:")
            if rest.split(b"\n", 1)[0].split()[-1:] == [b"%d" % number]:
                return pid
    return None
