"""Which hosts are of a kind: by a decoration that says so, else by which packages they have."""

from __future__ import annotations

from collections import Counter

from ibis import _

from extension.fleet.answers import Ground, with_rows
from extension.fleet.columns import ROLES

_SPLITS = 6
# A kind of fewer hosts than this is none that rarity could be measured in.
SMALLEST = 20


def roles(ground: Ground) -> dict[str, str]:
    """A name for each host's kind, "" for those of no large kind."""
    named = _decorated(ground) or _by_packages(ground)
    sizes = Counter(named.values())
    return {key: named[key] if sizes[named.get(key, "")] >= SMALLEST else "" for key in ground.hosts if key in named}


def _decorated(ground: Ground) -> dict[str, str]:
    """By decorations, where most hosts have one of them."""
    found = {}
    for key, host in ground.hosts.items():
        parts = [host.decorations[name] for name in ROLES if host.decorations.get(name)]
        if parts:
            found[key] = "/".join(parts)
    return found if len(found) * 2 > len(ground.hosts) and len(set(found.values())) > 1 else {}


def _by_packages(ground: Ground) -> dict[str, str]:
    """By the few packages (else units) that split the fleet best, each where those before it do not already say it."""
    for query, column in (("packages", "package"), ("systemd_units", "unit")):
        rows = with_rows(ground, ground.state.filter(_.query == query), column)
        pairs = rows.filter(rows[column] != "").select("host", thing=rows[column]).distinct()
        counts = pairs.group_by("thing").agg(hosts=_.count())
        total = len(ground.hosts)
        likely = (
            counts.filter((_.hosts * 20 > total) & (_.hosts * 20 < total * 19))
            .order_by([(_.hosts * 2 - total).abs(), _.thing])
            .limit(40)
        )
        owners = pairs.semi_join(likely, "thing").group_by("thing").agg(hosts=_.host.collect())
        having = {row["thing"]: set(row["hosts"]) for row in ground.engine.fetch(owners)}
        chosen = _splits(having, total)
        if chosen:
            return {key: "+".join(thing for thing in chosen if key in having[thing]) for key in ground.hosts}
    return {}


def _splits(having: dict[str, set[str]], total: int) -> list[str]:
    chosen: list[str] = []
    for thing in sorted(having, key=lambda name: (abs(2 * len(having[name]) - total), name)):
        # Nothing new in what (nearly) the same hosts have as one that is chosen.
        if all(_differ(having[thing], having[other]) * 10 > total for other in chosen):
            chosen.append(thing)
        if len(chosen) == _SPLITS:
            break
    return sorted(chosen)


def _differ(one: set[str], other: set[str]) -> int:
    """How many are in one of the two only."""
    return len(one) + len(other) - 2 * len(one & other)
