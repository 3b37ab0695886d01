"""The triage as JSON, in the form that triage.schema.json describes."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from extension import __version__
from extension.gaps import BlindSpot
from extension.incidents import Incident, sentence, told
from extension.pack.parts import LANGUAGES
from extension.triage import QueryResult, StepResult, Triage, iso_time


def as_document(triage: Triage) -> dict[str, Any]:
    """The triage as plain dictionaries and lists; row values are strings, as in osquery's results."""
    return {
        "minehunt": __version__,
        "engine": {"name": triage.engine_name, "version": triage.engine_version},
        "host": triage.host,
        "started": iso_time(triage.started),
        "finished": iso_time(triage.finished),
        "steps": [_step(step) for step in triage.steps],
        "blind_spots": [_gap(spot) for spot in triage.blind_spots],
        "incidents": [_incident(incident) for incident in triage.incidents],
        "steps_in_pack": triage.steps_in_pack,
        "interrupted": triage.is_interrupted,
        "left_out": list(triage.left_out),
        "scans": [asdict(one) for one in triage.scans],
        "summary": {
            "verdict": triage.verdict,
            "abnormal_steps": triage.abnormal_steps,
            "unchecked_steps": triage.unchecked_steps,
            "findings": triage.findings,
            "errors": triage.errors,
        },
    }


def render(triage: Triage) -> str:
    """The document as indented JSON text; non-ASCII text is kept."""
    return json.dumps(as_document(triage), indent=2, ensure_ascii=False) + "\n"


def _gap(spot: BlindSpot) -> dict[str, Any]:
    return {"table": spot.table, "why": spot.why, "kind": spot.kind, "is_blind": spot.is_blind}


def _incident(incident: Incident) -> dict[str, Any]:
    beside = frozenset(incident.beside)
    return {
        "severity": incident.severity,
        "confidence": incident.confidence,
        "is_compromise": incident.is_compromise,
        "since": None if incident.since is None else iso_time(incident.since),
        "sentence": {language: sentence(incident, language) for language in LANGUAGES},
        "chain": {
            stage: [
                {
                    "query": finding.query.name,
                    "at": None if finding.when is None else iso_time(finding.when),
                    "says": {language: told(finding, language) for language in LANGUAGES},
                    "is_beside": finding in beside,
                }
                for finding in findings
            ]
            for stage, findings in incident.chain.items()
        },
        "things": [{"kind": thing.kind, "value": thing.value} for thing in incident.things if not thing.is_weak],
    }


def _step(result: StepResult) -> dict[str, Any]:
    return {
        "step": result.step.step,
        "title": {"en": result.step.title.en, "zh": result.step.title.zh},
        "status": result.status,
        "queries": [_query(query) for query in result.queries],
    }


def _query(result: QueryResult) -> dict[str, Any]:
    return {
        "name": result.query.name,
        "kind": result.query.kind,
        "severity": result.query.severity,
        "attack": list(result.query.attack),
        "status": result.status,
        "error": result.error,
        "elapsed_ms": result.elapsed_ms,
        "gaps": [_gap(gap) for gap in result.gaps],
        "row_count": len(result.rows),
        "rows": [dict(row) for row in result.rows],
    }
