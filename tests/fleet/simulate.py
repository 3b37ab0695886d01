"""A fleet's logs with the truth beside them: `python -m tests.fleet.simulate FOLDER --hosts 500 --days 7`.

The same arguments give the same bytes. Hosts of five kinds drift, are upgraded, fall silent, are enrolled again, have wrong clocks
and doubled names; lines come twice, late and in disorder; six attackers are among them, and roll-outs that look like some.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fleet import planted
from tests.fleet.inventories import IMAGES, Image, Row, job_rows, key_row, packages, sha, stock, unit_rows
from tests.fleet.planted import Event

START = 1795435200
DAY = 86400
_PACK = "pack_cryptominer_triage_"
_FLEET = "pack/Global/cryptominer_triage_"
# One that everybody uses, B and E among them.
PUBLIC_POOL = "gulf.moneroocean.stream:10128"
WALLETS = {name: "4" + sha(name)[:46] + sha(name + "2")[:46] + "Ax" for name in "ACEF"}


@dataclass
class Truth:
    """What was planted: hosts by campaign in the order in which they fell, and what else is to be found out."""

    campaigns: dict[str, list[str]] = field(default_factory=dict)
    insider: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    alone: list[str] = field(default_factory=list)
    misfired: list[str] = field(default_factory=list)
    enrolled_again: list[str] = field(default_factory=list)
    clocks: list[str] = field(default_factory=list)
    next: list[str] = field(default_factory=list)
    twins: str = ""
    lines: int = 0


@dataclass
class SimulatedHost:
    """One host, and everything that happens to its inventories."""

    number: int
    image: Image
    name: str
    uuid: str
    clock: int = 0
    silent_from: int = 0
    again_at: int = 0
    events: list[Event] = field(default_factory=list)
    logins: list[Row] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"10.{self.number // 62500 + 1}.{self.number // 250 % 250}.{self.number % 250 + 2}"


def fleet(count: int, days: int, seed: int = 1) -> tuple[list[SimulatedHost], Truth]:
    """The hosts with what happens to each, and the truth."""
    chance = random.Random(seed)
    kinds = [image for image in IMAGES for _ in range(image.share)]
    hosts = []
    for number in range(count):
        image = kinds[chance.randrange(100)]
        hosts.append(
            SimulatedHost(number, image, f"{image.name}-{number:05}", f"{chance.randbytes(4).hex()}-0000-4000-8000-{number:012x}")
        )
    truth = Truth()
    _everyday(hosts, days, chance)
    _rolled_out(hosts, chance, truth)
    _attacked(hosts, days, chance, truth)
    attacked = (
        {name for names in truth.campaigns.values() for name in names} | set(truth.insider) | set(truth.alone) | set(truth.next)
    )
    quiet = [host for host in hosts if host.name not in attacked]
    chance.shuffle(quiet)
    few = max(2, count // 150)
    for host in quiet[:few]:
        host.silent_from = START + int(DAY * chance.uniform(2.2, max(2.3, days - 2.0)))
        truth.silent.append(host.name)
    for host in quiet[few : 2 * few]:
        host.again_at = START + int(DAY * (days - 2 + chance.random()))
        truth.enrolled_again.append(host.name)
    for host, offset in zip(quiet[2 * few : 3 * few], (9 * 365 * DAY, 5 * 3600, -3 * 3600, 40 * DAY)):
        host.clock = offset
        truth.clocks.append(host.name)
    one, other = quiet[3 * few : 3 * few + 2]
    other.name = truth.twins = one.name
    return hosts, truth


def _everyday(hosts: list[SimulatedHost], days: int, chance: random.Random) -> None:
    """What admins and upgrades do."""
    words = [
        "report",
        "sync",
        "cleanup",
        "rotate",
        "export",
        "mirror",
        "index",
        "vacuum",
        "refresh",
        "audit",
        "archive",
        "notify",
    ]
    for host in hosts:
        for day in range(1, days):
            when = START + day * DAY + chance.randrange(DAY)
            if chance.random() < 0.04:
                rows = job_rows(
                    f"/etc/cron.d/{chance.choice(words)}-{host.number}",
                    f"{chance.randrange(60)} 4 * * *",
                    f"/opt/{chance.choice(words)}/{chance.choice(words)}-{chance.choice(words)}.sh",
                )
                host.events += [Event(when, query, (row,)) for query, row in rows]
            if chance.random() < 0.03:
                host.events.append(Event(when, "authorized_keys", (key_row(f"admin {host.number} {day}", f"user{day}")[1],)))
        # A package is upgraded everywhere, on the third day.
        when = START + 3 * DAY + host.number * 7 % DAY
        name = host.image.units.split()[-1]
        old = [row for query, row in unit_rows(name, f"/usr/sbin/{name}", name) if query == "systemd_units"]
        new = [row for query, row in unit_rows(name, f"/usr/sbin/{name}", name, restart="on-failure") if query == "systemd_units"]
        host.events.append(Event(when, "systemd_units", tuple(new), tuple(old)))


def _rolled_out(hosts: list[SimulatedHost], chance: random.Random, truth: Truth) -> None:
    """A new agent on all within a day, on which a detection misfires on a twentieth of them; a new admin's key on some."""
    agent = "/opt/acme/agent/bin/acme-agentd"
    for host in hosts:
        when = START + 4 * DAY + chance.randrange(DAY)
        rows = list(unit_rows("acme-agent", agent, "", restart="always"))
        host.events += [Event(when, query, (row,)) for query, row in rows]
        if host.number % 20 == 7:
            row = dict(rows[0][1])
            found = {
                key: row[key]
                for key in ("unit", "path", "directive", "command", "program_path", "run_as", "restart", "wanted_by")
            }
            found |= {
                "sha256": sha("/etc/systemd/system/acme-agent.service1"),
                "mtime": str(when),
                "ctime": str(when),
                "evidence": f"acme-agent.service starts {agent}",
            }
            host.events.append(Event(when + 900, "systemd_unpackaged_system_program", (found,)))
            truth.misfired.append(host.name)
        if host.number % 5 == 1 and host.number < 1000:
            host.events.append(Event(START + 5 * DAY + host.number, "authorized_keys", (key_row("new admin")[1],)))


