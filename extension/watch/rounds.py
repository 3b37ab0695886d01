"""Looks at a host again and again by the cheap part of the pack, and tells what appears, disappears and comes back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from extension.command_line import open_embedded
from extension.engines import EngineError
from extension.incidents import Finding
from extension.pack.model import Pack, Query
from extension.watch.identity import identity
from tables.host import Host

# Of CPU that a look may take, with room for a busy host; what is dearer is not asked again.
_ROUND_SECONDS = 0.15
# What the pack asks at least this often (seconds) is cheap as a rule; and so long one look of the choice may take.
_OFTEN = 900
_CHOICE_SECONDS = 5.0
_MEASURED = 3
# What is asked first, where the choice takes too long; of what was asked the cheapest are taken.
_ORDER = ("execution", "mining", "persistence", "hiding", "entry")
_NAME = ("exe_path", "cmdline")


@dataclass
class Event:
    """Something that happened at a time (unix seconds): `there`, `appears`, `vanishes` or `returns`.

    `starter` is who started it, where that is known.
    """

    what: str
    time: float
    finding: Finding
    queries: list[str] = field(default_factory=list)
    starter: str = ""


@dataclass
class _Seen:
    """One program, job, key …: in which runs (pid@start) it is there now."""

    finding: Finding
    queries: list[str]
    now: set[str]


class Watch:
    """A host under watch."""

    def __init__(self, pack: Pack, host: Host) -> None:
        """Choose the queries of `pack` that a look may ask, by what each of them costs here."""
        self.began = time.time()
        self._host = host
        self._seen: dict[tuple[str, ...], _Seen] = {}
        found = [query for query in pack.queries() if query.kind == "detection" and query.stage in _ORDER]
        often = sorted((query for query in found if query.interval <= _OFTEN), key=lambda query: _ORDER.index(query.stage))
        # The first time much is read that is known from then on.
        self.queries = list(self._costs(often))
        for _ in range(_MEASURED):
            began = time.process_time()
            costs = self._costs(self.queries)
            if time.process_time() - began <= _ROUND_SECONDS:
                break
            # What the dearest reads may be what others answer from: what is left is measured again.
            self.queries = _affordable(costs)

    def _costs(self, queries: list[Query]) -> dict[Query, float]:
        """Seconds of CPU that each takes in a look, those that can be asked in time."""
        deadline = time.monotonic() + _CHOICE_SECONDS
        engine = open_embedded(self._host)
        costs = {}
        for query in queries:
            if time.monotonic() > deadline:
                break
            began = time.process_time()
            try:
                engine.query(query.sql)
            except EngineError:
                continue
            costs[query] = time.process_time() - began
        return costs

    def run(self, span: float, every: float, tell: Callable[[Event], None]) -> tuple[list[Finding], bool]:
        """Look for `span` seconds, every `every` seconds; what came back, and whether the user ended it before."""
        end = time.monotonic() + span
        returned: dict[tuple[str, ...], Finding] = {}
        try:
            while True:
                began = time.monotonic()
                for event in self.look():
                    tell(event)
                    if event.what == "returns":
                        returned[_subject(event.finding)] = event.finding
                if time.monotonic() >= end:
                    return list(returned.values()), False
                time.sleep(max(0.0, min(began + every, end) - time.monotonic()))
        except KeyboardInterrupt:
            return list(returned.values()), True

    def look(self) -> list[Event]:
        """Look once; what changed since the last look, and at the first what is there."""
        # Anew, so that no table answers from what it saw in an earlier look.
        engine = open_embedded(self._host)
        is_first = not self._seen
        runs: dict[tuple[str, ...], dict[str, Finding]] = {}
        queries: dict[tuple[str, ...], list[str]] = {}
        for query in self.queries:
            try:
                rows = engine.query(query.sql)
            except EngineError:
                continue
            for row in rows:
                finding = Finding(query, row)
                subject = _subject(finding)
                runs.setdefault(subject, {}).setdefault(identity(finding).run, finding)
                if query.name not in queries.setdefault(subject, []):
                    queries[subject].append(query.name)
        now = time.time()
        events = []
        for subject, found in runs.items():
            known = self._seen.get(subject)
            for run, finding in found.items():
                if known is None:
                    what = "there" if is_first else "appears"
                    events.append(Event(what, now, finding, queries[subject], _starter(finding)))
                    known = self._seen[subject] = _Seen(finding, queries[subject], set(found))
                elif run not in known.now:
                    # Beside those that run on it is one more; in their place it is the same once more.
                    what = "returns" if known.now.isdisjoint(found) else "appears"
                    events.append(Event(what, now, finding, queries[subject], _starter(finding)))
            assert known is not None
            known.finding, known.queries = next(iter(found.values())), queries[subject]
            known.now = set(found)
        for subject, known in self._seen.items():
            if known.now and subject not in runs:
                known.now = set()
                events.append(Event("vanishes", now, known.finding, known.queries))
        return events


def _affordable(costs: dict[Query, float]) -> list[Query]:
    """The queries that fit into a look: those about processes before the others, and the cheap before the dear."""
    left = _ROUND_SECONDS
    chosen = []
    for query, cost in sorted(costs.items(), key=lambda one: (not one[0].things.get("process"), one[1])):
        if cost <= left:
            chosen.append(query)
            left -= cost
    return chosen


def _subject(finding: Finding) -> tuple[str, ...]:
    """What an event is about: a program whatever was found of it, else the thing itself."""
    program = tuple(finding.row.get(name, "") for name in _NAME)
    return program if finding.row.get("pid") and any(program) else identity(finding).about


def _starter(finding: Finding) -> str:
    row = finding.row
    if row.get("restarter"):
        return row["restarter"]
    if row.get("ancestry"):
        return row["ancestry"].rpartition(" > ")[0]
    return f"{row['parent_name']}({row['parent']})" if row.get("parent_name") else ""
