"""Programs that come back after they ended, and what starts them again."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Optional

from tables.errors import TableError
from tables.host import Host
from tables.host.containers.columns import container_column, names_containers
from tables.host.processes.cgroups import systemd_unit
from tables.host.processes.columns import is_hidden_column, process_column
from tables.host.processes.guards import Guard, Running, RunningPrograms, watching_each_other
from tables.host.processes.process_files import ProcessFiles
from tables.host.processes.procfs import CLOCK_TICKS, container_id
from tables.host.processes.respawn_memory import Program, RespawnMemory, Sighting, family
from tables.host.processes.visibility import Visibility
from tables.host.startup.restart_files import RestartFiles
from tables.host.startup.restart_units import RestartUnits, Service
from tables.indicators.process_names import is_below, process_names
from tables.reasons.program_places import DELETED_FILE, ProgramPlaces
from tables.schema import BIGINT, TEXT, QueryContext, Row, Words, column, table

_TABLE = "process_respawns"
# Coming back once is a restart; what comes back again is kept alive.
_RESPAWNS = 2
# Scripts of build jobs lie in temporary folders as well, and poll in loops; what those wait for is short.
_SETTLED_SECONDS = 10
_MAX_SCRIPTS = 1000
# Kept of each remembered process.
_MAX_CMDLINE = 512
_INSTANCE = re.compile(r"@[^@]*\.service$")


@dataclass(frozen=True)
class ProcessRespawn(Row):
    """One program that comes back or will, and one mechanism that shows it."""

    mechanism: str = column(
        TEXT,
        "what shows it: memory (it ended and came back between calls), guard_loop (a running script restarts it in a loop), "
        "mutual_guard (so does it that script), cron or unit (a job or service starts it again)",
    )
    exe_path: Optional[str] = process_column("exe_path", "of the newest incarnation")
    process_name: str = process_column("process_name")
    cmdline: Optional[str] = process_column("cmdline")
    pid: Optional[int] = process_column("pid", "NULL when it is not running just now", index=True)
    owner_uid: Optional[int] = process_column("owner_uid")
    parent: Optional[int] = process_column("parent")
    parent_name: Optional[str] = process_column("parent_name")
    start_time: int = process_column("start_time", "of the newest incarnation")
    is_hidden: Optional[int] = is_hidden_column("NULL when it is not running")
    respawns: int = column(BIGINT, "how often this table saw it come back (mechanism memory); changes with every return")
    first_seen: Optional[int] = column(BIGINT, "when this table first saw the program, in unix seconds")
    last_start: Optional[int] = column(BIGINT, "latest start seen, in unix seconds; changes with every return")
    interval_seconds: Optional[int] = column(BIGINT, "median time between the starts seen; changes with every return")
    previous_pid: Optional[int] = column(BIGINT, "process id of the incarnation before; changes with every return")
    starters: Optional[str] = column(
        TEXT, "parents of the last incarnations, oldest first: `sh(812) sh(812)`; changes with every return"
    )
    restarter: Optional[str] = column(TEXT, "what starts it: `NAME(PID) SCRIPT`, crontab and line, or unit file")
    restarter_pid: Optional[int] = column(BIGINT, "process id of the guard that starts it; NULL for cron and units")
    mutual_guard: Optional[str] = column(TEXT, "`NAME(PID)` of the program that starts it and is started by it")
    unit: Optional[str] = column(TEXT, "systemd unit that it runs in, from its cgroup, or the service that starts it")
    unit_restart: Optional[str] = column(TEXT, "Restart= of that unit as its files say; empty when not set")
    unit_restarts: Optional[int] = column(
        BIGINT,
        "new runs of the unit seen since the first call (/run/systemd/units; NRestarts needs D-Bus); changes with every restart",
    )
    cgroup_path: Optional[str] = process_column("cgroup_path")
    container_id: Optional[str] = process_column("container_id")
    container_name: Optional[str] = container_column("container_name")
    image: Optional[str] = container_column("image")
    pod: Optional[str] = container_column("pod")
    reasons: Optional[str] = column(
        TEXT,
        "empty, or why it is no ordinary restart, comma separated; those of a guard are of the script that starts it, for a "
        "program that is odd itself, or no package's and at work for 10 s",
        words=Words.listed(
            "temporary_folder hidden_path deleted memory_only guard_temporary_folder guard_hidden_path guard_deleted "
            "guard_memory_only changes_name mutual_guard"
        ),
    )
    evidence: str = column(TEXT, "the facts in words")


class _Look:
    """One look at the host: all that runs, and what is needed to describe it."""

    def __init__(self, host: Host, query: QueryContext) -> None:
        self.procfs = host.truth
        self.query = query
        self.places = ProgramPlaces(process_names(), self.procfs.try_readlink("self/ns/mnt"))
        self.files = host.state("restart_files", lambda: RestartFiles(host.files))
        self.units = RestartUnits(host.files, query)
        own = host.own_processes()
        self.by_pid: dict[int, Running] = {}
        for pid in self.procfs.pids():
            query.check_time()
            process = self.procfs.process(pid)
            running = Running.of(process) if process is not None and process.identity not in own else None
            if running is not None:
                self.by_pid[pid] = running
        self.programs = RunningPrograms(list(self.by_pid.values()))
        self.visibility = Visibility(host)

    def remember(self, memory: RespawnMemory) -> None:
        """Tell the memory what runs now; workers that are copies of their parent are no programs of their own."""
        fresh = {pid: running for pid, running in self.by_pid.items() if not memory.knows(running.process.identity)}
        sightings = []
        for running in fresh.values():
            parent = self.by_pid.get(running.process.stat.ppid)
            if parent is None or (parent.exe_path, parent.argv) != (running.exe_path, running.argv):
                sightings.append(self._sighting(running, parent))
        memory.look(int(time.time()), sightings, frozenset(running.process.identity for running in self.by_pid.values()))

    def _sighting(self, running: Running, parent: Optional[Running]) -> Sighting:
        process = running.process
        starter = parent.process if parent else self.procfs.process(process.stat.ppid) if process.stat.ppid else None
        return Sighting(
            identity=process.identity,
            family=_family(running),
            exe_path=running.exe_path,
            process_name=process.name,
            cmdline=" ".join(running.argv)[:_MAX_CMDLINE],
            start_time=process.start_time,
            owner_uid=process.uid,
            cgroup_path=process.cgroup_path,
            starter=starter.identity if starter else None,
            starter_name=starter.name if starter else None,
            starter_family=_family(parent) if parent else None,
            starter_runs_same_file=parent is not None and parent.exe_path == running.exe_path,
            places=self.places.of_process(process),
        )

    def odd_places(self, running: Running) -> tuple[str, ...]:
        """What is odd about the place of a program, or of the script that an interpreter runs."""
        script = self.places.of_path(running.script_path) if running.script_path else ()
        return tuple(dict.fromkeys((*self.places.of_process(running.process), *script)))

    def is_kept(self, running: Running) -> bool:
        """Whether it is no package's program and has run for a while, unlike a check that a loop waits for."""
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - running.process.stat.start_ticks / CLOCK_TICKS
        path = running.script_path or running.exe_path
        return age >= _SETTLED_SECONDS and is_below(path, self.places.names.package_folders) is None

    def unit(self, cgroup_path: str) -> tuple[Optional[str], Optional[Service]]:
        """Name of the innermost unit in a cgroup path, and what its files say where it is a service."""
        return systemd_unit(cgroup_path), self.units.of(cgroup_path)

    def name_in(self, unit: str, cgroup_path: str) -> Optional[str]:
        """The name of `unit` (of its instance, for a template) for a process in that cgroup; None when it is in no such unit.

        Where systemd made no cgroups, or the process was moved out of them, the unit's own name stands.
        """
        inside = systemd_unit(cgroup_path)
        if inside is not None:
            return inside if unit in (inside, _INSTANCE.sub("@.service", inside)) else None
        return None if ".slice" in cgroup_path else unit

    def shares_files(self, running: Running) -> bool:
        """Whether paths in the host's own crontabs and units mean the same to it: it is in no container but perhaps our own."""
        return running.process.mount_namespace == self.places.own_namespace or running.process.container_id is None

    def is_still(self, running: Running) -> bool:
        """Whether the process is the one that was looked at, and runs the same file."""
        now = self.procfs.process(running.process.pid)
        return now is not None and now.identity == running.process.identity and (now.exe_path or "") == running.exe_path

    def row(
        self,
        mechanism: str,
        running: Running,
        reasons: Iterable[str],
        evidence: str,
        *,
        restarter: str,
        guard: Optional[Running] = None,
        is_mutual: bool = False,
        named_unit: Optional[tuple[str, Service]] = None,
    ) -> ProcessRespawn:
        """The row of a running program that something will start again."""
        process = running.process
        unit, files = named_unit or self.unit(process.cgroup_path)
        return ProcessRespawn(
            mechanism=mechanism,
            exe_path=running.exe_path or None,
            process_name=process.name,
            cmdline=process.cmdline or None,
            pid=process.pid,
            owner_uid=process.uid,
            parent=process.stat.ppid,
            parent_name=process.parent_name,
            start_time=process.start_time,
            is_hidden=self.visibility.is_hidden(process),
            respawns=0,
            restarter=restarter,
            restarter_pid=guard.process.pid if guard else None,
            mutual_guard=_name(guard) if guard and is_mutual else None,
            unit=unit,
            unit_restart=files.restart if files else None,
            unit_restarts=self.files.unit_restarts(unit) if unit else None,
            cgroup_path=process.cgroup_path or None,
            container_id=process.container_id,
            reasons=",".join(reasons) or None,
            evidence=evidence,
        )


