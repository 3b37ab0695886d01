"""Findings as JSON Lines, one a line, and as SARIF 2.1.0 (OASIS), which code and vulnerability dashboards read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from extension import __version__
from extension.incidents import Finding, told
from extension.pack.parts import LANGUAGES
from extension.triage import Triage, iso_time
from tables.schema import clean_text

_LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note"}
_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def json_lines(triage: Triage) -> str:
    """A line a finding: host, query, severity, what it says, its row, its things, and the number of its incident."""
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in _lines(triage))


def _lines(triage: Triage) -> Iterator[dict[str, Any]]:
    steps = {query.query.name: step.step.step for step in triage.steps for query in step.queries}
    for number, incident in enumerate(triage.incidents, 1):
        for finding in incident.findings:
            query = finding.query
            yield {
                "hostname": triage.host.get("hostname", ""),
                "examined_at": iso_time(triage.finished),
                "at": None if finding.when is None else iso_time(finding.when),
                "incident": number,
                "step": steps.get(query.name),
                "query": query.name,
                "severity": query.severity,
                "stage": finding.stage,
                "attack": list(query.attack),
                "says": {language: told(finding, language) for language in LANGUAGES},
                "things": [{"kind": thing.kind, "value": thing.value} for thing in finding.strong_things],
                "row": dict(finding.row),
            }


def sarif(triage: Triage) -> str:
    """The findings as results of one run; a rule a query that found something."""
    findings = triage.chained
    rules = {finding.query.name: finding.query for finding in findings}
    document = {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "minehunt",
                        "version": __version__,
                        "rules": [
                            {
                                "id": query.name,
                                "shortDescription": {"text": query.title.en or query.name},
                                "fullDescription": {"text": query.description.en},
                                "defaultConfiguration": {"level": _LEVELS[query.severity]},
                                "properties": {"tags": list(query.attack), "severity": query.severity},
                            }
                            for query in rules.values()
                        ],
                    }
                },
                "invocations": [
                    {
                        "executionSuccessful": not triage.errors and not triage.is_interrupted,
                        "startTimeUtc": iso_time(triage.started),
                        "endTimeUtc": iso_time(triage.finished),
                        "machine": clean_text(triage.host.get("hostname", "")),
                    }
                ],
                "results": [_result(finding, list(rules)) for finding in findings],
            }
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _result(finding: Finding, rules: list[str]) -> dict[str, Any]:
    files = [thing.value for thing in finding.things if thing.kind == "file"]
    identity = "\n".join((finding.query.name, *(f"{thing.kind} {thing.value}" for thing in finding.strong_things)))
    return {
        "ruleId": finding.query.name,
        "ruleIndex": rules.index(finding.query.name),
        "level": _LEVELS[finding.query.severity],
        "message": {"text": told(finding, "en")},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": _uri(path)}}} for path in files],
        "partialFingerprints": {"things/v1": hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()},
        "properties": {"row": dict(finding.row), "stage": finding.stage},
    }


def _uri(path: str) -> str:
    from urllib.parse import quote

    return "file://" + quote(path, errors="surrogatepass")
