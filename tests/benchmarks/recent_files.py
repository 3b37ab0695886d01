"""recent_files beside find(1) on a tree of 1,000,000 files of which none is new, warm cache.

The walk asks with statx for each file, through ctypes and into one small buffer, and makes no Python object for a file that
is not new. Measured and left: os.scandir with DirEntry.stat (1.5 times as slow), two and three threads (slower: the lock
changes hands with every system call), holding that lock during the call (0.1 us a file less, but a slow disk would then keep
osquery's ping waiting), declared argument types (twice as slow), a large buffer (beyond the processor's cache).
"""

from __future__ import annotations

import os
import time
import tracemalloc
from pathlib import Path

from tables.files.recent_files import recent_files
from tables.host import Host
from tables.schema import EQUALS, Constraint, QueryContext
from tests.benchmarks.measure import BenchmarkError, Options, compare, profile, program, show, timed

_FOLDERS = (10, 10, 10)
_GOAL = "goal: not slower than find"
_SOP = ["!", "-path", "/proc/*", "!", "-path", "/sys/*", "!", "-path", "/run/*"]


def run(options: Options) -> None:
    """Print the comparison, with the peak of Python's memory during one walk."""
    count = 100_000 if options.quick else 1_000_000
    tree = options.folder / "tree"
    _plant(tree, count)
    # Beyond the clock's last tick, so that nothing is new and every file is looked at.
    since = str(int(time.time()) + 60)
    terms = {"root": str(tree), "since": since, "kind": "regular"}
    host = Host()

    def scan() -> None:
        query = QueryContext({name: [Constraint(EQUALS, value)] for name, value in terms.items()}, budget_seconds=120.0)
        if list(recent_files.generate(host, query)) or query.truncated:
            raise BenchmarkError("a file is reported where none is new")

    span = ["-newerct", f"@{since}", "!", "-newerct", f"@{int(since) + 60}"]
    subjects = {
        "find": program(["find", str(tree), "-xdev", *span, "-type", "f"]),
        "find as in the SOP": program(["find", str(tree), *span, *_SOP, "-type", "f"]),
        "recent_files": timed(scan),
    }
    rows = compare(subjects, 3 if options.quick else 7)
    rows[-1].note = _GOAL
    tracemalloc.start()
    scan()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    show(f"recent_files, {count} files in {_FOLDERS[0] * _FOLDERS[1] * _FOLDERS[2]} folders", rows, rows[0],
         f"peak memory of a walk: {peak / 1e6:.1f} MB")  # fmt: skip
    if options.profile:
        profile("recent_files", scan)


def _plant(tree: Path, count: int) -> None:
    one, two, three = _FOLDERS
    for number in range(one * two * three):
        folder = tree / str(number % one) / str(number // one % two) / str(number // one // two)
        folder.mkdir(parents=True)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for file in range(count // (one * two * three)):
                os.close(os.open(f"module_{file:05}.dat", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=fd))
        finally:
            os.close(fd)
