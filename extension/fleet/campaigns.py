"""Which incidents of which hosts are one campaign, who was first, how it spread, and what to block."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Optional

from extension.fleet.hosts import Host
from extension.fleet.incidents import HostIncident
from extension.fleet.logins import Login
from extension.fleet.shared_things import Bonds, Shared
from extension.incidents.groups import Groups
from extension.pack.parts import SEVERITIES, Query

_JOINS = 0.999
# What a hunter can look for, in the order in which it is worth it.
_HUNTED = ("wallet", "pool", "address", "hash", "key", "image", "command", "unit", "file", "module", "account")
_MOST = 0.6
# So many hosts with one finding and no other are told as one.
_MANY = 5


@dataclass(eq=False)
class Campaign:
    """Incidents of two hosts or more that share what honest hosts do not have."""

    name: str
    members: tuple[HostIncident, ...]
    things: dict[Shared, int]
    logins: tuple[Login, ...] = ()

    @property
    def hosts(self) -> tuple[Host, ...]:
        """Its hosts in the order in which they fell; who was logged in to from another of them came after that one."""
        began: dict[str, int] = {}
        for member in self.members:
            time = member.began or 0
            began[member.host.key] = min(began.get(member.host.key, time), time)
        by_key = {member.host.key: member.host for member in self.members}
        order = sorted(by_key, key=lambda key: (began[key] == 0, began[key], key))
        come_later = {login.to for login in self.logins}
        first = next((key for key in order if key not in come_later), order[0])
        return (by_key[first], *(by_key[key] for key in order if key != first))

    @property
    def first(self) -> HostIncident:
        """The incident of its first host."""
        host = self.hosts[0]
        return min((member for member in self.members if member.host is host), key=lambda member: member.began or 0)

    @property
    def severity(self) -> str:
        """The gravest of its incidents'."""
        return min((member.incident.severity for member in self.members), key=SEVERITIES.index)

    @property
    def is_mining(self) -> bool:
        """Whether anything was seen to mine."""
        return any(member.incident.is_mining for member in self.members)

    @property
    def began(self) -> Optional[int]:
        """When it came to the first host."""
        return self.first.began

    def spread(self) -> list[tuple[int, int]]:
        """(unix seconds, hosts so far) for each further host."""
        times: dict[str, int] = {}
        for member in self.members:
            if member.began:
                times[member.host.key] = min(times.get(member.host.key, member.began), member.began)
        return [(time, count) for count, time in enumerate(sorted(times.values()), 1)]

    def shared(self) -> list[tuple[Shared, int]]:
        """What most of its hosts have, with the number of hosts."""
        found = [(thing, count) for thing, count in self.things.items() if count > 1 and thing.kind in _HUNTED]
        return sorted(found, key=lambda each: (-each[1], _HUNTED.index(each[0].kind), each[0].value))

    def variants(self) -> list[tuple[str, int]]:
        """Kinds of things that differ from host to host (a polymorphic program, an account each), and how many there are."""
        single = Counter(thing.kind for thing, count in self.things.items() if count == 1)
        least = max(2, int(len(self.hosts) * _MOST))
        return [(kind, single[kind]) for kind in _HUNTED if single[kind] >= least]

    def indicators(self) -> list[Shared]:
        """What to block and to hunt for: the wallets, pools, addresses, hashes and keys, also those of one host only."""
        kinds = ("wallet", "pool", "address", "hash", "key", "image")
        return sorted(
            (thing for thing in self.things if thing.kind in kinds), key=lambda each: (kinds.index(each.kind), each.value)
        )

    def hiding(self) -> list[tuple[Query, int]]:
        """The detections that found it hiding, with the number of hosts."""
        counts = Counter(
            {
                (finding.query.name, member.host.key): finding.query
                for member in self.members
                for finding in member.incident.chain.get("hiding", ())
            }.values()
        )
        return counts.most_common()


@dataclass(eq=False)
class Alike:
    """The same few detections on many hosts, and nothing else there: a roll-out or a misfire until somebody says otherwise."""

    queries: tuple[Query, ...]
    hosts: tuple[Host, ...]
    things: tuple[Shared, ...]

    @property
    def severity(self) -> str:
        """The gravest detection's."""
        return min((query.severity for query in self.queries), key=SEVERITIES.index)


