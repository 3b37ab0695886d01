"""A fleet's logs with the truth beside them: `python -m tests.fleet.simulate FOLDER --hosts 500 --days 7`.

The same arguments give the same bytes. Hosts of five kinds drift, are upgraded, fall silent, are enrolled again, have wrong
clocks and doubled names; lines come twice, late and in disorder; six attackers are among them, and roll-outs that look like some.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

from tests.fleet import planted
from tests.fleet.inventories import IMAGES, job_rows, key_row, sha, unit_rows
from tests.fleet.logs import write
from tests.fleet.planted import Event
from tests.fleet.simulated_hosts import DAY, START, SimulatedHost, Truth

# One that everybody uses, B and E among them.
PUBLIC_POOL = "gulf.moneroocean.stream:10128"
WALLETS = {name: "4" + sha(name)[:46] + sha(name + "2")[:46] + "Ax" for name in "ACEF"}


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


SAMPLE = Path(__file__).parent / "sample"


def sample(folder: Path) -> Truth:
    """Write the small fleet that the README reports on (tests/fleet/sample)."""
    hosts, truth = fleet(90, 6, seed=8)
    write(folder, hosts, 6, truth, beat=6 * 3600, is_packed=True)
    return truth


def main() -> None:
    """Write a fleet into a folder, and what is true of it into FOLDER.truth.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=SAMPLE, help="the sample is written anew where none is named")
    parser.add_argument("--hosts", type=int, default=500)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--beat", type=int, default=3600, help="seconds between two lines of the heartbeat")
    options = parser.parse_args()
    if options.folder == SAMPLE:
        truth = sample(SAMPLE)
    else:
        hosts, truth = fleet(options.hosts, options.days, options.seed)
        write(options.folder, hosts, options.days, truth, options.beat, options.seed)
        Path(f"{options.folder}.truth.json").write_text(json.dumps(truth.__dict__, indent=1) + "\n", encoding="utf-8")
    print(f"{truth.lines} lines in {options.folder}")


if __name__ == "__main__":
    main()
