"""The logs of a simulated fleet, as its osqueryds and what carries them write them."""

from __future__ import annotations

import gzip
import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tests.fleet.inventories import Row, packages, stock
from tests.fleet.simulated_hosts import DAY, START, SimulatedHost, Truth

_PACK = "pack_cryptominer_triage_"
_SERVERS = 4
_FLEET = "pack/Global/cryptominer_triage_"


def log_lines(host: SimulatedHost, days: int, beat: int, chance: random.Random) -> Iterator[tuple[int, dict[str, Any]]]:
    """(When it arrives, the line) of everything that the host's osqueryd logs."""
    born = START + host.number * 37 % 3600
    state: dict[str, list[Row]] = {}
    for query, row in stock(host.image, host.name):
        state.setdefault(query, []).append(row)
    counters = dict.fromkeys(state, 0)
    decorations = {"host_uuid": host.uuid, "hostname": host.name, "minehunt_version": "0.2.0" if host.number % 50 else "0.1.0"}
    end = min(START + days * DAY, host.silent_from or START + days * DAY)

    def line(when: int, query: str, counter: int, **more: Any) -> tuple[int, dict[str, Any]]:
        seen = when + host.clock
        calendar = time.strftime("%a %b %d %H:%M:%S %Y UTC", time.gmtime(seen))
        return when, {
            "name": query,
            "hostIdentifier": host.uuid,
            "calendarTime": calendar,
            "unixTime": seen,
            "epoch": 0,
            "counter": counter,
            "numerics": False,
            "decorations": decorations,
            **more,
        }

    def full(when: int) -> Iterator[tuple[int, dict[str, Any]]]:
        for query, rows in state.items():
            counters[query] = 0
            for row in rows:
                yield line(when, query, 0, columns=row, action="added")

    yield from full(born)
    again = host.again_at
    for event in sorted(host.events, key=lambda each: each.time):
        if event.time >= end:
            break
        if again and event.time > again:
            yield from full(again)
            again = 0
        rows = state.setdefault(event.query, [])
        counters[event.query] = counter = counters.get(event.query, 0) + 1
        for row in event.removed:
            if row in rows:
                rows.remove(row)
                yield line(event.time, event.query, counter, columns=row, action="removed")
        for row in event.added:
            if row not in rows:
                rows.append(row)
                yield line(event.time, event.query, counter, columns=row, action="added")
    if again and again < end:
        yield from full(again)
    for when in range(born, end, beat):
        yield line(when, "minehunt_loaded", 0, columns={"name": "minehunt", "version": "0.2.0"}, action="snapshot")
    for when in range(born + 1800, end, DAY):
        yield line(when, "packages", 0, snapshot=packages(host.image), action="snapshot")
        for number in range(3):
            yield line(
                when,
                "tcp_connections",
                0,
                action="snapshot",
                columns={
                    "pid": str(700 + number),
                    "process_name": "sshd",
                    "local_address": host.address,
                    "local_port": "22",
                    "remote_address": f"10.250.0.{number + 1}",
                    "remote_port": str(chance.randrange(30000, 60000)),
                    "state": "ESTABLISHED",
                },
            )
        for login in host.logins:
            if int(login["logged_in_at"]) < when:
                yield line(when, "logins", 0, columns=login, action="snapshot")


def write(
    folder: Path, hosts: list[SimulatedHost], days: int, truth: Truth, beat: int = 3600, seed: int = 1, is_packed: bool = False
) -> None:
    """Write the logs of four log servers in as many forms, with lines twice and in disorder; the truth is told their number."""
    chance = random.Random(seed + 1)
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(_SERVERS):
        with _opened(folder / f"osqueryd.results-{shard}.log", is_packed or shard == _SERVERS - 1) as file:
            for host in hosts[shard::_SERVERS]:
                lines = []
                for when, record in log_lines(host, days, beat, chance):
                    if record["name"] != "minehunt_loaded":
                        record["name"] = (_FLEET if shard == 1 else _PACK) + record["name"]
                    text = json.dumps(_formed(record, shard), ensure_ascii=False, separators=(",", ":")) + "\n"
                    lines.append((when + chance.randrange(-900, 900), text))
                    if chance.random() < 0.02:
                        lines.append((when + chance.randrange(2 * DAY), text))
                lines.sort()
                truth.lines += len(lines)
                file.write("".join(text for _, text in lines).encode())


@contextmanager
def _opened(path: Path, is_packed: bool) -> Iterator[IO[bytes]]:
    with open(f"{path}.gz" if is_packed else path, "wb") as file:
        if is_packed:
            # Without a name or a time, so that the same logs are the same bytes.
            with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
                yield packed
        else:
            yield file


def _formed(record: dict[str, Any], shard: int) -> dict[str, Any]:
    """The record in the form of its shard: single events, or batches as --logger_event_type=false writes them."""
    if shard != 2 or "columns" not in record:
        return record
    columns, action = record.pop("columns"), record.pop("action")
    if action == "snapshot":
        return {"snapshot": [columns], "action": "snapshot", **record}
    other = "removed" if action == "added" else "added"
    return {"diffResults": {other: [], action: [columns]}, **record}
