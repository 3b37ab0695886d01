"""process_tree, process_cpu_usage and miner_processes beside psutil, and what process_census misses on a busy host."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from tables.host import Host
from tables.processes.miner_processes import miner_processes
from tables.processes.process_census import ProcessCensus, process_census
from tables.processes.process_cpu_usage import process_cpu_usage
from tables.processes.process_tree import process_tree
from tables.schema import QueryContext, Table
from tests.benchmarks.goals import Goal, judge
from tests.benchmarks.measure import BenchmarkError, Options, compare, profile, scan, show, show_lines, timed
from tests.benchmarks.sleepers import many_processes

MANY = 5_000
_GOAL = Goal(
    "not slower than psutil",
    1.0,
    "Tried: one read for what the kernel makes in one piece, each process's start compared once more at the end. "
    "Of 90 us a process 75 are the kernel's, for files that psutil has to read as well.",
    is_ratio=True,
)
_RESIDUAL = Goal("< 0.1 cores", 0.1, "Clock ticks of 10 ms and programs that end between two looks are all that is left over.")
_CENSUS_SECONDS = 60.0
_CENSUS_EVERY = 5.0
_COMMON = ["pid", "ppid", "create_time", "name", "exe", "cmdline", "uids"]

# What compilers do: short programs that compute, one after another.
_COMPILE = "while :; do {cc} -O2 -x c -o /dev/null {source} 2>/dev/null; done"
_COMPUTE = "while :; do {python} -c 'sum(i * i for i in range(1000000))'; done"
_FORK = "while :; do /bin/true; done"


def run(options: Options) -> None:
    """Print the comparisons, then the census."""
    with many_processes(options, MANY) as count:
        _compare(options, count, process_tree, _psutil_tree)
        _compare(options, count, process_cpu_usage, _psutil_cpu)
        _compare(options, count, miner_processes, _psutil_miners)
    _census(options)


def _compare(options: Options, count: int, table: Table, peer: Callable[[], int]) -> None:
    host = Host()
    ours = functools.partial(scan, table, host)
    # What each of them keeps between calls is there before the first round.
    ours()
    # Others on this host end while it is measured.
    if peer() < count * 0.9:
        raise BenchmarkError(f"psutil does not list {count} processes")
    rows = compare({"psutil, the same reads": timed(peer), table.name: timed(ours)}, 3 if options.quick else 7)
    rows[1].goal = _GOAL
    show(f"{table.name}, a later call at {MANY} processes", rows, rows[0], f"{count} processes")
    if options.profile:
        profile(f"{table.name} at {count} processes", ours)


def _file(pid: int, name: str) -> bytes:
    """A file that psutil does not read, below /proc/PID."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _psutil_tree() -> int:
    """Read what process_tree reads, and follow each process's parents; the number of processes."""
    parents = {}
    names = {}
    for process in psutil.process_iter([*_COMMON, "cwd", "terminal"]):
        parents[process.pid], names[process.pid] = process.info["ppid"], process.info["name"]
        with contextlib.suppress(ProcessLookupError):
            os.getsid(process.pid), os.getpgid(process.pid)
        _file(process.pid, "cgroup"), _file(process.pid, "loginuid")
    for pid in parents:
        line = []
        while pid in parents:
            line.append(f"{names[pid]}({pid})")
            pid = parents[pid]
        " > ".join(reversed(line))
    return len(parents)


def _psutil_cpu() -> int:
    """Read what process_cpu_usage reads; the number of processes. psutil remembers CPU times between calls, too."""
    attributes = [*_COMMON, "cpu_percent", "cpu_times", "num_threads", "nice", "cpu_affinity"]
    count = 0
    for process in psutil.process_iter(attributes):
        with contextlib.suppress(OSError):
            os.sched_getscheduler(process.pid)
        _file(process.pid, "cgroup")
        count += 1
    return count


def _psutil_miners() -> int:
    """Read what miner_processes reads of every process, sockets apart: names, command line, environment, folder, memory."""
    return sum(1 for _ in psutil.process_iter([*_COMMON, "environ", "cwd", "memory_info"]))


def _census(options: Options) -> None:
    """Print the residual of process_census over a minute in which the host compiles and forks."""
    seconds = 15.0 if options.quick else _CENSUS_SECONDS
    host = Host()
    scan(process_census, host)
    rows: list[ProcessCensus] = []
    with _busy(options):
        # The first window begins in the load, like all others.
        time.sleep(_CENSUS_EVERY)
        scan(process_census, host)
        for _ in range(round(seconds / _CENSUS_EVERY)):
            time.sleep(_CENSUS_EVERY)
            (row,) = process_census.generate(host, QueryContext())
            if row.residual_cores is None:
                raise BenchmarkError(f"process_census cannot compare here: {row.degraded_why}")
            rows.append(row)
    whole = sum(row.residual_cores * row.window_seconds for row in rows) / sum(row.window_seconds for row in rows)
    show_lines(
        f"process_census on a clean busy host over {seconds:g} s, one call every {_CENSUS_EVERY:g} s",
        [
            ("", "least", "median", "most", ""),
            ("cores kept busy", *_spread([row.cpu_busy_cores for row in rows]), ""),
            ("programs and threads started a second", *_spread([row.forks_per_second for row in rows]), ""),
            ("residual_cores, of one window", *_spread([row.residual_cores for row in rows]), ""),
            ("residual_cores_min, of three windows", *_spread([row.residual_cores_min for row in rows]), "which the pack judges"),
            (
                "residual over the whole time",
                "",
                f"{whole:.3f}",
                "",
                judge("process_census on a busy host", _RESIDUAL, abs(whole)),
            ),
        ],
    )


def _spread(values: list[float]) -> tuple[str, str, str]:
    return f"{min(values):.3f}", f"{statistics.median(values):.3f}", f"{max(values):.3f}"


@contextlib.contextmanager
def _busy(options: Options) -> Iterator[None]:
    """A host that compiles (or, without a compiler, computes in short programs) and starts as many programs as it can."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    source = options.folder / "busy.c"
    source.write_text(
        "#include <stdio.h>\n" + "".join(f'int f{n}(int x) {{ return printf("%d", x * {n}); }}\n' for n in range(2000))
    )
    work = _COMPILE.format(cc=compiler, source=source) if compiler else _COMPUTE.format(python=sys.executable)
    with contextlib.ExitStack() as stack:
        for code in (work, _FORK):
            process = subprocess.Popen(["sh", "-c", code], start_new_session=True, stdin=subprocess.DEVNULL)
            stack.callback(_end, process)
        yield


def _end(process: subprocess.Popen[bytes]) -> None:
    # The session is its own, so that what it started ends with it.
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
