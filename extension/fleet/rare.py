"""What stands on few hosts and on no other: things of the inventories, stacked over the fleet after normalising.

What came to the same few hosts together (a unit, its program, a job that looks after it) is one rarity. Ranked by how few of
the hosts of its kind have it, whether it is new, and how odd it is; nothing here is a finding.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

import ibis
import ibis.expr.types as ir
from ibis import _

from extension.fleet.answers import Ground
from extension.fleet.hosts import Host
from extension.fleet.normalise import without_names

# On so few hosts, or on no more than one of so many that reported the query; and never on more than _MANY.
FEW, ONE_OF = 5, 100
_MANY = 60
_CANDIDATES = 20_000
Row = dict[str, Any]
_HOUR = 3600
# What came to its hosts within so many seconds came by one hand.
_TOGETHER = ((6 * _HOUR, 1.6), (36 * _HOUR, 1.4), (96 * _HOUR, 1.2))
# Of what stands here nothing says which package it is of.
_UNOWNED = ("containers", "static_pods", "kernel module")
# Homes are full of what their owners keep there; what is hidden in them is odd.
_ODD_PLACE = re.compile(r"^(/tmp|/var/tmp|/dev/shm|/root|/opt|/usr/local|/srv|/var/lib)/|/\.[^/]")


@dataclass(frozen=True)
class RareThing:
    """One thing of an inventory: its kind, its normalised text, and one text as it stands there."""

    kind: str
    text: str
    example: str
    program: str
    reasons: str
    is_packaged: bool


@dataclass(frozen=True)
class Rarity:
    """Things that the same few hosts have, with when the first of them was seen and how much they call for a look."""

    hosts: tuple[Host, ...]
    things: tuple[RareThing, ...]
    first_time: int
    is_new: bool
    role: str
    role_size: int
    reported: int
    score: float


class Stacked(NamedTuple):
    """Who has which of the things that are stacked (query, thing), in the engine.

    `edges` has a row for each row of a host, `pairs` host, query and thing once.
    """

    edges: ir.Table
    pairs: ir.Table


def stacked(ground: Ground) -> Stacked:
    """Stack the inventories."""
    edges = ground.state.join(ground.stackable, ["query", "row_key"])
    # Distinct pairs are counted, since what Ibis calls nunique is an estimate on some engines.
    return Stacked(edges, ground.engine.keep("stacked", edges.select("host", "query", "thing").distinct()))


def rare(ground: Ground, stacks: Stacked, roles: dict[str, str], infected: Collection[str]) -> list[Rarity]:
    """The rarities, what calls most for a look first; hosts with an incident are told elsewhere and left out."""
    edges, pairs = stacks
    # A query without rows is not logged: who reports any of them reports all.
    by_query = pairs.select("host", "query").distinct().group_by("query").agg(hosts=_.count())
    reporting = max((row["hosts"] for row in ground.engine.fetch(by_query)), default=0)
    if not reporting:
        return []
    counts = pairs.group_by("query", "thing").agg(hosts=_.count())
    least = max(FEW, min(_MANY, reporting // ONE_OF))
    texts = ground.stackable.filter(_.row_key == _.thing).select("query", "thing", "kind", "text")
    few = ground.engine.keep("few", counts.filter(_.hosts <= least).join(texts, ["query", "thing"]))
    # The same on two hosts says more than anything that one host alone has, of which every fleet is full.
    chosen = few.order_by([ibis.desc(_.hosts > 1), _.kind, _.text]).limit(_CANDIDATES)
    grouped = (
        edges.semi_join(chosen, ["query", "thing"])
        .group_by("host", "kind", "text")
        .agg(
            example=_.example.min(),
            program=_.program.max(),
            package=_.package.max(),
            reasons=_.reasons.max(),
            first_time=_.first_time.min(),
            is_base=_.is_base.any(),
        )
    )
    by_thing: dict[tuple[str, str], dict[str, Row]] = defaultdict(dict)
    for row in ground.engine.fetch(grouped):
        if row["host"] in ground.hosts:
            by_thing[row["kind"], without_names(row["text"], ground.hosts[row["host"]].names)][row["host"]] = row
    by_hosts: dict[frozenset[str], list[tuple[str, str]]] = defaultdict(list)
    for thing, holders in by_thing.items():
        # Only the hosts' own names had made it rare; and of a few hosts most have what all have.
        is_rare = len(holders) <= least and len(holders) * 2 <= reporting
        if is_rare and not all(key in infected for key in holders):
            by_hosts[frozenset(holders)].append(thing)
    found = []
    sizes = _sizes(ground, roles)
    for together, listed in by_hosts.items():
        found.append(_rarity(ground, sorted(together), [(thing, by_thing[thing]) for thing in listed], roles, sizes, reporting))
    return sorted(found, key=lambda each: (-each.score, each.things[0].kind, each.things[0].text))


def _sizes(ground: Ground, roles: dict[str, str]) -> dict[str, int]:
    sizes: dict[str, int] = defaultdict(int)
    for key in ground.hosts:
        sizes[roles.get(key, "")] += 1
    return sizes


def _rarity(
    ground: Ground,
    holders: list[str],
    things: list[tuple[tuple[str, str], dict[str, Row]]],
    roles: dict[str, str],
    sizes: dict[str, int],
    reported: int,
) -> Rarity:
    rows = [row for _thing, by_host in things for row in by_host.values()]
    kinds = {roles.get(key, "") for key in holders}
    role = kinds.pop() if len(kinds) == 1 else ""
    listed = tuple(
        RareThing(
            kind,
            text,
            _any(by_host, "example"),
            _any(by_host, "program"),
            _any(by_host, "reasons"),
            bool(_any(by_host, "package")),
        )
        for (kind, text), by_host in sorted(things)
    )
    is_new = not any(row["is_base"] for row in rows)
    times = [row["first_time"] for row in rows]
    size = sizes[role] if role else reported
    score = _score(listed, len(holders), size, is_new, max(times) - min(times))
    return Rarity(tuple(ground.hosts[key] for key in holders), listed, min(times), is_new, role, size, reported, round(score, 2))


def _any(by_host: dict[str, Row], name: str) -> str:
    return next((str(row[name]) for _key, row in sorted(by_host.items()) if row[name]), "")


def _score(things: tuple[RareThing, ...], hosts: int, size: int, is_new: bool, spread: int) -> float:
    rarity = math.log2(max(2.0, size / hosts)) / 3
    # One host is one admin's whim, of which every fleet is full; two may be chance; what comes to more was brought there.
    several = math.log2(1 + min(hosts, 8)) if hosts > 1 else 0.4
    odd = 1.0
    for thing in things:
        if (thing.program and not thing.is_packaged) or thing.kind in _UNOWNED:
            odd += 0.8
        if thing.reasons:
            odd += 1.0
        if _ODD_PLACE.search(thing.program or thing.example):
            odd += 0.4
        if thing.is_packaged:
            odd -= 0.6
    breadth = 1 + math.log2(len({thing.kind for thing in things}))
    together = next((factor for within, factor in _TOGETHER if spread < within), 1.0) if hosts > 1 else 1.0
    score: float = rarity * several * max(odd, 0.2) ** 0.5 * breadth * together * (1.5 if is_new else 1.0)
    return score
