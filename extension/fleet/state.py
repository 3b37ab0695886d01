"""What is true now of each host and query, from results that were added, removed or taken as snapshots.

Ibis expressions over the tables that every engine gives (engines.py):
`results`: host, query, epoch, counter, unix_time, action, row_key; `clocks`: host, is_jumping.

osquery (core/query.cpp): a new epoch, or a database that was lost, logs all rows with counter 0; each later difference counts one
up, and what has no rows is not logged at all. Delivery is at least once and in any order, so nothing here rests on the order of
lines, and a row that comes twice is one row.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
from ibis import _

from extension.fleet.names import LOADED

_DIFFERENCES = ("added", "removed")
_SNAPSHOTS = ("snapshot", "empty")
# A second has room for so many counters in one sortable number.
_COUNTERS = 1 << 20
_DAY = 86400
# So long after osquery begins anew each query of an hour's interval was asked once (seconds).
_ASKED = 2 * 3600


def lasting(results: ir.Table) -> ir.Table:
    """The results that have a state; of many a fleet's lines half are heartbeats, which only say that somebody is there."""
    return results.filter(_.query != LOADED)


def batches(results: ir.Table) -> ir.Table:
    """Each run of a differential query that logged anything: host, query, epoch, counter, unix_time, action."""
    differences = results.filter(_.action.isin(_DIFFERENCES))
    return differences.select("host", "query", "epoch", "counter", "unix_time", "action").distinct()


def runs(batches: ir.Table) -> ir.Table:
    """The epoch in force of each host and differential query, and since when its rows count.

    base_time is when its full set was logged, NULL when none was; last_time when it last said anything; lost how many differences
    never arrived; starts_late whether the log begins in the middle; set_back by how much the clock was set back in it (seconds).
    """
    epochs = batches.group_by("host", "query", "epoch").agg(
        first_time=_.unix_time.min(),
        last_time=_.unix_time.max(),
        base_time=ibis.ifelse(_.counter == 0, _.unix_time, ibis.null("int64")).max(),
    )
    newest = epochs.group_by("host", "query").agg(
        epoch=_.epoch.argmax(_.last_time * 2 + ibis.ifelse(_.base_time.notnull(), 1, 0)), known_since=_.first_time.min()
    )
    current = epochs.join(newest, ["host", "query", "epoch"])
    since = current.select("host", "query", "epoch", "base_time")
    counted = (
        batches.join(since, ["host", "query", "epoch"])
        .filter(_.base_time.isnull() | (_.unix_time >= _.base_time))
        .group_by("host", "query", "counter")
        .agg(unix_time=_.unix_time.min())
        .group_by("host", "query")
        .agg(
            least=_.counter.min(),
            most=_.counter.max(),
            seen=_.count(),
            set_back=_.unix_time.max() - _.unix_time.argmax(_.counter),
        )
    )
    joined = current.join(counted, ["host", "query"])
    return joined.select(
        "host", "query", "epoch", "base_time", "last_time", "known_since",
        lost=joined.most - joined.least + 1 - joined.seen,
        starts_late=joined.base_time.isnull() & (joined.least > 1),
        set_back=joined.set_back,
        is_new_base=joined.base_time.notnull() & (joined.base_time > joined.known_since),
    )  # fmt: skip


def resets(runs: ir.Table) -> ir.Table:
    """Hosts whose osquery began anew (reinstalled, enrolled again, a new epoch): host, full_time, reset_time.

    At full_time the first query that had rows before logged all of them; what was said before reset_time is void, since a query
    whose answer was empty then logs nothing, and its rows of before would stand for ever. Where only some queries log a full set
    again their SQL is new, as after an upgrade of the pack.
    """
    anew = runs.filter(_.is_new_base)
    last = anew.group_by("host").agg(last_base=_.base_time.max())
    together = anew.join(last, "host").filter(lambda t: t.base_time >= t.last_base - _DAY)
    begun = together.group_by("host").agg(full_time=_.base_time.min(), queries=_.count()).filter(_.queries >= 2)
    # Before that others that had no rows before, asked more often, may have logged theirs.
    begun = begun.mutate(reset_time=_.full_time - _ASKED)
    before = runs.join(begun, "host").filter(lambda t: t.known_since < t.reset_time).group_by("host").agg(heard=_.count())
    return (
        begun.left_join(before, "host")
        .filter(_.heard.isnull() | (_.queries * 2 >= _.heard))
        .select("host", "full_time", "reset_time")
    )


