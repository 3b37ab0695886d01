"""Who was heard, of what, and how long ago: "no findings" is said of hosts that looked, never of those that are silent."""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Optional

import ibis
from ibis import _

from extension.fleet.answers import Ground, with_rows
from extension.fleet.forms import STATUS
from extension.fleet.hosts import Host
from extension.fleet.names import DENYLISTED, LOADED
from extension.triage import iso_time
from tables.schema import whole_number

_HOUR, _DAY = 3600, 86400
# Without a regular heartbeat in the logs nobody can tell a quiet host from a dead one within less than this.
_LEAST_SILENCE = 26 * _HOUR
_HEALTH = {
    "minehunt_healthy": "unhealthy",
    "minehunt_not_denylisted": "denylisted",
    "minehunt_indicators_loaded": "no_indicators",
}
# What is asked each hour and was not heard for so long has no rows any more.
_FAILS = 3 * _HOUR + 600
# Of a host's query so many changes, and of the fleet's so many, have removed rows among them.
_OFTEN, _MANY_CHANGES = 5, 200
_KINDS = ("detection", "inventory", "policy")
_Rows = Callable[[], list[dict[str, Any]]]


@dataclass
class HostCoverage:
    """What is known of one host's reporting. `state` is reporting, silent or blind (heard, but not of minehunt's detections).

    `is_half_known`: nobody knows what was found before its logs begin, or what detections that did not run would have found.
    """

    host: Host
    last_heard: int
    state: str
    problems: list[tuple[str, str]] = field(default_factory=list)
    is_half_known: bool = False


@dataclass
class Coverage:
    """The fleet's reporting: every host once, by key, and what holds for all."""

    hosts: dict[str, HostCoverage]
    silence: int
    has_heartbeat: bool
    versions: dict[str, int]
    failing: dict[str, int]
    without_removed: tuple[str, ...]

    @functools.cached_property
    def half_known(self) -> frozenset[str]:
        """The keys of the hosts of which nobody knows what was found before the logs begin, or what a detection would find."""
        return frozenset(key for key, one in self.hosts.items() if one.is_half_known)

    def of_state(self, state: str) -> list[HostCoverage]:
        """The hosts in a state, by name."""
        return sorted((one for one in self.hosts.values() if one.state == state), key=lambda one: (one.host.name, one.host.key))


class _Asked(NamedTuple):
    """What the engine was asked, each to be waited for."""

    heard: _Rows
    full: _Rows
    versions: _Rows
    lost: _Rows
    failing: _Rows
    changes: _Rows


def coverage(ground: Ground) -> Callable[[], Coverage]:
    """Begin to look who was heard of what; what is returned waits for that, and works it out."""
    asked = _Asked(
        _ask_heard(ground),
        _ask_full(ground),
        _ask_versions(ground),
        _ask_lost(ground),
        _ask_failing(ground),
        _ask_changes(ground),
    )
    return lambda: _coverage(ground, asked)


def _coverage(ground: Ground, asked: _Asked) -> Coverage:
    silence = max(_LEAST_SILENCE, int(ground.usual_gap * 1.5))
    heard = {row["host"]: row for row in asked.heard()}
    _learn_versions(ground, asked.versions())
    hosts = {key: _host(ground, host, heard.get(key, {}), silence) for key, host in ground.hosts.items()}
    _unscheduled(hosts, {key for key, told in heard.items() if _is_asked(told)})
    _begin_in_the_middle(hosts, heard, {row["host"]: row["time"] for row in asked.full()})
    newest = max((_version(host.version) for host in ground.hosts.values() if host.version), default=())
    for one in hosts.values():
        if one.host.version and _version(one.host.version) < newest:
            one.problems.append(("old_version", one.host.version))
    _lost(ground, hosts, asked.lost())
    failing = _failing(ground, hosts, asked.failing())
    versions = Counter(host.version for host in ground.hosts.values())
    return Coverage(
        hosts, silence, ground.usual_gap <= 2 * _DAY, dict(sorted(versions.items())), failing,
        _without_removed(ground, asked.changes()),
    )  # fmt: skip