def _family(running: Running) -> str:
    return f"{family(running.exe_path)}\0{family(' '.join(running.argv))}"


def _name(running: Running) -> str:
    return f"{running.process.name}({running.process.pid})"


def _remembered(look: _Look, memory: RespawnMemory) -> Iterator[ProcessRespawn]:
    for program in memory.returned(1):
        other = memory.mutual_guard(program)
        if program.respawns >= _RESPAWNS or other is not None:
            yield _remembered_row(look, program, other)


def _remembered_row(look: _Look, program: Program, other: Optional[Program]) -> ProcessRespawn:
    last, before = program.last, program.previous
    running = look.by_pid.get(last.identity[0])
    if running is None or running.process.identity != last.identity:
        running = None
    reasons: list[str] = []
    # Workers that their own program starts anew are a pool, wherever that program is.
    if not program.is_pool:
        reasons += dict.fromkeys((*last.places, *(look.places.of_process(running.process) if running else ())))
        if program.changes_name:
            reasons.append("changes_name")
    if other is not None:
        reasons.append("mutual_guard")
    unit, files = look.unit(last.cgroup_path or "")
    ended = f"pid {before.identity[0]} of it ended" if before else "it ended"
    starter = program.starters[-1] if program.starters else "an unknown process"
    return ProcessRespawn(
        mechanism="memory",
        exe_path=last.exe_path or None,
        process_name=last.process_name,
        cmdline=(running.process.cmdline if running else last.cmdline) or None,
        pid=last.identity[0] if running else None,
        owner_uid=last.owner_uid,
        parent=last.starter[0] if last.starter else None,
        parent_name=last.starter_name,
        start_time=last.start_time,
        is_hidden=look.visibility.is_hidden(running.process) if running else None,
        respawns=program.respawns,
        first_seen=program.first_seen,
        last_start=last.start_time,
        interval_seconds=program.interval_seconds,
        previous_pid=before.identity[0] if before else None,
        starters=" ".join(program.starters) or None,
        restarter=starter,
        restarter_pid=last.starter[0] if last.starter and last.starter[0] in look.by_pid else None,
        mutual_guard=f"{other.last.process_name}({other.last.identity[0]})" if other else None,
        unit=unit,
        unit_restart=files.restart if files else None,
        unit_restarts=look.files.unit_restarts(unit) if unit else None,
        cgroup_path=last.cgroup_path or None,
        container_id=container_id(last.cgroup_path or ""),
        reasons=",".join(reasons) or None,
        evidence=f"{ended} and {starter} started it again" + ("; each starts the other" if other else ""),
    )


