"""The file that a process runs, and the file now at that path, both as the process itself sees the file system."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from dataclasses import dataclass
from typing import Optional

from tables.host.disk.mounts import Mount
from tables.host.processes.process_files import ProcessFiles
from tables.host.processes.procfs import Process
from tables.host.processes.roots import View, same_file
from tables.host.syscalls import getdents64

DELETED = " (deleted)"
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_MAX_ANCESTORS = 8
# include/uapi/linux/fcntl.h
_SEALS = {fcntl.F_SEAL_SEAL: "seal", fcntl.F_SEAL_SHRINK: "shrink", fcntl.F_SEAL_GROW: "grow", fcntl.F_SEAL_WRITE: "write"}
FULLY_SEALED = frozenset(_SEALS.values())


@dataclass(frozen=True)
class RunningFile:
    """What a process runs.

    `link` is its exe link; `path` that without the kernel's mark of deletion; `own_path` the path as the process sees
    it; `status` that of the running file, None where even root may not ask (FUSE); `on_disk` that of the file now at
    `own_path`, None when nothing is there; `view` the file system in which it was looked for, None when out of reach.
    `cover` is a file system mounted over it that may never answer, and was not asked what is there now.
    """

    process: Process
    link: str
    path: str
    own_path: str
    status: Optional[os.stat_result]
    on_disk: Optional[os.stat_result]
    view: Optional[View]
    cover: Optional[str] = None

    @property
    def is_memfd(self) -> bool:
        """Whether it has never been in a file system (memfd_create(2))."""
        return self.link.startswith("/memfd:") and self.link.endswith(DELETED) and not (self.status and self.status.st_nlink)

    @property
    def is_in_place(self) -> bool:
        """Whether the running file is the one at its path."""
        return same_file(self.status, self.on_disk)

    @property
    def is_deleted(self) -> bool:
        """Whether the kernel says that the running file's name is gone.

        The link's mark alone can be part of a file name, and FUSE file systems may report no links for any file.
        """
        marked = self.link != self.path
        return (marked or (self.status is not None and self.status.st_nlink == 0)) and not self.is_in_place

    def name(self) -> str:
        """The running file's name without folder."""
        return self.path.rpartition("/")[2]

    def mounts(self) -> list[Mount]:
        """The mounts that the process sees."""
        return list(self.process.procfs.mounts(self.process.pid))

    def is_on_visible_mount(self) -> bool:
        """Whether the mount that it was run from is still in the mount namespace of the process.

        After pivot_root(2), setns(2) or a lazy unmount it is not, and its path then says nothing about what is there now.
        """
        procfs = self.process.procfs
        try:
            fd = os.open(f"{self.process.pid}/exe", os.O_PATH | os.O_CLOEXEC, dir_fd=procfs.fd)
        except OSError:
            return False
        try:
            _, _, rest = (procfs.try_read(f"self/fdinfo/{fd}", 4096) or b"").partition(b"mnt_id:")
        finally:
            os.close(fd)
        number = rest.split(None, 1)
        # A process in a chroot is not shown the mount that its root folder lies on; others in its namespace are.
        namespace = procfs.namespace(self.process.pid, "mnt")
        return bool(number) and any(
            procfs.namespace(pid, "mnt") == namespace and int(number[0]) in {mount.mount_id for mount in procfs.mounts(pid)}
            for pid in (self.process.pid, self.process.stat.ppid, "self")
        )

    def seals(self) -> Optional[frozenset[str]]:
        """The seals on a memfd (F_GET_SEALS, fcntl(2)) by name; None when they cannot be read."""
        try:
            fd = os.open(f"{self.process.pid}/exe", _READ_FLAGS, dir_fd=self.process.procfs.fd)
        except OSError:
            return None
        try:
            bits = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        except OSError:
            return None
        finally:
            os.close(fd)
        return frozenset(name for bit, name in _SEALS.items() if bits & bit)

    def has_sockets(self) -> Optional[bool]:
        """Whether the process holds any socket; None when its descriptors are not ours to read."""
        folder = f"{self.process.pid}/fd"
        try:
            fd = os.open(folder, _FOLDER_FLAGS, dir_fd=self.process.procfs.fd)
        except OSError:
            return None
        try:
            targets = (self.process.procfs.try_readlink(f"{folder}/{name}") for name in os.listdir(fd))
            return any(target is not None and target.startswith("socket:") for target in targets)
        except OSError:
            return None
        finally:
            os.close(fd)


