"""A triage read back from its JSON report, so that a report can be drawn of a host that is gone."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from extension.pack.model import load_pack, shipped_pack
from extension.triage import BlindSpot, QueryResult, StepResult, Triage


def triage_from(document: dict[str, Any]) -> Triage:
    """The triage that extension.report.json wrote; steps and queries by their name in the pack."""
    pack = {step.step: step for step in load_pack(shipped_pack()).steps}
    queries = {query.name: query for step in pack.values() for query in step.queries}
    return Triage(
        engine_name=document["engine"]["name"],
        engine_version=document["engine"]["version"],
        host=document["host"],
        started=_seconds(document["started"]),
        finished=_seconds(document["finished"]),
        steps=tuple(
            StepResult(
                pack[step["step"]],
                step["status"],
                tuple(
                    QueryResult(
                        queries[one["name"]],
                        one["status"],
                        tuple(one["rows"]),
                        one["error"],
                        one["elapsed_ms"],
                        _gaps(one["gaps"]),
                    )
                    for one in step["queries"]
                ),
            )
            for step in document["steps"]
        ),
        blind_spots=_gaps(document["blind_spots"]),
    )


def _gaps(spots: list[dict[str, str]]) -> tuple[BlindSpot, ...]:
    return tuple(BlindSpot(spot["table"], spot["why"], spot["kind"]) for spot in spots)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
