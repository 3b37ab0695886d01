"""An incident: the findings of one host that are one story, how grave it is and how sure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Optional

from extension.incidents.things import PROCESS, Thing, things_of
from extension.pack.parts import SEVERITIES, STAGES, WEAKNESS, Query

# What a finding says of a compromise, by severity. Of several in one stage of the chain the gravest counts: they may be one
# observation seen twice; findings of different stages are independent, and add up. A weakness says nothing by itself.
_POINTS = {"critical": 6, "high": 4, "medium": 2, "low": 1}
_COMPROMISED = 4
_OPEN = "execution"
_SURE = 8
# The times in a row, the best witness first: nobody can set a start or a status change.
_TIMES = (
    "start_time", "entered_at", "first_success_after_failures", "logged_in_at", "ctime", "btime", "mtime",
    "exe_ctime", "exe_mtime",
)  # fmt: skip
_SECONDS = re.compile(r"[0-9]{1,11}")


@dataclass(frozen=True, eq=False)
class Finding:
    """One row of a detection; `time` is when it was logged (unix seconds), where that is known and the row has no time."""

    query: Query
    row: Mapping[str, str]
    time: Optional[int] = None

    @property
    def stage(self) -> str:
        """Its place in the chain; a pack of one's own may leave that open."""
        return self.query.stage or _OPEN

    @cached_property
    def things(self) -> tuple[Thing, ...]:
        """What it is about."""
        return things_of(self.query, self.row)

    @cached_property
    def strong_things(self) -> tuple[Thing, ...]:
        """What it is about by name, rather than what it only means."""
        return tuple(thing for thing in self.things if not thing.is_weak)

    @property
    def has_process(self) -> bool:
        """Whether it is about a process that it names."""
        return any(thing.kind == PROCESS for thing in self.strong_things)

    @cached_property
    def when(self) -> Optional[int]:
        """When it happened, in unix seconds."""
        for column in _TIMES:
            value = self.row.get(column, "")
            if _SECONDS.fullmatch(value) and int(value):
                return int(value)
        return self.time

    @property
    def order(self) -> tuple[int, bool, int, float, str]:
        """Where it stands in the chain: by stage, then what names a process that mines, the gravest and earliest first."""
        stage = STAGES.index(self.stage) if self.stage in STAGES else len(STAGES)
        is_nameless = self.stage == "mining" and not self.row.get("pid")
        return stage, is_nameless, SEVERITIES.index(self.query.severity), self.when or float("inf"), self.query.name


@dataclass(frozen=True, eq=False)
class Incident:
    """Findings that share things, in the chain's order, and what of the same host goes with them without sharing any."""

    linked: tuple[Finding, ...]
    # Each of them findings that share things among themselves.
    others: tuple[tuple[Finding, ...], ...] = ()

    @cached_property
    def beside(self) -> tuple[Finding, ...]:
        """Those that share nothing with the linked ones."""
        return tuple(sorted((finding for group in self.others for finding in group), key=lambda finding: finding.order))

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, in the chain's order."""
        return tuple(sorted((*self.linked, *self.beside), key=lambda finding: finding.order))

    @cached_property
    def things(self) -> tuple[Thing, ...]:
        """All that its findings are about, each once."""
        return tuple(dict.fromkeys(thing for finding in self.findings for thing in finding.things))

    @property
    def severity(self) -> str:
        """That of the gravest finding."""
        return min((finding.query.severity for finding in self.findings), key=SEVERITIES.index)

    @property
    def confidence(self) -> str:
        """`high`, `medium` or `low`: more findings never lower it."""
        points = self._points
        return "high" if points >= _SURE else "medium" if points >= _COMPROMISED else "low"

    @property
    def is_compromise(self) -> bool:
        """Whether the host must be taken for compromised: one grave finding, or weaker ones of two stages of the chain."""
        return self._points >= _COMPROMISED

    @property
    def _points(self) -> int:
        # What shares nothing supports nothing: it counts by itself.
        return max(map(_points, (self.linked, *self.others)))

    @cached_property
    def chain(self) -> dict[str, tuple[Finding, ...]]:
        """The findings by stage (entry, execution, persistence, hiding, mining, weakness), those stages that there are."""
        stages: dict[str, list[Finding]] = {}
        for finding in self.findings:
            stages.setdefault(finding.stage, []).append(finding)
        return {stage: tuple(found) for stage, found in stages.items()}

    @property
    def since(self) -> Optional[int]:
        """When the first of its processes was started, else when the first thing happened (unix seconds)."""
        started = [finding.when for finding in self.linked if finding.row.get("start_time") and finding.when]
        times = started or [finding.when for finding in self.linked if finding.when]
        return min(times, default=None)

    @property
    def is_mining(self) -> bool:
        """Whether something was seen to mine."""
        return any(finding.stage == "mining" for finding in self.findings)


def is_compromised(incidents: Iterable[Incident]) -> bool:
    """Whether any of a host's incidents is a compromise."""
    return any(incident.is_compromise for incident in incidents)


def _points(findings: Iterable[Finding]) -> int:
    best: dict[str, int] = {}
    for finding in findings:
        stage = finding.stage
        if stage != WEAKNESS:
            best[stage] = max(best.get(stage, 0), _POINTS[finding.query.severity])
    return sum(best.values())
