"""Hosts without a compromise that share the way in of a campaign: the same exposed service, the same key, a login from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field

import ibis
from ibis import _

from extension.fleet.answers import Ground, with_rows
from extension.fleet.campaigns import Campaign
from extension.fleet.hosts import Host
from extension.fleet.logins import Login

_EXPOSED = ("exposed_entry_service", "reachable_entry_services")
_STRENGTH = {"login": 4, "key": 3, "exposed": 2, "reachable": 1}


@dataclass
class Next:
    """One host that may be next, with why: (login, key, exposed or reachable; by which campaign; what)."""

    host: Host
    reasons: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def strength(self) -> int:
        """How near it is."""
        return sum(_STRENGTH[kind] for kind, _campaign, _what in self.reasons)


def next_hosts(ground: Ground, campaigns: list[Campaign], compromised: Collection[str], logins: list[Login]) -> list[Next]:
    """The hosts that may be next, the nearest first."""
    found: dict[str, Next] = {}

    def add(key: str, kind: str, campaign: str, what: str) -> None:
        if key not in compromised and key in ground.hosts:
            reasons = found.setdefault(key, Next(ground.hosts[key])).reasons
            if (kind, campaign, what) not in reasons:
                reasons.append((kind, campaign, what))

    by_host: dict[str, list[Campaign]] = defaultdict(list)
    for campaign in campaigns:
        for host in campaign.hosts:
            by_host[host.key].append(campaign)
    for login in logins:
        for campaign in by_host.get(login.source, ()):
            if campaign.may_have_sent(login):
                add(login.to, "login", campaign.name, f"{ground.hosts[login.source].name} ({login.username})")
    for campaign in campaigns:
        for login in campaign.visits:
            add(login.to, "login", campaign.name, f"{login.source} ({login.username})")
    for key, kind, name, what in _same_way(ground, campaigns):
        add(key, kind, name, what)
    for each in found.values():
        each.reasons.sort()
    return sorted(found.values(), key=lambda each: (-each.strength, each.host.name, each.host.key))


def _same_way(ground: Ground, campaigns: list[Campaign]) -> list[tuple[str, str, str, str]]:
    """(host, kind, campaign, what) of hosts with a campaign's key or its exposed service; found in the engine."""
    ways = [("key", campaign.name, thing.value) for campaign in campaigns for thing in campaign.things if thing.kind == "key"]
    # What stands open is no thing of the campaign's own.
    ways += [
        ("key", campaign.name, finding.row["fingerprint"])
        for campaign in campaigns
        for findings in campaign.ways.values()
        for finding in findings
        if finding.row.get("fingerprint")
    ]
    exposed = _exposed_there(ground, campaigns)
    for campaign in campaigns:
        if campaign.came_otherwise:
            continue
        services = exposed[campaign.name] | {
            finding.row["service"]
            for one in campaign.members
            for finding in one.incident.chain.get("weakness", ()) + one.incident.chain.get("entry", ())
            if finding.query.name in _EXPOSED and finding.row.get("service")
        }
        ways += [("service", campaign.name, service) for service in sorted(services)]
    if not ways:
        return []
    wanted = ground.engine.take("ways", {"kind": "string", "campaign": "string", "value": "string"}, sorted(set(ways)))
    rows = ground.rows
    keys = rows.filter(_.fingerprint != "").select("query", "row_key", kind=ibis.literal("key"), value=_.fingerprint)
    services_ = rows.filter(_.query.isin(_EXPOSED) & (_.service != "")).select(
        "query", "row_key", kind=ibis.literal("service"), value=_.service
    )
    same = ibis.union(keys, services_).join(wanted, ["kind", "value"])
    there = ground.state.join(same, ["query", "row_key"]).select("host", "query", "kind", "campaign", "value").distinct()
    return [(row["host"], _kind(row["kind"], row["query"]), row["campaign"], row["value"]) for row in ground.engine.fetch(there)]


def _kind(kind: str, query: str) -> str:
    return "key" if kind == "key" else "exposed" if query == _EXPOSED[0] else "reachable"


def _exposed_there(ground: Ground, campaigns: list[Campaign]) -> dict[str, set[str]]:
    """By campaign, services that ask for nothing on most of its hosts, found or not to be its way in."""
    members = [(campaign.name, host.key) for campaign in campaigns for host in campaign.hosts]
    table = ground.engine.take("campaign_hosts", {"campaign": "string", "host": "string"}, members)
    exposed = with_rows(ground, ground.state.filter(_.query == _EXPOSED[0]), "service").filter(_.service != "")
    having = exposed.join(table, "host").select("campaign", "host", "service").distinct()
    found: dict[str, set[str]] = {campaign.name: set() for campaign in campaigns}
    sizes = {campaign.name: len(campaign.hosts) for campaign in campaigns}
    for row in ground.engine.fetch(having.group_by("campaign", "service").agg(hosts=_.count())):
        if row["hosts"] * 2 >= sizes[row["campaign"]]:
            found[row["campaign"]].add(row["service"])
    return found
