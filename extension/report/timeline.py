"""When what happened: the times in findings, and in the evidence around them, as a list of events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from extension.engines import ResultRow
from extension.pack.model import SEVERITIES
from extension.report.values import moment
from extension.triage import QueryResult, Triage

LANES = ("processes", "files", "startup", "access", "logins")
_STARTUP_STEPS = (2, 5, 9, 10, 15, 16)
_ACCESS_STEPS = (13, 14)
# column: (lane, word for what happened, columns that name what it happened to); None: the lane follows from the step.
_COLUMNS = {
    "start_time": ("processes", "started", ("process_name", "pid")),
    "btime": (None, "born", ("path",)),
    "mtime": (None, "written", ("path", "config_path", "link_path")),
    "ctime": (None, "touched", ("path", "config_path", "link_path")),
    "exe_mtime": ("files", "written", ("exe_path",)),
    "exe_ctime": ("files", "touched", ("exe_path",)),
    "last_change": ("access", "password", ("username",)),
    "entered_at": ("logins", "typed", ("username", "command")),
    "logged_in_at": ("logins", "login", ("username", "remote")),
    "first_failure": ("logins", "failed_login", ("username", "remote_address")),
    "first_success_after_failures": ("logins", "guessed", ("username", "remote_address")),
}
# What else happened around the findings.
_CONTEXT = ("logins", "downloads_in_shell_history", "login_failures", "cron_files", "unit_files", "startup_files", "accounts")
_CONTEXT_DAYS = 30
_MAX_CONTEXT = 40
_MAX_EVENTS = 200


@dataclass
class Event:
    """Something that happened at a time (unix seconds) to a subject (the values that name it), as one or more queries tell."""

    time: int
    lane: str
    words: list[str]
    subject: tuple[str, ...]
    queries: list[str]
    # "" where no finding is about it
    severity: str


def events(triage: Triage) -> tuple[list[Event], int]:
    """The events, oldest first, at most two hundred, the newest; and how many older ones are left out."""
    found: dict[tuple[int, str, tuple[str, ...]], Event] = {}
    for step, result in _results(triage):
        if result.findings:
            for row in result.rows:
                _merge(found, _events(row, step, result))
    start = triage.finished - _CONTEXT_DAYS * 86400
    around: dict[tuple[int, str, tuple[str, ...]], Event] = {}
    for step, result in _results(triage):
        if result.query.name in _CONTEXT:
            for row in result.rows:
                _merge(around, (event for event in _events(row, step, result) if start <= event.time <= triage.finished))
    new = [event for key, event in around.items() if key not in found]
    context = sorted(new, key=lambda event: event.time)[-_MAX_CONTEXT:]
    every = sorted([*found.values(), *context], key=lambda event: (event.time, LANES.index(event.lane), event.subject))
    return every[-_MAX_EVENTS:], max(0, len(every) - _MAX_EVENTS)


def _results(triage: Triage) -> Iterator[tuple[int, QueryResult]]:
    return ((step.step.step, result) for step in triage.steps for result in step.queries)


def _events(row: ResultRow, step: int, result: QueryResult) -> Iterator[Event]:
    for column, (lane, word, names) in _COLUMNS.items():
        time = moment(column, row.get(column, ""))
        subject = tuple(row[name] for name in names if row.get(name))
        if time is not None and subject:
            severity = result.query.severity if result.findings else ""
            yield Event(time, lane or _lane(step), [word], subject, [result.query.name], severity)


def _lane(step: int) -> str:
    if step in _ACCESS_STEPS:
        return "access"
    return "startup" if step in _STARTUP_STEPS else "files"


def _merge(found: dict[tuple[int, str, tuple[str, ...]], Event], new: Iterable[Event]) -> None:
    for event in new:
        known = found.setdefault((event.time, event.lane, event.subject), event)
        for word in event.words:
            if word not in known.words:
                known.words.append(word)
        for query in event.queries:
            if query not in known.queries:
                known.queries.append(query)
        known.severity = min(known.severity, event.severity, key=gravity)


def gravity(severity: str) -> int:
    """Where a severity, or "" for none, stands: the gravest first."""
    return SEVERITIES.index(severity) if severity else len(SEVERITIES)
