"""`minehunt triage` on the embedded engine, whole and quick, beside chkrootkit, rkhunter and UAC where these are there.

UAC (github.com/tclahr/uac) comes in no package: UAC=/path/of/its/uac names it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

from tests.benchmarks.goals import Goal
from tests.benchmarks.hidden import sweep_in_c
from tests.benchmarks.measure import Options, Series, Subject, compare, duration, program, show, show_lines

_SLOWEST = 10
# These exit with other statuses than 0 where they warn of something.
_PEERS = {"chkrootkit": ["-q"], "rkhunter": ["--check", "--skip-keypress", "--nocolors", "--report-warnings-only"]}
_PEER_STATUSES = tuple(range(256))
_PEER_SECONDS = 1200.0
_PACKAGED_PROGRAMS = "cd / && grep -hE ' (usr/)?s?bin/[^/]*$' /var/lib/dpkg/info/*.md5sums | md5sum --check --quiet"
_TRIED = (
    "Tried: the walk and the sweep in as many processes as cores; packages' contents, pending updates, start-up commands and the "
    "kernel's code in a process beside the rest; waits beside other scans; each table scanned once for all its queries."
)
_QUICK_FLOOR = (
    "Tried: start-up commands, the kernel's code and pending updates in a process beside the rest. CPU time that belongs to "
    "nobody shows in three windows of half a second, which begin when Python, the tables and the pack are there: 2.5 s in all."
)


def run(options: Options) -> None:
    """Print the times, what of them other programs need for the same, and of the last round the slowest queries and tables."""
    argv = [sys.executable, "-m", "extension", "triage", "--engine", "embedded", "--format", "json"]
    # Status 1 says that it found something.
    subjects = {
        "minehunt triage --quick": program([*argv, "--quick"], capture=True, statuses=(0, 1)),
        "minehunt triage": program(argv, capture=True, statuses=(0, 1)),
    }
    parts = _parts(options)
    quick, whole, *others = compare({**subjects, **parts}, 1 if options.quick else 3)
    peers = _peers(options)
    report = json.loads(whole.rounds[-1].output)
    queries = [(query["elapsed_ms"], step["step"], query) for step in report["steps"] for query in step["queries"]]
    summary = report["summary"]
    floor = sum(row.cpu for row in others) / (os.cpu_count() or 1)
    whole.goal = Goal("< 4 s on an idle host", 4.0, f"{_TRIED} The four parts below take {duration(floor)} of all cores in C.")
    whole.note = f"{len(queries)} queries, {summary['verdict']}, {summary['errors']} errors"
    quick.goal = Goal("< 1.5 s on an idle host", 1.5, _QUICK_FLOOR)
    missing = [name for name in ("chkrootkit", "rkhunter", "UAC, profile ir_triage") if name not in {row.name for row in peers}]
    note = f"not measured, as not there: {'; '.join(missing)}" if missing else ""
    show("triage, embedded engine", [quick, whole, *peers], None, note)
    show("what a triage cannot do without, by other programs, on one core", others)
    slowest = sorted(queries, key=lambda entry: -entry[0])[:_SLOWEST]
    lines = [("", "step", "ms", "rows", "")]
    lines += [(query["name"], str(step), str(ms), str(query["row_count"]), query["error"] or "") for ms, step, query in slowest]
    show_lines(f"its {_SLOWEST} slowest queries (the first to use a table pays for its scan)", lines)
    lines = [("", "ms", "calls", "scans", "")]
    for one in report["scans"][:_SLOWEST]:
        lines.append((one["table"], str(one["elapsed_ms"]), str(one["calls"]), str(one["scans"]), ""))
    show_lines(f"its {_SLOWEST} slowest tables", lines)


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
        command = [uac, "-p", "ir_triage", "-f", "none", str(options.folder)]
        subjects["UAC, profile ir_triage"] = program(command, _PEER_SECONDS, statuses=_PEER_STATUSES)
    return [] if options.quick else compare(subjects, 1)
