"""The whole `minehunt triage` on the embedded engine: wall and CPU time, and its slowest queries."""

from __future__ import annotations

import json
import sys

from tests.benchmarks.measure import Options, measure, program, show, show_lines

_SLOWEST = 10


def run(options: Options) -> None:
    """Print the whole and the slowest queries of the last round."""
    argv = [sys.executable, "-m", "extension", "triage", "--engine", "embedded", "--format", "json"]
    # Status 1 says that it found something.
    whole = measure("minehunt triage", program(argv, capture=True, statuses=(0, 1)), 1 if options.quick else 3)
    report = json.loads(whole.rounds[-1].output)
    queries = [(query["elapsed_ms"], step["step"], query) for step in report["steps"] for query in step["queries"]]
    whole.note = f"{len(queries)} queries, verdict {report['summary']['verdict']}, {report['summary']['errors']} errors"
    show("the whole triage, embedded engine", [whole])
    slowest = sorted(queries, key=lambda entry: -entry[0])[:_SLOWEST]
    lines = [("", "step", "ms", "rows", "")]
    lines += [(query["name"], str(step), str(ms), str(query["row_count"]), query["error"] or "") for ms, step, query in slowest]
    show_lines(f"its {_SLOWEST} slowest queries (the first to use a table pays for its scan)", lines)
