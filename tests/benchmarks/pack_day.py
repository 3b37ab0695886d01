"""A day of the whole pack: the CPU time of the built minehunt.ext for every query, times how often its interval asks it.

Each query is asked when no answer of an earlier one serves it any more, as osqueryd's splayed schedule mostly does; so that this
does not take an hour, the .ext measured is one whose tables let quick answers serve for half a second. What SQLite and osquery's
own tables take is not in it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from build import extension
from extension.pack.model import load_pack, shipped_pack
from extension.pack.parts import Query
from tables import index
from tests.benchmarks.goals import Goal, judge
from tests.benchmarks.measure import Options, keep, show_lines
from tests.benchmarks.served import cpu_seconds, memory
from tests.benchmarks.sleepers import many_processes
from tests.benchmarks.socket_pairs import socket_pairs
from tests.support.osquery_wire import Wire, wire_in_folder

_DAY = 86_400
_TRIED = (
    "Tried: answers that rest on files alone serve again while none of these changes, one scan serves all who ask soon, "
    "intervals by cost and use."
)
_FEW = Goal(
    "< 0.25 % of one core",
    0.25,
    f"{_TRIED} What is left are 12,000 questions a day of 10 ms each, most of them about processes and sockets, which are read "
    "anew each time, and their way from process to process and over osquery's socket.",
)
_MANY = Goal(
    "< 1 % of one core",
    1.0,
    f"{_TRIED} One look at 5,000 processes takes 0.46 s, of which 0.38 s are the kernel's (stat, status, cgroup, cmdline and "
    "the links of each), and seven queries look every five or ten minutes: 500 s a day. Answers that serve for longer would "
    "halve it, and show a process for a minute after its end.",
)
_SHOWN = 12
_PAIRS = 30_000
# An answer serves ten times as long as it took, at least as long as its table says and at most a minute (serving/runner.py).
_SERVES_SECONDS = 0.5
_SERVES_FACTOR = 10.0
_SERVES_AT_MOST = 60.0


class _Asked(NamedTuple):
    query: Query
    cpu: float

    @property
    def of_day(self) -> float:
        """Seconds of CPU a day."""
        return self.cpu * _DAY / self.query.interval


def run(options: Options) -> None:
    """Print a day on this host as it is, and with 5,000 processes and 60,000 sockets."""
    # The stand-in's pings of an extension that has ended are no news.
    logging.getLogger("thrift").setLevel(logging.CRITICAL)
    built = _forgetful(extension.build(options.folder), options.folder / "forgetful.ext")
    with _host(options, 100, 0) as what:
        _day(built, what, _FEW)
    if not options.quick:
        with _host(options, 5000, _PAIRS) as what:
            _day(built, what, _MANY)


def _forgetful(built: Path, copy: Path) -> str:
    """The path of a copy of the .ext whose index gives every table's answers the shortest time to serve again."""
    data = built.read_bytes()
    with zipfile.ZipFile(built) as packed:
        entries = {info: packed.read(info) for info in packed.infolist()}
    start = data[: data.index(b"PK\x03\x04")]
    with copy.open("wb") as file:
        file.write(start)
        with zipfile.ZipFile(file, "w") as packed:
            for info, content in entries.items():
                packed.writestr(info, _short(content) if info.filename == f"tables/{index.FILE}" else content)
    copy.chmod(0o755)
    return str(copy)


def _short(content: bytes) -> bytes:
    entries = json.loads(content)
    for entry in entries.values():
        entry["options"]["cache_seconds"] = min(entry["options"]["cache_seconds"], _SERVES_SECONDS)
    return json.dumps(entries).encode()


@contextlib.contextmanager
def _host(options: Options, wanted: int, pairs: int) -> Iterator[str]:
    with many_processes(options, wanted), contextlib.ExitStack() as stack:
        if pairs:
            stack.enter_context(socket_pairs(pairs))
        yield f"{wanted:,} processes, {2 * pairs:,} sockets more"


def _day(built: str, what: str, goal: Goal) -> None:
    with wire_in_folder() as wire:
        pid = wire.start(program=(built,), interval=3.0).popen.pid
        queries = load_pack(shipped_pack()).queries()
        for query in queries:
            wire.ask(query.sql)
        kept = memory(pid)
        asked = _each_alone(wire, pid, queries)
    whole = sum(each.of_day for each in asked)
    keep(f"a day of the pack: {what}", "all queries", whole, whole)
    share = whole / _DAY * 100
    lines = [("all queries", f"{whole:.0f} s", f"{share:.3f} %", judge(f"a day of the pack, {what}", goal, share))]
    lines += [
        (each.query.name, f"{each.of_day:.1f} s", f"{each.cpu * 1000:.1f} ms", f"every {each.query.interval} s")
        for each in sorted(asked, key=lambda each: -each.of_day)[:_SHOWN]
    ]
    lines.append(("memory after the whole pack", str(kept), "", "both processes"))
    show_lines(f"a day of the pack: {what}", lines)


def _each_alone(wire: Wire, pid: int, queries: list[Query]) -> list[_Asked]:
    """Ask each query once, in an order in which as little as possible has to be waited for; a later scan, not the first."""
    left, asked = list(queries), []
    served_until: dict[str, float] = {}
    while left:
        query = min(left, key=lambda each: max((served_until.get(name, 0.0) for name in each.tables), default=0.0))
        until = max((served_until.get(name, 0.0) for name in query.tables), default=0.0)
        time.sleep(max(0.0, until - time.monotonic()))
        began, before = time.monotonic(), cpu_seconds(pid)
        wire.ask(query.sql)
        asked.append(_Asked(query, cpu_seconds(pid) - before))
        left.remove(query)
        now = time.monotonic()
        serves = max(_SERVES_SECONDS, min((now - began) * _SERVES_FACTOR, _SERVES_AT_MOST))
        served_until.update(dict.fromkeys(query.tables, now + serves))
    return asked
