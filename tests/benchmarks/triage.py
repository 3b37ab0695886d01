"""`minehunt triage`, whole and quick, beside chkrootkit, rkhunter and UAC where these are there.

It runs through an extension whose first sweep of the pids and first look at packages' files lie behind it, as on a fleet's host,
and once on the embedded engine, which begins with nothing. UAC (github.com/tclahr/uac) comes in no package:
UAC=/path/of/its/uac names it.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
from pathlib import Path

from tests.benchmarks.goals import Goal
from tests.benchmarks.hidden import sweep_in_c
from tests.benchmarks.measure import Options, Series, Subject, compare, duration, program, show, show_lines
from tests.support.osquery_wire import wire_in_folder

_SLOWEST = 10
# These exit with other statuses than 0 where they warn of something.
_PEERS = {"chkrootkit": ["-q"], "rkhunter": ["--check", "--skip-keypress", "--nocolors", "--report-warnings-only"]}
_PEER_STATUSES = tuple(range(256))
_PEER_SECONDS = 1200.0
# It runs in its own folder only.
_UAC = 'cd "$(dirname "$0")" && exec ./uac -p ir_triage -f none "$1"'
_PACKAGED_PROGRAMS = "cd / && grep -hE ' (usr/)?s?bin/[^/]*$' /var/lib/dpkg/info/*.md5sums | md5sum --check --quiet"
_TRIED = (
    "Tried: the walk and the sweep in as many processes as cores; packages' contents, pending updates, start-up commands and the "
    "kernel's code in a process beside the rest; waits beside other scans; answers that rest on files alone kept while these do "
    "not change; each table scanned once for all its queries."
)
_WALKED = "the whole disk, whose files of the last week are opened, and Python's start with the pack, 0.8 s."
_QUICK_FLOOR = (
    "Of it 0.8 s are Python's start with tables and pack; each of 150 queries is asked over osquery's socket. On the embedded "
    "engine CPU time that belongs to nobody shows in three windows of half a second, which begin after that: 2.5 s in all."
)


def run(options: Options) -> None:
    """Print the times, what of them other programs need for the same, and of the last round the slowest queries and tables."""
    # The stand-in's pings of an extension that has ended are no news.
    logging.getLogger("thrift").setLevel(logging.CRITICAL)
    parts = compare(_parts(options), 1 if options.quick else 3)
    with wire_in_folder() as wire:
        wire.start(interval=3.0)
        served = ["--engine", "osquery", "--socket", wire.core.path]
        _triage(*served)()
        subjects = {
            "through an extension": _triage(*served),
            "through an extension, --quick": _triage(*served, "--quick"),
            "embedded": _triage("--engine", "embedded"),
            "embedded, --quick": _triage("--engine", "embedded", "--quick"),
        }
        rows = compare(subjects, 1 if options.quick else 3)
    whole, quick, embedded, _ = rows
    floor = duration(sum(row.cpu for row in parts) / (os.cpu_count() or 1))
    whole.goal = Goal("< 4 s on an idle host, after the first sweep", 4.0, f"{_TRIED} What is walked anew each time: {_WALKED}")
    quick.goal = Goal("< 1.5 s on an idle host", 1.5, _QUICK_FLOOR)
    embedded.note = f"begins with nothing: the four parts below take {floor} of all cores by other programs"
    peers = _peers(options)
    missing = [name for name in ("chkrootkit", "rkhunter", "UAC, profile ir_triage") if name not in {row.name for row in peers}]
    note = f"not measured, as not there: {'; '.join(missing)}" if missing else ""
    show("minehunt triage", [*rows, *peers], None, note)
    show("what a triage that begins with nothing cannot do without, by other programs, on one core", parts)
    for row in (whole, embedded):
        _show_slowest(row)


def _triage(*options: str) -> Subject:
    command = [sys.executable, "-m", "extension", "triage", "--format", "json", *options]
    # Status 1 says that it found something.
    return program(command, capture=True, statuses=(0, 1))


def _show_slowest(row: Series) -> None:
    report = json.loads(row.rounds[-1].output)
    queries = [(query["elapsed_ms"], step["step"], query) for step in report["steps"] for query in step["queries"]]
    slowest = sorted(queries, key=lambda entry: -entry[0])[:_SLOWEST]
    lines = [("", "step", "ms", "rows", "")]
    lines += [(query["name"], str(step), str(ms), str(query["row_count"]), query["error"] or "") for ms, step, query in slowest]
    summary = report["summary"]
    show_lines(
        f"{row.name}: the {_SLOWEST} slowest of {len(queries)} queries (the first to use a table pays for its scan); "
        f"{summary['verdict']}, {summary['errors']} errors",
        lines,
    )
    lines = [("", "ms", "calls", "scans", "")]
    for one in report["scans"][:_SLOWEST]:
        lines.append((one["table"], str(one["elapsed_ms"]), str(one["calls"]), str(one["scans"]), ""))
    show_lines(f"{row.name}: the {_SLOWEST} slowest tables", lines)


def _parts(options: Options) -> dict[str, Subject]:
    """The parts of a triage that other programs can do as well."""
    parts = {
        "Python and SQLite": program([sys.executable, "-c", "import apsw, click, yaml"]),
        "every pid asked for": program(sweep_in_c(options)),
        "files of the last week": program(["find", "/", "-xdev", "-type", "f", "-newerct", "7 days ago"]),
    }
    if Path("/var/lib/dpkg/info").is_dir():
        parts["MD5 of packaged programs"] = program(["sh", "-c", _PACKAGED_PROGRAMS], statuses=_PEER_STATUSES)
    return parts


def _peers(options: Options) -> list[Series]:
    """chkrootkit, rkhunter and UAC, each once: they take minutes."""
    subjects = {
        name: program([name, *more], _PEER_SECONDS, statuses=_PEER_STATUSES)
        for name, more in _PEERS.items()
        if shutil.which(name)
    }
    if uac := os.environ.get("UAC"):
        command = ["sh", "-c", _UAC, uac, str(options.folder)]
        subjects["UAC, profile ir_triage"] = program(command, _PEER_SECONDS, statuses=_PEER_STATUSES)
    return [] if options.quick else compare(subjects, 1)
