"""Every process with its ancestors, session, terminal, unit and container: where it came from."""

from __future__ import annotations

import functools
import itertools
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

from tables.errors import TableError
from tables.host import Host
from tables.host.containers.columns import container_column, names_containers
from tables.host.processes.ancestry import ProcessTree, label
from tables.host.processes.cgroups import systemd_unit
from tables.host.processes.columns import is_hidden_column, process_column
from tables.host.processes.overmounts import find_proc_mounts
from tables.host.processes.pidspace import hold
from tables.host.processes.procfs import CLOCK_TICKS, Process, ProcStat, container_id, parse_cgroup
from tables.host.processes.visibility import Visibility
from tables.indicators.process_names import process_names
from tables.reasons.command_patterns import alert_reasons, judged_words
from tables.reasons.running_commands import RunningCommands
from tables.schema import BIGINT, TEXT, QueryContext, Row, column, table

_TABLE = "process_tree"
# (uid_t) -1: no login has been recorded for the process (proc_pid_loginuid(5)).
_UNSET_LOGIN = 0xFFFF_FFFF
# A service's start, reload and stop commands are children of its manager as well, and are over by then.
_SETTLED_TICKS = 60 * CLOCK_TICKS
# Thousands of processes are in a few cgroups.
_parse_cgroup = functools.lru_cache(maxsize=1024)(parse_cgroup)


@dataclass(frozen=True)
class ProcessInTree(Row):
    """One process and where it came from."""

    pid: int = process_column("pid", index=True)
    start_time: int = process_column("start_time")
    process_name: str = process_column("process_name")
    exe_path: Optional[str] = process_column("exe_path")
    cmdline: Optional[str] = process_column("cmdline")
    cwd: Optional[str] = process_column("cwd")
    owner_uid: Optional[int] = process_column("owner_uid")
    effective_uid: Optional[int] = column(BIGINT, "its effective user id")
    parent: int = process_column("parent")
    parent_name: Optional[str] = process_column("parent_name")
    is_hidden: int = is_hidden_column()
    parent_visible: Optional[int] = column(
        BIGINT, "0 if the parent is alive but /proc does not show it, 1 if it does; NULL without a parent or where unknown"
    )
    ancestry: str = column(
        TEXT,
        "its ancestors and itself, oldest first: `systemd(1) > cron(812) > sh(900)`; `?(pid)` for an unreadable one, `…` for "
        "those left out of more than 32",
    )
    depth: int = column(BIGINT, "number of known ancestors")
    session_id: int = column(BIGINT, "its session (setsid(2)), which is the pid of the process that began it")
    session_leader_name: Optional[str] = column(TEXT, "comm of the process that began its session, while that runs")
    process_group: int = column(BIGINT, "its process group (setpgid(2))")
    login_uid: Optional[int] = column(BIGINT, "user who logged in to start it, whatever su or sudo followed; NULL for services")
    tty: Optional[str] = column(TEXT, "its controlling terminal: pts/0, tty1, ttyS0 … or major:minor")
    cgroup_path: Optional[str] = process_column("cgroup_path")
    unit: Optional[str] = column(TEXT, "innermost systemd unit of that cgroup: cron.service, session-3.scope …")
    container_id: Optional[str] = process_column("container_id")
    container_name: Optional[str] = container_column("container_name")
    image: Optional[str] = container_column("image")
    pod: Optional[str] = container_column("pod")
    first_non_shell_ancestor: Optional[str] = column(TEXT, "nearest ancestor that runs no shell, as name(pid)")
    is_kernel_thread: int = column(BIGINT, "1 if the kernel marks it as its own thread")
    is_orphan: int = column(
        BIGINT,
        "1 if it was handed to its parent when the one that started it ended: its session was begun further down, its scope "
        "holds only what others start, or its service has an older main process",
    )
    orphaned_from: Optional[str] = column(
        TEXT, "what an orphan belonged to: session leader or main process as name(pid), or scope"
    )
    command_reasons: Optional[str] = column(
        TEXT, "what is odd about the program text that it was given (sh -c, python -c …), comma separated", words=judged_words
    )
    alert_reasons: Optional[str] = column(TEXT, "those of `command_reasons` that are worth an alert alone")


def terminal(number: int) -> Optional[str]:
    """The name of the controlling terminal from /proc/PID/stat's tty_nr (Documentation/admin-guide/devices.txt); None for 0."""
    if not number:
        return None
    number &= 0xFFFF_FFFF
    major, minor = number >> 8 & 0xFFF, number & 0xFF | number >> 12 & 0xFFF00
    if 136 <= major <= 143:
        return f"pts/{minor + (major - 136) * 256}"
    if major == 4:
        return f"tty{minor}" if minor < 64 else f"ttyS{minor - 64}"
    return "console" if (major, minor) == (5, 1) else f"{major}:{minor}"


