"""The fleet view beside DuckDB's own count of the same lines, and its growth from a thousand hosts to ten thousand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.benchmarks.goals import Goal, judge
from tests.benchmarks.measure import BenchmarkError, Options, keep
from tests.fleet.simulate import SAMPLE

_COUNT = "import duckdb, sys; print(duckdb.sql(f\"SELECT count(*) FROM read_json('{sys.argv[1]}/*.log*')\").fetchall()[0][0])"
_RATIO = Goal(
    "<= 4 x DuckDB's count(*)",
    4.0,
    "Of four times the count 1.4 are reading, and grouping what many lines say the same; 0.5 taking that into tables, beside "
    "which Ibis is imported, 1.5 the answers, for which DuckDB and Python (a third of that is Ibis's compiling) work beside one "
    "another, and 0.5 Python's start and the document. Tried: more threads than cores, allocator settings, one table of all "
    "results, grouping sets, a sender of each group in place of a second look at all lines, smaller batches, sqlglot's compiled "
    "form (Ibis 12 does not work with it), selects that Ibis does not fuse, a second connection for what nobody waits for.",
)
_ROUNDS = 3
_MEMORY = Goal("< 2 GB", 2e9, "DuckDB's own limit (--memory) is 1 GB; the rest is Python's documents of hosts and incidents.")
_GROWTH = Goal(
    "<= 11 times", 11.0, "All joins are by number or hash; what grows faster would be pairs of hosts, of which there are none."
)


def run(options: Options) -> None:
    """Measure whole reports as processes of their own: wall, processor time and peak memory."""
    print("\nfleet: `minehunt fleet report` over simulated results of 7 days", flush=True)
    # Once beforehand, since what is measured is not Python's compiler.
    _process([sys.executable, "-m", "extension", "fleet", "report", str(SAMPLE), "--output", str(options.folder / "sample.txt")])
    measured = {}
    for hosts in (100, 1000) if options.quick else (1000, 10_000):
        folder = options.folder / f"fleet-{hosts}"
        _process([sys.executable, "-m", "tests.fleet.simulate", str(folder), "--hosts", str(hosts)])
        size = sum(path.stat().st_size for path in folder.iterdir())
        report = options.folder / f"fleet-{hosts}.json"
        command = [sys.executable, "-m", "extension", "fleet", "report", str(folder), "--format", "json", "--output", str(report)]
        rounds = [(_process([sys.executable, "-c", _COUNT, str(folder)]), _process(command)) for _ in range(_ROUNDS)]
        bare, whole = (sorted(each)[_ROUNDS // 2] for each in zip(*rounds))
        document = json.loads(report.read_text())
        truth = json.loads(Path(f"{folder}.truth.json").read_text())
        found = sorted(sorted(one["host"] for one in campaign["hosts"]) for campaign in document["campaigns"])
        if found != sorted(sorted(names) for names in truth["campaigns"].values()):
            raise BenchmarkError(f"{hosts} hosts: other campaigns were found than were planted")
        measured[hosts] = whole
        title = f"fleet report of {hosts} hosts"
        keep(title, "DuckDB's count(*)", *bare[:2])
        keep(title, "minehunt", *whole[:2], ("DuckDB's count(*)", bare[0]))
        print(
            f"  {hosts:>6,} hosts, {document['sources']['lines']:>10,} lines, {size / 1e9:.2f} GB: "
            f"{whole[0]:.1f} s ({whole[1]:.1f} s of processor), {whole[2] / 1024:.0f} MB at most; "
            f"DuckDB's count(*) {bare[0]:.1f} s ({bare[1]:.1f} s); ratio {whole[0] / bare[0]:.1f} ({whole[1] / bare[1]:.1f})",
            flush=True,
        )
    few, many = sorted(measured)
    growth = measured[many][0] / measured[few][0]
    print(
        f"  {many // few} times the hosts take {growth:.1f} times as long: {judge('growth of the fleet report', _GROWTH, growth)}"
    )
    # Of fewer hosts the report's own start is most.
    print(f"  {many:,} hosts: {judge(title, _RATIO, whole[0] / bare[0])}", flush=True)
    print(f"  {many:,} hosts: {judge(f'{title}: by processor time', _RATIO, whole[1] / bare[1])}", flush=True)
    print(f"  {many:,} hosts: {judge(f'{title}: memory', _MEMORY, whole[2] * 1024)}", flush=True)


def _process(command: list[str]) -> tuple[float, float, int]:
    """Wall and processor seconds, and the peak of memory in KiB, of a command."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _pid, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        raise BenchmarkError(f"{' '.join(command)}: exit status {process.returncode}")
    return time.monotonic() - started, used.ru_utime + used.ru_stime, used.ru_maxrss