def differential(results: ir.Table, runs: ir.Table, resets: ir.Table, clocks: ir.Table) -> ir.Table:
    """The rows that differential queries say are there now: host, query, row_key, first_time, is_base (there at the start)."""
    since = runs.left_join(resets, "host").select("host", "query", "epoch", "base_time", "last_time", "reset_time")
    since = since.left_join(clocks, "host").select("host", "query", "epoch", "base_time", "last_time", "reset_time", "is_jumping")
    # By a clock that jumps nobody can tell which of a query's rows were logged since.
    since = since.filter(_.is_jumping.isnull() | _.reset_time.isnull() | (_.last_time >= _.reset_time))
    since = since.mutate(
        since=ibis.greatest(_.base_time.fill_null(0), _.reset_time.fill_null(0)), is_jumping=_.is_jumping.fill_null(False)
    )
    rows = results.filter(_.action.isin(_DIFFERENCES)).join(since, ["host", "query", "epoch"])
    counter = ibis.least(rows.counter, _COUNTERS - 1)
    order = ibis.ifelse(rows.is_jumping, counter, rows.unix_time * _COUNTERS + counter)
    rows = rows.filter(rows.is_jumping | (rows.unix_time >= rows.since))
    # Of one run's lines "added" is the later one.
    rows = rows.mutate(order=order * 2 + ibis.ifelse(rows.action == "added", 1, 0))
    added = ibis.ifelse(_.action == "added", _.unix_time, ibis.null("int64"))
    kept = rows.group_by("host", "query", "row_key").agg(
        last=_.order.max(), first_time=added.min(), is_base=(added == _.base_time).any()
    )
    return kept.filter(_.last % 2 == 1).select("host", "query", "row_key", "first_time", is_base=_.is_base.fill_null(False))


def snapshots(results: ir.Table, latest: ir.Table) -> ir.Table:
    """The rows of each query's last snapshot; `latest` has host, query and unix_time of it."""
    rows = results.filter(_.action == "snapshot")
    first = rows.group_by("host", "query", "row_key").agg(first_time=_.unix_time.min(), last_time=_.unix_time.max())
    now = first.join(latest, ["host", "query"])
    return now.filter(now.last_time == now.unix_time).select(
        "host", "query", "row_key", "first_time", is_base=now.first_time == now.since
    )


def latest_snapshots(results: ir.Table) -> ir.Table:
    """When each host's queries were last and first taken as snapshots: host, query, unix_time, since."""
    taken = results.filter(_.action.isin(_SNAPSHOTS))
    return taken.group_by("host", "query").agg(unix_time=_.unix_time.max(), since=_.unix_time.min())


def state(results: ir.Table, runs: ir.Table, resets: ir.Table, latest: ir.Table, clocks: ir.Table) -> ir.Table:
    """What is there now: host, query, row_key, first_time, is_base. A query that changed its kind is as it was last logged."""
    key = ["host", "query"]
    ran = runs.left_join(latest.select(*key, "unix_time"), key).filter(_.unix_time.isnull() | (_.unix_time <= _.last_time))
    taken = latest.left_join(runs.select(*key, "last_time"), key).filter(_.last_time.isnull() | (_.unix_time > _.last_time))
    return ibis.union(
        differential(results, ran.select(*key, "epoch", "base_time", "last_time"), resets, clocks),
        snapshots(results, taken.select(*key, "unix_time", "since")),
    )
