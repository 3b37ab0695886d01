"""Mounts that cover /proc or a process's folder in it, in every mount namespace on the host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, Optional

from tables.host.disk.mounts import Mount, parse_mountinfo
from tables.host.processes.procfs import Procfs

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
    found = [
        Overmount(int(match[1]), mount, match[2] or "", True, own_pid(truth))
        for mount in own
        if (match := _PROC_PID.fullmatch(mount.mount_point))
    ]
    members: dict[str, list[int]] = {}
    for pid in dict.fromkeys([1, *pids]):
        namespace = truth.namespace(pid, "mnt")
        if namespace is not None:
            members.setdefault(namespace, []).append(pid)
    members.pop(truth.namespace("self", "mnt") or "", None)
    for inside in members.values():
        mounts = _proc_lines(truth.mountinfo(inside[0]))
        found += _foreign_overmounts(truth, [mount for mount in mounts if mount not in own], inside, pids)
    return ProcMounts(stack, tuple(found), covered)


def own_pid(procfs: Procfs) -> int:
    """Our own pid as this procfs numbers it; 0 when it does not, as where something else lies at /proc/self."""
    link = procfs.try_readlink("self") or ""
    return int(link) if link.isascii() and link.isdigit() else 0


def _foreign_overmounts(truth: Procfs, mounts: list[Mount], members: list[int], pids: list[int]) -> Iterator[Overmount]:
    """The overmounts among `mounts`, those of the mount namespace that the processes `members` are in."""
    for mount in mounts:
        match = _PROC_PID.fullmatch(mount.mount_point)
        if not match:
            continue
        pid: Optional[int] = int(match[1])
        # A procfs knows its reader by number only if it is of the reader's pid namespace.
        if truth.try_readlink(f"{members[0]}/root/proc/self") != str(own_pid(truth)):
            pid = _translate(truth, int(match[1]), members, pids)
        if pid is not None:
            yield Overmount(pid, mount, match[2] or "", False, members[0])


def _translate(truth: Procfs, number: int, members: list[int], pids: list[int]) -> Optional[int]:
    """Our pid of the process that is `number` in the pid namespace of `members` (the NSpid line of /proc/PID/status)."""
    namespaces = {truth.namespace(pid, "pid") for pid in members} - {truth.namespace("self", "pid"), None}
    for pid in pids:
        if truth.namespace(pid, "pid") in namespaces:
            _, _, rest = (truth.try_read_once(f"{pid}/status", 8192) or b"").partition(b"\nNSpid:")
            if rest.split(b"\n", 1)[0].split()[-1:] == [b"%d" % number]:
                return pid
    return None
