"""The tables behind all answers, worked out once in the engine: hosts, what is there now, and who reported what."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Optional

import ibis
import ibis.expr.types as ir
from ibis import _

from extension.fleet import state as states
from extension.fleet.clocks import AHEAD, fleet_now, mark_clocks
from extension.fleet.engines import Engine
from extension.fleet.hosts import Host, Sender, identify
from extension.fleet.inventory_things import shared_values
from extension.fleet.names import Names
from extension.fleet.normalise import naming_schemes, normal_texts
from extension.fleet.stacking import stackable, with_thing

_HOUR = 3600
# So many hosts say how long hosts are silent for.
_ENOUGH = 500


@dataclass
class Ground:
    """What every answer stands on. `now` is when the logs end, `usual_gap` how long hosts are silent for anyway (seconds).

    Of the rows of inventories `normal` has the texts (normalise.normal_texts), `things` what hosts may share
    (inventory_things.shared_values) and `stackable` what is stacked (stacking.stackable, with_thing).
    """

    engine: Engine
    names: Names
    hosts: dict[str, Host]
    now: int
    rows: ir.Table
    normal: ir.Table
    things: ir.Table
    stackable: ir.Table
    results: ir.Table
    batches: ir.Table
    runs: ir.Table
    state: ir.Table
    usual_gap: int
    began_anew: Callable[[], list[dict[str, Any]]]

    @cached_property
    def resets(self) -> dict[str, int]:
        """When osquery began anew, of the hosts where it did (states.resets)."""
        return {row["host"]: row["full_time"] for row in self.began_anew()}

    def of_kind(self, *kinds: str) -> ir.Table:
        """The state of the queries of these kinds."""
        return self.state.filter(_.query.isin(list(self.names.of_kind(*kinds))))


def prepare(engine: Engine, names: Names, step: Callable[[str], None] = lambda _: None, now: Optional[int] = None) -> Ground:
    """Tell hosts apart and reconstruct the state; `step` is told what is being done."""
    step("hosts")
    senders = engine.fetch(engine.table("senders").join(engine.table("spans"), "sender"))
    # Asked for before it is needed: an engine may make it while hosts are told apart.
    rows = engine.table("rows")
    hosts = identify(_sender(row) for row in senders)
    now = now or fleet_now(hosts.values(), time.time())
    keys = [(sender, host.key) for host in hosts.values() for sender in host.senders]
    owners = engine.take("owners", {"sender": str(engine.table("senders").sender.type()), "host": "string"}, keys)
    step("state")
    results = engine.table("logged").join(owners, "sender").drop("sender")
    batches = engine.keep("batches", states.batches(results))
    finish_gap = usual_gap(engine, results, hosts)
    runs = engine.keep("runs", states.runs(batches))
    ask_set_back = engine.ask(runs.filter(_.set_back > _HOUR).select("host").distinct())
    # These are of the rows alone: Ibis compiles them while the engine finds out about clocks.
    schemes = naming_schemes(name for host in hosts.values() for name in host.names)
    normal = engine.keep("normal", normal_texts(rows.filter(_.query.isin(list(names.stacked()))), schemes))
    inventories = rows.filter(_.query.isin(list(names.of_kind("inventory"))))
    things = engine.keep("things", shared_values(inventories, normal))
    stacks = engine.keep("stackable", with_thing(stackable(rows, names.stacked(), normal)))
    gap = finish_gap()
    jumping = mark_clocks(list(hosts.values()), now, gap, {row["host"] for row in ask_set_back()})
    clocks = engine.take("clocks", {"host": "string", "is_jumping": "boolean"}, [(host.key, True) for host in jumping])
    resets = engine.keep("resets", states.resets(runs))
    began_anew = engine.ask(resets)
    told = states.lasting(results)
    taken = told.left_join(clocks, "host").filter(lambda t: t.is_jumping.isnull() | (t.unix_time <= now + AHEAD))
    latest = engine.keep("latest", states.latest_snapshots(taken))
    read = told.filter(_.row_key.notnull() | (_.action == "empty"))
    state = engine.keep("state", states.state(read, runs, resets, latest, clocks))
    return Ground(engine, names, hosts, now, rows, normal, things, stacks, results, batches, runs, state, gap, began_anew)


def usual_gap(engine: Engine, results: ir.Table, hosts: Collection[str]) -> Callable[[], int]:
    """Begin to look for the longest silence that nine of ten hosts have between two hours in which they were heard (seconds)."""
    # Of many hosts some tell it as well, and their hours are a great part of what there is to sort.
    some = sorted(hosts)[:: 1 + len(hosts) // _ENOUGH]
    asked = engine.take("asked", {"host": "string"}, [(host,) for host in some])
    hours = results.semi_join(asked, "host").select("host", hour=(_.unix_time / _HOUR).floor().cast("int64")).distinct()
    hours = engine.keep("hours", hours)
    spans = hours.group_by("host").agg(first=_.hour.min(), last=_.hour.max(), heard=_.count())
    # Only where an hour is missing is a gap to be looked for.
    broken = hours.semi_join(spans.filter(_.last - _.first >= _.heard), "host")
    window = ibis.window(group_by="host", order_by="hour")
    steps = broken.mutate(gap=broken.hour - broken.hour.lag().over(window)).filter(_.gap.notnull())
    ask_gaps = engine.ask(steps.group_by("host").agg(gap=_.gap.max()))
    ask_several = engine.ask(spans.filter(_.heard > 1).agg(hosts=_.count()))

    def finish() -> int:
        gaps = sorted(row["gap"] for row in ask_gaps())
        several = sum(row["hosts"] for row in ask_several())
        # Hosts that were heard in one hour only have none.
        gaps = [0] * (len(some) - several) + [1] * (several - len(gaps)) + gaps
        return int(gaps[(len(gaps) - 1) * 9 // 10]) * _HOUR if gaps else 0

    return finish


def _sender(row: Mapping[str, Any]) -> Sender:
    return Sender(
        row["sender"], row["identifier"] or "", decorations(row["decorations"]), row["first_time"], row["last_time"], row["lines"]
    )


def decorations(text: Optional[str]) -> dict[str, str]:
    """Decorations from their JSON text; none when it is no mapping."""
    try:
        loaded = json.loads(text or "{}")
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in loaded.items()} if isinstance(loaded, dict) else {}


def with_rows(ground: Ground, state: ir.Table, *columns: str) -> ir.Table:
    """A part of the state with these columns of its rows; Ibis goes through each column of each join by itself."""
    return state.join(ground.rows.select("query", "row_key", *columns), ["query", "row_key"])