def parse_uids(status: bytes) -> tuple[Optional[int], Optional[int]]:
    """(real, effective) user id from /proc/PID/status; None for what is not there."""
    _, _, rest = status.partition(b"\nUid:")
    fields = rest.split(b"\n", 1)[0].split()[:2]
    if len(fields) < 2 or not all(field.isdigit() and len(field) <= 10 for field in fields):
        return None, None
    return int(fields[0]), int(fields[1])


class _Parents:
    """Whether the parents that processes name are shown by /proc as everybody sees it."""

    def __init__(self, visibility: Visibility, tree: ProcessTree) -> None:
        self.visibility = visibility
        self._tree = tree
        self._shown: set[int] = set()

    def is_shown(self, stat: ProcStat) -> Optional[bool]:
        """False only for a parent that is alive, still the parent, and missing in a later look too; None without one."""
        pid = stat.ppid
        if pid <= 0 or pid == stat.pid:
            return None
        if pid in self._shown or self.visibility.shows(pid):
            self._shown.add(pid)
            return True
        held = hold(pid)
        if held is None:
            return None
        try:
            child = self._tree.procfs.process(stat.pid)
            if child is None or child.stat.ppid != pid:
                return None
            shown = self.visibility.shows(pid)
            return shown if held.is_alive or shown else None
        finally:
            held.close()


class _Origins:
    """Answers, for the processes of one tree, what they belong to; reads each cgroup and program once."""

    def __init__(self, tree: ProcessTree) -> None:
        self._tree = tree
        self._shells = process_names().shells
        self._multi_call = process_names().multi_call
        self._runs_shell: dict[int, bool] = {}
        self._starters: dict[int, Optional[str]] = {}
        self._cgroups: dict[int, str] = {}
        self._mains: dict[tuple[int, str], ProcStat] = {}
        for stat in sorted(tree, key=lambda stat: stat.start_ticks):
            if self._is_manager(stat.ppid):
                self._mains.setdefault((stat.ppid, self.cgroup_path(stat.pid)), stat)

    def cgroup_path(self, pid: int) -> str:
        """The process's cgroup, "" when it cannot be read."""
        if pid not in self._cgroups:
            self._cgroups[pid] = _parse_cgroup(self._tree.procfs.try_read_once(f"{pid}/cgroup", 65536) or b"")
        return self._cgroups[pid]

    def first_non_shell(self, stat: ProcStat) -> Optional[str]:
        """The nearest ancestor that runs no shell, by the file it runs and not by what it calls itself."""
        parent = self._tree.parent(stat)
        if parent is None:
            return None
        # Brothers and sisters have the same.
        if parent.pid not in self._starters:
            found = (each for each in itertools.chain((parent,), self._tree.ancestors(parent)) if not self._is_shell(each))
            self._starters[parent.pid] = next((label(each) for each in found), None)
        return self._starters[parent.pid]

    def orphaned_from(self, stat: ProcStat, now_ticks: int) -> Optional[str]:
        """What `stat` belonged to when it lost the parent that started it; None when nothing shows that it did."""
        parent = self._tree.parent(stat)
        if parent is None:
            return None
        leader = self._tree.get(stat.session) if stat.session != stat.pid else None
        # Only a member of a session starts another one, and every member descends from the leader or those who adopted it.
        if leader is not None and parent.session != stat.session and self._tree.is_ancestor(parent.pid, of=leader):
            return label(leader)
        if not self._is_manager(parent.pid):
            return None
        path = self.cgroup_path(stat.pid)
        unit = systemd_unit(path) or ""
        # systemd starts services; it only registers scopes for what others have started (systemd.scope(5)).
        if unit.endswith(".scope") and unit != "init.scope":
            return unit
        main = self._mains.get((parent.pid, path), stat)
        if not unit.endswith(".service") or not main.start_ticks < stat.start_ticks < now_ticks - _SETTLED_TICKS:
            return None
        return None if self._is_started_by_systemd(stat.pid) else label(main)

    def _is_started_by_systemd(self, pid: int) -> bool:
        """Whether systemd (248 and newer) says so in the environment, as for a main process younger than what was left behind."""
        data = self._tree.procfs.environ(pid) or b""
        return b"SYSTEMD_EXEC_PID=%d" % pid in data.split(b"\0")

    def _is_manager(self, pid: int) -> bool:
        """Whether the process is a systemd, the system's or a user's: both put themselves into an init.scope."""
        if pid <= 0:
            return False
        path = self.cgroup_path(pid)
        return systemd_unit(path) == "init.scope" or (pid == 1 and path in ("", "/"))

    def _is_shell(self, stat: ProcStat) -> bool:
        if stat.pid not in self._runs_shell:
            program = (Process(self._tree.procfs, stat).exe_path or "").rpartition("/")[2]
            if not program or self._multi_call.match(program):
                program = os.fsdecode(stat.comm)
            self._runs_shell[stat.pid] = program in self._shells
        return self._runs_shell[stat.pid]


