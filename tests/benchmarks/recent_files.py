"""recent_files beside find(1) on a tree of 1,000,000 files of which none, or all, are new, warm cache.

The walk asks with statx for each file, through ctypes and into one small buffer, and makes no Python object for a file that
is not new. Measured and left: os.scandir with DirEntry.stat (1.5 times as slow), two and three threads (slower: the lock
changes hands with every system call), holding that lock during the call (0.1 us a file less, but a slow disk would then keep
osquery's ping waiting), declared argument types (twice as slow), a large buffer (beyond the processor's cache), lstat by its two
arguments from within the folder (0.15 us less, but a library that hides files replaces it more often), names in the order of
their inodes (no faster), the listing's words read as lists (no faster). Of 2.5 us a file the kernel takes 1.8, find's own share
is 0.2: one process of Python stays at about 1.2 times find. For a new file that is not executable open, read and close come to
that, 4 us: more than find does in all.
"""

from __future__ import annotations

import functools
import os
import time
import tracemalloc
from pathlib import Path
from unittest.mock import patch

from tables.files.recent_files import recent_files
from tables.host import Host
from tables.host.disk import kept_walks
from tables.host.settings import Settings
from tables.schema import EQUALS, Constraint, QueryContext
from tests.benchmarks.goals import Goal, judge
from tests.benchmarks.measure import BenchmarkError, Options, Subject, Taken, compare, profile, program, show, timed

_FOLDERS = (10, 10, 10)
_DROP_CACHES = Path("/proc/sys/vm/drop_caches")
_ONE_CORE = (
    "Tried: os.scandir, threads, larger buffers, declared argument types, lstat from within the folder, the order of inodes. "
    "Of 2.5 us a file the kernel's statx and getdents take 1.8, find's own share is 0.2: one process of Python stays at 1.15."
)
_NONE_NEW = {
    "one process": Goal("<= 1.0 x find", 1.0, _ONE_CORE, is_ratio=True),
    "all cores": Goal("<= 0.7 x find on two cores", 0.7, "Half of the one process's time, and 5 % to hand folders out.", True),
}
_ALL_NEW = {
    "all cores": Goal("<= 2 x find", 2.0, "A new file is opened, read and closed: 4 us, more than find does in all.", True)
}
_COLD = {"all cores": Goal("<= 1.0 x find", 1.0, "Both wait for the disk.", is_ratio=True)}
_PEAK = Goal("< 100 MB", 100e6, "A walk holds one folder's names at a time, and a row for each file that it tells.")
_SOP = ["!", "-path", "/proc/*", "!", "-path", "/sys/*", "!", "-path", "/run/*"]


def run(options: Options) -> None:
    """Print the comparisons, with the peak of Python's memory during one walk."""
    count = 100_000 if options.quick else 1_000_000
    tree = options.folder / "tree"
    _plant(tree, count)
    # Beyond the clock's last tick, so that nothing is new and every file is looked at.
    _compare(options, tree, int(time.time()) + 60, f"{count} files of which none is new", _NONE_NEW)
    _compare(options, tree, int(time.time()) - 86400, f"{count} files that are all new", _ALL_NEW)
    _compare(options, tree, int(time.time()) + 60, f"{count} files of which none is new, nothing of the disk in memory", _COLD)


def _compare(options: Options, tree: Path, since: int, title: str, goals: dict[str, Goal]) -> None:
    span = ["-newerct", f"@{since}", "-type", "f"]
    subjects = {
        "find": program(["find", str(tree), "-xdev", *span]),
        "find as in the SOP": program(["find", str(tree), *span, *_SOP]),
    }
    terms = {"root": str(tree), "since": str(since), "kind": "regular", "is_program": "1"}

    def scan(is_triage: bool) -> None:
        query = QueryContext({name: [Constraint(EQUALS, value)] for name, value in terms.items()}, budget_seconds=120.0)
        # What looks back a week would find everything new.
        with patch.object(kept_walks, "_LOOK_BACK_SECONDS", -3600):
            if list(recent_files.generate(Host(settings=Settings(is_triage=is_triage)), query)) or query.truncated:
                raise BenchmarkError("a program is reported where there is none")

    subjects["one process"] = timed(functools.partial(scan, False))
    subjects["all cores"] = timed(functools.partial(scan, True))
    if goals is _COLD:
        subjects = {name: _cold(subject) for name, subject in subjects.items()}
    rows = compare(subjects, 3 if options.quick or goals is _COLD else 7)
    for row in rows:
        row.goal = goals.get(row.name)
    tracemalloc.start()
    scan(is_triage=False)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    held = f"peak memory of a walk: {peak / 1e6:.1f} MB ({judge(f'memory of a walk, {title}', _PEAK, peak)})"
    show(f"recent_files, {title}", rows, rows[0], f"{held}; CPU without its forked readers")
    if options.profile:
        profile("recent_files", functools.partial(scan, False))


def _cold(subject: Subject) -> Subject:
    """The subject with nothing of the disk in memory when it begins (proc_sys_vm(5), drop_caches)."""

    def run() -> Taken:
        os.sync()
        _DROP_CACHES.write_text("3")
        return subject()

    return run


def _plant(tree: Path, count: int) -> None:
    one, two, three = _FOLDERS
    for number in range(one * two * three):
        folder = tree / str(number % one) / str(number // one % two) / str(number // one // two)
        folder.mkdir(parents=True)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for file in range(count // (one * two * three)):
                found = os.open(f"module_{file:05}.dat", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=fd)
                os.write(found, b"text")
                os.close(found)
        finally:
            os.close(fd)