def campaigns(incidents: list[HostIncident], bonds: Bonds) -> tuple[list[Campaign], list[Alike]]:
    """The campaigns, the gravest and largest first, and the detections that only look like one."""
    found: list[Campaign] = []
    members: set[int] = set()
    for group in _joined(incidents, bonds):
        ours = [incidents[index] for index in group]
        if len({one.host.key for one in ours}) > 1 and _is_campaign(ours):
            found.append(Campaign("", tuple(ours), _counted(group, incidents, bonds)))
            members.update(group)
    found.sort(key=lambda each: (SEVERITIES.index(each.severity), not each.is_mining, -len(each.hosts), each.began or 0))
    for number, campaign in enumerate(found, 1):
        campaign.name = f"C{number}"
    return found, _alike([(one, bonds.things[i]) for i, one in enumerate(incidents) if i not in members])


def _alike(others: list[tuple[HostIncident, frozenset[Shared]]]) -> list[Alike]:
    """Detections that have found something on many hosts, and no others there, the widest first."""
    by_detections: dict[frozenset[str], list[tuple[HostIncident, frozenset[Shared]]]] = defaultdict(list)
    for one, things in others:
        by_detections[one.detections].append((one, things))
    found = []
    for _names, members in sorted(by_detections.items(), key=lambda each: sorted(each[0])):
        hosts = {one.host.key: one.host for one, _things in members}
        if len(hosts) >= _MANY:
            counts = Counter(thing for _one, things in members for thing in things)
            common = tuple(sorted(thing for thing, count in counts.items() if count * 2 > len(members)))
            queries = {finding.query.name: finding.query for finding in members[0][0].incident.findings}
            in_order = sorted(hosts.values(), key=lambda host: (host.name, host.key))
            found.append(Alike(tuple(queries[name] for name in sorted(queries)), tuple(in_order), common))
    return sorted(found, key=lambda each: -len(each.hosts))


def _is_campaign(members: list[HostIncident]) -> bool:
    """Whether it is more than a new program that a detection or two take for something else, wherever it is put."""
    if not any(one.incident.is_compromise for one in members):
        return False
    if any(one.incident.is_mining or one.incident.severity == "critical" for one in members):
        return True
    stages = {stage for one in members for stage in one.incident.chain}
    detections = frozenset().union(*(one.detections for one in members))
    return len(detections) > 1 and len(stages) > 1 and any(one.incident.severity == "high" for one in members)


def _counted(indexes: Iterable[int], incidents: list[HostIncident], bonds: Bonds) -> dict[Shared, int]:
    hosts: dict[Shared, set[str]] = defaultdict(set)
    for index in indexes:
        for thing in bonds.things[index]:
            # What honest hosts have as well is nothing to hunt for.
            if thing in bonds.worth or not bonds.clean.get(thing):
                hosts[thing].add(incidents[index].host.key)
    return {thing: len(keys) for thing, keys in hosts.items()}


def _joined(incidents: list[HostIncident], bonds: Bonds) -> list[list[int]]:
    """Incidents that share a thing that joins by itself, and groups that share weaker ones of several kinds."""
    groups = Groups(len(incidents))
    having = bonds.having()
    weak = []
    for thing, worth in sorted(bonds.worth.items()):
        # Two incidents of one host that share nothing there are two stories, and no third host's thing makes them one.
        owners = having[thing]
        if worth >= _JOINS / 2 and _is_strong(thing, worth):
            for owner in owners[1:]:
                groups.join(owners[0], owner)
        else:
            weak.append((thing, worth))
    ties: dict[tuple[int, int], dict[str, float]] = defaultdict(dict)
    for thing, worth in weak:
        roots = sorted({groups.of(owner) for owner in having[thing]})
        for other in roots[1:]:
            kinds = ties[roots[0], other]
            kinds[thing.kind] = max(kinds.get(thing.kind, 0.0), worth)
    for (one, other), kinds in ties.items():
        if sum(kinds.values()) >= _JOINS and len(kinds) > 1:
            groups.join(one, other)
    return groups.all()


def _is_strong(thing: Shared, worth: float) -> bool:
    return worth > 0.6 and thing.kind not in ("pool", "unit", "file", "folder", "account")