def _guarded(look: _Look) -> Iterator[ProcessRespawn]:
    guards = list(look.programs.guards(ProcessFiles(look.procfs), _MAX_SCRIPTS))
    restarts = {(guard.running.process.pid, target.process.pid) for guard in guards for target in guard.targets}
    for guard in guards:
        look.query.check_time()
        if not look.is_still(guard.running):
            continue
        for target in guard.targets:
            if look.is_still(target):
                yield _guarded_row(look, guard, target, (target.process.pid, guard.running.process.pid) in restarts)


def _guarded_row(look: _Look, guard: Guard, target: Running, is_mutual: bool) -> ProcessRespawn:
    reasons = list(look.odd_places(target))
    if reasons or look.is_kept(target):
        places = [*look.odd_places(guard.running), *([DELETED_FILE] if guard.is_deleted else [])]
        reasons += dict.fromkeys(f"guard_{place}" for place in places)
    if is_mutual:
        reasons.append("mutual_guard")
    what = f"its code ({guard.code})" if guard.code == "-c" else guard.code
    return look.row(
        "mutual_guard" if is_mutual else "guard_loop",
        target,
        reasons,
        f"{_name(guard.running)} starts it again in a loop of {what}" + (", and is started again by it" if is_mutual else ""),
        restarter=f"{_name(guard.running)} {guard.code}",
        guard=guard.running,
        is_mutual=is_mutual,
    )


