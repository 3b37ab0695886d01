"""Runs a pack through an engine, step by step, and judges each query, each step and the host."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from typing import Optional

from extension.engines import Engine, EngineError, ResultRow
from extension.gaps import BlindSpot, Gaps
from extension.incidents import Finding, Incident, group, is_compromised
from extension.pack.model import SEVERITIES, Pack, Query, Step
from extension.scans import ScanCount, TableScans

NORMAL = "normal"
ABNORMAL = "abnormal"
ERROR = "error"
NEEDS_ROOT = "needs-root"
NOT_APPLICABLE = "not-applicable"
# Of a query: no rows, but its answer was cut short or its tables were blind. Of a host: nothing found, but not all was checked.
INCOMPLETE = "incomplete"

CLEAN = "clean"
SUSPICIOUS = "suspicious"
COMPROMISED = "compromised"
# Nothing found in those steps that were asked for.
PARTIAL = "partial"


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
        """What this query did not look at, and in which something could hide: beyond a bound, or not to be seen."""
        return tuple(gap for gap in self.gaps if gap.is_blind)

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
    # Steps of the pack, and whether the rest of those asked for was given up; queries that --quick leaves out.
    steps_in_pack: int = 0
    is_interrupted: bool = False
    left_out: tuple[str, ...] = ()
    scans: tuple[TableScans, ...] = ()

    @property
    def results(self) -> Iterator[QueryResult]:
        """All query results, step by step."""
        return (result for step in self.steps for result in step.queries)

    @cached_property
    def incidents(self) -> tuple[Incident, ...]:
        """What the findings come to, the gravest first."""
        return group(Finding(result.query, row) for result in self.results if result.findings for row in result.rows)

    @property
    def chained(self) -> tuple[Finding, ...]:
        """The findings, incident by incident, in the order of their chains."""
        return tuple(finding for incident in self.incidents for finding in incident.findings)

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

    @property
    def unchecked_steps(self) -> list[int]:
        """Numbers of the steps of which nothing was found, but not all could be checked."""
        return [step.step.step for step in self.steps if step.status in (ERROR, INCOMPLETE, NEEDS_ROOT)]

    @property
    def is_partial(self) -> bool:
        """Whether less than the whole pack was asked for."""
        return len(self.steps) < self.steps_in_pack or bool(self.left_out)

    def has_finding(self, at_least: str) -> bool:
        """Whether a detection of this severity or a graver one gave rows."""
        grave = SEVERITIES[: SEVERITIES.index(at_least) + 1]
        return any(result.findings and result.query.severity in grave for result in self.results)

    @property
    def verdict(self) -> str:
        """The word for the host, the worst that holds.

        compromised: an incident of one grave finding, or of weaker ones of two stages of the chain; suspicious: other findings;
        incomplete: none, but something could not be checked; partial: none in what was asked for; clean. A hardening policy that
        fails makes its step abnormal, not the host suspicious.
        """
        if is_compromised(self.incidents):
            return COMPROMISED
        if self.findings:
            return SUSPICIOUS
        if self.is_interrupted or self.unchecked_steps:
            return INCOMPLETE
        if self.is_partial:
            return PARTIAL
        return CLEAN


def run_triage(
    pack: Pack,
    engine: Engine,
    steps: Iterable[int] = (),
    begin: Callable[[Step], None] = lambda _: None,
    done: Callable[[StepResult], None] = lambda _: None,
    without_tables: Collection[str] = (),
) -> Triage:
    """Run the pack's steps in order (all, or those numbered in `steps`), telling `begin` before and `done` after each.

    Queries over `without_tables` are left out. When the user interrupts it, the triage holds what was found so far.
    """
    wanted = set(steps)
    gaps = Gaps(engine)
    count = ScanCount(engine)
    started = time.time()
    results: list[StepResult] = []
    left_out: list[str] = []
    is_interrupted = False
    host = engine.host_facts()
    asked = [step for step in pack.steps if not wanted or step.step in wanted]
    engine.expect(_tables(asked, without_tables))
    for step in asked:
        begin(step)
        queries = []
        try:
            for query in step.queries:
                if not query.tables.isdisjoint(without_tables):
                    left_out.append(query.name)
                    continue
                queries.append(_run_query(query, engine, gaps))
        except KeyboardInterrupt:
            is_interrupted = True
        if queries:
            results.append(_step_result(step, tuple(queries)))
            done(results[-1])
        if is_interrupted:
            break
    return Triage(
        engine.name, engine.version, host, started, time.time(), tuple(results), gaps.all(), len(pack.steps), is_interrupted,
        tuple(left_out), count.since(),
    )  # fmt: skip


def _tables(steps: Iterable[Step], without: Collection[str]) -> list[str]:
    """The tables that the queries of these steps read, in the order in which they come."""
    read = (query.tables for step in steps for query in step.queries if query.tables.isdisjoint(without))
    return list(dict.fromkeys(table for tables in read for table in sorted(tables)))


def _step_result(step: Step, results: tuple[QueryResult, ...]) -> StepResult:
    statuses = {result.status for result in results}
    # What does not apply decides only where nothing else does.
    order = (ABNORMAL, ERROR, INCOMPLETE, NEEDS_ROOT, NORMAL, NOT_APPLICABLE)
    status = next((status for status in order if status in statuses), NORMAL)
    return StepResult(step, status, results)


def _run_query(query: Query, engine: Engine, gaps: Gaps) -> QueryResult:
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
    if query.kind == "detection" and any(gap.is_blind for gap in lacked):
        return INCOMPLETE
    # A policy passes with at least one row, as in osquery and Fleet.
    return ABNORMAL if query.kind == "policy" and not rows else NORMAL


def iso_time(moment: float) -> str:
    """Unix seconds as ISO 8601 in UTC."""
    return datetime.fromtimestamp(moment, timezone.utc).isoformat()[:19] + "Z"
