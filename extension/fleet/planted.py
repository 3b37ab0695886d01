"""What came to several compromised hosts as they fell and to no other host, though no detection says a word of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import ibis
from ibis import _

from extension.fleet.answers import Ground
from extension.fleet.incidents import HostIncident
from extension.fleet.normalise import is_distinct
from extension.fleet.shared_things import Shared

_KINDS = ("command", "hash", "key", "module")
# So long before and after an incident's first sign (seconds); those who clean hosts come later, and bring things too.
_BEFORE, _AFTER = 6 * 3600, 2 * 3600
_SEVERAL = 3


def planted(ground: Ground, incidents: Sequence[HostIncident]) -> dict[Shared, list[int]]:
    """The incidents, by number, with which each such thing came; of each host the nearest one."""
    by_host: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for number, one in enumerate(incidents):
        if one.incident.is_compromise and (began := one.began):
            by_host[one.host.key].append((number, began))
    if len(by_host) < 2:
        return {}
    found: dict[Shared, list[int]] = defaultdict(list)
    strangers: Counter[Shared] = Counter()
    for host, kind, value, first in _only_on(ground, sorted(by_host)):
        thing, came = Shared(kind, value), first - ground.hosts[host].clock_ahead
        nearest, began = min(by_host[host], key=lambda each: abs(came - each[1]))
        if -_BEFORE <= came - began <= _AFTER and (kind != "command" or is_distinct(value)):
            found[thing].append(nearest)
        else:
            strangers[thing] += 1
    # One of several hosts may have got a key later than its miner; what a roll-out brought did not come with those of more.
    late = {thing for thing, count in strangers.items() if thing.kind != "key" or count > 1 or len(found[thing]) < _SEVERAL}
    return {thing: numbers for thing, numbers in found.items() if len(numbers) > 1 and thing not in late}


def _only_on(ground: Ground, infected: Sequence[str]) -> list[tuple[str, str, str, int]]:
    """(host, kind, value, first time) of what inventories have on several of these hosts, new there, and on no others."""
    engine = ground.engine
    ours = engine.take("infected", {"host": "string"}, [(key,) for key in infected])
    named = ground.things.filter(_.kind.isin(_KINDS))
    there = ground.state.semi_join(ours, "host").filter(~_.is_base).join(named, ["query", "row_key"])
    came = engine.keep("came", there.group_by("host", "kind", "value").agg(first_time=_.first_time.min()))
    several = came.group_by("kind", "value").agg(hosts=_.count()).filter(_.hosts > 1)
    candidates = engine.keep("several", several.select("kind", "value"))
    elsewhere = ground.state.join(named.semi_join(candidates, ["kind", "value"]), ["query", "row_key"]).anti_join(ours, "host")
    only = candidates.anti_join(elsewhere.select("kind", "value").distinct(), ["kind", "value"])
    rows = engine.fetch(came.semi_join(only, ["kind", "value"]).order_by(ibis.asc("first_time"), "host", "kind", "value"))
    return [(row["host"], row["kind"], row["value"], row["first_time"]) for row in rows]
