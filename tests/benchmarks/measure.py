"""Timing side by side: wall and CPU time of functions and programs, best of several rounds, as tables with ratios."""

from __future__ import annotations

import contextlib
import cProfile
import io
import os
import pstats
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Optional, Union

from tables.host import Host
from tables.schema import QueryContext, Table
from tests.benchmarks.figures import Figure
from tests.benchmarks.goals import Goal, judge

# What this run has shown so far.
FIGURES: list[Figure] = []
REPOSITORY = Path(__file__).resolve().parents[2]


class BenchmarkError(Exception):
    """A subject could not be measured; the message says why."""


@dataclass(frozen=True)
class Options:
    """What the user asked for; `folder` is a scratch folder that is removed at the end."""

    quick: bool
    profile: bool
    folder: Path


class Taken(NamedTuple):
    """Seconds of one round; `output` is what a program wrote, if that was asked for."""

    wall: float
    cpu: float
    output: bytes = b""


Subject = Callable[[], Taken]


@dataclass
class Series:
    """The rounds of one subject; `limit` is set, in seconds, when it did not end within them.

    Whether it met its `goal`, and `note`, are printed behind it.
    """

    name: str
    rounds: list[Taken] = field(default_factory=list)
    limit: Optional[float] = None
    note: str = ""
    goal: Optional[Goal] = None

    @property
    def best(self) -> float:
        """The shortest wall time: the one that other load disturbed least."""
        return self.limit or min(taken.wall for taken in self.rounds)

    @property
    def median(self) -> float:
        """The median wall time."""
        return self.limit or statistics.median(taken.wall for taken in self.rounds)

    @property
    def cpu(self) -> float:
        """The least CPU time."""
        return min((taken.cpu for taken in self.rounds), default=0.0)


class TookTooLong(Exception):
    """A program was ended because it did not end by itself within `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"not ended within {seconds:g} s")
        self.seconds = seconds


def timed(action: Callable[[], object]) -> Subject:
    """A subject that runs `action` in this process."""

    def run() -> Taken:
        cpu, wall = time.process_time(), time.perf_counter()
        action()
        return Taken(time.perf_counter() - wall, time.process_time() - cpu)

    return run


def program(argv: Sequence[str], seconds: float = 300.0, capture: bool = False, statuses: Sequence[int] = (0,)) -> Subject:
    """A subject that runs a program to its end, in the repository's folder, its output thrown away unless captured.

    It raises BenchmarkError for an exit status that is not in `statuses`, TookTooLong after `seconds`.
    """

    def run() -> Taken:
        before, wall = _children_cpu(), time.perf_counter()
        out = subprocess.PIPE if capture else subprocess.DEVNULL
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL, cwd=REPOSITORY, start_new_session=True
        )
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise TookTooLong(seconds) from None
        finally:
            if process.poll() is None:
                # The session is its own, so that what it started ends with it.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        taken = Taken(time.perf_counter() - wall, _children_cpu() - before, output or b"")
        if process.returncode not in statuses:
            raise BenchmarkError(f"{' '.join(argv)} ended with status {process.returncode}")
        return taken

    return run


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def scan(table: Table, host: Host) -> int:
    """Run a table's scan as the extension does, without its cache; the number of rows."""
    return sum(1 for row in table.generate(host, QueryContext()) if row.to_wire())


def measure(name: str, subject: Subject, rounds: int) -> Series:
    """Run one subject `rounds` times, or until it once took too long."""
    (series,) = compare({name: subject}, rounds)
    return series


def compare(subjects: Mapping[str, Subject], rounds: int) -> list[Series]:
    """Run the subjects in turn, `rounds` times over, so that a noisy moment meets them all."""
    all_series = [Series(name) for name in subjects]
    for _ in range(rounds):
        for series in all_series:
            if series.limit is None:
                try:
                    series.rounds.append(subjects[series.name]())
                except TookTooLong as error:
                    series.limit, series.rounds = error.seconds, []
    return all_series


