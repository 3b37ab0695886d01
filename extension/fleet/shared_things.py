"""What tells one campaign's incidents from others': the things in them, and how much each is worth as a bond.

A thing that hosts without any incident have too is worth less, and nothing when many have it: what packages own, what known_good
names and what a roll-out put everywhere joins nobody.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import ibis
import ibis.expr.types as ir
from ibis import _

from extension.fleet.answers import Ground, with_rows
from extension.fleet.columns import SHARED
from extension.fleet.hosts import Host
from extension.fleet.incidents import HostIncident
from extension.fleet.normalise import families, is_distinct, normalised
from extension.incidents import Finding
from tables.indicators.pools import builtin_pool_names

# 1 joins by itself. Others only where two kinds meet: a public pool serves everybody, a path is soon thought of twice.
_WORTH = {"wallet": 1.0, "hash": 1.0, "key": 1.0, "command": 1.0, "image": 1.0, "address": 1.0, "module": 1.0, "job": 1.0,
          "pool": 0.5, "unit": 0.5, "file": 0.5, "folder": 0.3, "account": 0.3}  # fmt: skip
_COMMANDS = ("command", "cmdline")
_NORMALISED = ("command", "unit")
_MAX_CLEAN = 2


class Shared(NamedTuple):
    """A thing by kind and by the value under which it is the same on every host."""

    kind: str
    value: str


@dataclass
class Bonds:
    """The things of each incident (by its index), and what each thing is worth."""

    things: list[frozenset[Shared]]
    worth: dict[Shared, float] = field(default_factory=dict)
    clean: dict[Shared, int] = field(default_factory=dict)

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
    found = Bonds(_in_families([frozenset(_of_incident(one, images)) for one in incidents]))
    having = {thing: owners for thing, owners in found.having().items() if len({incidents[i].host.key for i in owners}) > 1}
    compromised = {one.host.key for one in incidents}
    found.clean = _clean_hosts(ground, list(having), compromised)
    for thing in having:
        clean = found.clean.get(thing, 0)
        if clean <= max(_MAX_CLEAN, len(having[thing]) // 10):
            # The address of a pool that is on the lists is as public as the pool, and says the same.
            worth = 0.0 if thing.kind == "address" and _is_public(thing.value, public) else _WORTH[thing.kind]
            found.worth[thing] = worth / (1 + clean / len(having[thing]))
    return found


def _in_families(things: list[frozenset[Shared]]) -> list[frozenset[Shared]]:
    family = families(thing.value for each in things for thing in each if thing.kind == "command")
    return [
        frozenset(Shared("command", family[thing.value]) if thing.kind == "command" else thing for thing in each)
        for each in things
    ]


def _public_pools(incidents: list[HostIncident]) -> frozenset[str]:
    """Addresses that a list of pools names, as the findings say that compared with one."""
    rows = (finding.row for one in incidents for finding in one.incident.findings if finding.row.get("feed"))
    return frozenset(
        value for row in rows for value in (row.get("remote_address", ""), row.get("matched", "").rpartition(":")[0]) if value
    )


def _is_public(host: str, public: frozenset[str]) -> bool:
    return host in public or builtin_pool_names().listed_domain(host) is not None


def _of_incident(one: HostIncident, images: Mapping[tuple[str, str], str]) -> Iterable[Shared]:
    for finding in one.incident.findings:
        yield from _of_finding(finding, one.host)
        image = images.get((one.host.key, finding.row.get("container_id", "")))
        if image:
            yield Shared("image", image)


def _of_finding(finding: Finding, host: Host) -> Iterable[Shared]:
    if finding.query.stage == "weakness":
        return
    for thing in finding.things:
        if not thing.is_weak and thing.kind in _WORTH and thing.kind not in ("job", "unit"):
            yield Shared(thing.kind, thing.value)
        elif thing.kind == "unit" and not thing.is_weak:
            yield Shared("unit", normalised(thing.value, host.names))
    for column in SHARED["image"]:
        if finding.row.get(column):
            yield Shared("image", finding.row[column])
    # The command line of a miner is mostly its pool's name; that of an odd program mostly the program's own.
    for column in _COMMANDS if finding.query.stage in ("entry", "persistence") else ("command",):
        command = normalised(finding.row.get(column, ""), host.names)
        if command and is_distinct(command) and not finding.row.get("package"):
            yield Shared("command", command)


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
    rows = with_rows(ground, ground.of_kind("inventory")).filter(_.image != "")
    listed = rows.join(wanted, ["host", "container_id"]).select("host", "container_id", "image").distinct()
    return {(row["host"], row["container_id"]): row["image"] for row in ground.engine.fetch(listed)}


def _clean_hosts(ground: Ground, things: list[Shared], compromised: set[str]) -> dict[Shared, int]:
    """On how many hosts without an incident each thing stands in an inventory; counted in the engine."""
    wanted = [thing for thing in things if thing.kind in SHARED]
    if not wanted:
        return {}
    candidates = ground.engine.take("candidates", {"kind": "string", "value": "string"}, [tuple(thing) for thing in wanted])
    excluded = ground.engine.take("compromised", {"host": "string"}, [(key,) for key in sorted(compromised)])
    rows = ground.engine.table("rows").filter(_.query.isin(list(ground.names.of_kind("inventory"))))
    named = shared_values(rows, {thing.kind for thing in wanted}, ground.normal)
    named = ground.engine.keep("named", named.semi_join(candidates, ["kind", "value"]))
    standing = ground.state.join(named, ["query", "row_key"]).select("host", "kind", "value").distinct()
    counted = standing.anti_join(excluded, "host").group_by("kind", "value").agg(hosts=_.count())
    return {Shared(row["kind"], row["value"]): row["hosts"] for row in ground.engine.fetch(counted)}


def shared_values(rows: ir.Table, kinds: Collection[str], normal: ir.Table) -> ir.Table:
    """(query, row_key, kind, value): what hosts of one campaign may share, of these kinds, in rows of any query.

    The same may come twice; `normal` is of normal_texts.
    """
    parts = []
    for kind in sorted(kinds):
        for column in SHARED[kind]:
            part = rows.filter(rows[column] != "").select("query", "row_key", kind=ibis.literal(kind), value=rows[column])
            if kind in _NORMALISED:
                part = part.join(normal, part.value == normal.text).select("query", "row_key", "kind", value=normal.normal)
            parts.append(part)
    return ibis.union(*parts) if len(parts) > 1 else parts[0]
