"""Detections that found the same on many hosts and nothing else there, which only looks like a campaign."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from extension.fleet.hosts import Host
from extension.fleet.incidents import HostIncident
from extension.fleet.roll_outs import MANY, surely_mines
from extension.fleet.shared_things import NOBODY_ELSES, Shared
from extension.pack.parts import SEVERITIES, WEAKNESS, Query


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


# An incident with its things.
_Carrier = tuple[HostIncident, frozenset[Shared]]


def alike(others: Iterable[_Carrier], fallen: Collection[str]) -> list[Alike]:
    """Detections that have found something on many hosts, and no others there, the widest first.

    `others` are the incidents of no campaign, with their things; hosts (by key) that one came to are counted and not listed.
    """
    by_host: dict[str, list[_Carrier]] = defaultdict(list)
    for one, things in others:
        by_host[one.host.key].append((one, things))
    by_detections: dict[frozenset[str], list[_Carrier]] = defaultdict(list)
    for listed in by_host.values():
        # What only stands open there is told beside it.
        members = [each for each in listed if set(each[0].incident.chain) != {WEAKNESS}] or listed
        detections = frozenset().union(*(one.detections for one, _things in members))
        # Whoever has a wallet or a pool there is no mistake, nor what mines and is found in another way, too.
        is_paid = any(thing.kind in NOBODY_ELSES for _one, things in members for thing in things)
        mines = any(surely_mines(finding) for one, _things in members for finding in one.incident.findings)
        if not is_paid and not (mines and len(detections) > 1):
            by_detections[detections] += members
    found = []
    for _names, members in sorted(by_detections.items(), key=lambda each: sorted(each[0])):
        everywhere = {one.host.key: one.host for one, _things in members}
        hosts = [host for key, host in everywhere.items() if key not in fallen]
        if len(everywhere) >= MANY and hosts:
            counts = Counter(thing for _one, things in members for thing in things)
            common = tuple(sorted(thing for thing, count in counts.items() if count * 2 > len(everywhere)))
            queries = {finding.query.name: finding.query for one, _things in members for finding in one.incident.findings}
            in_order = sorted(hosts, key=lambda host: (host.name, host.key))
            found.append(Alike(tuple(queries[name] for name in sorted(queries)), tuple(in_order), common))
    return sorted(found, key=lambda each: -len(each.hosts))
