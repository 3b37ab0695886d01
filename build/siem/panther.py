"""dist/siem/panther/: one detection per rule as panther_analysis_tool takes it, Python beside its YAML (docs.panther.com)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from build.siem.languages import as_yaml
from build.siem.rules import Rule

_CODE = '''\
"""{title}: result lines of osquery, as Panther's log types Osquery.Differential and Osquery.Snapshot have them."""

import hashlib
import re

_NAMES = re.compile({names!r})
_ACTION = {action!r}


def rule(event):
    return event.get("action") == _ACTION and _NAMES.fullmatch(event.get("name") or "") is not None


def title(event):
    return {title!r} + " on " + str(event.get("hostIdentifier"))


def dedup(event):
    """The host and the whole row."""
    row = sorted((str(key), str(value)) for key, value in (event.get("columns") or {{}}).items())
    return hashlib.sha256(repr((event.get("name"), event.get("hostIdentifier"), row)).encode("utf-8", "replace")).hexdigest()
'''


def code(rule: Rule) -> str:
    """The detection's Python: it asks of name and action alone."""
    return _CODE.format(title=rule.title, names=rule.names_pattern, action=rule.action)


def specification(rule: Rule) -> dict[str, Any]:
    """The detection's YAML, with the lines that Panther tests it on."""
    lines = [("a row of one's own pack", rule.names[0], rule.action, True)]
    lines += [("a row of a team's report", rule.names[-1].replace("*", "17"), rule.action, True)]
    lines += [
        ("a row that is gone", rule.names[0], "removed", False),
        ("another query", rule.names[0] + "_2", rule.action, False),
    ]
    return {
        "AnalysisType": "rule",
        "Filename": f"minehunt_{rule.name}.py",
        "RuleID": f"Minehunt.{rule.name}",
        "DisplayName": rule.title,
        "Description": rule.description,
        "Enabled": True,
        "LogTypes": ["Osquery.Snapshot"] if rule.query.snapshot else ["Osquery.Differential"],
        "Severity": rule.query.severity.title(),
        "Tags": ["minehunt", "Linux", *rule.tags],
        "Runbook": " ".join(["False positives:", *rule.false_positives, *rule.response]),
        "SummaryAttributes": ["hostIdentifier", "name"],
        "DedupPeriodMinutes": 1440,
        "Threshold": 1,
        "Tests": [
            {
                "Name": name,
                "ExpectedResult": expected,
                "Log": {"name": result, "hostIdentifier": "host-1", "action": action, "columns": {"evidence": "text"}},
            }
            for name, result, action, expected in lines
        ],
    }


def write(destination: Path, rules: Mapping[str, Rule]) -> None:
    """Write the two files of each rule into the new folder `destination`/rules."""
    folder = destination / "rules"
    folder.mkdir(parents=True)
    for name, rule in rules.items():
        (folder / f"minehunt_{name}.py").write_text(code(rule), encoding="utf-8")
        (folder / f"minehunt_{name}.yml").write_text(as_yaml(specification(rule)), encoding="utf-8")
