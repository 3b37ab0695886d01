"""Which of the incidents that share something are one campaign."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from extension.fleet.fetching import fetched_from
from extension.fleet.incidents import HostIncident
from extension.fleet.joining import joined
from extension.fleet.roll_outs import surely_mines
from extension.fleet.shared_things import Bonds, are_paid_apart, paid
from extension.pack.parts import GRAVE

# What fetches a miner and the miner come within so much time (seconds).
_TOGETHER = 86400


def campaign_groups(incidents: list[HostIncident], bonds: Bonds) -> list[list[int]]:
    """The incidents of each campaign, by number.

    What is none by itself, but that its hosts fetch from one place or hide alike, is of the campaign that most of them are in.
    """
    sure: list[list[int]] = []
    unsure: list[list[int]] = []
    for group in joined(len(incidents), bonds):
        ours = [incidents[index] for index in group]
        if len(hosts_of(incidents, group)) > 1 and any(one.incident.is_compromise for one in ours):
            if _is_campaign(ours):
                sure.append(group)
            elif _two_have(ours, _fetching) or _two_have(ours, _hiding):
                unsure.append(group)
    for group in unsure:
        keys = hosts_of(incidents, group)
        home = max(sure, key=lambda each: len(keys & hosts_of(incidents, each)), default=[])
        if len(keys & hosts_of(incidents, home)) * 2 >= len(keys):
            home += group
        else:
            sure.append(group)
    return _of_one_hand(sure, incidents, bonds)


def _of_one_hand(groups: list[list[int]], incidents: list[HostIncident], bonds: Bonds) -> list[list[int]]:
    """The groups, those put together that came to the very same hosts at the same time, as what fetches a miner does.

    Those who are paid into different wallets stay apart.
    """
    found: list[list[int]] = []
    by_hosts: dict[frozenset[str], list[list[int]]] = defaultdict(list)
    for group in groups:
        same = by_hosts[frozenset(hosts_of(incidents, group))]
        home = next((each for each in same if _may_be_one(each, group, incidents, bonds)), None)
        if home is None:
            same.append(group)
            found.append(group)
        else:
            home += group
    return found


def _may_be_one(one: list[int], other: list[int], incidents: list[HostIncident], bonds: Bonds) -> bool:
    """Whether two groups on the same hosts came together to each of them, and are not paid apart."""
    if are_paid_apart(*(set().union(*(paid(bonds.things[index]) for index in group)) for group in (one, other))):
        return False
    first, second = (_first_times(incidents[index] for index in group) for group in (one, other))
    return all(abs(time - second[key]) <= _TOGETHER for key, time in first.items())


def _first_times(incidents: Iterable[HostIncident]) -> dict[str, int]:
    """When the first of these incidents of each host began, by its key."""
    times: dict[str, int] = {}
    for one in incidents:
        began = one.began or 0
        times[one.host.key] = min(times.get(one.host.key, began), began)
    return times


def hosts_of(incidents: list[HostIncident], group: Iterable[int]) -> set[str]:
    """The hosts of these incidents (by number), by key."""
    return {incidents[index].host.key for index in group}


def _is_campaign(members: list[HostIncident]) -> bool:
    """Whether it is more than a new program that a detection or two take for something else, wherever it is put."""
    if any(one.incident.severity == "critical" or any(map(surely_mines, one.incident.findings)) for one in members):
        return True
    stages = {stage for one in members for stage in one.incident.chain}
    detections = frozenset().union(*(one.detections for one in members))
    return len(detections) > 1 and len(stages) > 1 and any(one.incident.severity == "high" for one in members)


def _two_have(members: list[HostIncident], told: Callable[[HostIncident], Iterable[str]]) -> bool:
    """Whether two hosts have the same of what is told of each incident."""
    having: dict[str, set[str]] = defaultdict(set)
    for one in members:
        for value in told(one):
            having[value].add(one.host.key)
    return any(len(keys) > 1 for keys in having.values())


def _fetching(one: HostIncident) -> Iterator[str]:
    """The bare addresses from which it fetches what it runs."""
    for finding in one.incident.findings:
        yield from fetched_from(finding)


def _hiding(one: HostIncident) -> Iterator[str]:
    """The programs and modules that hide it."""
    for finding in one.incident.chain.get("hiding", ()):
        if finding.query.severity in GRAVE:
            yield from (thing.value for thing in finding.strong_things if thing.kind in ("hash", "module"))
