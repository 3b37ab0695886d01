"""`minehunt triage` on the embedded engine, whole and quick, beside chkrootkit and rkhunter where these are installed."""

from __future__ import annotations

import json
import shutil
import sys

from tests.benchmarks.measure import Options, compare, program, show, show_lines

_SLOWEST = 10
# Both exit with other statuses than 0 where they warn of something.
_PEERS = {"chkrootkit": ["-q"], "rkhunter": ["--check", "--skip-keypress", "--nocolors", "--report-warnings-only"]}
_PEER_STATUSES = tuple(range(256))


def run(options: Options) -> None:
    """Print the times, and of the last round the slowest queries and tables."""
    argv = [sys.executable, "-m", "extension", "triage", "--engine", "embedded", "--format", "json"]
    # Status 1 says that it found something.
    rounds = 1 if options.quick else 3
    subjects = {name: program([name, *more], statuses=_PEER_STATUSES) for name, more in _PEERS.items() if shutil.which(name)}
    subjects["minehunt triage --quick"] = program([*argv, "--quick"], capture=True, statuses=(0, 1))
    subjects["minehunt triage"] = program(argv, capture=True, statuses=(0, 1))
    *others, whole = compare(subjects, rounds)
    report = json.loads(whole.rounds[-1].output)
    queries = [(query["elapsed_ms"], step["step"], query) for step in report["steps"] for query in step["queries"]]
    summary = report["summary"]
    whole.note = f"goal: < 4 s on an idle, read disk; {len(queries)} queries, {summary['verdict']}, {summary['errors']} errors"
    others[-1].note = "goal: < 1.5 s on an idle host"
    missing = [name for name in _PEERS if name not in subjects]
    note = f"not measured, as not installed: {', '.join(missing)} (apt-get install them)" if missing else ""
    show("triage, embedded engine", [*others, whole], None, note)
    slowest = sorted(queries, key=lambda entry: -entry[0])[:_SLOWEST]
    lines = [("", "step", "ms", "rows", "")]
    lines += [(query["name"], str(step), str(ms), str(query["row_count"]), query["error"] or "") for ms, step, query in slowest]
    show_lines(f"its {_SLOWEST} slowest queries (the first to use a table pays for its scan)", lines)
    lines = [("", "ms", "calls", "scans", "")]
    for one in report["scans"][:_SLOWEST]:
        lines.append((one["table"], str(one["elapsed_ms"]), str(one["calls"]), str(one["scans"]), ""))
    show_lines(f"its {_SLOWEST} slowest tables", lines)