def _host(ground: Ground, host: Host, heard: Mapping[str, Any], silence: int) -> HostCoverage:
    last = min(host.last - host.clock_ahead, ground.now)
    if "clock_changed" in host.notes:
        last = min(heard.get("believable") or last, ground.now)
    is_silent = ground.now - last > silence
    one = HostCoverage(host, last, "silent" if is_silent else "reporting")
    one.problems += [(note, "") for note in host.notes]
    if host.decorations.get("user", "root") != "root":
        one.problems.append(("no_root", host.decorations["user"]))
        one.is_half_known = True
    # The pack also asks osquery's own tables, which answer on a host without the extension.
    has_minehunt = bool(host.version) or heard.get("loaded") is not None or _is_asked(heard)
    if not has_minehunt:
        one.state = one.state if is_silent else "blind"
        one.problems.append(("no_extension", ""))
    policies = heard.get("policy")
    for query, problem in _HEALTH.items():
        # A policy that holds has a row each hour; where others were logged since, this one no longer holds.
        if policies and policies - (heard.get(query) or 0) > _FAILS:
            one.problems.append((problem, ""))
    # Its version is told as it was when osqueryd started, also after the extension went away.
    if one.state == "reporting" and heard.get("loaded") and last - heard["loaded"] > _FAILS and not host.clock_ahead:
        one.problems.append(("no_extension", ""))
        one.state = "blind" if last - heard["loaded"] > silence else one.state
    # A new --schedule_epoch has the whole fleet begin anew.
    if host.key in ground.resets and len(ground.resets) * 2 <= len(ground.hosts):
        one.problems.append(("enrolled_again", iso_time(ground.resets[host.key])))
    return one


def _is_asked(heard: Mapping[str, Any]) -> bool:
    """Whether a host was heard of a query that only minehunt's extension answers."""
    return any(heard.get(kind) is not None for kind in _KINDS)


def _unscheduled(hosts: dict[str, HostCoverage], asked: Collection[str]) -> None:
    """Note hosts that have the extension and were never heard to be asked anything of the pack, where nearly all others were."""
    if len(asked) * 10 < len(hosts) * 9:
        return
    for key, one in hosts.items():
        if key not in asked and one.state == "reporting":
            one.state = "blind"
            one.problems.append(("no_pack", ""))


def _begin_in_the_middle(
    hosts: dict[str, HostCoverage], heard: Mapping[str, Mapping[str, Any]], full: Mapping[str, Optional[int]]
) -> None:
    """Note hosts of which the logs hold no full set: what was found before them, and lasts, is not in them.

    Where that is so of half of those that say, it also holds for those of which nothing changed.
    """
    bare = {key for key, told in heard.items() if full.get(key) is None and told["answered"] is not None}
    changed = bare & full.keys()
    cut = bare if len(changed) >= sum(time is not None for time in full.values()) else changed
    for key in cut & hosts.keys():
        if "minehunt_triage" not in hosts[key].host.decorations:
            hosts[key].problems.append(("begins_in_the_middle", ""))
            hosts[key].is_half_known = True


def _ask_versions(ground: Ground) -> _Rows:
    if all(host.version for host in ground.hosts.values()):
        return list
    beats = ground.results.filter((_.query == LOADED) & _.row_key.notnull() & (_.action != "removed"))
    rows = with_rows(ground, beats.group_by("host", "query", "row_key").agg(time=_.unix_time.max()), "version")
    return ground.engine.ask(rows.filter(_.version != "").select("host", "time", "version").order_by(["host", "time", "version"]))


def _learn_versions(ground: Ground, rows: Iterable[Mapping[str, Any]]) -> None:
    """Take minehunt's version from its heartbeat where a host's decorations do not tell it."""
    untold = {key for key, host in ground.hosts.items() if not host.version}
    for row in rows:
        if row["host"] in untold:
            host = ground.hosts[row["host"]]
            host.decorations = {**host.decorations, "minehunt_version": row["version"]}


