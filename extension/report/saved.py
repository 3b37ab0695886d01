"""A triage read back from its JSON report, as plan, collect and compare take it."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from extension.gaps import BlindSpot
from extension.pack.model import Pack, Query, Step
from extension.scans import TableScans
from extension.triage import QueryResult, StepResult, Triage

# A report of a host on which everything was found is a few megabytes.
_MAX_BYTES = 256 * 1024 * 1024


class ReportError(ValueError):
    """The file is no JSON report of a triage; the message names it and says why."""


def read_report(path: Path, pack: Pack) -> Triage:
    """The triage in the JSON report at `path`, its queries those of `pack`; ReportError where it is none."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ReportError(f"{path}: {error.strerror}") from None
    if len(data) > _MAX_BYTES:
        raise ReportError(f"{path}: larger than {_MAX_BYTES} bytes, which no report is")
    try:
        document = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ReportError(f"{path}: not a JSON report of minehunt triage: {error}") from None
    try:
        return triage_from(document, pack)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise ReportError(f"{path}: not a report of minehunt triage --format json: {what}") from None


def triage_from(document: dict[str, Any], pack: Pack) -> Triage:
    """The triage that extension.report.json wrote; KeyError, TypeError or ValueError where the document is something else.

    Queries that the pack does not have are left out.
    """
    steps = {step.step: step for step in pack.steps}
    queries = {query.name: query for query in pack.queries()}
    return Triage(
        engine_name=_text(document["engine"]["name"]),
        engine_version=_text(document["engine"]["version"]),
        host={_text(key): _text(value) for key, value in document["host"].items()},
        started=_seconds(document["started"]),
        finished=_seconds(document["finished"]),
        steps=tuple(_step(one, steps[one["step"]], queries) for one in document["steps"] if one["step"] in steps),
        blind_spots=_gaps(document["blind_spots"]),
        steps_in_pack=int(document.get("steps_in_pack", 0)),
        is_interrupted=bool(document.get("interrupted", False)),
        left_out=tuple(map(_text, document.get("left_out", ()))),
        scans=tuple(map(_scans, document.get("scans", ()))),
    )


def _scans(document: dict[str, Any]) -> TableScans:
    return TableScans(_text(document["table"]), *(int(document[name]) for name in ("calls", "scans", "elapsed_ms")))


def _step(document: dict[str, Any], step: Step, queries: dict[str, Query]) -> StepResult:
    known = [one for one in document["queries"] if one["name"] in queries]
    return StepResult(step, _text(document["status"]), tuple(_result(one, queries[one["name"]]) for one in known))


def _result(document: dict[str, Any], query: Query) -> QueryResult:
    error = document["error"]
    return QueryResult(
        query,
        _text(document["status"]),
        tuple({_text(name): _text(value) for name, value in row.items()} for row in document["rows"]),
        None if error is None else _text(error),
        int(document["elapsed_ms"]),
        _gaps(document["gaps"]),
    )


def _gaps(spots: list[dict[str, Any]]) -> tuple[BlindSpot, ...]:
    return tuple(
        BlindSpot(_text(spot["table"]), _text(spot["why"]), _text(spot["kind"]), bool(spot.get("is_blind", False)))
        for spot in spots
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} stands where a text should")
    return value


def _seconds(text: str) -> float:
    return datetime.fromisoformat(_text(text).replace("Z", "+00:00")).timestamp()