@table(
    _TABLE,
    ProcessInTree,
    needs_live=True,
    description="Every process with its full ancestry, session, terminal, login, unit and container, and orphans told apart.",
    sop_steps=(1,),
    examples=[
        "SELECT pid, ancestry, first_non_shell_ancestor, unit, container_id FROM process_tree WHERE owner_uid BETWEEN 1 AND 999",
        "SELECT pid, process_name, exe_path, orphaned_from, unit FROM process_tree WHERE is_orphan = 1 AND tty = ''",
    ],
)
@names_containers
def process_tree(host: Host, query: QueryContext) -> Iterator[ProcessInTree]:
    """One row per process, kernel threads, zombies and minehunt itself included.

    The tree is that of one snapshot, read from a procfs over which nothing can be mounted, so that hidden processes are
    in it where the kernel lists them. What a process says of itself is read after that; who has ended by then is left
    out. A parent that started later than its child is another process under the same number, and counts as unreadable.
    Read from /proc/PID/{stat,status,exe,cmdline,cwd,cgroup,loginuid}.

    Cannot see: who started a process that began a session of its own after its starter ended, unless its unit tells.
    """
    if not host.is_live:
        raise TableError(f"processes can be examined on the running system only, not below {host.files.root}")
    procfs = host.truth
    if not host.is_root:
        query.could_not_see("not root: executables and working folders of other users' processes are not readable")
    hides = find_proc_mounts(procfs, []).hidepid and not host.is_root
    if hides:
        query.could_not_see("hidepid: other users' processes are invisible, and whether a parent is shown is unknown")
    tree = ProcessTree.take(procfs)
    origins = _Origins(tree)
    now_ticks = int(time.clock_gettime(time.CLOCK_BOOTTIME) * CLOCK_TICKS)
    parents = None if hides else _Parents(Visibility(host), tree)
    commands = host.state(_TABLE, RunningCommands)
    for stat in tree:
        query.check_time()
        row = _row(tree, origins, Process(procfs, stat), parents, now_ticks, commands)
        if row is not None:
            yield row


def _row(
    tree: ProcessTree,
    origins: _Origins,
    process: Process,
    parents: Optional[_Parents],
    now_ticks: int,
    commands: RunningCommands,
) -> Optional[ProcessInTree]:
    """The row of a process, None when it ended meanwhile; `parents` is None where nobody can say what /proc shows."""
    stat = process.stat
    exe_path, argv, cwd = process.exe_path, process.argv, process.cwd
    parent = tree.parent(stat)
    leader = tree.get(stat.session)
    real, effective = parse_uids(process.procfs.try_read_once(f"{stat.pid}/status", 8192) or b"")
    login = process.procfs.try_read_once(f"{stat.pid}/loginuid", 32) or b""
    cgroup_path = origins.cgroup_path(stat.pid)
    orphaned_from = origins.orphaned_from(stat, now_ticks)
    reasons = commands.reasons(exe_path or process.name, argv)
    # After all else was read: what /proc shows under this number and start is still this process.
    is_shown = parents is not None and parents.visibility.shows(*process.identity)
    if not is_shown and not process.is_same_process():
        return None
    return ProcessInTree(
        pid=stat.pid,
        start_time=process.start_time,
        process_name=process.name,
        exe_path=exe_path,
        cmdline=process.cmdline or None,
        cwd=cwd,
        owner_uid=real,
        effective_uid=effective,
        parent=stat.ppid,
        parent_name=os.fsdecode(parent.comm) if parent else None,
        is_hidden=parents is not None and not is_shown,
        parent_visible=parents.is_shown(stat) if parents else None,
        ancestry=tree.ancestry(stat),
        depth=tree.depth(stat),
        session_id=stat.session,
        session_leader_name=os.fsdecode(leader.comm) if leader else None,
        process_group=stat.pgrp,
        login_uid=int(login) if login.isdigit() and int(login) != _UNSET_LOGIN else None,
        tty=terminal(stat.tty_nr),
        cgroup_path=cgroup_path or None,
        unit=systemd_unit(cgroup_path),
        container_id=container_id(cgroup_path),
        first_non_shell_ancestor=origins.first_non_shell(stat),
        is_kernel_thread=process.is_kernel_thread,
        is_orphan=orphaned_from is not None,
        orphaned_from=orphaned_from,
        command_reasons=reasons or None,
        alert_reasons=",".join(alert_reasons(reasons)) or None,
    )
