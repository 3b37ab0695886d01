"""A triage of a guest: what it found on a host to which nobody did anything."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tables.host.status import DEGRADED
from tests.kernels.cache import RigError
from tests.kernels.guest import Finished

_ROWS_SHOWN = 5


@dataclass(frozen=True)
class Findings:
    """Detections with their rows, queries that failed or were cut short, and what could not be seen (`table: why`)."""

    detections: dict[str, list[dict[str, str]]]
    errors: dict[str, str]
    unseen: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        """Whether no detection gave a row, and no query failed or was cut short."""
        return not self.detections and not self.errors

    def text(self, indent: str = "") -> str:
        """All of it, to read."""
        lines = [f"could not be seen: {each}" for each in self.unseen]
        lines += [f"ERROR {name}: {why}" for name, why in self.errors.items()]
        for name, rows in self.detections.items():
            lines.append(f"DETECTION {name}: {len(rows)} rows")
            lines += [f"  {json.dumps({key: value for key, value in row.items() if value})}" for row in rows[:_ROWS_SHOWN]]
        lines.append(f"detection rows: {sum(map(len, self.detections.values()))}")
        return "\n".join(indent + line for line in lines)


def findings_of(ended: Finished) -> Findings:
    """The findings in a triage's JSON. Raises RigError when it could not run."""
    # 1: something was found.
    if ended.status not in (0, 1):
        raise RigError(f"the triage ended with {ended.status} in the guest: {ended.errors[-2000:]}")
    document = json.loads(ended.output)
    queries = [query for step in document["steps"] for query in step["queries"]]
    return Findings(
        {query["name"]: query["rows"] for query in queries if query["kind"] == "detection" and query["rows"]},
        {query["name"]: _why(query) for query in queries if query["status"] in ("error", "needs-root") or _is_cut(query)},
        tuple(f"{spot['table']}: {spot['why']}" for spot in document["blind_spots"]),
    )


def _is_cut(query: dict[str, Any]) -> bool:
    """Whether its answer was cut short; a guest has no logs and no D-Bus, and what could not be seen for that is no fault."""
    return query["status"] == "incomplete" and any(gap["kind"] != DEGRADED for gap in query["gaps"])


def _why(query: dict[str, Any]) -> str:
    return query["error"] or "; ".join(f"{gap['table']}: {gap['why']}" for gap in query["gaps"])
