"""miner_pool_connections with many sockets and indicators, beside ss."""

from __future__ import annotations

import functools
import shutil

from tables.host import Host
from tables.host.settings import Settings
from tables.network.miner_pool_connections import miner_pool_connections
from tests.benchmarks.goals import Goal
from tests.benchmarks.measure import BenchmarkError, Options, compare, duration, measure, profile, program, scan, show, timed
from tests.benchmarks.socket_pairs import HUNDRED_OF_LARGE, HUNDRED_OF_SMALL, ONE_OF_SMALL, socket_pairs

PAIRS = 30_000
INDICATORS = 100_000
_TRIED = (
    "Tried: the kernel's binary answer (NETLINK_SOCK_DIAG), addresses compared as bytes, one pass for all matches. "
    "The kernel's part, which ss has as well, is a third; the rest is Python's, once a socket."
)
_NO_MATCH = Goal("<= 1.0 x ss -tan", 1.0, _TRIED, is_ratio=True)
_MATCHES = Goal("<= 1.5 x ss -tan", 1.5, _TRIED, is_ratio=True)
# What is listed besides: the row's name, the endpoint, how many sockets are connected to it.
_MATCHING = (
    ("no match", None, 0),
    ("1 match, of a small process", ONE_OF_SMALL, 1),
    ("100 matches, of a small process", HUNDRED_OF_SMALL, 100),
    ("100 matches, of a large process", HUNDRED_OF_LARGE, 100),
)


def run(options: Options) -> None:
    """Print the comparison, with few and many sockets that match."""
    hosts = {}
    for number, (name, endpoint, _) in enumerate(_MATCHING):
        path = options.folder / f"indicators-{number}.txt"
        path.write_text(_indicators("{}:{}".format(*endpoint) if endpoint else ""))
        hosts[name] = Host(settings=Settings(indicators=(str(path),)))
    with socket_pairs(PAIRS) as holders:
        scans = {name: functools.partial(scan, miner_pool_connections, host) for name, host in hosts.items()}
        first_call = measure("first call", timed(scans["no match"]), 1)
        for name, _, matching in _MATCHING:
            if (found := scans[name]()) != matching:
                raise BenchmarkError(f"{found} rows where {matching} sockets match")
        subjects = {"cat /proc/net/tcp": program(["cat", "/proc/net/tcp"])}
        if shutil.which("ss"):
            subjects["ss -tan"] = program(["ss", "-tan"])
            subjects["ss -tanp"] = program(["ss", "-tanp"])
        subjects.update({name: timed(scan_host) for name, scan_host in scans.items()})
        rows = compare(subjects, 5 if options.quick else 11)
        reference = next((row for row in rows if row.name == "ss -tan"), None)
        for row in rows:
            row.goal = (_NO_MATCH if row.name == "no match" else _MATCHES) if row.name in hosts else None
        note = f"first call, which loads the indicators: {duration(first_call.best)}"
        show(
            f"miner_pool_connections, {2 * PAIRS} sockets of {holders} processes, {INDICATORS} indicators",
            rows,
            reference,
            note if reference else f"{note}; ss is not installed: apt-get install iproute2",
        )
        if options.profile:
            for name, scan_host in scans.items():
                profile(f"miner_pool_connections, {name}", scan_host)


def _indicators(more: str) -> str:
    """A list of INDICATORS entries that match nothing (the benchmarking range of RFC 2544, names below .invalid), and `more`."""
    lines = []
    for number in range(INDICATORS - bool(more)):
        address = f"198.{18 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
        if number % 256 == 0:
            lines.append(f"{address}/24")
        elif number % 10 == 1:
            lines.append(f"pool-{number}.invalid")
        else:
            lines.append(f"{address}:3333" if number % 3 else address)
    return "\n".join([*lines, more]) + "\n"