def _watching_each_other(look: _Look) -> Iterator[ProcessRespawn]:
    """Pairs of programs in odd places that were each given the other's pid or path to watch."""
    odd = [running for running in look.by_pid.values() if look.places.of_path(running.exe_path)]
    for running, other in watching_each_other(odd):
        places = look.odd_places(running)
        if places and look.is_still(running) and look.is_still(other):
            yield look.row(
                "mutual_guard",
                running,
                (*places, "mutual_guard"),
                f"it and {_name(other)} name each other in their command lines",
                restarter=f"{_name(other)} {other.exe_path}",
                guard=other,
                is_mutual=True,
            )


def _scheduled(look: _Look) -> Iterator[ProcessRespawn]:
    for job in look.files.cron_jobs():
        look.query.check_time()
        where = f"{job.path}:{job.line}" if job.line else job.path
        for running in look.programs.started_as(job.starts.paths()):
            if look.shares_files(running) and look.is_still(running):
                evidence = f"the cron job {where} starts it"
                yield look.row("cron", running, look.odd_places(running), evidence, restarter=where)
    for unit in look.units:
        look.query.check_time()
        for running in look.programs.started_as(unit.starts.paths()) if unit.restarts else ():
            shown = look.name_in(unit.name, running.process.cgroup_path)
            if shown is not None and look.shares_files(running) and look.is_still(running):
                how = "a timer" if unit.has_timer else f"Restart={unit.restart}"
                evidence = f"{unit.path} starts it and has {how}"
                places = look.odd_places(running)
                yield look.row("unit", running, places, evidence, restarter=unit.path, named_unit=(shown, unit))


@table(
    _TABLE,
    ProcessRespawn,
    needs_live=True,
    remembers=True,
    description="Programs that come back after they ended, and the guards, cron jobs and services that start them again.",
    sop_steps=(10,),
    examples=[
        "SELECT pid, process_name, exe_path, restarter, reasons, evidence FROM process_respawns WHERE reasons <> ''",
        "SELECT exe_path, respawns, interval_seconds, starters, unit FROM process_respawns WHERE mechanism = 'memory'",
    ],
)
@names_containers
def process_respawns(host: Host, query: QueryContext) -> Iterator[ProcessRespawn]:
    """One row per program and mechanism: a fact each; `reasons` name what no honest restart has.

    Mechanism `memory` compares calls: the same file and command line (random parts of names and numbers aside) that ended
    and was started again at least twice. The first call only fills that memory; what comes and goes between two calls
    is not seen, and 4,096 programs are remembered, those not seen for longest forgotten first. The others answer
    at once: scripts that are running now and start a running program in a loop (at most 64 KiB of their text is read;
    code that came through a pipe cannot be), programs that watch each other, cron jobs, and service units with Restart=
    or a timer. A program that is neither in a folder for temporary files nor hidden nor deleted has reasons only when
    its guard is odd, its name changes, or two programs restart each other.

    Read from /proc, unit files and crontabs; nothing is asked over D-Bus.
    """
    if not host.is_live:
        raise TableError(f"processes can be examined on the running system only, not below {host.files.root}")
    memory = host.state(_TABLE, RespawnMemory)
    look = _Look(host, query)
    look.remember(memory)
    if not host.is_root:
        query.could_not_see("not root: the programs of other users' processes are not readable")
    if memory.lost:
        query.truncate(f"{memory.lost} running programs are not remembered: more than {len(memory)} run")
    seen: set[tuple[str, Optional[int], Optional[str]]] = set()
    for found in (_remembered(look, memory), _guarded(look), _watching_each_other(look), _scheduled(look)):
        for row in found:
            key = (row.mechanism, row.pid, row.restarter if row.pid else row.cmdline)
            if key not in seen:
                seen.add(key)
                yield row
