"""What the processes of a served extension take: CPU time and memory."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import NamedTuple

_MIB = 1 << 20


def processes(pid: int) -> list[int]:
    """The process that answers osquery, and those of its that scan."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        # Threads that answer one request end meanwhile.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found += map(int, (task / "children").read_text().split())
    return found


class Memory(NamedTuple):
    """Bytes: each page once, and as the sum of resident sizes (proc_pid_smaps(5))."""

    pss: int
    rss: int

    def __str__(self) -> str:
        return f"PSS {self.pss / _MIB:.1f} MiB, RSS {self.rss / _MIB:.1f} MiB"


def memory(pid: int) -> Memory:
    """What all of them hold."""
    totals = {"Pss": 0, "Rss": 0}
    for each in processes(pid):
        for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()[1:]:
            name, _, value = line.partition(":")
            if name in totals:
                totals[name] += int(value.split()[0]) * 1024
    return Memory(totals["Pss"], totals["Rss"])


def cpu_seconds(pid: int) -> float:
    """CPU time of all our processes in nanosecond steps, by their clocks (clock_getcpuclockid(3): ~pid << 3 | CPUCLOCK_SCHED)."""
    return sum(time.clock_gettime(~each << 3 | 2) for each in processes(pid))
