"""The incidents of every host, by the module that also makes those of a triage (extension/incidents)."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Optional

from ibis import _

from extension.fleet.answers import Ground
from extension.fleet.engines import LoggedRow
from extension.fleet.hosts import Host
from extension.fleet.names import DENYLISTED
from extension.incidents import Finding, Incident, group
from extension.incidents.things import ADDRESS, POOL, PROCESS, WALLET
from extension.pack.parts import WEAKNESS

# A host with more findings than this is told by the gravest of them; of those that are gone, by the first so many.
MAX_FINDINGS = 5000
_MAX_GONE = 1000
_MONTH = 30 * 86400
_Found = dict[str, list[Finding]]
# By host and detection: the last line of what is gone, and whether it said so.
_Ends = Mapping[tuple[str, str], tuple[int, bool]]


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
        first = min((time for finding in self.signs if (time := happened(finding))), default=None)
        return first - self.host.clock_ahead if first else None

    def without(self, findings: AbstractSet[int]) -> HostIncident:
        """It without these findings (by their ids), itself where it has none of them or no others."""
        if not any(id(each) in findings for each in (*self.incident.findings, *self.before)):
            return self

        def left(part: Iterable[Finding]) -> tuple[Finding, ...]:
            return tuple(each for each in part if id(each) not in findings)

        parts = list(filter(None, map(left, (self.incident.linked, *self.incident.others))))
        return HostIncident(self.host, Incident(parts[0], tuple(parts[1:])), left(self.before), self.ended) if parts else self

    @property
    def detections(self) -> frozenset[str]:
        """The names of the detections that found it."""
        return frozenset(finding.query.name for finding in self.incident.findings)


def happened(finding: Finding) -> Optional[int]:
    """When a finding began, by its host's clock (unix seconds).

    A time in the row counts where the row was logged soon after it; older ones are the file's past, or set by hand. When a
    process started the kernel says, however long ago that is.
    """
    logged, time = finding.time, finding.when
    if finding.row.get("service"):
        # What its row tells of is the service, which ran before anybody came.
        return logged or time
    if not time or not logged:
        return logged or time
    is_start = finding.row.get("start_time") == str(time)
    return time if time <= logged and (is_start or logged - time < _MONTH) else logged


def host_incidents(ground: Ground) -> Callable[[], tuple[list[HostIncident], dict[str, int]]]:
    """Begin to look for findings; what is returned waits for them, and makes all incidents, those that are over last.

    With them come the hosts with too many findings for all to be looked at (how many were not). What was found and is gone
    belongs to the incident of its host that it shares something with; else, where it was a compromise, it is one that is over.
    """
    findings = _ask_findings(ground)
    return lambda: _made(ground, *findings())


def _made(ground: Ground, now: _Found, gone: _Found, last: _Ends) -> tuple[list[HostIncident], dict[str, int]]:
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


def _end(ground: Ground, last: _Ends, key: str, query: str) -> int:
    """When what a detection found on a host was gone: when that was told, else when the host began anew without it."""
    time, is_told = last[key, query]
    return time if is_told else max(time, ground.resets.get(key, 0))


def _ask_findings(ground: Ground) -> Callable[[], tuple[_Found, _Found, _Ends]]:
    """What waits for the findings of each host that last, for those that are gone, and for when each detection's were gone.

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
    lasting = ground.engine.ask_rows(now)
    over = ground.engine.ask_rows(gone.select("host", "query", "row_key", first_time=_.first))
    ends = ground.engine.ask(gone.group_by("host", "query").agg(last=_.last.max(), is_told=_.is_told.all()))

    def by_host(rows: Iterable[LoggedRow]) -> _Found:
        found: _Found = defaultdict(list)
        for row in rows:
            found[row.host].append(Finding(queries[row.query], row.columns, row.first_time))
        return found

    def wait() -> tuple[_Found, _Found, _Ends]:
        told = {(row["host"], row["query"]): (row["last"], row["is_told"]) for row in ends()}
        return by_host(lasting()), by_host(over()), told

    return wait


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
