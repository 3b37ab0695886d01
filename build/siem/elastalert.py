"""dist/siem/elastalert/: one ElastAlert 2 rule per detection (elastalert2.readthedocs.io, rule types and common options)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from build.siem.elastic import LOGS
from build.siem.languages import as_yaml
from build.siem.rules import Rule

_PRIORITY = {"critical": 1, "high": 2, "medium": 3, "low": 4}
HOST = "osquery.result.host_identifier"


def elastalert_rule(rule: Rule, query: str) -> dict[str, Any]:
    """The rule's file as a mapping; `query` is the rule in Lucene's language."""
    columns = [f"osquery.result.columns.{column}" for column in rule.columns]
    return {
        "name": rule.title,
        "description": rule.description,
        "type": "any",
        "index": ",".join(LOGS),
        "filter": [{"query": {"query_string": {"query": query}}}],
        # The same row of the same host alerts once a day, whatever comes and goes.
        "query_key": [HOST, *columns],
        "realert": {"hours": 24},
        "priority": _PRIORITY[rule.query.severity],
        "alert": ["debug"],
        "alert_subject": f"{rule.title} on {{0}}",
        "alert_subject_args": [HOST],
        "include": [HOST, "osquery.result.name", *columns],
        "minehunt": {
            "severity": rule.query.severity,
            "tags": rule.tags,
            "false_positives": rule.false_positives,
            "response": rule.response,
        },
    }


def write(destination: Path, rules: Mapping[str, Rule], queries: Mapping[str, str]) -> None:
    """Write one file per rule, given also in Lucene's language, into the new folder `destination`."""
    destination.mkdir()
    for name, rule in rules.items():
        (destination / f"minehunt_{name}.yaml").write_text(as_yaml(elastalert_rule(rule, queries[name])), encoding="utf-8")
