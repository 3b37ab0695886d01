"""The part of the fleet document that says who was heard."""

from __future__ import annotations

from collections import Counter
from typing import Any

from extension.fleet.coverage import HostCoverage
from extension.fleet.fleet_view import FleetView
from extension.fleet.report.times import as_time

Document = dict[str, Any]


def told_coverage(view: FleetView) -> Document:
    """What holds for the fleet's reporting, and the hosts that are silent or without minehunt."""
    covered = view.coverage
    problems = Counter(kind for one in covered.hosts.values() for kind in {kind for kind, _what in one.problems})
    return {
        "silence_seconds": covered.silence,
        "has_heartbeat": covered.has_heartbeat,
        "versions": covered.versions,
        "failing": covered.failing,
        "without_removed": list(covered.without_removed),
        "problems": dict(sorted(problems.items())),
        "silent": [
            {"host": one.host.name, "key": one.host.key, "last_heard": as_time(one.last_heard)}
            for one in covered.of_state("silent")
        ],
        "blind": [{"host": one.host.name, "key": one.host.key} for one in covered.of_state("blind")],
    }


def told_hosts(view: FleetView) -> list[Document]:
    """Every host once, by name, with its verdict; one that is silent is never clean."""
    incidents: Counter[str] = Counter(one.host.key for one in view.incidents)
    campaigns: dict[str, list[str]] = {}
    for campaign in view.campaigns:
        for host in campaign.hosts:
            campaigns.setdefault(host.key, []).append(campaign.name)
    return [
        _host(one, view, incidents[key], campaigns.get(key, []))
        for key, one in sorted(view.coverage.hosts.items(), key=lambda each: (each[1].host.name, each[0]))
    ]


def _host(one: HostCoverage, view: FleetView, incidents: int, campaigns: list[str]) -> Document:
    verdict = (
        "compromised"
        if one.host.key in view.compromised
        else "suspicious"
        if one.host.key in view.found_now
        else "was_compromised"
        if incidents
        else "half_known"
        if one.state == "reporting" and one.host.key in view.coverage.half_known
        else "clean"
        if one.state == "reporting"
        else one.state
    )
    return {
        "host": one.host.name,
        "key": one.host.key,
        "state": one.state,
        "verdict": verdict,
        "last_heard": as_time(one.last_heard),
        "version": one.host.version,
        "role": view.roles.get(one.host.key, ""),
        "incidents": incidents,
        "campaigns": campaigns,
        "problems": [{"kind": kind, "what": what} for kind, what in one.problems],
    }
