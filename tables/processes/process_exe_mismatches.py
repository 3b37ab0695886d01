"""Processes whose executable is not what, or not where, an ordinary program's is."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, Optional

from tables.errors import TableError
from tables.host import Host
from tables.host.containers.columns import container_column, names_containers
from tables.host.containers.layers import ImageLayers
from tables.host.loader.mapped_libraries import mapped_code
from tables.host.processes.columns import is_hidden_column, process_column
from tables.host.processes.executables import DELETED, FULLY_SEALED, RunningFile, ancestor_programs, living, running_file
from tables.host.processes.process_files import ProcessFiles
from tables.host.processes.procfs import CLOCK_TICKS, Process
from tables.host.processes.visibility import Visibility
from tables.indicators.process_names import hidden_component, is_below, process_names
from tables.reasons.finding_columns import evidence_column, exception_column
from tables.reasons.program_claims import ProgramClaims
from tables.reasons.program_places import has_newer_release, placed_by_tool
from tables.schema import BIGINT, TEXT, QueryContext, Row, Words, column, table
from tables.text.programs import is_dynamic_loader, resolve

_TABLE = "process_exe_mismatches"
# A sealed memfd that has used this much CPU, at half a core or more since it started, is no idle helper.
_BUSY_SECONDS = 30
_BUSY_CORES = 0.5


@dataclass(frozen=True)
class ProcessExeMismatch(Row):
    """One process and one reason why its executable deserves a look."""

    pid: int = process_column("pid", index=True)
    reason: str = column(
        TEXT,
        "what is odd",
        words=Words.listed(
            "deleted memfd kernel_thread_masquerade name_mismatch writable_dir hidden_path data_dir served_dir exe_unreadable "
            "inode_mismatch",
            explaining="deleted_replaced not_from_image",
        ),
    )
    process_name: str = process_column("process_name")
    argv0: Optional[str] = column(TEXT, "first argument, chosen by whoever started the process and by the process")
    cmdline: Optional[str] = process_column("cmdline")
    exe_path: Optional[str] = process_column("exe_path")
    on_disk: Optional[int] = column(
        BIGINT,
        "1 if a file is at that path as the process sees the file system, 0 if none is, NULL if that is out of reach",
    )
    exe_inode: Optional[int] = column(BIGINT, "inode of the running file")
    disk_inode: Optional[int] = column(BIGINT, "inode of the file now at that path")
    exe_mtime: Optional[int] = column(BIGINT, "last change of the running file's content, in unix seconds")
    exe_ctime: Optional[int] = column(BIGINT, "last change of the running file's inode, in unix seconds")
    owner_uid: Optional[int] = process_column("owner_uid")
    parent: int = process_column("parent")
    parent_name: Optional[str] = process_column("parent_name")
    start_time: int = process_column("start_time")
    cwd: Optional[str] = process_column("cwd")
    cgroup_path: Optional[str] = process_column("cgroup_path")
    container_id: Optional[str] = process_column("container_id")
    container_name: Optional[str] = container_column("container_name")
    image: Optional[str] = container_column("image")
    pod: Optional[str] = container_column("pod")
    is_hidden: int = is_hidden_column()
    exception: Optional[str] = exception_column()
    evidence: str = evidence_column()


class Finding(NamedTuple):
    """One reason, with the facts behind it and what may excuse it."""

    reason: str
    evidence: str
    exception: Optional[str] = None


class Look(NamedTuple):
    """What one look at a process found; `subject` is the thread through which its files were read."""

    subject: Process
    file: Optional[RunningFile]
    findings: list[Finding]


class Examiner:
    """Judges processes one by one; keeps what one scan need look up only once."""

    def __init__(self, host: Host) -> None:
        self.procfs = host.truth
        self.is_root = host.is_root
        self.names = process_names()
        self.own_namespace = self.procfs.try_readlink("self/ns/mnt")
        self.process_files = ProcessFiles(self.procfs)
        self.homes = _homes(host, (*self.names.writable_folders, *self.names.program_folders))
        self.claims = ProgramClaims(self.names)
        self.layers = ImageLayers(self.procfs)

    def look(self, process: Process) -> Optional[Look]:
        """Look at `process` once; None for what has no program: a kernel thread or its helper, a zombie, what is ending."""
        subject = None if process.is_kernel_thread else living(process)
        if subject is None or not subject.stat.vsize:
            return None
        findings: list[Finding] = []
        try:
            file = running_file(subject, self.own_namespace, self.process_files)
        except OSError as error:
            file = None
            findings += self._unreadable(error)
        findings += self._kernel_thread_masquerade(subject, file)
        if file is not None:
            findings += self._missing(file)
            findings += self._place(file)
            findings += self._loaded(subject, file)
            findings += self._name_mismatch(subject, file)
            findings += self._not_from_image(subject, file)
        return Look(subject, file, findings)

    def _unreadable(self, error: OSError) -> Iterator[Finding]:
        denied = error.errno in (errno.EACCES, errno.EPERM)
        if error.errno == errno.ESRCH or (denied and not self.is_root):
            return
        exception = f"not dumpable or protected: {errno.errorcode[error.errno or 0]}" if denied else None
        yield Finding("exe_unreadable", f"the process has memory, but its exe link cannot be read: {error.strerror}", exception)

    def _kernel_thread_masquerade(self, process: Process, file: Optional[RunningFile]) -> Iterator[Finding]:
        argv0 = process.argv[0] if process.argv else ""
        for what, name in (("argv[0]", argv0), ("comm", process.name)):
            if name and self.names.claims_kernel_thread(name):
                runs = f"runs {file.path}" if file else "has memory of its own"
                evidence = f"{what} `{name}` is a kernel thread's, but PF_KTHREAD is off and it {runs}"
                yield Finding("kernel_thread_masquerade", evidence)
                return

    def _missing(self, file: RunningFile) -> Iterator[Finding]:
        if file.is_memfd:
            yield self._memfd(file)
        elif file.cover and file.status:
            evidence = f"runs inode {file.status.st_ino} of device {_device(file.status)}, but {file.cover} is mounted over it"
            yield Finding("inode_mismatch", evidence)
        elif file.is_deleted:
            yield self._deleted(file)
        elif file.status and file.on_disk and not file.is_in_place and file.is_on_visible_mount():
            yield Finding(
                "inode_mismatch",
                f"runs inode {file.status.st_ino} of device {_device(file.status)}, but {file.own_path} now is inode "
                f"{file.on_disk.st_ino} of device {_device(file.on_disk)}: something is mounted over it",
            )

    def _deleted(self, file: RunningFile) -> Finding:
        running = f"inode {file.status.st_ino}, {file.status.st_nlink} names left" if file.status else "inode unknown"
        if file.on_disk is None or not stat.S_ISREG(file.on_disk.st_mode):
            seen = "nothing is" if file.on_disk is None else "no regular file is"
            evidence = f"the running file ({running}) was deleted and {seen} at {file.own_path} now"
            return Finding("deleted", evidence, "release replaced" if has_newer_release(self.names, file, self.homes) else None)
        now = file.on_disk
        packaged = (
            is_below(file.own_path, self.names.package_folders) is not None
            and file.status is not None
            and file.status.st_uid == now.st_uid == 0
            and not now.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
            and hidden_component(file.own_path) is None
        )
        replaced = f"inode {now.st_ino}, changed {_utc(now.st_ctime)}, is at {file.own_path} now"
        evidence = f"the running file ({running}) was deleted; {replaced}"
        return Finding("deleted_replaced", evidence, "package upgrade" if packaged else None)

    def _memfd(self, file: RunningFile) -> Finding:
        name = file.path[len("/memfd:") :]
        seals = file.seals()
        exception = None
        if seals == FULLY_SEALED:
            ancestors = ancestor_programs(file.process)
            if any(runtime.what.match(name) and ancestors & runtime.parents for runtime in self.names.memfd_runtimes):
                exception = "container runtime"
            elif not _is_busy(file.process):
                exception = "sealed memfd"
        shown = "seals unknown" if seals is None else f"sealed against {', '.join(sorted(seals))}" if seals else "not sealed"
        sockets = {True: "holds sockets", False: "holds no socket", None: "sockets unknown"}[file.has_sockets()]
        return Finding("memfd", f"runs from memory: memfd `{name}`, {shown}, {sockets}", exception)

    def _place(self, file: RunningFile) -> Iterator[Finding]:
        if file.is_memfd:
            return
        # The whole path in its mount namespace: a chroot into a temporary folder makes that no better a place.
        path = file.path
        writable = is_below(path, self.names.writable_folders)
        hidden = hidden_component(path)
        exception = placed_by_tool(self.names, file) if writable or hidden else None
        if writable:
            yield Finding("writable_dir", f"runs {path}, in {writable}, where no program belongs", exception)
        if hidden is not None:
            if exception is None and not writable and self.names.is_tool_path(path, self.homes):
                is_open = self.names.is_open_path(path, self.homes)
                exception = "folder of a user's own programs" if is_open else "developer tool folder"
            yield Finding("hidden_path", f"runs {path}: the part `{hidden}` does not show in a listing", exception)
        if writable is None:
            yield from self._data_folder(file)

    def _loaded(self, process: Process, file: RunningFile) -> Iterator[Finding]:
        """Where a program lies that the dynamic loader was told to run: to the kernel, the loader is the program."""
        if not is_dynamic_loader(file.name()):
            return
        found = resolve(process.argv)
        named = [os.path.join(process.cwd or "/", found.program)] if found and "/" in found.program else []
        # Arguments can be rewritten, mappings cannot.
        named += [mapped.path for mapped in mapped_code(self.procfs, process) or () if mapped.path.startswith("/")]
        told: set[str] = set()
        for path in map(os.path.normpath, dict.fromkeys(named)):
            plain = path.removesuffix(DELETED)
            for finding in self._place(replace(file, path=plain, own_path=plain)):
                if finding.reason not in told:
                    told.add(finding.reason)
                    yield finding._replace(evidence=f"{finding.evidence}, through {file.own_path}")

    def _data_folder(self, file: RunningFile) -> Iterator[Finding]:
        # As the process sees it: the root of a container or chroot may lie anywhere.
        path = file.own_path
        if self.names.data_folders.match(path):
            yield Finding("data_dir", f"runs {path}, where services keep data and no package puts programs")
        elif self.names.is_served(path) and file.status is not None and file.status.st_uid == file.process.uid:
            yield Finding("served_dir", f"runs {path}, its own file among what a web server hands out")

    def _not_from_image(self, process: Process, file: RunningFile) -> Iterator[Finding]:
        """The program, or the script that an interpreter was given, if it is not of the container's image."""
        if file.is_memfd or process.mount_namespace == self.own_namespace:
            return
        where = self.layers.added(process, file.own_path, is_deleted=file.is_deleted and file.on_disk is None)
        if where is not None:
            yield Finding("not_from_image", f"runs {file.own_path}, which is not of the container's image but in {where}")
            return
        found = resolve(process.argv) if self.names.interpreters.match(file.name()) else None
        script = found.script if found else None
        if script is not None and (script.startswith("/") or process.cwd):
            path = os.path.normpath(os.path.join(process.cwd or "/", script))
            where = self.layers.added(process, path)
            if where is not None:
                yield Finding("not_from_image", f"runs the script {path}, which is not of the container's image but in {where}")

    def _name_mismatch(self, process: Process, file: RunningFile) -> Iterator[Finding]:
        evidence = self.claims.false_claim(process, file)
        if evidence is not None:
            yield Finding("name_mismatch", evidence)