def show(title: str, rows: Sequence[Series], reference: Optional[Series] = None, note: str = "") -> None:
    """Print the rows; with a reference, each with its best time as a multiple of the reference's. They are figures of the run.

    The title says what was asked for, not what this machine happens to have: the next run's figures are found by it.
    """
    of = (reference.name, reference.best) if reference and not reference.limit else None
    lines = [("", "best", "median", "CPU", f"x {reference.name}" if reference else "", "")]
    for row in rows:
        more = "> " if row.limit else ""
        cpu = "" if row.limit else duration(row.cpu)
        if not row.limit:
            keep(title, row.name, row.best, row.cpu, of)
        said = "; ".join(filter(None, (_verdict(title, row, reference), row.note)))
        lines.append((row.name, more + duration(row.best), more + duration(row.median), cpu, _ratio(row, reference), said))
    show_lines(title, lines, note)


def keep(title: str, name: str, seconds: float, cpu: float, reference: Optional[tuple[str, float]] = None) -> None:
    """Put a figure into the run; `reference` is what it is a multiple of, with the seconds of that."""
    FIGURES.append(Figure(title, name, seconds, cpu, *((reference[0], seconds / reference[1]) if reference else ())))


def _verdict(title: str, row: Series, reference: Optional[Series]) -> str:
    if row.goal is None or (row.goal.is_ratio and (reference is None or reference.limit)):
        return f"goal: {row.goal.text}, which is not there" if row.goal is not None else ""
    seconds = float("inf") if row.limit else row.best
    return judge(f"{title}: {row.name}", row.goal, seconds / reference.best if row.goal.is_ratio and reference else seconds)


def _ratio(row: Series, reference: Optional[Series]) -> str:
    if reference is None or reference.limit:
        return ""
    ratio = row.best / reference.best
    return f"{'> ' if row.limit else ''}{ratio:.{0 if ratio >= 100 else 1 if ratio >= 10 else 2}f}"


def show_lines(title: str, lines: Sequence[Sequence[str]], note: str = "") -> None:
    """Print lines of equally many fields under a title: the first field flush left, numbers right, the last as it is."""
    widths = [max(map(len, column)) for column in zip(*lines)]
    print(f"\n{title}")
    for first, *numbers, last in lines:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(numbers, widths[1:])), last]
        print("  " + "  ".join(cells).rstrip())
    if note:
        print(f"  {note}")
    sys.stdout.flush()


def duration(seconds: float) -> str:
    """Seconds for reading: three digits and a unit."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}" if seconds / scale < 1000 else f"{seconds / scale:.0f} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def profile(title: str, action: Callable[[], object], top: int = 15) -> None:
    """Run `action` once more under the profiler, which slows it down, and print where its time goes."""
    profiler = cProfile.Profile()
    profiler.runcall(action)
    text = io.StringIO()
    pstats.Stats(profiler, stream=text).sort_stats("tottime").print_stats(top)
    table = text.getvalue().partition("\n\n")[2].strip().replace(f"{REPOSITORY}{os.sep}", "")
    print(f"\n  profile of {title}:")
    print("\n".join(f"    {line}" for line in table.splitlines() if line.strip()))


def compile_c(options: Options, name: str, source: str) -> str:
    """Compile a C program into the scratch folder; its path."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise BenchmarkError("needs a C compiler: apt-get install gcc libc6-dev")
    path = options.folder / name
    build = subprocess.run([compiler, "-O2", "-Wall", "-o", path, "-x", "c", "-"], input=source, text=True, capture_output=True)
    if build.returncode != 0:
        raise BenchmarkError(f"{compiler} failed on {name}.c: {build.stderr.strip()}")
    return str(path)


@contextlib.contextmanager
def helper(argv: Sequence[Union[str, Path]]) -> Iterator[subprocess.Popen[bytes]]:
    """A program that prints a line when it is ready and then runs until its standard input ends, even if by our death."""
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPOSITORY, start_new_session=True)
    try:
        assert process.stdin is not None and process.stdout is not None
        if process.stdout.readline().strip() != b"ready":
            raise BenchmarkError(f"{argv[0]} did not start")
        yield process
    finally:
        with process:
            try:
                assert process.stdin is not None
                process.stdin.close()
                process.wait(60)
            finally:
                process.kill()
