"""osquery's tables about load: load averages, memory, CPU time."""

from __future__ import annotations

import os
from collections.abc import Iterator

from extension.engines.core import CoreRow, core_table
from extension.engines.core.support import number, proc_text, require_live
from tables.host import Host
from tables.schema import QueryContext

_MEMORY = {
    "MemTotal": "memory_total", "MemFree": "memory_free", "MemAvailable": "memory_available", "Buffers": "buffers",
    "Cached": "cached", "SwapCached": "swap_cached", "Active": "active", "Inactive": "inactive",
    "SwapTotal": "swap_total", "SwapFree": "swap_free",
}  # fmt: skip
_CPU_TIMES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guest_nice")


@core_table("load_average", needs_live=True)
def load_average(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """Three rows: the load averages with six decimals, finer than /proc/loadavg tells them (getloadavg(3))."""
    require_live(host, "load_average")
    for period, average in zip(("1m", "5m", "15m"), os.getloadavg()):
        yield {"period": period, "average": f"{average:.6f}"}


@core_table("memory_info", needs_live=True)
def memory_info(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """One row, in bytes."""
    yield parse_meminfo(proc_text(host, "meminfo"))


def parse_meminfo(text: str) -> CoreRow:
    """The columns of memory_info from /proc/meminfo (proc_meminfo(5)), in bytes."""
    row: CoreRow = {}
    for line in text.split("\n"):
        key, _, value = line.partition(":")
        kilobytes = number(value.partition("kB")[0].strip()) if key in _MEMORY else None
        if kilobytes is not None:
            row[_MEMORY[key]] = kilobytes * 1024
    return row


@core_table("cpu_time", needs_live=True)
def cpu_time(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """One row per online core, in clock ticks since boot."""
    yield from parse_cpu_times(proc_text(host, "stat", 16 << 20))


def parse_cpu_times(text: str) -> Iterator[CoreRow]:
    """Yield the cores' times from /proc/stat (proc_stat(5)); the line that sums them up is left out."""
    for line in text.split("\n"):
        words = line.split()
        if len(words) >= 8 and words[0].startswith("cpu") and words[0] != "cpu":
            yield {"core": words[0][3:], **dict.fromkeys(_CPU_TIMES, 0), **dict(zip(_CPU_TIMES, words[1:]))}