def _homes(host: Host, not_below: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(home for home in host.accounts.by_home if home != "/" and not is_below(home + "/", not_below)))


def _is_busy(process: Process) -> bool:
    used = (process.stat.utime + process.stat.stime) / CLOCK_TICKS
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - process.stat.start_ticks / CLOCK_TICKS
    return used >= _BUSY_SECONDS and used >= age * _BUSY_CORES


def _device(status: os.stat_result) -> str:
    return f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def _row(process: Process, look: Look, finding: Finding, is_hidden: bool) -> ProcessExeMismatch:
    file, subject = look.file, look.subject
    status = file.status if file else None
    disk = file.on_disk if file else None
    return ProcessExeMismatch(
        pid=process.pid,
        reason=finding.reason,
        process_name=process.name,
        argv0=subject.argv[0] if subject.argv else None,
        cmdline=subject.cmdline or None,
        exe_path=file.path if file else None,
        on_disk=int(disk is not None) if file is not None and file.view is not None and (status or disk) else None,
        exe_inode=status.st_ino if status else None,
        disk_inode=disk.st_ino if disk else None,
        exe_mtime=int(status.st_mtime) if status else None,
        exe_ctime=int(status.st_ctime) if status else None,
        owner_uid=subject.uid,
        parent=process.stat.ppid,
        parent_name=process.parent_name,
        start_time=process.start_time,
        cwd=subject.cwd,
        cgroup_path=subject.cgroup_path or None,
        container_id=subject.container_id,
        is_hidden=is_hidden,
        exception=finding.exception,
        evidence=finding.evidence,
    )


