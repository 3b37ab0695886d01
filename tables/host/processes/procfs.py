"""procfs(5) as facts: pid listings, one process's identity and description, all relative to an open procfs folder."""

from __future__ import annotations

import os
import re
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Optional, Union

from tables.host import syscalls
from tables.host.disk.files import HASH_LIMIT, read_fd, sha256_fd
from tables.host.disk.mounts import Mount, parse_mountinfo
from tables.host.disk.unmarked import open_unmarked

# include/linux/sched.h; /proc/PID/stat field 9.
PF_KTHREAD = 0x0020_0000
# PROC_PID_INIT_INO in include/linux/proc_ns.h.
_INITIAL_PID_NAMESPACE = 0xEFFFFFFC
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")

_CONTAINER_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
# Under /proc/PID; `self` is the reader.
Pid = Union[int, str]
_MOUNTINFO_LIMIT = 8 << 20
_ENVIRON_LIMIT = 1 << 17
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class ProcStat(NamedTuple):
    """The fields of /proc/PID/stat that minehunt uses, as numbers; times in clock ticks."""

    pid: int
    comm: bytes
    state: str
    ppid: int
    pgrp: int
    session: int
    tty_nr: int
    flags: int
    utime: int
    stime: int
    cutime: int
    cstime: int
    nice: int
    num_threads: int
    start_ticks: int
    vsize: int

    @property
    def cpu_ticks(self) -> int:
        """All CPU time of the process and of the children it has reaped."""
        return self.utime + self.stime + self.cutime + self.cstime


def parse_stat(data: bytes) -> ProcStat:
    """Parse /proc/PID/stat (proc_pid_stat(5)); ValueError when it is none. A comm may hold spaces and brackets."""
    left = data.find(b"(")
    right = data.rfind(b")")
    # A split that stops after the last field used, and no number made of the others: this runs once per process and call.
    f = data[right + 2 :].split(None, 21)
    if left < 1 or right < left or len(f) < 22:
        raise ValueError("no process status line")
    return ProcStat(
        int(data[:left]), data[left + 1 : right], f[0].decode("ascii", "replace"),
        int(f[1]), int(f[2]), int(f[3]), int(f[4]), int(f[6]), int(f[11]), int(f[12]), int(f[13]), int(f[14]),
        int(f[16]), int(f[17]), int(f[19]), int(f[20]),
    )  # fmt: skip


def container_id(cgroup_path: str) -> Optional[str]:
    """The 64-digit id that Docker, containerd, CRI-O and Podman put into the cgroup path, if there is one."""
    found = _CONTAINER_ID.findall(cgroup_path)
    return found[-1] if found else None


def parse_cgroup(data: bytes) -> str:
    """The cgroup path from /proc/PID/cgroup: the unified hierarchy's, else systemd's, else the first (cgroups(7))."""
    paths: dict[str, str] = {}
    for line in data.decode("utf-8", "surrogateescape").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        paths.setdefault("unified" if number == "0" else controllers, path)
    named = [paths[key] for key in ("unified", "name=systemd") if key in paths]
    # On a hybrid host the unified path of an old container is "/" while systemd's names it.
    return next((path for path in named if path != "/"), None) or next(iter(named or paths.values()), "")