def living(process: Process) -> Optional[Process]:
    """`process` as its files can be read: itself, a thread that outlived its leader under the leader's name, or None.

    A leader that has ended while its threads run on is a zombie without files; the threads still show them.
    """
    if process.stat.state not in "ZX":
        return process
    for tid in _threads(process) if process.stat.num_threads > 1 else ():
        thread = process.procfs.process(tid)
        if thread is not None and thread.stat.state not in "ZX":
            return Process(process.procfs, thread.stat._replace(comm=process.stat.comm))
    return None


def _threads(process: Process) -> list[int]:
    try:
        fd = os.open(f"{process.pid}/task", _FOLDER_FLAGS, dir_fd=process.procfs.fd)
    except OSError:
        return []
    try:
        return [int(name) for name, _ in getdents64(fd) if name.isdigit() and int(name) != process.pid]
    except OSError:
        return []
    finally:
        os.close(fd)


def ancestor_programs(process: Process) -> set[str]:
    """File names of the programs that the nearest ancestors of `process` run."""
    found = set()
    for _ in range(_MAX_ANCESTORS):
        parent = process.procfs.process(process.stat.ppid)
        if parent is None:
            break
        found.add((parent.exe_path or "").rpartition("/")[2])
        process = parent
    return found


def running_file(process: Process, own_namespace: Optional[str], files: ProcessFiles) -> RunningFile:
    """What `process` runs; OSError when its exe link cannot be read. `own_namespace` is our own ns/mnt link."""
    procfs = process.procfs
    link = os.readlink(f"{process.pid}/exe", dir_fd=procfs.fd)
    try:
        status = procfs.stat(f"{process.pid}/exe")
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ESRCH):
            raise
        status = None
    view, base = _view(process, link, own_namespace)
    own_link = link[len(base) :]
    cover = files.cover(process.pid, own_link, status.st_dev) if status else None
    if cover is not None:
        path = link.removesuffix(DELETED)
        return RunningFile(process, link, path, own_link.removesuffix(DELETED), status, None, None, cover)
    own_path, path = own_link, link
    on_disk = None
    if link.endswith(DELETED):
        literal = view.stat_plain(own_link) if view and status and status.st_nlink else None
        if same_file(status, literal):
            on_disk = literal
        else:
            own_path, path = own_link[: -len(DELETED)], link[: -len(DELETED)]
    if view and on_disk is None and not link.startswith("/memfd:"):
        on_disk = view.stat_plain(own_path)
        # Following links inside the process's root takes ten times as many calls, and is needed only for a difference.
        if not same_file(status, on_disk):
            with contextlib.suppress(OSError):
                found = view.locate(own_path)
                on_disk = found.status if found else None
    return RunningFile(process, link, path, own_path, status, on_disk, view)


def _view(process: Process, link: str, own_namespace: Optional[str]) -> tuple[Optional[View], str]:
    """The root from which the exe link `link` counts, and how much of it to leave out.

    The kernel writes exe and root links relative to our root where both share a mount namespace, else relative to the
    top of that other namespace (d_path, fs/d_path.c).
    """
    procfs = process.procfs
    root, namespace = process.root, process.mount_namespace
    if root is None or namespace is None:
        return None, ""
    is_ours = namespace == own_namespace
    if root == "/":
        return View(procfs, None if is_ours else process.pid, (namespace, root)), ""
    if link.startswith(root + "/"):
        return View(procfs, process.pid, (namespace, root)), root
    # The process changed its root after it was started, as many daemons do.
    if is_ours:
        return View(procfs, None, (namespace, "/")), ""
    ancestor = procfs.process(process.stat.ppid)
    for _ in range(_MAX_ANCESTORS):
        if ancestor is None or ancestor.mount_namespace != namespace:
            break
        if ancestor.root == "/":
            return View(procfs, ancestor.pid, (namespace, "/")), ""
        ancestor = procfs.process(ancestor.stat.ppid)
    return None, ""
