"""What to do about a whole host, in the order in which it works: the steps of all findings, each once.

Nothing of it is ever run by minehunt: it is read, copied and typed by a responder.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Optional

from extension.incidents import Finding, Incident
from extension.incidents.steps import Todo, plain, todos
from extension.pack.parts import PHASES

# Of a finding that is no compromise by itself, what only looks and asks.
_HARMLESS = ("preserve", "verify")
_WORDS = {
    "en": {
        "folder": "Make one fresh folder for the evidence.",
        "moment": "Keep what is gone in a moment: processes, sockets, mounts.",
        "collect": "Collect the evidence of all findings in one archive.",
        "again": "Examine the host again.",
        "compare": "See what is gone, what is left, and what came back.",
        "watch": "Watch for a quarter of an hour whether something comes back.",
    },
    "zh": {
        "folder": "新建一个证据目录。",
        "moment": "留存易变信息：进程、套接字、挂载。",
        "collect": "将所有发现的证据收集到一个归档中。",
        "again": "再次排查本机。",
        "compare": "查看哪些已清除、哪些仍在、哪些又出现。",
        "watch": "观察一刻钟，确认没有死灰复燃。",
    },
}


@dataclass(frozen=True)
class PlanStep:
    """One step: its phase, what it is for, the command where there is one, and the queries that ask for it.

    `process` is the (pid, start time) that the command is about, so that it can be told whether the pid is still that process's.
    """

    phase: str
    text: str
    command: str
    queries: tuple[str, ...] = ()
    process: Optional[tuple[str, str]] = None
    is_refused: bool = False


@dataclass(frozen=True)
class Plan:
    """The steps of a host in their order."""

    hostname: str
    made: float
    steps: tuple[PlanStep, ...]

    def phases(self) -> Iterator[tuple[str, tuple[PlanStep, ...]]]:
        """Each phase that there is, with its steps."""
        for phase in PHASES:
            steps = tuple(step for step in self.steps if step.phase == phase)
            if steps:
                yield phase, steps


def make_plan(incidents: Sequence[Incident], hostname: str, made: float, language: str, report: str = "REPORT.json") -> Plan:
    """The plan for a host's incidents as of `made` (unix seconds); `report` is the triage's JSON report that it is made of."""
    if not incidents:
        return Plan(hostname, made, ())
    found: dict[tuple[str, str], tuple[Todo, Finding, dict[str, None]]] = {}
    for finding, todo in _todos(incidents, language):
        key = (todo.phase, todo.command or plain(todo.text))
        # A pid that is frozen as a guard is not frozen once more as a miner.
        known = found.get(key)
        if known is None:
            found[key] = (todo, finding, {finding.query.name: None})
        else:
            known[2][finding.query.name] = None
            if todo.rank < known[0].rank:
                found[key] = (todo, finding, known[2])
    order = sorted(found.values(), key=lambda one: (*one[0].order, *_by_line(one[0], one[1].row)))
    steps = [
        PlanStep(todo.phase, plain(todo.text), todo.command, tuple(queries), _process(todo, finding.row), todo.is_refused)
        for todo, finding, queries in order
    ]
    own = _own_steps(made, language, report)
    return Plan(hostname, made, tuple(step for phase in PHASES for step in _in_phase(phase, steps, own)))


def _todos(incidents: Iterable[Incident], language: str) -> Iterator[tuple[Finding, Todo]]:
    for incident in incidents:
        for finding in incident.findings:
            for todo in todos(finding.query, finding.row, language):
                if incident.is_compromise or todo.phase in _HARMLESS or not (todo.command or todo.is_refused):
                    yield finding, todo


def _by_line(todo: Todo, row: Mapping[str, str]) -> tuple[str, int]:
    """Where lines are deleted by their number the last goes first, or the others would move."""
    line = row.get("line", "")
    if todo.phase != "eradicate" or not line.isdigit():
        return "", 0
    return row.get("path") or row.get("source_path", ""), -int(line)


def _process(todo: Todo, row: Mapping[str, str]) -> Optional[tuple[str, str]]:
    pid, start = row.get("pid", ""), row.get("start_time", "")
    is_about_it = pid.isdigit() and start.isdigit() and todo.command.startswith("kill ") and todo.command.endswith(f" {pid}")
    return (pid, start) if is_about_it and int(start) else None


def _in_phase(phase: str, steps: Iterable[PlanStep], own: Mapping[str, Sequence[PlanStep]]) -> Iterator[PlanStep]:
    inside = [step for step in steps if step.phase == phase]
    # What is ours comes first where the others need it, and last where it looks at what they have done.
    yield from (*inside, *own.get(phase, ())) if phase == "verify" else (*own.get(phase, ()), *inside)


def _own_steps(made: float, language: str, report: str) -> dict[str, list[PlanStep]]:
    words = _WORDS[language]
    stamp = datetime.fromtimestamp(made, timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    name = shlex.quote(report)
    contain = [
        (words["folder"], f'cd / && CASE=/root/minehunt-case-{stamp} && mkdir -m 700 "$CASE"'),
        (
            words["moment"],
            'ps -ef > "$CASE/ps.txt"; ss -tunapeo > "$CASE/ss.txt"; cat /proc/self/mountinfo > "$CASE/mountinfo.txt"',
        ),
    ]
    preserve = [
        (words["collect"], f'minehunt collect --output "$CASE/evidence.tar.gz" {name}'),
    ]
    verify = [
        (words["again"], 'minehunt triage --format json --output "$CASE/after.json"'),
        (words["compare"], f'minehunt compare {name} "$CASE/after.json"'),
        (words["watch"], "minehunt watch --for 15m"),
    ]
    return {
        phase: [PlanStep(phase, text, command) for text, command in steps]
        for phase, steps in (("contain", contain), ("preserve", preserve), ("verify", verify))
    }
