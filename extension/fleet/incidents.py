"""The incidents of every host, by the module that also makes those of a triage (extension/incidents)."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Optional

from ibis import _

from extension.fleet.answers import Ground
from extension.fleet.hosts import Host
from extension.fleet.names import DENYLISTED
from extension.incidents import Finding, Incident, group
from extension.incidents.things import ADDRESS, POOL, PROCESS, WALLET
from extension.pack.parts import WEAKNESS

# A host with more findings than this is told by the gravest of them; of those that are gone, by the first so many.
MAX_FINDINGS = 5000
_MAX_GONE = 1000
_MONTH = 30 * 86400


@dataclass(frozen=True, eq=False)
class HostIncident:
    """One incident of one host; `before` are findings of it that are gone, and `ended` says when all of them went."""

    host: Host
    incident: Incident
    before: tuple[Finding, ...] = ()
    ended: Optional[int] = None

    @property
    def signs(self) -> tuple[Finding, ...]:
        """What tells when it began: all its findings, but what stood open did so long before anybody came."""
        findings = (*self.incident.findings, *self.before)
        return tuple(finding for finding in findings if finding.stage != WEAKNESS) or findings

    @property
    def began(self) -> Optional[int]:
        """When it began, by the fleet's clock: the earliest time in its rows, or when they were logged (unix seconds)."""
        return self.earliest(self.signs)

    def earliest(self, findings: Iterable[Finding]) -> Optional[int]:
        """When the first of these findings of its host began, by the fleet's clock."""
        first = min((time for finding in findings if (time := happened(finding))), default=None)
        return first - self.host.clock_ahead if first else None

    @property
    def detections(self) -> frozenset[str]:
        """The names of the detections that found it."""
        return frozenset(finding.query.name for finding in self.incident.findings)


def happened(finding: Finding) -> Optional[int]:
    """When a finding began, by its host's clock (unix seconds).

    A time in the row counts where the row was logged soon after it; older ones are the file's past, or set by hand.
    """
    logged, time = finding.time, finding.when
    if finding.row.get("service"):
        # What its row tells of is the service, which ran before anybody came.
        return logged or time
    return time if time and logged and 0 <= logged - time < _MONTH else logged or time


def host_incidents(ground: Ground) -> tuple[list[HostIncident], dict[str, int]]:
    """All incidents, those that are over last, and the hosts with too many findings for all to be looked at (how many were not).

    What was found and is gone belongs to the incident of its host that it shares something with; else, where it was a compromise,
    it is one that is over.
    """
    now, gone, last = _findings(ground)
    lasting: list[HostIncident] = []
    over: list[HostIncident] = []
    cut = {}
    for key in sorted(now.keys() | gone.keys()):
        host, findings = ground.hosts[key], now.get(key, [])
        if len(findings) > MAX_FINDINGS:
            cut[key] = len(findings) - MAX_FINDINGS
            findings = sorted(findings, key=lambda finding: finding.order)[:MAX_FINDINGS]
        incidents = [part for incident in group(findings) for part in _by_wallets(incident)]
        before: dict[int, list[Finding]] = defaultdict(list)
        for past in group(sorted(gone.get(key, ()), key=lambda finding: finding.time or 0)[:_MAX_GONE]):
            same = next((number for number, one in enumerate(incidents) if _is_same(one, past)), None)
            if same is not None:
                before[same] += past.findings
            elif past.is_compromise:
                ended = max(_end(ground, last, key, finding.query.name) for finding in past.findings)
                over.append(HostIncident(host, past, ended=ended - host.clock_ahead))
        lasting += [HostIncident(host, one, tuple(before[number])) for number, one in enumerate(incidents)]
    return lasting + over, cut


def _end(ground: Ground, last: Mapping[tuple[str, str], tuple[int, bool]], key: str, query: str) -> int:
    """When what a detection found on a host was gone: when that was told, else when the host began anew without it."""
    time, is_told = last[key, query]
    return time if is_told else max(time, ground.resets.get(key, 0))


_Found = dict[str, list[Finding]]


def _findings(ground: Ground) -> tuple[_Found, _Found, Mapping[tuple[str, str], tuple[int, bool]]]:
    """By host: the findings that last, those that are gone, and by host and detection the last line of those, and if it said so.

    A finding's time is that of its first line of all, also before its host began anew.
    """
    queries = ground.names.queries
    detections = [name for name in ground.names.of_kind("detection") if name != DENYLISTED]
    told = ground.results.filter(_.query.isin(detections) & _.row_key.notnull()).group_by("host", "query", "row_key")
    lines = ground.engine.keep(
        "told_findings", told.agg(first=_.unix_time.min(), last=_.unix_time.max(), is_told=(_.action == "removed").any())
    )
    there = ground.state.filter(_.query.isin(detections))
    now = there.join(lines, ["host", "query", "row_key"]).select("host", "query", "row_key", first_time=_.first)
    gone = lines.anti_join(there, ["host", "query", "row_key"])
    found: list[_Found] = []
    for rows in (now, gone.select("host", "query", "row_key", first_time=_.first)):
        by_host: _Found = defaultdict(list)
        for host, query, first, row in ground.engine.rows_of(rows):
            by_host[host].append(Finding(queries[query], row, first))
        found.append(by_host)
    ends = ground.engine.fetch(gone.group_by("host", "query").agg(last=_.last.max(), is_told=_.is_told.all()))
    return found[0], found[1], {(row["host"], row["query"]): (row["last"], row["is_told"]) for row in ends}


def _is_same(one: Incident, past: Incident) -> bool:
    """Whether what is over shares more with an incident than what a process is to its kernel."""
    there = {thing for thing in one.things if not thing.is_weak and thing.kind != PROCESS}
    return any(thing in there for thing in past.things if not thing.is_weak)


def _by_wallets(incident: Incident) -> tuple[Incident, ...]:
    """The incident, or the two of which it is where two are paid and have only a pool in common, which serves everybody."""
    if len({thing.value for thing in incident.things if thing.kind == WALLET}) < 2:
        return (incident,)
    originals = {}
    for finding in incident.linked:
        things = {kind: columns for kind, columns in finding.query.things.items() if kind not in (POOL, ADDRESS, "mentions")}
        originals[Finding(dataclasses.replace(finding.query, things=things), finding.row, finding.time)] = finding
    parts = [tuple(originals[each] for each in part.findings) for part in group(originals)]
    paid = [{thing.value for each in part for thing in each.things if thing.kind == WALLET} for part in parts]
    mining = [part for part, wallets in zip(parts, paid) if wallets]
    if len(mining) < 2 or sum(map(len, paid)) > len(set().union(*paid)):
        return (incident,)
    rest = [Incident(part) for part in (*(part for part, wallets in zip(parts, paid) if not wallets), *incident.others)]
    # Whose of the two a job is that either may have written, only other hosts tell; what is no compromise goes with the first.
    weak = tuple(each.linked for each in rest if not each.is_compromise)
    return (Incident(mining[0], weak), *map(Incident, mining[1:]), *(each for each in rest if each.is_compromise))
