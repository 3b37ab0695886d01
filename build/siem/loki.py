"""dist/siem/loki/: rules for Loki's ruler (grafana.com/docs/loki/latest/alert).

Written here and not by pySigma's `ruler`: that counts over all hosts together, and its `or vector(0)` gives a series always.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from build.siem.languages import as_yaml
from build.siem.rules import Rule

STREAM = '{job="osquery"}'
# Only what the rule asks of: of a row nothing becomes a label.
_PARSED = 'json name="name", action="action", hostIdentifier="hostIdentifier"'
# A line that is no JSON would fail the whole rule.
_UNBROKEN = "drop __error__, __error_details__"


def log_query(rule: Rule) -> str:
    """The lines that alert, as LogQL."""
    return f'{STREAM} |= "{rule.name}" | {_PARSED} | {_UNBROKEN} | name=~`{rule.names_pattern}` | action="{rule.action}"'


def ruler_rule(rule: Rule) -> dict[str, Any]:
    """One alerting rule: a series a host, so an alert a host, as long as it logged a row within ten minutes."""
    return {
        "alert": f"minehunt_{rule.name}",
        "expr": f"sum by (hostIdentifier) (count_over_time({log_query(rule)} [10m])) > 0",
        "labels": {"severity": rule.query.severity, "attack": " ".join(rule.query.attack)},
        "annotations": {
            "summary": f"{rule.title} on {{{{ $labels.hostIdentifier }}}}",
            "description": _literal(rule.description),
            "false_positives": _literal(" ".join(rule.false_positives)),
            "rows": log_query(rule),
        },
    }


def _literal(text: str) -> str:
    """The text where the ruler fills in a template."""
    return text.replace("{{", '{{ "{{" }}')


def write(destination: Path, rules: Mapping[str, Rule]) -> None:
    """Write the one file of rules into the new folder `destination`."""
    destination.mkdir()
    group = {"name": "minehunt", "interval": "1m", "rules": [ruler_rule(rule) for rule in rules.values()]}
    (destination / "minehunt.yaml").write_text(as_yaml({"groups": [group]}), encoding="utf-8")
