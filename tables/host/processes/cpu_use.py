"""CPU time of every process at two moments, to tell how much each used in between.

Sources: utime and stime of /proc/PID/stat (whole process, in ticks), and /proc/PID/task/TID/schedstat, whose first two
numbers are nanoseconds spent on a CPU and waiting for one (Documentation/scheduler/sched-stats.rst).
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from typing import NamedTuple, Optional

from tables.host.processes.procfs import CLOCK_TICKS, Process, Procfs, ProcStat
from tables.host.syscalls import getdents64

SAMPLE_SECONDS = 0.3
_MAX_PROCESSES = 65_536
_MAX_THREADS = 20_000
# A process that was busy for this part of its life deserves a look at its threads before it is seen to be busy.
_BUSY_SHARE = 0.05
_BUSY_THREAD = 0.8
# Half a core's step is kept until the use is this many halves away from it, so that a value near an edge does not flicker.
_STICKY_HALVES = 0.75
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

Identity = tuple[int, int]
Threads = dict[int, tuple[int, int]]


class Reading(NamedTuple):
    """One process at one moment: `threads` has (nanoseconds on a CPU, waiting for one) by thread id, None if not looked at."""

    monotonic: float
    ticks: int
    threads: Optional[Threads]
    half_cores: int


@dataclass
class Sample:
    """All processes at one moment, by (pid, start ticks)."""

    monotonic: float
    readings: dict[Identity, Reading] = field(default_factory=dict)
    is_cut: bool = False


class CpuUse(NamedTuple):
    """What one process used: `cores`, and `wait_cores` spent waiting for a CPU, over `seconds`.

    `wait_cores` and `busy_threads` (on a CPU for at least four fifths of the time) are None where threads were not read.
    """

    stat: ProcStat
    seconds: float
    cores: float
    cores_since_start: float
    half_cores: int
    wait_cores: Optional[float]
    busy_threads: Optional[int]


class CpuHistory:
    """The sample of the last call; safe to use from many threads, none of which waits for another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: Optional[Sample] = None

    def measure(self, procfs: Procfs) -> tuple[list[CpuUse], bool]:
        """(use of each process since the last call, whether some were left out because there are too many).

        Sleeps for what is missing to 0.3 s since the last sample, and only then.
        """
        with self._lock:
            before = self._last
        if before is None:
            before = Sample(time.monotonic())
            _read_all(procfs, None, before)
        missing = before.monotonic + SAMPLE_SECONDS - time.monotonic()
        if missing > 0:
            time.sleep(missing)
        after = Sample(time.monotonic())
        uses = _read_all(procfs, before, after)
        with self._lock:
            if self._last is None or self._last.monotonic < after.monotonic:
                self._last = after
        return uses, after.is_cut


def _read_all(procfs: Procfs, before: Optional[Sample], after: Sample) -> list[CpuUse]:
    """Fill `after`; the use of each process since `before`, or since its start if it was not there yet."""
    uses = []
    boot_to_monotonic = time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
    threads_left = _MAX_THREADS
    for pid in procfs.pids():
        process = procfs.process(pid)
        if process is None:
            continue
        if len(after.readings) >= _MAX_PROCESSES:
            after.is_cut = True
            break
        # Each has a time of its own: with thousands of processes one round takes a good part of the sample.
        stat, now = process.stat, time.monotonic()
        ticks = stat.utime + stat.stime
        age = max(now + boot_to_monotonic - stat.start_ticks / CLOCK_TICKS, 1 / CLOCK_TICKS)
        last = before.readings.get(process.identity) if before else None
        used = ticks - last.ticks if last else ticks
        threads = None
        if (used > 0 if before else ticks >= age * CLOCK_TICKS * _BUSY_SHARE) and stat.num_threads <= threads_left:
            threads = _threads(process)
            threads_left -= len(threads or ())
        seconds = now - last.monotonic if last else max(age, SAMPLE_SECONDS)
        cores = max(used, 0) / CLOCK_TICKS / seconds if seconds > 0 else 0.0
        half_cores = _half_cores(cores, last.half_cores if last else 0) if before else 0
        after.readings[process.identity] = Reading(now, ticks, threads, half_cores)
        if before is not None:
            wait, busy = _thread_use(threads, last, seconds)
            uses.append(CpuUse(stat, seconds, cores, ticks / CLOCK_TICKS / age, half_cores, wait, busy))
    return uses


def _half_cores(cores: float, last: int) -> int:
    """`cores` in halves of a core, kept at `last` near the edge between two steps."""
    halves = cores * 2
    return last if abs(halves - last) < _STICKY_HALVES else round(halves)


def _thread_use(threads: Optional[Threads], last: Optional[Reading], seconds: float) -> tuple[Optional[float], Optional[int]]:
    """(cores' worth of waiting, number of busy threads) of a process that had the threads of `last` before."""
    if threads is None or seconds <= 0 or (last is not None and last.threads is None):
        return None, None
    earlier = last.threads if last is not None and last.threads is not None else {}
    waited = busy = 0
    for tid, (on_cpu, waiting) in threads.items():
        on_cpu_then, waiting_then = earlier.get(tid, (0, 0))
        waited += max(0, waiting - waiting_then)
        busy += on_cpu - on_cpu_then >= seconds * 1e9 * _BUSY_THREAD
    return waited / 1e9 / seconds, busy


def parse_schedstat(data: bytes) -> Optional[tuple[int, int]]:
    """(nanoseconds on a CPU, nanoseconds waiting for one) from a schedstat file; None when it is none."""
    fields = data.split()
    if len(fields) < 2 or not all(number.isdigit() and len(number) <= 20 for number in fields[:2]):
        return None
    return int(fields[0]), int(fields[1])


def _threads(process: Process) -> Optional[Threads]:
    """The schedstat of each thread; None when the kernel keeps none (CONFIG_SCHED_INFO) or it is not ours to read."""
    pid, procfs = process.pid, process.procfs
    if process.stat.num_threads <= 1:
        found = parse_schedstat(procfs.try_read_once(f"{pid}/schedstat", 128) or b"")
        return None if found is None else {pid: found}
    try:
        folder = os.open(f"{pid}/task", _FOLDER_FLAGS, dir_fd=procfs.fd)
    except OSError:
        return None
    try:
        tids = [int(name) for name, _ in getdents64(folder) if name.isdigit()][:_MAX_THREADS]
    except OSError:
        return None
    finally:
        os.close(folder)
    threads = {}
    for tid in tids:
        found = parse_schedstat(procfs.try_read_once(f"{pid}/task/{tid}/schedstat", 128) or b"")
        if found is not None:
            threads[tid] = found
    return threads or None
