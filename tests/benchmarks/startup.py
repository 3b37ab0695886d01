"""The extension at a stand-in osquery core: time until registered, memory, and CPU while idle."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path

from tests.benchmarks.measure import Options, Taken, compare, program, show, show_lines
from tests.support.osquery_wire import EXTENSION, Process, Wire, wire_in_folder

_IDLE_SECONDS = 10.0
# osquery's watcher asks its extensions this often (extensions_interval).
_PING_SECONDS = 3.0
_MIB = 1 << 20


def run(options: Options) -> None:
    """Print the start-up time beside that of Python itself, then what the extension takes while nobody asks."""
    # The stand-in's pings of an extension that has ended are no news.
    logging.getLogger("thrift").setLevel(logging.CRITICAL)
    with wire_in_folder() as wire:
        subjects = {
            "extension, until registered and listening": lambda: _start(wire),
            "python -c pass": program([sys.executable, "-c", "pass"]),
        }
        rows = compare(subjects, 3 if options.quick else 7)
        rows[0].note = "goal: < 1 s"
        show("start-up of the extension", rows, rows[1])
        process = _started(wire)
        pid = process.popen.pid
        after_start, cpu, began = _status(pid), _cpu_seconds(pid), time.monotonic()
        deadline = began + _IDLE_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, _PING_SECONDS))
            wire.core.ping_extensions()
        idle = (_cpu_seconds(pid) - cpu) / (time.monotonic() - began)
        status = _status(pid)
        lines = [
            ("RSS when registered", f"{after_start['VmRSS'] / _MIB:.1f} MiB", ""),
            (
                "RSS when idle",
                f"{status['VmRSS'] / _MIB:.1f} MiB",
                f"goal: < 40 MB; of it shared with files {status['RssFile'] / _MIB:.1f} MiB",
            ),
            ("largest RSS", f"{status['VmHWM'] / _MIB:.1f} MiB", ""),
            (
                "CPU when idle",
                f"{idle * 100:.3f} %",
                f"goal: < 0.1 %; over {_IDLE_SECONDS:g} s, asked after every {_PING_SECONDS:g} s",
            ),
        ]
        show_lines("the extension while nobody asks", lines)


def _start(wire: Wire) -> Taken:
    """One start, ended again."""
    began = time.perf_counter()
    process = _started(wire)
    wall = time.perf_counter() - began
    cpu = _cpu_seconds(process.popen.pid)
    process.popen.terminate()
    process.wait()
    wire.core.ping_extensions()
    return Taken(wall, cpu)


def _started(wire: Wire) -> Process:
    return wire.start(program=EXTENSION, interval=_PING_SECONDS)


def _cpu_seconds(pid: int) -> float:
    """CPU time of a process in nanosecond steps, by its clock (clock_getcpuclockid(3): ~pid << 3 | CPUCLOCK_SCHED)."""
    return time.clock_gettime(~pid << 3 | 2)


def _status(pid: int) -> dict[str, int]:
    """The memory lines of /proc/PID/status, in bytes."""
    lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {fields[0].rstrip(":"): int(fields[1]) << 10 for fields in lines if len(fields) == 3 and fields[2] == "kB"}
