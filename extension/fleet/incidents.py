"""The incidents of every host, by the module that also makes those of a triage (extension/incidents)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import Optional

from ibis import _

from extension.fleet.answers import Ground
from extension.fleet.hosts import Host
from extension.incidents import Finding, Incident, group
from extension.pack.parts import WEAKNESS

# A host with more findings than this is told by the gravest of them.
MAX_FINDINGS = 5000
_MONTH = 30 * 86400


@dataclass(frozen=True, eq=False)
class HostIncident:
    """One incident of one host."""

    host: Host
    incident: Incident

    @cached_property
    def began(self) -> Optional[int]:
        """When it began, by the fleet's clock: the earliest time in its rows, or when they were logged (unix seconds)."""
        # What stood open did so long before anybody came.
        signs = [finding for finding in self.incident.findings if finding.query.stage != WEAKNESS] or self.incident.findings
        times = [_began(finding) for finding in signs]
        first = min((time for time in times if time), default=None)
        return first - self.host.clock_ahead if first else None

    @property
    def detections(self) -> frozenset[str]:
        """The names of the detections that found it."""
        return frozenset(finding.query.name for finding in self.incident.findings)


def _began(finding: Finding) -> Optional[int]:
    """A time in the row counts where the row was logged soon after it; older ones are the file's past, or set by hand."""
    logged, happened = finding.time, finding.when
    return happened if happened and logged and 0 <= logged - happened < _MONTH else logged or happened


def host_incidents(ground: Ground) -> tuple[list[HostIncident], dict[str, int]]:
    """All incidents that last now, and the hosts with too many findings for all to be looked at (how many were left out)."""
    queries = ground.names.queries
    found = ground.of_kind("detection").filter(_.query != "minehunt_query_denylisted")
    by_host: dict[str, list[Finding]] = defaultdict(list)
    for host, query, first, row in ground.engine.rows_of(found):
        by_host[host].append(Finding(queries[query], row, first))
    incidents, cut = [], {}
    for key in sorted(by_host):
        findings = by_host[key]
        if len(findings) > MAX_FINDINGS:
            cut[key] = len(findings) - MAX_FINDINGS
            findings = sorted(findings, key=lambda finding: finding.order)[:MAX_FINDINGS]
        incidents += [HostIncident(ground.hosts[key], incident) for incident in group(findings)]
    return incidents, cut
