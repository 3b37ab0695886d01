"""What each campaign is: its hosts, who was first, how it spread, and what to block."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Optional

from extension.fleet.alike import Alike, alike
from extension.fleet.campaign_groups import campaign_groups, hosts_of
from extension.fleet.hosts import Host
from extension.fleet.incidents import HostIncident, happened
from extension.fleet.logins import Login
from extension.fleet.order import in_order
from extension.fleet.shared_things import PAID, Bonds, Shared
from extension.incidents import Finding
from extension.pack.parts import SEVERITIES, WEAKNESS, Query

# By so much hosts' clocks, and the times at which they look, may differ without anybody noticing (seconds).
_CLOCKS = 86400
# So long before its findings a host may have fallen (seconds).
BEFORE = 86400
# What a hunter can look for, in the order in which it is worth it.
_HUNTED = (*PAID, "pool", "address", "hash", "key", "image", "command", "unit", "file", "module", "account")
_MOST = 0.6


@dataclass(eq=False)
class Campaign:
    """Incidents of two hosts or more that share what honest hosts do not have.

    `logins` are those to its hosts from one another and from other compromised hosts, `outside` those from outside of the fleet,
    `visits` those from there to hosts that are not its own; `visitors` are the addresses among its things from which somebody
    logged in, and no more. `times` is when each incident began (by its id) as far as its findings have to do with it; `ways` has
    the findings of each host (by key), in whatever incident, of how somebody came in or could have.
    """

    name: str
    members: tuple[HostIncident, ...]
    things: dict[Shared, int]
    times: dict[int, Optional[int]]
    ways: dict[str, tuple[Finding, ...]]
    visitors: frozenset[Shared] = frozenset()
    logins: tuple[Login, ...] = ()
    outside: tuple[Login, ...] = ()
    visits: tuple[Login, ...] = ()

    @cached_property
    def _starts(self) -> dict[str, Optional[int]]:
        starts: dict[str, Optional[int]] = {}
        for one in self.members:
            known, time = starts.get(one.host.key), self.times[id(one)]
            starts[one.host.key] = min(known, time) if known and time else known or time
        return starts

    def began_on(self, key: str) -> Optional[int]:
        """When it came to a host, by the fleet's clock."""
        return self._starts.get(key)

    def may_have_sent(self, login: Login) -> bool:
        """Whether a login from one of its hosts came when it may have been there."""
        return not login.time or login.time >= (self.began_on(login.source) or 0) - BEFORE

    @property
    def hosts(self) -> tuple[Host, ...]:
        """Its hosts in the order in which they fell; who was logged in to from another of them came after that one."""
        by_key = {member.host.key: member.host for member in self.members}
        began = self._starts
        ranked = sorted(by_key, key=lambda key: (began[key] is None, began[key], key))
        # A login to where it already was is no step.
        steps = [
            (login.source, login.to)
            for login in self.logins
            if login.source in by_key and login.time <= (began[login.to] or login.time) + _CLOCKS
        ]
        return tuple(by_key[key] for key in in_order(ranked, steps))

    @property
    def first(self) -> HostIncident:
        """The incident of its first host."""
        host = self.hosts[0]
        return min((member for member in self.members if member.host is host), key=lambda member: self.times[id(member)] or 0)

    @property
    def gravest(self) -> HostIncident:
        """The incident that says what it is: one that mines, of the first host if there is one."""
        first = self.hosts[0]
        return min(
            self.members,
            key=lambda one: (
                not one.incident.is_mining,
                one.host is not first,
                SEVERITIES.index(one.incident.severity),
                self.times[id(one)] or 0,
            ),
        )

    @property
    def ended(self) -> dict[str, int]:
        """When it was over, of its hosts (by key) on which it is."""
        lasting = {member.host.key for member in self.members if member.ended is None}
        return {one.host.key: one.ended for one in self.members if one.ended is not None and one.host.key not in lasting}

    @cached_property
    def _seen(self) -> list[Finding]:
        """What was seen of how it came to its first host."""
        key = self.hosts[0].key
        began = self.began_on(key)
        ways = (each for each in self.ways.get(key, ()) if each.stage != WEAKNESS)
        return [each for each in ways if not began or (happened(each) or 0) <= began + _CLOCKS]

    @property
    def came_otherwise(self) -> bool:
        """Whether it was seen to come in by something else than a service, so that no open one is its way."""
        return bool(self._seen) and not any(each.row.get("service") for each in self._seen)

    @property
    def entry(self) -> tuple[Finding, ...]:
        """How it came to its first host: what was seen of it, then what stands open there, on most of its hosts before others."""
        ways = self.ways.get(self.hosts[0].key, ())
        weak = [each for each in ways if each.stage == WEAKNESS and not (self.came_otherwise and each.row.get("service"))]
        counts = Counter(name for found in self.ways.values() for name in {_way(each) for each in found})
        ours = {id(finding) for finding in self.first.incident.findings}
        common = [each for each in weak if counts[_way(each)] * 2 >= len(self.ways)]
        open_ = [each for each in weak if id(each) in ours or not (self._seen or common)]
        return tuple(dict.fromkeys((*self._seen, *common, *open_)))

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
        return self.times[id(self.first)]

    def spread(self) -> list[tuple[int, int]]:
        """(unix seconds, hosts so far) for each further host."""
        times = sorted(time for time in self._starts.values() if time)
        return [(time, count) for count, time in enumerate(times, 1)]

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
        """What to block and to hunt for: the wallets, pools, addresses, hashes, keys …, also those of one host only."""
        kinds = ("wallet", "pool", "address", "hash", "key", "image", "module")
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


