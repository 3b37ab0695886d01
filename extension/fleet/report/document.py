"""The fleet view as plain dictionaries and lists: what `--format json` prints (fleet.schema.json) and reports are drawn from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any, Optional

from extension import __version__
from extension.fleet.alike import Alike
from extension.fleet.campaigns import Campaign
from extension.fleet.fleet_view import FleetView
from extension.fleet.hosts import Host
from extension.fleet.incidents import HostIncident
from extension.fleet.logins import Login
from extension.fleet.rare import Rarity
from extension.fleet.reading import Loaded
from extension.fleet.report.coverage import told_coverage, told_hosts
from extension.fleet.report.times import as_time
from extension.fleet.report.words import fleet_sentence
from extension.incidents import Finding, sentence, told
from extension.pack.parts import LANGUAGES, SEVERITIES, Query
from tables.schema import clean_text

_RARE, _NEXT, _PROBLEMS, _FINDINGS = 100, 500, 200, 10
Document = dict[str, Any]


def document(view: FleetView, loaded: Loaded) -> Document:
    """Everything about the fleet; texts are as the hosts sent them, cleaned of what steers a reader."""
    ranks = {id(member): rank for rank, campaign in enumerate(view.campaigns) for member in campaign.members}
    ordered = _ordered(view, ranks)
    numbers = {id(one): number for number, one in enumerate(ordered, 1)}
    incidents = [_incident(view, one, number, ranks.get(id(one))) for number, one in enumerate(ordered, 1)]
    summary = _summary(view)
    cleaned: Document = _clean(
        {
            "minehunt": __version__,
            "engine": view.ground.engine.name,
            "now": as_time(view.ground.now) or as_time(1),
            "sources": {
                "files": loaded.files,
                "lines": loaded.lines,
                "bytes": loaded.size,
                "broken": loaded.broken,
                "problems": [{"place": each.place, "why": each.why} for each in loaded.problems[:_PROBLEMS]],
                "problems_left_out": max(0, len(loaded.problems) - _PROBLEMS),
            },
            "summary": summary,
            "sentence": {language: fleet_sentence(summary, language) for language in LANGUAGES},
            "campaigns": [_campaign(view, one, numbers) for one in view.campaigns],
            "alike": [_alike(one) for one in sorted(view.alike, key=lambda one: SEVERITIES.index(one.severity))],
            "incidents": incidents,
            "rare": [_rarity(one) for one in view.rare[:_RARE]],
            "rare_left_out": max(0, len(view.rare) - _RARE),
            "next": [
                {
                    "host": each.host.name,
                    "key": each.host.key,
                    "reasons": [{"kind": k, "campaign": c, "what": w} for k, c, w in each.reasons],
                }
                for each in view.next[:_NEXT]
            ],
            "next_left_out": max(0, len(view.next) - _NEXT),
            "coverage": told_coverage(view),
            "hosts": told_hosts(view),
        },
        {},
    )
    return cleaned


def as_json(document: Document) -> str:
    """The document as JSON text, each host, incident and whatever else is listed on a line of its own."""
    parts = []
    encode = json.JSONEncoder(ensure_ascii=False).encode
    for name, value in document.items():
        # A call for each line, since Python's encoder is slow where it indents.
        if isinstance(value, list) and value:
            text = "[\n" + ",\n".join(f"    {encode(each)}" for each in value) + "\n  ]"
        else:
            text = encode(value)
        parts.append(f"  {json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _ordered(view: FleetView, ranks: dict[int, int]) -> list[HostIncident]:
    """The incidents in the order in which they are told: those of campaigns, then the gravest of the others.

    `ranks` is that of each one's campaign, by id.
    """

    def place(one: HostIncident) -> tuple[Any, ...]:
        rank = ranks.get(id(one))
        grave = SEVERITIES.index(one.incident.severity) if rank is None else rank
        return rank is None, grave, not one.incident.is_compromise, one.began or 0, one.host.name

    return sorted(view.incidents, key=place)


def _summary(view: FleetView) -> dict[str, int]:
    compromised = view.compromised
    having = {one.host.key for one in view.incidents}
    states = Counter(one.state for one in view.coverage.hosts.values())
    quiet = [key for key, one in view.coverage.hosts.items() if one.state == "reporting" and key not in having]
    half_known = view.coverage.half_known
    in_campaigns = {host.key for campaign in view.campaigns for host in campaign.hosts}
    return {
        "hosts": len(view.ground.hosts),
        "reporting": states["reporting"],
        "silent": states["silent"],
        "silent_with_findings": sum(one.state == "silent" for key, one in view.coverage.hosts.items() if key in having),
        "blind": states["blind"],
        "compromised": len(compromised),
        "suspicious": len(view.found_now - compromised),
        "was_compromised": len(having - view.found_now),
        "without_findings": sum(key not in half_known for key in quiet),
        "half_known": sum(key in half_known for key in quiet),
        "campaigns": len(view.campaigns),
        "in_campaigns": len(in_campaigns & compromised),
        "incidents": len(view.incidents),
    }


def _both(text: Callable[[str], str]) -> dict[str, str]:
    return {language: text(language) for language in LANGUAGES}


def _told(finding: Finding) -> dict[str, str]:
    return {language: told(finding, language) for language in LANGUAGES}


def _incident(view: FleetView, one: HostIncident, number: int, rank: Optional[int]) -> Document:
    # A roll-out that is on the host as well is not what it does, nor when it began.
    own = one.without(view.honest)
    return {
        "id": f"I{number}",
        "host": one.host.name,
        "key": one.host.key,
        "severity": one.incident.severity,
        "confidence": one.incident.confidence,
        "is_compromise": one.incident.is_compromise,
        "is_mining": one.incident.is_mining,
        "campaign": "" if rank is None else view.campaigns[rank].name,
        "began": as_time(own.began),
        "ended": as_time(one.ended),
        "sentence": _both(lambda language: sentence(own.incident, language)),
        "detections": sorted(one.detections),
        "findings": len(one.incident.findings),
        "chain": [
            {
                "stage": stage,
                "findings": [{"query": f.query.name, "told": _told(f)} for f in found[:_FINDINGS]],
                "left_out": max(0, len(found) - _FINDINGS),
            }
            for stage, found in one.incident.chain.items()
        ],
    }


def _campaign(view: FleetView, one: Campaign, numbers: dict[int, int]) -> Document:
    hosts = view.ground.hosts
    by_host = {member.host.key: member for member in reversed(one.members)}
    ended, gravest = one.ended, one.gravest.without(view.honest)
    return {
        "name": one.name,
        "severity": one.severity,
        "is_mining": one.is_mining,
        "began": as_time(one.began),
        "hosts": [
            {
                "host": host.name,
                "key": host.key,
                "began": as_time(one.began_on(host.key)),
                "ended": as_time(ended.get(host.key)),
                "incident": f"I{numbers[id(by_host[host.key])]}",
            }
            for host in one.hosts
        ],
        "sentence": _both(lambda language: sentence(gravest.incident, language)),
        "entry": [_told(f) for f in _distinct(one.entry)],
        "spread": [[time, count] for time, count in one.spread()],
        "shared": [{"kind": thing.kind, "value": thing.value, "hosts": count} for thing, count in one.shared()],
        "variants": [{"kind": kind, "different": count} for kind, count in one.variants()],
        "logins": [
            {"from": hosts[each.source].name, "from_key": each.source, **_login(each, hosts[each.to])} for each in one.logins
        ],
        "outside": [{"address": each.source, **_login(each, hosts[each.to])} for each in one.outside],
        "origins": _origins(one.outside),
        "hides": [{"query": query.name, "title": _title(query), "hosts": count} for query, count in one.hiding()],
        "indicators": [{"kind": thing.kind, "value": thing.value} for thing in one.indicators()],
        "visitors": sorted(thing.value for thing in one.visitors),
    }


def _login(login: Login, to: Host) -> dict[str, Optional[str]]:
    return {"to": to.name, "to_key": to.key, "username": login.username, "time": as_time(login.time)}


def _origins(outside: tuple[Login, ...]) -> list[Document]:
    """From where the logins from outside came, and as whom: the first of each, and to how many hosts."""
    by_origin: dict[tuple[str, str], list[Login]] = {}
    for login in outside:
        by_origin.setdefault((login.source, login.username), []).append(login)
    told = [
        (min((each.time for each in found if each.time), default=0), address, username, len({each.to for each in found}))
        for (address, username), found in by_origin.items()
    ]
    told.sort(key=lambda each: (not each[0], each))
    return [
        {"address": address, "username": username, "time": as_time(time), "hosts": count}
        for time, address, username, count in told
    ]


def _distinct(findings: tuple[Finding, ...]) -> list[Finding]:
    return list({told(finding, "en"): finding for finding in findings}.values())


def _title(query: Query) -> dict[str, str]:
    """The query's title; a pack of one's own may have its description only."""
    return _both(lambda language: query.title.get(language) or query.description.get(language))


def _alike(one: Alike) -> Document:
    return {
        "query": " ".join(query.name for query in one.queries),
        "severity": one.severity,
        "hosts": [{"host": host.name, "key": host.key} for host in one.hosts],
        "things": [{"kind": thing.kind, "value": thing.value} for thing in one.things],
    }


def _rarity(one: Rarity) -> Document:
    return {
        "score": one.score,
        "hosts": [{"host": host.name, "key": host.key} for host in one.hosts],
        "is_new": one.is_new,
        "since": as_time(one.first_time),
        "role": one.role,
        "role_size": one.role_size,
        "reported": one.reported,
        "things": [
            {
                "kind": thing.kind,
                "text": thing.text,
                "example": thing.example,
                "program": thing.program,
                "reasons": thing.reasons,
                "is_packaged": thing.is_packaged,
            }
            for thing in one.things
        ],
    }


def _clean(value: Any, known: dict[str, str]) -> Any:
    """The value with its texts cleaned; `known` are those that were, since most are said of many hosts."""
    if isinstance(value, str):
        return known.get(value) or known.setdefault(value, clean_text(value))
    if isinstance(value, dict):
        return {known.get(key) or _clean(key, known): _clean(each, known) for key, each in value.items()}
    if isinstance(value, list):
        return [_clean(each, known) for each in value] if value else value
    return value