@table(
    _TABLE,
    ProcessExeMismatch,
    needs_live=True,
    description="Processes whose executable is deleted, in memory only, hidden, in a temporary folder, or not what they claim.",
    sop_steps=(4, 7),
    examples=[
        "SELECT pid, reason, process_name, cmdline, exe_path, evidence FROM process_exe_mismatches WHERE exception = ''",
        "SELECT h.pid, h.how_hidden, m.reason, m.evidence FROM hidden_processes h JOIN process_exe_mismatches m ON m.pid = h.pid",
    ],
    uses_constraints=True,
)
@names_containers
def process_exe_mismatches(host: Host, query: QueryContext) -> Iterator[ProcessExeMismatch]:
    """One row per process and reason; a process with nothing odd has none, nor do kernel threads and zombies.

    Paths are judged as the process itself sees them: inside its mount namespace and chroot. The kernel's own marks
    decide (the link count of the running file, PF_KTHREAD, the seals of a memfd), never a name alone. What a first look
    finds counts only when a second look at the same process finds it again, so that an exec in between shows nothing.
    A program or script in a container is `not_from_image` where it lies in the writable layer of an overlay (Docker's,
    containerd's, CRI-O's, Podman's), and not in the image as it is there; on volumes and other file systems nothing can be told.
    Without root only one's own processes can be judged by their files; `minehunt_status` says so.
    """
    if not host.is_live:
        raise TableError(f"processes can be examined on the running system only, not below {host.files.root}")
    examiner = Examiner(host)
    own = host.own_processes()
    suspects = []
    wanted = query.equal_integers("pid")
    for pid in examiner.procfs.pids() if wanted is None else sorted(set(wanted)):
        query.check_time()
        process = examiner.procfs.process(pid)
        if process is None or process.identity in own or (wanted is not None and not process.is_leader):
            continue
        first = examiner.look(process)
        if first is not None and first.findings:
            suspects.append((process.identity, first))
    if not host.is_root:
        query.could_not_see("not root: the programs of other users' processes are not readable")
    for upper in sorted(examiner.layers.unreached):
        query.could_not_see(f"{upper} is out of reach: whether programs of that container are of its image is unknown")
    visibility = Visibility(host)
    for identity, first in suspects:
        query.check_time()
        process = examiner.procfs.process(identity[0])
        again = examiner.look(process) if process is not None and process.identity == identity else None
        if process is None or again is None or not process.is_same_process() or not _same_program(first, again):
            continue
        seen = {finding.reason for finding in first.findings}
        for finding in again.findings:
            if finding.reason in seen:
                yield _row(process, again, finding, visibility.is_hidden(process))


def _same_program(first: Look, again: Look) -> bool:
    return (first.file and first.file.link) == (again.file and again.file.link)