def _ask_heard(ground: Ground) -> _Rows:
    """When each host was last heard of each kind of query, and of its health; None for never."""
    believable = ibis.ifelse(_.unix_time <= ground.now + _DAY, _.unix_time, ibis.null("int64"))
    said = ground.results.filter(_.action != "empty").group_by("host", "query")
    last = said.agg(time=_.unix_time.max(), believable=believable.max())
    which = {
        **{kind: last["query"].isin(list(ground.names.of_extension(kind))) for kind in _KINDS},
        **{query: last["query"] == query for query in _HEALTH},
        "loaded": last["query"] == LOADED,
        # What only says that it is there hides nothing.
        "answered": last["query"].isin(list(ground.names.of_kind("detection", "inventory", "evidence"))),
    }
    times = {name: ibis.ifelse(condition, last["time"], ibis.null("int64")).max() for name, condition in which.items()}
    times["believable"] = last["believable"].max()
    return ground.engine.ask(last.group_by("host").agg(**times))


def _ask_full(ground: Ground) -> _Rows:
    """Of hosts where anything was added or removed, when a full set was logged; None for never."""
    return ground.engine.ask(ground.runs.group_by("host").agg(time=_.base_time.max()))


def _ask_lost(ground: Ground) -> _Rows:
    odd = ground.runs.filter((_.lost > 0) | _.starts_late)
    return ground.engine.ask(odd.select("host", "query", "lost", "starts_late").order_by(["host", "query"]))


def _lost(ground: Ground, hosts: dict[str, HostCoverage], rows: Iterable[Mapping[str, Any]]) -> None:
    """Note differences that never arrived: what they added or removed is not known."""
    for row in rows:
        if row["host"] in hosts and ground.names.kind(row["query"]):
            kind = "lost_results" if row["lost"] > 0 else "starts_late"
            hosts[row["host"]].problems.append((kind, f"{row['query']} ({row['lost']})" if row["lost"] > 0 else row["query"]))


def _ask_failing(ground: Ground) -> _Rows:
    columns = ("failed_query", "query_name", "why")
    rows = with_rows(ground, ground.state.filter(_.query.isin([STATUS, DENYLISTED])), *columns)
    return ground.engine.ask(rows.select("host", "query", *columns).distinct().order_by(["host", *columns]))


def _failing(ground: Ground, hosts: dict[str, HostCoverage], rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Queries that failed, were cut, needed root or are denylisted, with the number of hosts; noted at each host."""
    failing: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        is_denylisted = row["query"] == DENYLISTED
        name = ground.names.bare(row["query_name"] if is_denylisted else row["failed_query"])
        if row["host"] not in hosts:
            continue
        failing[name].add(row["host"])
        one = hosts[row["host"]]
        is_unasked = is_denylisted or row["why"] == "needs-root"
        if is_denylisted:
            # The policy says that some query is; this says which.
            one.problems[:] = [each for each in one.problems if each != ("denylisted", "")]
            one.problems.append(("denylisted", name))
        else:
            one.problems.append(("no_root" if is_unasked else "failing", f"{name}: {row['why']}"))
        one.is_half_known |= is_unasked and ground.names.kind(name) == "detection"
    return dict(sorted(((name, len(keys)) for name, keys in failing.items()), key=lambda each: (-each[1], each[0])))


def _ask_changes(ground: Ground) -> _Rows:
    """The queries of which many changes were logged on hosts where they change often, and never a removed row."""
    changes = ground.batches.filter(_.counter > 0).group_by("query", "host")
    counts = changes.agg(added=(_.action == "added").sum(), removed=(_.action == "removed").sum())
    # What was rolled out to all hosts was added to each once or twice.
    often = ibis.ifelse(_.added >= _OFTEN, _.added, 0)
    by_query = counts.group_by("query").agg(added=often.sum(), removed=_.removed.sum())
    return ground.engine.ask(by_query.filter((_.removed == 0) & (_.added >= _MANY_CHANGES)).order_by("query"))


def _without_removed(ground: Ground, rows: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Those of these queries that the pack asks for removed rows, too: what is gone is not logged either."""
    return tuple(row["query"] for row in rows if ground.names.logs_removed(row["query"]))


@functools.cache
def _version(text: str) -> tuple[int, ...]:
    parts = map(whole_number, text.split("+")[0].split("-")[0].split("."))
    return tuple(part for part in parts if part is not None)