@dataclass(frozen=True)
class Process:
    """One process below one procfs; what it says of itself is read when first asked for and None when unreadable."""

    procfs: Procfs
    stat: ProcStat

    @property
    def pid(self) -> int:
        """Process id, in the pid namespace of the procfs."""
        return self.stat.pid

    @property
    def name(self) -> str:
        """The comm, at most 15 bytes, chosen by the process."""
        return os.fsdecode(self.stat.comm)

    @property
    def is_kernel_thread(self) -> bool:
        """Whether the kernel itself marks it as its own thread (PF_KTHREAD), which no process can forge."""
        return bool(self.stat.flags & PF_KTHREAD)

    @property
    def identity(self) -> tuple[int, int]:
        """(pid, start time in ticks since boot): names this process and no later one with the same pid."""
        return self.stat.pid, self.stat.start_ticks

    @cached_property
    def start_time(self) -> int:
        """Start in unix seconds."""
        return self.procfs.boot_time + self.stat.start_ticks // CLOCK_TICKS

    @cached_property
    def argv(self) -> list[str]:
        """Command line, one string an argument, at most 1 MiB in all; [] for kernel threads and zombies."""
        data = self.procfs.try_read(f"{self.pid}/cmdline", 1 << 20)
        if not data:
            return []
        return os.fsdecode(data[:-1] if data.endswith(b"\0") else data).split("\0")

    @property
    def cmdline(self) -> str:
        """Command line, arguments joined by spaces, as osquery's `processes` prints it."""
        return " ".join(self.argv).strip()

    @cached_property
    def exe_link(self) -> Optional[str]:
        """What /proc/PID/exe points to, ` (deleted)` included; None when there is none or it is not ours to read."""
        return self.procfs.try_readlink(f"{self.pid}/exe")

    def exe_sha256(self, limit: int = HASH_LIMIT) -> Optional[str]:
        """Hex SHA-256 of the running file, deleted or not; None above `limit` bytes, and where it cannot be read."""
        try:
            fd = open_unmarked(f"{self.pid}/exe", _FLAGS, self.procfs.fd)
        except OSError:
            return None
        try:
            return sha256_fd(fd, limit)
        except OSError:
            return None
        finally:
            os.close(fd)

    @property
    def exe_path(self) -> Optional[str]:
        """Path of the running file, without the kernel's ` (deleted)`."""
        link = self.exe_link
        return link[: -len(" (deleted)")] if link and link.endswith(" (deleted)") else link

    @cached_property
    def cwd(self) -> Optional[str]:
        """Working folder."""
        return self.procfs.try_readlink(f"{self.pid}/cwd")

    @cached_property
    def uid(self) -> Optional[int]:
        """Real user id."""
        data = self.procfs.try_read_once(f"{self.pid}/status", 8192) or b""
        _, _, rest = data.partition(b"\nUid:")
        fields = rest.split(None, 1)
        return int(fields[0]) if fields and fields[0].isdigit() else None

    @cached_property
    def is_leader(self) -> bool:
        """Whether the pid is a process's own and not that of one of its threads, for which /proc answers too."""
        return b"\nTgid:\t%d\n" % self.pid in (self.procfs.try_read_once(f"{self.pid}/status", 8192) or b"")

    @cached_property
    def cgroup_path(self) -> str:
        """The cgroup the process is in, from the root of our cgroup namespace."""
        return parse_cgroup(self.procfs.try_read_once(f"{self.pid}/cgroup", 65536) or b"")

    @property
    def container_id(self) -> Optional[str]:
        """Id of the container it runs in, read from its cgroup."""
        return container_id(self.cgroup_path)

    @cached_property
    def mount_namespace(self) -> Optional[str]:
        """The mount namespace in which its paths are to be understood; None when it is not ours to ask."""
        return self.procfs.namespace(self.pid, "mnt")

    @cached_property
    def root(self) -> Optional[str]:
        """Its root folder, named from ours where that leads there, else from the top of its mount namespace."""
        return self.procfs.try_readlink(f"{self.pid}/root")

    @cached_property
    def parent_name(self) -> Optional[str]:
        """The parent's comm."""
        parent = self.procfs.process(self.stat.ppid) if self.stat.ppid else None
        return parent.name if parent else None

    def is_same_process(self) -> bool:
        """Whether the pid still belongs to the process that this object describes."""
        now = self.procfs.process(self.pid)
        return now is not None and now.identity == self.identity