def campaigns(incidents: list[HostIncident], bonds: Bonds) -> tuple[list[Campaign], list[Alike]]:
    """The campaigns, the gravest and largest first, and the detections that only look like one."""
    found: list[Campaign] = []
    members: set[int] = set()
    ways = _ways(incidents, bonds)
    having = bonds.having()
    for group in campaign_groups(incidents, bonds):
        ours = [incidents[index] for index in group]
        keys = hosts_of(incidents, group)
        times = {id(one): one.without(bonds.honest).began for one in ours}
        own = {key: ways[key] for key in keys if key in ways}
        things = _counted(group, incidents, bonds, having)
        found.append(Campaign("", tuple(ours), things, times, own, bonds.visitors & things.keys()))
        members.update(group)
    found.sort(key=lambda each: (SEVERITIES.index(each.severity), not each.is_mining, -len(each.hosts), each.began or 0))
    for number, campaign in enumerate(found, 1):
        campaign.name = f"C{number}"
    fallen = {incidents[index].host.key for index in members}
    others = [(one, bonds.things[i]) for i, one in enumerate(incidents) if i not in members and one.ended is None]
    return found, alike(others, fallen)


def _ways(incidents: list[HostIncident], bonds: Bonds) -> dict[str, tuple[Finding, ...]]:
    """By host: the findings of how somebody came in or could have, but for what honest hosts have too."""
    found: dict[str, tuple[Finding, ...]] = defaultdict(tuple)
    for one in incidents:
        chain = one.incident.chain
        ways = (*chain.get("entry", ()), *(each for each in one.before if each.stage == "entry"), *chain.get(WEAKNESS, ()))
        if ways:
            found[one.host.key] += tuple(each for each in ways if id(each) not in bonds.honest)
    return found


def _way(finding: Finding) -> tuple[str, str]:
    return finding.query.name, finding.row.get("service", "")


def _counted(
    group: list[int], incidents: list[HostIncident], bonds: Bonds, having: Mapping[Shared, list[int]]
) -> dict[Shared, int]:
    """What the group's incidents have, with the number of hosts; what looks like a roll-out's where it stands nowhere else."""
    hosts: dict[Shared, set[str]] = defaultdict(set)
    everything = Counter(thing for index in group for thing in bonds.things[index])
    own = {thing for thing, count in everything.items() if count > 1 and len(having[thing]) * 9 <= count * 10}
    for index in group:
        for thing in bonds.things[index] - (bonds.sites[index] - own):
            # What honest hosts have as well is nothing to hunt for.
            if thing in bonds.worth or not bonds.clean.get(thing):
                hosts[thing].add(incidents[index].host.key)
    return {thing: len(keys) for thing, keys in hosts.items()}
