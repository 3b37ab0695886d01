"""hidden_processes: the part of every call, the sweep of the pid space, and the whole beside unhide."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import shutil
from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path

from tables.host import Host
from tables.host.processes.pidspace import PID_MAX_LIMIT, SweepProgress, sweep
from tables.host.syscalls import PIDFD_OPEN
from tables.processes.hidden_processes import hidden_processes
from tests.benchmarks.goals import Goal
from tests.benchmarks.measure import (
    BenchmarkError,
    Options,
    Series,
    compare,
    compile_c,
    measure,
    profile,
    program,
    scan,
    show,
    timed,
)
from tests.benchmarks.sleepers import many_processes

FEW = 100
MANY = 5_000
_FLOOR = "Each view of the kernel is listed once and compared in sets; what differs is looked at again, 20 us a process."
_PID_MAX = Path("/proc/sys/kernel/pid_max")
_QUICK_LAST = 1 << 19

# The same system call as tables.host.processes.pidspace.sweep, for the same numbers.
_SWEEP = r"""
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
    long last = argc > 1 ? atol(argv[1]) : 0;
    for (long pid = 1; pid <= last; pid++) {
        long fd = syscall(%d, pid, 0);
        if (fd >= 0) close(fd);
    }
    return 0;
}
"""


def run(options: Options) -> None:
    """Print the three comparisons."""
    _every_call(options)
    _sweep(options)
    _beside_unhide(options)


def _swept_host() -> Host:
    """A host whose pid space has just been swept, so that the next query makes the every-call comparison only."""
    host = Host()
    for _ in range(10):
        scan(hidden_processes, host)
        if not host.state("pid_sweep", SweepProgress).is_due(3600):
            return host
    raise BenchmarkError("the sweep of the pid space never ends")


def _every_call(options: Options) -> None:
    host = _swept_host()
    later = functools.partial(scan, hidden_processes, host)
    for wanted, rounds, goal in ((FEW, 31, Goal("< 10 ms", 0.010, _FLOOR)), (MANY, 15, Goal("< 150 ms", 0.150, _FLOOR))):
        with many_processes(options, wanted) as count:
            subjects = {"hidden_processes": timed(later)}
            if shutil.which("ps"):
                subjects["ps -e"] = program(["ps", "-e"])
            rows = compare(subjects, rounds)
            rows[0].goal = goal
            show(f"hidden_processes, the part of every call, at {wanted} processes", rows, rows[0], f"{count} processes")
            if options.profile:
                profile(f"hidden_processes at {count} processes", later)


def sweep_in_c(options: Options, last: int = PID_MAX_LIMIT) -> list[str]:
    """The command of a C program that asks for every pid up to `last`."""
    return [compile_c(options, "sweep", _SWEEP % PIDFD_OPEN), str(last)]


def _sweep(options: Options) -> None:
    last = _QUICK_LAST if options.quick else PID_MAX_LIMIT
    python = {
        "minehunt's sweep": lambda: sweep(1, last, 3600.0),
        "tried: CDLL in a loop": lambda: _loop(ctypes.CDLL(None).syscall, last),
        "tried: CDLL with argtypes": lambda: _loop(_typed(ctypes.CDLL(None).syscall), last),
        "tried: PyDLL in a loop": lambda: _loop(ctypes.PyDLL(None).syscall, last),
        "tried: PyDLL, map and zip": lambda: _mapped(ctypes.PyDLL(None).syscall, last),
        "tried: PyDLL, getpgid": lambda: _getpgid(last),
        "tried: os.pidfd_open": lambda: _pidfd_open(last),
        "tried: os.kill(pid, 0)": lambda: _kill(last),
    }
    rounds = 2 if options.quick else 3
    reference, *rows = compare(
        {"C": program(sweep_in_c(options, last)), **{name: timed(do) for name, do in python.items()}}, rounds
    )
    for row in (reference, *rows):
        row.note = f"{row.best / last * 1e9:.0f} ns a number"
    show(
        f"every pid from 1 to {last} by pidfd_open",
        [reference, *rows],
        reference,
        "getpgid and kill answer for threads too, and so do not tell by themselves what is a process",
    )


def _typed(function: Callable[..., int]) -> Callable[..., int]:
    function.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_uint)  # type: ignore[attr-defined]
    return function


def _loop(syscall: Callable[..., int], last: int) -> None:
    for pid in range(1, last + 1):
        fd = syscall(PIDFD_OPEN, pid, 0)
        if fd >= 0:
            os.close(fd)


def _mapped(syscall: Callable[..., int], last: int) -> None:
    numbers = range(1, last + 1)
    for _, fd in zip(numbers, map(syscall, repeat(PIDFD_OPEN), numbers, repeat(0))):
        if fd >= 0:
            os.close(fd)


def _getpgid(last: int) -> list[int]:
    getpgid = ctypes.PyDLL(None).getpgid
    return [pid for pid in range(1, last + 1) if getpgid(pid) >= 0]


def _pidfd_open(last: int) -> None:
    pidfd_open = os.pidfd_open
    for pid in range(1, last + 1):
        try:
            os.close(pidfd_open(pid))
        except OSError:  # noqa: PERF203  # its cost is what is measured
            continue


def _kill(last: int) -> None:
    kill = os.kill
    for pid in range(1, last + 1):
        try:
            kill(pid, 0)
        except OSError:  # noqa: PERF203  # its cost is what is measured
            continue


def _beside_unhide(options: Options) -> None:
    highest = int(_PID_MAX.read_text())
    _beside_unhide_at(highest, options, 120.0, 120.0)
    if highest < PID_MAX_LIMIT:
        with _pid_max(PID_MAX_LIMIT):
            _beside_unhide_at(PID_MAX_LIMIT, options, 60.0, 30.0)


@contextlib.contextmanager
def _pid_max(value: int) -> Iterator[None]:
    """The kernel's pid_max set to `value` for as long as the block runs."""
    before = _PID_MAX.read_text()
    try:
        _PID_MAX.write_text(str(value))
        yield
    finally:
        _PID_MAX.write_text(before)


def _beside_unhide_at(pid_max: int, options: Options, quick_seconds: float, other_seconds: float) -> None:
    first = measure("hidden_processes, first call", timed(lambda: scan(hidden_processes, Host())), 2)
    first.note = "with the daily sweep of every number up to 4194304"
    host = _swept_host()
    later = measure("hidden_processes, later call", timed(lambda: scan(hidden_processes, host)), 11)
    rows = [first, later]
    note = ""
    if shutil.which("unhide") is None:
        note = "unhide is not installed: apt-get install unhide"
    elif options.quick and pid_max == PID_MAX_LIMIT:
        note = "unhide left out (--quick)"
    else:
        rows += [_unhide("quick", quick_seconds), _unhide("proc", other_seconds), _unhide("sys", other_seconds)]
    note = "; ".join(filter(None, [f"{len(host.procfs.pids())} processes", note]))
    show(f"hidden_processes and unhide, pid_max {pid_max}", rows, later, note)


def _unhide(mode: str, seconds: float) -> Series:
    # Status 1 says that it takes something for hidden.
    return measure(f"unhide {mode}", program(["unhide", mode], seconds, statuses=(0, 1)), 1)
