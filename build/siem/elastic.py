"""dist/siem/elastic/: the pack for Osquery Manager, its columns in Elastic's common schema, and Kibana's detection rules.

Formats: Kibana's detection rule schemas (`Import rules` takes one JSON object a line), and its osquery packs. Written here and
not by pySigma's `siem_rule_ndjson`: that looks back exactly as far as it waits, and so passes over what comes late; it fetches
MITRE's lists while it converts; and it puts its own prefix and licence on each rule.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from build.deliver import plain_sql
from build.siem.rules import Rule, rule_id
from extension.pack.model import Pack, Query

# Filebeat's module and Elastic's integration for osqueryd's own logs, and Osquery Manager (beats, x-pack/osquerybeat).
LOGS = ("filebeat-*", "logs-osquery.result-*")
MANAGER = "logs-osquery_manager.result-*"
HOST_FIELDS = ("host.name", "osquery.result.host_identifier", "agent.name")
# What the manager may set for all hosts of a policy: from Elastic Agent 9.6 it loads extensions that it does not bring
# (beats pull request 51777, docs-content issue 7930).
MANAGER_OPTIONS = {
    "elastic_options": {
        "extensions": {"paths": ["/usr/lib/minehunt/minehunt.ext"], "timeout": 10, "require": ["minehunt"]},
    }
}
_RISK = {"critical": 99, "high": 73, "medium": 47, "low": 21}
# Columns of the pack's results in the Elastic Common Schema 8 (elastic.co/guide/en/ecs).
_ECS = {
    "pid": "process.pid", "process_name": "process.name", "cmdline": "process.command_line", "exe_path": "process.executable",
    "exe_sha256": "process.hash.sha256", "cwd": "process.working_directory", "parent": "process.parent.pid",
    "parent_name": "process.parent.name", "owner_uid": "user.id", "username": "user.name", "container_id": "container.id",
    "local_address": "source.ip", "local_port": "source.port", "remote_address": "destination.ip",
    "remote_port": "destination.port", "path": "file.path", "sha256": "file.hash.sha256", "evidence": "event.reason",
}  # fmt: skip


def ecs_mapping(query: Query, columns: Collection[str]) -> dict[str, dict[str, str]]:
    """How Osquery Manager shall put this query's columns into the common schema; a detection's rows get the rule's id."""
    mapping = {ecs: {"field": column} for column, ecs in _ECS.items() if column in columns}
    if query.kind == "detection":
        fixed = {"rule.name": query.name, "rule.uuid": rule_id(query.name), "event.kind": "alert"}
        fixed["threat.framework"] = "MITRE ATT&CK"
        mapping.update({field: {"value": value} for field, value in fixed.items()})
    return mapping


def manager_pack(queries: list[Query], columns: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """A pack as Kibana's Osquery Manager imports it."""
    return {
        "queries": {
            query.name: {
                "query": plain_sql(query.sql),
                "interval": query.interval,
                "snapshot": query.snapshot,
                "removed": not query.snapshot,
                "platform": "linux",
                "ecs_mapping": ecs_mapping(query, columns[query.name]),
            }
            for query in queries
        }
    }


def kibana_rule(rule: Rule, query: str) -> dict[str, Any]:
    """A detection rule; `query` is the rule in Lucene's language for osqueryd's own logs.

    Osquery Manager's documents hold no name that the pack alone decides, but the rule's id, which the pack's mapping sets.
    """
    managed = f'rule.uuid:"{rule.id}" AND osquery_meta.action:{rule.action}'
    guide = [f"- {step}" for step in rule.response]
    return {
        "rule_id": rule.id,
        "name": rule.title,
        "description": rule.description,
        "author": ["minehunt"],
        "license": "Apache-2.0",
        "type": "query",
        "language": "lucene",
        "query": f"({query}) OR ({managed})",
        "index": [*LOGS, MANAGER],
        "filters": [],
        "severity": rule.query.severity,
        "severity_mapping": [],
        "risk_score": _RISK[rule.query.severity],
        "risk_score_mapping": [],
        "tags": ["minehunt", "OS: Linux", *rule.tags],
        "threat": [],
        "false_positives": rule.false_positives,
        "note": "\n".join(["## Response", "", *guide]) if guide else "",
        "references": [],
        "investigation_fields": {
            "field_names": [*HOST_FIELDS, *(f"osquery.result.columns.{column}" for column in rule.columns)],
        },
        "interval": "5m",
        "from": "now-15m",
        "to": "now",
        "max_signals": 1000,
        "enabled": True,
        "exceptions_list": [],
        "actions": [],
        "version": 1,
    }


def write(
    destination: Path,
    rules: Mapping[str, Rule],
    queries: Mapping[str, str],
    packs: Iterable[Pack],
    columns: Mapping[str, tuple[str, ...]],
) -> None:
    """Write the rules, given also in Lucene's language, a pack for Osquery Manager for each of `packs`, and its options."""
    destination.mkdir()
    lines = [json.dumps(kibana_rule(rule, queries[name]), ensure_ascii=False) + "\n" for name, rule in rules.items()]
    (destination / "kibana_rules.ndjson").write_text("".join(lines), encoding="utf-8")
    for pack in packs:
        _json(destination / f"osquery_manager_{pack.name}.json", manager_pack(pack.queries(), columns))
    _json(destination / "osquery_manager_options.json", MANAGER_OPTIONS)


def _json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
