"""What tells one campaign's incidents from others': the things in them, and how much each is worth as a bond.

A thing that hosts without any incident have too is worth less, and nothing when many have it: what packages own, what known_good
names and what a roll-out put everywhere joins nobody.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import NamedTuple

import ibis
import ibis.expr.types as ir
from ibis import _

from extension.fleet.answers import Ground, with_rows
from extension.fleet.columns import SHARED
from extension.fleet.fetching import fetched_from
from extension.fleet.hosts import Host
from extension.fleet.incidents import HostIncident
from extension.fleet.normalise import families, is_distinct, normalised
from extension.fleet.pool_accounts import pool_accounts
from extension.fleet.roll_outs import RollOuts
from extension.incidents import Finding
from extension.incidents.things import common, names_miner
from extension.pack.parts import WEAKNESS
from tables.indicators.pools import builtin_pool_names

# 1 joins by itself. Others only where two kinds meet: a public pool serves everybody, a path is soon thought of twice.
_WORTH = {"wallet": 1.0, "pool_account": 1.0, "hash": 1.0, "key": 1.0, "command": 1.0, "image": 1.0, "address": 1.0,
          "module": 1.0, "job": 1.0, "pool": 0.5, "unit": 0.5, "file": 0.5, "folder": 0.3, "account": 0.3}  # fmt: skip
_COMMANDS = ("command", "cmdline")
_MAX_CLEAN = 2
# Who is paid.
PAID = ("wallet", "pool_account")
# No roll-out and no mistake has these.
NOBODY_ELSES = (*PAID, "pool")
# A roll-out ends on more than one of so many hosts.
_PART = 10
# What others make and run, and anybody may use.
_LENT = ("hash", "address", "image", "module")
# What others are told to block, also where only one host has it.
_TOLD = ("address", "hash", "key", "image")


class Shared(NamedTuple):
    """A thing by kind and by the value under which it is the same on every host."""

    kind: str
    value: str


def paid(things: Iterable[Shared]) -> set[str]:
    """The wallets and accounts among things."""
    return {thing.value for thing in things if thing.kind in PAID}


def are_paid_apart(one: AbstractSet[str], other: AbstractSet[str]) -> bool:
    """Whether both have wallets or accounts, and none in common."""
    return bool(one and other) and one.isdisjoint(other)


# The things of an incident, with the findings that have them.
Carried = dict[Shared, list[Finding]]


@dataclass
class Bonds:
    """The things of each incident (by its index), and what each thing is worth.

    `refused` has what honest hosts have too, `honest` the ids of findings that are about nothing else, `sites` the things of each
    incident that stand in no other findings, `lent` what two who are paid apart may both have from a third: programs, images,
    addresses, and what came along without a detection, as what responders bring does; `visitors` addresses that are only told as
    those from which somebody logged in.
    """

    things: list[frozenset[Shared]]
    worth: dict[Shared, float] = field(default_factory=dict)
    clean: dict[Shared, int] = field(default_factory=dict)
    refused: frozenset[Shared] = frozenset()
    honest: frozenset[int] = frozenset()
    sites: list[frozenset[Shared]] = field(default_factory=list)
    lent: frozenset[Shared] = frozenset()
    visitors: frozenset[Shared] = frozenset()

    def add(self, thing: Shared, owners: Iterable[int]) -> None:
        """Have incidents (by index) share a thing that nobody else has, but for one that was found to be a roll-out's."""
        if thing in self.refused:
            return
        if thing not in self.worth:
            self.worth[thing] = _WORTH[thing.kind]
            self.lent |= {thing}
        for index in owners:
            self.things[index] |= {thing}

    def having(self) -> Mapping[Shared, list[int]]:
        """The incidents by thing."""
        owners: dict[Shared, list[int]] = defaultdict(list)
        for index, things in enumerate(self.things):
            for thing in things:
                owners[thing].append(index)
        return owners


