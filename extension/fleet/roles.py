"""Which hosts are of a kind: by a decoration that says so, else by which packages (else units) they have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ibis import _

from extension.fleet.answers import Ground, with_rows
from extension.fleet.columns import ROLES

_SPLITS = 6
# A kind of fewer hosts than this is none that rarity could be measured in.
SMALLEST = 20


def roles(ground: Ground) -> Callable[[], dict[str, str]]:
    """Begin to look for them; what is returned waits for a name of each host's kind, "" for those of no large kind."""
    decorated = _decorated(ground)
    packages = _ask_likely(ground, "packages", "package") if not decorated else None

    def wait() -> dict[str, str]:
        named = decorated
        if packages:
            named = _split(ground, packages()) or _split(ground, _ask_likely(ground, "systemd_units", "unit")())
        sizes = Counter(named.values())
        return {key: named[key] if sizes[named.get(key, "")] >= SMALLEST else "" for key in ground.hosts if key in named}

    return wait


def _decorated(ground: Ground) -> dict[str, str]:
    """By decorations, where most hosts have one of them."""
    found = {}
    for key, host in ground.hosts.items():
        parts = [host.decorations[name] for name in ROLES if host.decorations.get(name)]
        if parts:
            found[key] = "/".join(parts)
    return found if len(found) * 2 > len(ground.hosts) and len(set(found.values())) > 1 else {}


def _ask_likely(ground: Ground, query: str, column: str) -> Callable[[], list[dict[str, Any]]]:
    """What waits for the things of an inventory that may split the fleet, each with its hosts."""
    rows = with_rows(ground, ground.state.filter(_.query == query), column)
    pairs = rows.filter(rows[column] != "").select("host", thing=rows[column]).distinct()
    counts = pairs.group_by("thing").agg(hosts=_.count())
    total = len(ground.hosts)
    likely = (
        counts.filter((_.hosts * 20 > total) & (_.hosts * 20 < total * 19))
        .order_by([(_.hosts * 2 - total).abs(), _.thing])
        .limit(40)
    )
    return ground.engine.ask(pairs.semi_join(likely, "thing").group_by("thing").agg(hosts=_.host.collect()))


def _split(ground: Ground, likely: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """By the few things that split the fleet best, each where those before it do not already say it."""
    having = {row["thing"]: set(row["hosts"]) for row in likely}
    chosen = _splits(having, len(ground.hosts))
    return {key: "+".join(thing for thing in chosen if key in having[thing]) for key in ground.hosts} if chosen else {}


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
