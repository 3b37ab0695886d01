"""Runs a pack through an engine, step by step, and judges each query, each step and the host."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Optional

from extension.engines import Engine, EngineError, ResultRow
from extension.pack.model import SEVERITIES, Pack, Query, Step
from tables.host.status import TRUNCATED

NORMAL = "normal"
ABNORMAL = "abnormal"
ERROR = "error"
NEEDS_ROOT = "needs-root"
NOT_APPLICABLE = "not-applicable"
# Of a query: no rows, but its answer was cut short. Of a host: nothing found, but not everything could be checked.
INCOMPLETE = "incomplete"

CLEAN = "clean"
SUSPICIOUS = "suspicious"
COMPROMISED = "compromised"

_GRAVE = ("critical", "high")


@dataclass(frozen=True)
class BlindSpot:
    """Something a minehunt table could not see or do; `kind` is error, truncated or degraded."""

    table: str
    why: str
    kind: str = "degraded"


@dataclass(frozen=True)
class QueryResult:
    """What one query gave. `status` is normal, abnormal, error, incomplete, needs-root or not-applicable.

    Evidence and inventory are never abnormal; not-applicable is what only a running system could answer on a mounted disk,
    and `error` then says so. `gaps` is what the tables' answers lacked.
    """

    query: Query
    status: str
    rows: tuple[ResultRow, ...]
    error: Optional[str]
    elapsed_ms: int
    gaps: tuple[BlindSpot, ...] = ()

    @property
    def cuts(self) -> tuple[BlindSpot, ...]:
        """What a bound kept this query from looking at."""
        return tuple(gap for gap in self.gaps if gap.kind == TRUNCATED)

    @property
    def findings(self) -> int:
        """Rows that each are an alert: those of a detection."""
        return len(self.rows) if self.query.kind == "detection" else 0


@dataclass(frozen=True)
class StepResult:
    """One SOP step's queries and what they come to together."""

    step: Step
    status: str
    queries: tuple[QueryResult, ...]


@dataclass(frozen=True)
class Triage:
    """A finished triage; times in unix seconds."""

    engine_name: str
    engine_version: str
    host: dict[str, str]
    started: float
    finished: float
    steps: tuple[StepResult, ...]
    blind_spots: tuple[BlindSpot, ...] = field(default=())

    @property
    def results(self) -> Iterator[QueryResult]:
        """All query results, step by step."""
        return (result for step in self.steps for result in step.queries)

    @property
    def findings(self) -> int:
        """Rows of all detections."""
        return sum(result.findings for result in self.results)

    @property
    def errors(self) -> int:
        """Queries that failed."""
        return sum(result.status == ERROR for result in self.results)

    @property
    def abnormal_steps(self) -> list[int]:
        """Numbers of the steps that are abnormal."""
        return [step.step.step for step in self.steps if step.status == ABNORMAL]

    def has_finding(self, at_least: str) -> bool:
        """Whether a detection of this severity or a graver one gave rows."""
        grave = SEVERITIES[: SEVERITIES.index(at_least) + 1]
        return any(result.findings and result.query.severity in grave for result in self.results)

    @property
    def verdict(self) -> str:
        """The word for the host, the worst that holds.

        compromised: critical or high findings; suspicious: other findings; incomplete: none, but something could not be
        checked; clean. A hardening policy that fails makes its step abnormal, not the host suspicious.
        """
        if any(self.has_finding(severity) for severity in _GRAVE):
            return COMPROMISED
        if self.findings:
            return SUSPICIOUS
        if any(result.status in (ERROR, NEEDS_ROOT, INCOMPLETE) for result in self.results):
            return INCOMPLETE
        return CLEAN


def run_triage(
    pack: Pack,
    engine: Engine,
    steps: Iterable[int] = (),
    begin: Callable[[Step], None] = lambda _: None,
    done: Callable[[StepResult], None] = lambda _: None,
) -> Triage:
    """Run the pack's steps in order (all, or those numbered in `steps`), telling `begin` before and `done` after each."""
    wanted = set(steps)
    gaps = _Gaps(engine)
    started = time.time()
    results = []
    for step in pack.steps:
        if wanted and step.step not in wanted:
            continue
        begin(step)
        results.append(_run_step(step, engine, gaps))
        done(results[-1])
    return Triage(engine.name, engine.version, engine.host_facts(), started, time.time(), tuple(results), gaps.all())


def _run_step(step: Step, engine: Engine, gaps: _Gaps) -> StepResult:
    results = tuple(_run_query(query, engine, gaps) for query in step.queries)
    statuses = {result.status for result in results}
    # What does not apply decides only where nothing else does.
    order = (ABNORMAL, ERROR, INCOMPLETE, NEEDS_ROOT, NORMAL, NOT_APPLICABLE)
    status = next((status for status in order if status in statuses), NORMAL)
    return StepResult(step, status, results)


def _run_query(query: Query, engine: Engine, gaps: _Gaps) -> QueryResult:
    started = time.monotonic()
    rows: tuple[ResultRow, ...] = ()
    error = engine.inapplicable(query.sql)
    if error is not None:
        return QueryResult(query, NOT_APPLICABLE, (), error, 0)
    try:
        rows = tuple(engine.query(query.sql))
    except EngineError as failure:
        error = str(failure)
    elapsed_ms = round((time.monotonic() - started) * 1000)
    lacked = gaps.new()
    return QueryResult(query, _judge(query, rows, error, lacked), rows, error, elapsed_ms, lacked)


def _judge(query: Query, rows: tuple[ResultRow, ...], error: Optional[str], lacked: Iterable[BlindSpot]) -> str:
    lacks_root = query.needs_root and os.geteuid() != 0
    if error is not None:
        return NEEDS_ROOT if lacks_root else ERROR
    if query.kind == "detection" and rows:
        return ABNORMAL
    if lacks_root:
        return NEEDS_ROOT
    if query.kind == "detection" and any(gap.kind == TRUNCATED for gap in lacked):
        return INCOMPLETE
    # A policy passes with at least one row, as in osquery and Fleet.
    return ABNORMAL if query.kind == "policy" and not rows else NORMAL


class _Gaps:
    """What the tables' answers lacked, query by query."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._seen: dict[BlindSpot, None] = {}
        self._last = 0
        self.new()
        # What was said before the triage began is none of its own.
        self._seen.clear()

    def new(self) -> tuple[BlindSpot, ...]:
        """What answers have lacked since the last call."""
        try:
            # A number of our own.
            sql = f"SELECT sequence, table_name, kind, why FROM minehunt_gaps WHERE sequence > {self._last}"  # noqa: S608
            rows = self._engine.query(sql)
        except EngineError as error:
            found = [BlindSpot("minehunt_gaps", str(error), ERROR)]
        else:
            self._last = max([self._last, *(int(row["sequence"]) for row in rows)])
            found = [BlindSpot(row["table_name"], row["why"], row["kind"]) for row in rows]
        self._seen.update(dict.fromkeys(found))
        return tuple(found)

    def all(self) -> tuple[BlindSpot, ...]:
        """All of them, each once."""
        return tuple(self._seen)


def iso_time(moment: float) -> str:
    """Unix seconds as ISO 8601 in UTC."""
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
