"""Result lines that must alert and lines that must not, for every detection, and what shippers make documents of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from build.deliver import EVENTS, PACK
from build.siem.rules import Rule
from extension.pack.discovery import entry_of
from extension.pack.model import load_pack
from tests.support.osquery_log import ResultLog, flattened

# What a row may hold that looks like rules, queries, templates and result lines.
HOSTILE = {
    "process_name": 'x" OR name:"pack_cryptominer_triage_hidden_processes',
    "cmdline": '{"name":"pack_cryptominer_triage_pool_connection","action":"removed"}',
    "path": "/srv/`b'é\\\n\t)] | drop name {{ $labels.hostIdentifier }} $(id) ${x} %s",
    "evidence": "pack/Global/cryptominer_triage_miner_process added removed snapshot",
    "action": "removed",
    "name": "pack_cryptominer_triage_uid_zero_account",
}


class Line(NamedTuple):
    """A result line, and the rules that shall alert on it."""

    text: str
    rules: frozenset[str]


@cache
def _event_packs() -> Mapping[str, str]:
    """The pack that osquery has each query of events in."""
    pack = load_pack(EVENTS)
    return {query.name: f"{pack.name}_{entry_of(pack, query)}" for query in pack.queries()}


def names_of(query: str) -> list[str]:
    """The names that a detection's results have: in osquery's own packs, and in Fleet's packs, reports and a team's reports."""
    pack = _event_packs().get(query, "cryptominer_triage")
    reports = [f"pack/{team}/cryptominer_triage_{query}" for team in ("Global", "team-17")]
    return [f"pack_{pack}_{query}", f"pack/{pack}/{query}", *reports]


def corpus(rules: Mapping[str, Rule]) -> list[Line]:
    """For every rule its lines under every name, at the first run and later, removed ones, and lines of others."""
    lines: list[Line] = []
    for rule in rules:
        for name in names_of(rule):
            log = ResultLog(name, "host-1")
            lines += [Line(text, frozenset({rule})) for rows in ([HOSTILE], [HOSTILE, {"pid": "1"}]) for text in log.run(rows)]
            lines += [Line(text, frozenset()) for text in log.run([])]
        others = (
            "{}",
            "pack_{}",
            "pack_other_{}",
            "pack_cryptominer_triage_{}_2",
            "pack_cryptominer_triage_x_{}",
            "pack/Global/{}",
        )
        for name in (form.format(rule) for form in (*others, "pack_cryptominer_events_programs_x_{}", "pack/team-1/x/{}")):
            lines += [Line(text, frozenset()) for text in ResultLog(name, "host-1").run([HOSTILE])]
    for query in load_pack(PACK).queries():
        if query.name not in rules:
            log = ResultLog(f"pack_cryptominer_triage_{query.name}", "host-1", query.snapshot)
            lines += [Line(text, frozenset()) for text in log.run([HOSTILE])]
    status = {"hostIdentifier": "host-1", "severity": "0", "message": "pack_cryptominer_triage_hidden_processes added"}
    return [*lines, Line(json.dumps(status), frozenset())]


def expected(lines: list[Line], rules: Mapping[str, Rule]) -> dict[str, set[int]]:
    """The numbers of the lines on which each rule shall alert."""
    return {rule: {number for number, line in enumerate(lines) if rule in line.rules} for rule in rules}


def filebeat(line: str) -> dict[str, Any]:
    """The document that Filebeat's osquery module and Elastic's osquery integration make of a line."""
    (event,) = flattened(line)
    names = {"hostIdentifier": "host_identifier", "unixTime": "unix_time", "calendarTime": "calendar_time"}
    return {f"osquery.result.{names.get(key, key)}": value for key, value in event.items() if value is not None}


def wazuh(line: str) -> dict[str, Any]:
    """The document that Wazuh's osquery module makes of a line."""
    (event,) = flattened(line)
    return {f"data.osquery.{key}": value for key, value in event.items() if value is not None}


def osquery_manager(line: Line, rules: Mapping[str, Rule]) -> dict[str, Any]:
    """The document that Elastic's Osquery Manager makes of such a row (beats, x-pack/osquerybeat/internal/pub/publisher.go).

    What a detection's row has of the rule's id, its pack's mapping set, whatever its action.
    """
    event = json.loads(line.text)
    rule = {name: rule for query, rule in rules.items() for name in names_of(query)}.get(event.get("name", ""))
    document = {f"osquery.{key}": value for key, value in event.get("columns", {}).items()}
    document |= {"osquery_meta.type": "diff", "osquery_meta.action": event.get("action", ""), "schedule_id": "5f"}
    return document | ({"rule.uuid": rule.id, "event.kind": "alert"} if rule else {})
