"""The built minehunt.ext at a stand-in osquery core: time until registered, memory, and CPU while idle."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence

from build import extension
from extension.pack.model import load_pack, shipped_pack
from tests.benchmarks.goals import Goal, judge
from tests.benchmarks.measure import Options, Taken, compare, program, show, show_lines
from tests.benchmarks.served import Memory, cpu_seconds, memory
from tests.support.osquery_wire import EXTENSION, Process, Wire, wire_in_folder

_IDLE_SECONDS = 10.0
# osquery's watcher asks its extensions this often (extensions_interval).
_PING_SECONDS = 3.0
_GIVEN_BACK_SECONDS = 125.0
_HELD = (
    "Tried: answers kept packed and dropped when too old, one heap for all threads, large reads in mappings of their own, the "
    "heap trimmed. What is left is two Pythons with the modules of 30 tables, their lists and what unchanged files said; a "
    "process that scans, begun anew, would have forgotten what it remembers of processes."
)
_REGISTERED = Goal(
    "< 1 s", 1.0, "Tables are imported when first asked for; what is left is Python with thrift and osquery's answer."
)
_WHEN_IDLE = Goal("< 40 MB", 40e6, "Two Pythons with thrift, of which the second is forked from the first and shares its pages.")
_AFTER_THE_PACK = Goal("< 60 MB, both processes", 60e6, _HELD)
_GIVEN_BACK = Goal("< 40 MB", 40e6, _HELD)
_IDLE = Goal(
    "< 0.1 %",
    0.001,
    "Every three seconds osquery's ping is answered and osquery asked whether it still knows us, 2 ms each of thrift in Python: "
    "0.10 to 0.17 %, and in the first seconds what the start left to do.",
)


def run(options: Options) -> None:
    """Print the start-up time beside that of Python itself, then what the extension takes while nobody asks."""
    # The stand-in's pings of an extension that has ended are no news.
    logging.getLogger("thrift").setLevel(logging.CRITICAL)
    built = (str(extension.build(options.folder)),)
    with wire_in_folder() as wire:
        subjects = {
            "minehunt.ext, until registered and listening": lambda: _start(wire, built),
            "the same from the repository": lambda: _start(wire, EXTENSION),
            "python -c pass": program([sys.executable, "-c", "pass"]),
        }
        rows = compare(subjects, 3 if options.quick else 7)
        rows[0].goal = _REGISTERED
        show("start-up of the extension", rows, rows[-1])
        process = _started(wire, built)
        pid = process.popen.pid
        after_start, cpu, began = memory(pid), cpu_seconds(pid), time.monotonic()
        deadline = began + _IDLE_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, _PING_SECONDS))
            wire.core.ping_extensions()
        idle = (cpu_seconds(pid) - cpu) / (time.monotonic() - began)
        lines = [
            ("memory when registered", str(after_start), "both processes"),
            _memory("memory when idle", memory(pid), _WHEN_IDLE),
            (
                "CPU when idle",
                f"{idle * 100:.3f} %",
                f"{judge('CPU when idle', _IDLE, idle)}; over {_IDLE_SECONDS:g} s, asked after every {_PING_SECONDS:g} s",
            ),
        ]
        show_lines("the extension while nobody asks", lines)
        if not options.quick:
            _after_the_pack(wire, pid)


def _after_the_pack(wire: Wire, pid: int) -> None:
    """Print what the extension keeps once every query of the pack has run, one right after the other."""
    for query in load_pack(shipped_pack()).queries():
        wire.ask(query.sql)
    after = memory(pid)
    # Answers serve again for at most a minute, and what is older is given back once a minute.
    time.sleep(_GIVEN_BACK_SECONDS)
    lines = [
        _memory("memory", after, _AFTER_THE_PACK),
        _memory("memory two minutes later", memory(pid), _GIVEN_BACK),
    ]
    show_lines("the extension after the whole pack", lines)


def _memory(name: str, held: Memory, goal: Goal) -> tuple[str, str, str]:
    return name, str(held), judge(f"{name}, PSS", goal, held.pss)


def _start(wire: Wire, command: Sequence[str]) -> Taken:
    """One start, ended again."""
    began = time.perf_counter()
    process = _started(wire, command)
    wall = time.perf_counter() - began
    cpu = cpu_seconds(process.popen.pid)
    process.popen.terminate()
    process.wait()
    wire.core.ping_extensions()
    return Taken(wall, cpu)


def _started(wire: Wire, command: Sequence[str]) -> Process:
    return wire.start(program=command, interval=_PING_SECONDS)
