"""Result lines as osqueryd 5.23 writes them (osquery/core/query.cpp, recorded in ../shared/osqueryd-log-samples.txt)."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Row = Mapping[str, str]


@dataclass
class ResultLog:
    """One osqueryd's log of one query: `run` takes the rows of each run and gives the lines that it logs for them.

    `events` is --logger_event_type, `snapshot_events` --logger_snapshot_event_type.
    """

    name: str
    host: str
    is_snapshot: bool = False
    events: bool = True
    snapshot_events: bool = True
    unix_time: int = 1795436552
    _counter: int = 0
    _known: list[Row] = field(default_factory=list)

    def run(self, rows: Sequence[Row]) -> list[str]:
        """The lines of the next run; in a differential log those for rows that are gone stand before those for new ones."""
        if self.is_snapshot:
            return self._snapshot(rows)
        removed = [row for row in self._known if row not in rows]
        added = [row for row in rows if row not in self._known]
        counter, self._counter, self._known = self._counter, self._counter + 1, list(rows)
        if not removed and not added:
            return []
        if not self.events:
            return [self._line({"diffResults": {"removed": removed, "added": added}}, {}, counter)]
        changes = [("removed", row) for row in removed] + [("added", row) for row in added]
        return [self._line({}, {"columns": row, "action": action}, counter) for action, row in changes]

    def _snapshot(self, rows: Sequence[Row]) -> list[str]:
        if self.snapshot_events and self.events:
            return [self._line({}, {"columns": row, "action": "snapshot"}, 0) for row in rows]
        return [self._line({"snapshot": rows, "action": "snapshot"}, {}, 0)]

    def _line(self, before: Mapping[str, Any], after: Mapping[str, Any], counter: int) -> str:
        calendar = time.strftime("%a %b %d %H:%M:%S %Y UTC", time.gmtime(self.unix_time))
        common = {
            "name": self.name, "hostIdentifier": self.host, "calendarTime": calendar, "unixTime": self.unix_time,
            "epoch": 0, "counter": counter, "numerics": False, "decorations": {"team": "blue"},
        }  # fmt: skip
        return json.dumps({**before, **common, **after}, separators=(",", ":"), ensure_ascii=False)


def flattened(line: str) -> list[dict[str, Any]]:
    """What a pipeline makes of a result line: one flat event a row, its columns named `columns.*`."""
    event = json.loads(line)
    rows = [(event.get("action"), event.get("columns"))]
    if "diffResults" in event:
        rows = [(action, row) for action in ("removed", "added") for row in event["diffResults"][action]]
    elif "snapshot" in event:
        rows = [("snapshot", row) for row in event["snapshot"]]
    common = {key: value for key, value in event.items() if not isinstance(value, (dict, list)) and key != "action"}
    return [
        {**common, "action": action, **{f"columns.{key}": value for key, value in (row or {}).items()}} for action, row in rows
    ]