def bonds(ground: Ground, incidents: list[HostIncident]) -> Bonds:
    """The things of all incidents, weighed by how common they are on hosts without one."""
    images, public = _images(ground, incidents), _public_pools(incidents)
    carried = _in_families([_carried(one, images) for one in incidents])
    found = Bonds([frozenset(each) for each in carried])
    everything = found.having()
    hosts = {thing: {incidents[index].host.key for index in owners} for thing, owners in everything.items()}
    told = {thing: keys for thing, keys in hosts.items() if len(keys) > 1 or thing.kind in _TOLD}
    having = {thing: owners for thing, owners in everything.items() if len(hosts[thing]) > 1}
    found.clean = clean_hosts(ground, told, {one.host.key for one in incidents if one.incident.is_compromise})
    honest = {thing for thing in told if thing not in having and found.clean.get(thing, 0) > _MAX_CLEAN}
    roll_outs = RollOuts(incidents, len(ground.hosts))
    for thing, owners in having.items():
        clean = found.clean.get(thing, 0)
        carriers = [(incidents[index], carried[index][thing]) for index in owners]
        is_somebody_elses = thing.kind in NOBODY_ELSES or (
            thing.kind == "address" and _is_fetched_by_few(thing, carriers, len(ground.hosts))
        )
        if clean > _most_clean(thing, len(owners)) or (not is_somebody_elses and roll_outs.has(carriers)):
            honest.add(thing)
            continue
        # The address of a pool that is on the lists is as public as the pool, and says the same.
        is_everybodys = (thing.kind == "address" and _is_public(thing.value, public)) or (
            # What everybody's installer of a miner makes is named after the miner.
            thing.kind in ("file", "folder", "unit", "account") and names_miner(thing.value)
        )
        worth = 0.0 if is_everybodys else _WORTH[thing.kind]
        found.worth[thing] = worth / (1 + clean / len(owners))
    found.refused = frozenset(honest)
    about = [(finding, thing) for each in carried for thing, findings in each.items() for finding in findings]
    found.lent = frozenset(thing for _finding, thing in about if thing.kind in _LENT)
    addresses = [(thing, _is_login(finding)) for finding, thing in about if thing.kind == "address"]
    connected_to = {thing for thing, is_login in addresses if not is_login}
    found.visitors = frozenset(thing for thing, _is_login in addresses if thing not in connected_to)
    bound = {id(finding) for finding, thing in about if found.worth.get(thing)}
    found.honest = frozenset(id(finding) for finding, thing in about if thing in honest) - bound
    found.sites = [
        frozenset(
            thing
            for thing, findings in each.items()
            if thing in honest or all(id(finding) in found.honest for finding in findings)
        )
        for each in carried
    ]
    return found


def _is_login(finding: Finding) -> bool:
    """Whether it tells who came in as whom."""
    return finding.stage == "entry" and "account" in finding.query.things


def _is_fetched_by_few(thing: Shared, carriers: Sequence[tuple[HostIncident, Sequence[Finding]]], fleet: int) -> bool:
    """Whether it is a bare address from which a small part of the fleet fetches what it runs."""
    hosts = {one.host.key for one, found in carriers for each in found if thing.value in fetched_from(each)}
    return len(hosts) > 1 and (len(hosts) - 1) * _PART < fleet