class Procfs:
    """A procfs by an open folder descriptor, which later mounts over its path cannot change; closed with its last user."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._close = weakref.finalize(self, os.close, fd)
        # Pids that the kernel does not list here and that answer all the same; whoever knows such sets this.
        self.unlisted: Callable[[], frozenset[int]] = frozenset

    @classmethod
    def open(cls, path: str = "/proc") -> Procfs:
        """The procfs (or whatever is) mounted at `path`."""
        return cls(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))

    @classmethod
    def private(cls, path: str = "/proc") -> Optional[Procfs]:
        """A procfs that nothing can be mounted over: an unattached instance, else a detached copy of the mount at `path`.

        None without CAP_SYS_ADMIN or before Linux 5.2.
        """
        for make in (syscalls.mount_private_procfs, lambda: syscalls.clone_mount(path)):
            try:
                mount = make()
            except OSError:
                continue
            try:
                found = cls(os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=mount))
            finally:
                os.close(mount)
            if found.try_read("self/stat", 64):
                return found
            found.close()
        return None

    def close(self) -> None:
        """Close the folder now; the object is of no use afterwards."""
        self._close()

    def read(self, path: str, limit: int = 1 << 20) -> bytes:
        """At most `limit` bytes of the file at `path` below this procfs; OSError when that fails."""
        fd = os.open(path, _FLAGS, dir_fd=self.fd)
        try:
            return read_fd(fd, limit)
        finally:
            os.close(fd)

    def try_read(self, path: str, limit: int = 1 << 20) -> Optional[bytes]:
        """Like `read`, None when the file is gone or not ours to read."""
        try:
            return self.read(path, limit)
        except OSError:
            return None

    def try_read_once(self, path: str, limit: int) -> Optional[bytes]:
        """Like `try_read`, by one read(2): for what the kernel makes in one piece (single_open of fs/proc: status, cgroup …)."""
        try:
            fd = os.open(path, _FLAGS, dir_fd=self.fd)
        except OSError:
            return None
        try:
            return os.read(fd, limit)
        except OSError:
            return None
        finally:
            os.close(fd)

    def try_readlink(self, path: str) -> Optional[str]:
        """Target of the link at `path`, None when it is gone or not ours to read."""
        try:
            return os.readlink(path, dir_fd=self.fd)
        except OSError:
            return None

    def stat(self, path: str) -> os.stat_result:
        """Status of the file at `path`, links followed; OSError when that fails."""
        return os.stat(path, dir_fd=self.fd)

    def entries(self, folder: str = ".") -> list[tuple[bytes, int]]:
        """(name, d_type) of all that the kernel lists here, by the raw system call (no library can filter it)."""
        # A descriptor of its own: tables list at the same time, and a shared one has a single position.
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.fd)
        try:
            return list(syscalls.getdents64(fd))
        finally:
            os.close(fd)

    def listed(self) -> list[int]:
        """Every pid that the kernel lists."""
        return [int(name) for name, _ in self.entries() if name.isdigit()]

    def pids(self) -> list[int]:
        """Every pid that the kernel lists, and those that are known to be left out."""
        listed = self.listed()
        return listed + sorted(self.unlisted().difference(listed))

    def descriptors(self, pid: int) -> list[str]:
        """The numbers of a process's open files, as text, the lowest first; [] when it is gone or not ours to read."""
        try:
            return sorted((os.fsdecode(name) for name, _ in self.entries(f"{pid}/fd") if name.isdigit()), key=int)
        except OSError:
            return []

    def open_files(self, pid: int) -> Iterator[tuple[str, str]]:
        """(number, what it leads to) of a process's open files, the lowest first, those that close meanwhile left out."""
        for number in self.descriptors(pid):
            target = self.try_readlink(f"{pid}/fd/{number}")
            if target is not None:
                yield number, target

    def namespace(self, pid: Pid, kind: str) -> Optional[str]:
        """The namespace of a process as the kernel names it, such as `mnt:[4026531841]`; None when it is not ours to ask."""
        return self.try_readlink(f"{pid}/ns/{kind}")

    def network_namespace(self, pid: Pid) -> Optional[int]:
        """The inode of a process's network namespace; None when it is not ours to ask."""
        number = (self.namespace(pid, "net") or "")[len("net:[") : -1]
        return int(number) if number.isdigit() else None

    def mountinfo(self, pid: Pid) -> bytes:
        """The mounts that a process sees (proc_pid_mountinfo(5)), at most 8 MiB; b"" when they are not ours to read."""
        return self.try_read(f"{pid}/mountinfo", _MOUNTINFO_LIMIT) or b""

    def mounts(self, pid: Pid) -> Iterator[Mount]:
        """The mounts in `mountinfo`; none when they are not ours to read."""
        return parse_mountinfo(self.mountinfo(pid))

    def environ(self, pid: int, limit: int = _ENVIRON_LIMIT) -> Optional[bytes]:
        """What a process was started with, `NAME=value` and a NUL each; None when it is not ours to read."""
        return self.try_read(f"{pid}/environ", limit)

    def thread_ids(self, pid: int) -> list[int]:
        """The ids of a process's threads; OSError when it is gone."""
        return [int(name) for name, _ in self.entries(f"{pid}/task") if name.isdigit()]

    def process(self, pid: int) -> Optional[Process]:
        """The process `pid`, or None when its status cannot be read (gone, hidden, or covered by a mount)."""
        data = self.try_read_once(f"{pid}/stat", 4096)
        try:
            return None if data is None else Process(self, parse_stat(data))
        except ValueError:
            return None

    def processes(self) -> list[Process]:
        """Every listed process whose status can be read."""
        return [process for pid in self.pids() if (process := self.process(pid)) is not None]

    @cached_property
    def is_initial_pid_namespace(self) -> bool:
        """Whether we are in the host's own pid namespace, where every process has a number."""
        try:
            return self.stat("self/ns/pid").st_ino == _INITIAL_PID_NAMESPACE
        except OSError:
            return False

    @cached_property
    def boot_time(self) -> int:
        """Boot in unix seconds (the `btime` line of /proc/stat)."""
        _, _, rest = self.read("stat", 1 << 20).partition(b"\nbtime ")
        return int(rest.split(None, 1)[0])