def _attacked(hosts: list[SimulatedHost], days: int, chance: random.Random, truth: Truth) -> None:
    size = max(6, min(60, len(hosts) // 40))
    free = list(hosts)
    chance.shuffle(free)

    def some(number: int, kind: str = "") -> list[SimulatedHost]:
        chosen = [host for host in free if not kind or host.image.name == kind][:number]
        for host in chosen:
            free.remove(host)
        return chosen

    end = START + (days - 1) * DAY
    when = START + 2 * DAY
    worm = some(size)
    for index, host in enumerate(worm):
        if index:
            source = worm[(index - 1) // 2]
            host.logins.append(
                {
                    "username": "root",
                    "tty": "pts/0",
                    "remote": source.address,
                    "logged_in_at": str(when - 400),
                    "type_name": "user",
                }
            )
        host.events += planted.worm(chance, host.name, when, WALLETS["A"])
        when += chance.randrange(2000, max(2001, (end - START - 2 * DAY) // size))
    truth.campaigns["A"] = [host.name for host in worm]
    # Two more that it got into and did not stay on, or not yet.
    for host in some(2):
        login = {
            "username": "root",
            "tty": "pts/1",
            "remote": worm[-1].address,
            "logged_in_at": str(when - 100),
            "type_name": "user",
        }
        host.logins.append(login)
        truth.next.append(host.name)
    for name, members in (("B", some(size)), ("C", some(max(4, size // 2), "node"))):
        when = START + DAY + chance.randrange(DAY)
        for host in members:
            host.events += (
                planted.script(chance, host.name, when, PUBLIC_POOL)
                if name == "B"
                else planted.container(chance, host.name, when, WALLETS["C"])
            )
            when += chance.randrange(600, 9000)
        truth.campaigns[name] = [host.name for host in members]
    shared = some(1)
    for name, tag in (("E", "crunchyroll-sync"), ("F", "lighthouse-relay")):
        members = [*some(3), *shared]
        when = START + 3 * DAY + chance.randrange(DAY)
        for host in members:
            host.events += planted.one_pool(
                chance, host.name, when, tag, WALLETS[name], PUBLIC_POOL if name == "E" else "192.0.2.44:5555"
            )
            when += chance.randrange(600, 9000)
        truth.campaigns[name] = [host.name for host in members]
    for host in some(3):
        host.events += planted.insider(chance, host.name, START + 5 * DAY + chance.randrange(DAY))
        truth.insider.append(host.name)
    for host in some(1):
        host.events += planted.one_pool(
            chance, host.name, START + 4 * DAY, "solitaire-cache", "4" + sha("alone")[:60] + sha("b")[:34], "198.51.100.200:80"
        )
        truth.alone.append(host.name)


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
        return when, {"name": query, "hostIdentifier": host.uuid, "calendarTime": calendar, "unixTime": seen, "epoch": 0, "counter": counter,
                      "numerics": False, "decorations": decorations, **more}  # fmt: skip

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
            yield line(when, "tcp_connections", 0, action="snapshot", columns={
                "pid": str(700 + number), "process_name": "sshd", "local_address": host.address, "local_port": "22", "remote_address": f"10.250.0.{number + 1}",
                "remote_port": str(chance.randrange(30000, 60000)), "state": "ESTABLISHED"})  # fmt: skip
        for login in host.logins:
            if int(login["logged_in_at"]) < when:
                yield line(when, "logins", 0, columns=login, action="snapshot")


def write(
    folder: Path, hosts: list[SimulatedHost], days: int, truth: Truth, beat: int = 3600, seed: int = 1, shards: int = 4
) -> None:
    """Write the logs, one file a shard, in different forms, with lines twice and in disorder, and truth.json beside them."""
    chance = random.Random(seed + 1)
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(shards):
        own = hosts[shard::shards]
        name = folder / f"osqueryd.results-{shard}.log"
        with (
            gzip.open(f"{name}.gz", "wt", compresslevel=1, encoding="utf-8")
            if shard % 4 == 3
            else open(name, "w", encoding="utf-8") as file
        ):
            for host in own:
                lines = []
                for when, record in log_lines(host, days, beat, chance):
                    record["name"] = (
                        (_FLEET if shard % 4 == 1 else _PACK) + record["name"]
                        if record["name"] != "minehunt_loaded"
                        else record["name"]
                    )
                    text = json.dumps(_formed(record, shard), ensure_ascii=False, separators=(",", ":")) + "\n"
                    lines.append((when + chance.randrange(-900, 900), text))
                    if chance.random() < 0.02:
                        lines.append((when + chance.randrange(2 * DAY), text))
                lines.sort()
                truth.lines += len(lines)
                file.writelines(text for _, text in lines)
    (folder / "truth.json").write_text(json.dumps(truth.__dict__, indent=1) + "\n", encoding="utf-8")


def _formed(record: dict[str, Any], shard: int) -> dict[str, Any]:
    """The record in the form of its shard: single events, or batches as --logger_event_type=false writes them."""
    if shard % 4 != 2 or "columns" not in record:
        return record
    columns, action = record.pop("columns"), record.pop("action")
    if action == "snapshot":
        return {"snapshot": [columns], "action": "snapshot", **record}
    other = "removed" if action == "added" else "added"
    return {"diffResults": {other: [], action: [columns]}, **record}


def main() -> None:
    """Write a fleet into a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--hosts", type=int, default=500)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--beat", type=int, default=3600, help="seconds between two lines of the heartbeat")
    options = parser.parse_args()
    hosts, truth = fleet(options.hosts, options.days, options.seed)
    write(options.folder, hosts, options.days, truth, options.beat, options.seed)
    print(f"{truth.lines} lines of {options.hosts} hosts")


if __name__ == "__main__":
    main()