def _most_clean(thing: Shared, owners: int) -> int:
    # What hosts connect to or are logged in to from is also where hosts that nothing was found on yet went.
    return max(_MAX_CLEAN, owners if thing.kind == "address" else owners // 10)


def _in_families(carried: list[Carried]) -> list[Carried]:
    family = families(thing.value for each in carried for thing in each if thing.kind == "command")
    found: list[Carried] = []
    for each in carried:
        renamed: Carried = defaultdict(list)
        for thing, findings in each.items():
            renamed[Shared("command", family[thing.value]) if thing.kind == "command" else thing] += findings
        found.append(renamed)
    return found


def _public_pools(incidents: list[HostIncident]) -> frozenset[str]:
    """Addresses that a list of pools names, as the findings say that compared with one or that name a listed pool there."""
    rows = [finding.row for one in incidents for finding in one.incident.findings if finding.stage == "mining"]
    public = [row for row in rows if row.get("feed") or any(_is_listed(row.get(column, "")) for column in ("pool", "matched"))]
    return frozenset(
        value for row in public for value in (row.get("remote_address", ""), row.get("matched", "").rpartition(":")[0]) if value
    )


def _is_listed(pool: str) -> bool:
    host = pool.rpartition("://")[2]
    return builtin_pool_names().listed_domain(host.rpartition(":")[0] or host) is not None


def _is_public(host: str, public: frozenset[str]) -> bool:
    return host in public or builtin_pool_names().listed_domain(host) is not None


def _carried(one: HostIncident, images: Mapping[tuple[str, str], str]) -> Carried:
    """The things of an incident, with the findings that have them; those that are gone had what fetched the rest."""
    carried: Carried = defaultdict(list)
    for finding in (*one.incident.findings, *one.before):
        # What stands open there is the site's own, and so is its image.
        image = images.get((one.host.key, finding.row.get("container_id", ""))) if finding.stage != WEAKNESS else None
        own = dict.fromkeys((*_of_finding(finding, one.host), *([Shared("image", image)] if image else ())))
        is_everybodys = is_base_image(finding.row.get("image") or image or "")
        for thing in own:
            if not (is_everybodys and thing.kind == "image"):
                carried[thing].append(finding)
    return carried


def _of_finding(finding: Finding, host: Host) -> Iterable[Shared]:
    if finding.stage == WEAKNESS:
        return
    for thing in finding.things:
        if not thing.is_weak and thing.kind in _WORTH and thing.kind not in ("job", "unit"):
            yield Shared(thing.kind, thing.value)
        elif thing.kind == "unit" and not thing.is_weak:
            yield Shared("unit", normalised(thing.value, host.names))
    for column in SHARED["image"]:
        if finding.row.get(column):
            yield Shared("image", finding.row[column])
    for column in _COMMANDS:
        for account in pool_accounts(finding.row.get(column, "")):
            yield Shared("pool_account", account)
    # The command line of a miner is mostly its pool's name; that of an odd program mostly the program's own.
    # That of a service by which somebody came in is the service's.
    is_attackers = finding.query.stage in ("entry", "persistence") and not finding.row.get("service")
    for column in _COMMANDS if is_attackers else ("command",):
        command = normalised(finding.row.get(column, ""), host.names)
        if command and is_distinct(command) and not finding.row.get("package"):
            yield Shared("command", command)


def is_base_image(image: str) -> bool:
    """Whether it is one of those that everybody's images, and anybody's attack, begin with."""
    name = image.removeprefix("docker.io/").removeprefix("library/")
    return name.partition("@")[0].partition(":")[0] in common("image")


def _images(ground: Ground, incidents: list[HostIncident]) -> dict[tuple[str, str], str]:
    """The image of each container in which something was found, from whatever inventory lists containers."""
    containers = [
        (one.host.key, finding.row["container_id"])
        for one in incidents
        for finding in one.incident.findings
        if finding.row.get("container_id")
    ]
    if not containers:
        return {}
    wanted = ground.engine.take("containers_wanted", {"host": "string", "container_id": "string"}, sorted(set(containers)))
    rows = with_rows(ground, ground.of_kind("inventory"), "container_id", "image").filter(_.image != "")
    listed = rows.join(wanted, ["host", "container_id"]).select("host", "container_id", "image").distinct()
    return {(row["host"], row["container_id"]): row["image"] for row in ground.engine.fetch(listed)}


def clean_hosts(ground: Ground, owners: Mapping[Shared, set[str]], compromised: set[str]) -> dict[Shared, int]:
    """On how many hosts each thing stands in an inventory, or is talked to, that are neither compromised nor its owners.

    Counted in the engine.
    """
    wanted = [thing for thing in owners if thing.kind in SHARED]
    if not wanted:
        return {}
    engine = ground.engine
    candidates = engine.take("candidates", {"kind": "string", "value": "string"}, [tuple(thing) for thing in wanted])
    excluded = engine.take("compromised", {"host": "string"}, [(key,) for key in sorted(compromised)])
    pairs = [(key, *thing) for thing in wanted for key in sorted(owners[thing] - compromised)]
    owned = engine.take("owned", {"host": "string", "kind": "string", "value": "string"}, pairs)
    named = ground.things.filter(_.kind.isin(sorted({thing.kind for thing in wanted})))
    if any(thing.kind == "address" for thing in wanted):
        named = ibis.union(named, _peers(ground.rows))
    named = engine.keep("named", named.semi_join(candidates, ["kind", "value"]))
    standing = ground.state.join(named, ["query", "row_key"]).select("host", "kind", "value").distinct()
    others = standing.anti_join(excluded, "host").anti_join(owned, ["host", "kind", "value"])
    counted = others.group_by("kind", "value").agg(hosts=_.count())
    return {Shared(row["kind"], row["value"]): row["hosts"] for row in engine.fetch(counted)}


def _peers(rows: ir.Table) -> ir.Table:
    """(query, row_key, kind, value): whom hosts are connected to, and who logs in to them; who only tries to is no peer."""
    peers = rows.filter(
        (rows.query.isin(["tcp_connections", "logins"]))
        | ((rows.query == "login_failures") & ~rows.first_success.isin(["", "0"]))
    )
    address = ibis.ifelse(peers.remote != "", peers.remote, peers.remote_address)
    return peers.select("query", "row_key", kind=ibis.literal("address"), value=address).filter(_.value != "")
