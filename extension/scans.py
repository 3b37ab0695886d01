"""How often a triage had each of minehunt's tables scanned, and for how long: what its time went into."""

from __future__ import annotations

from dataclasses import dataclass

from extension.engines import Engine, EngineError

# What tells of the tables is asked for by each query, and scans nothing.
_SQL = (
    "SELECT table_name, calls, scans, total_duration_ms FROM minehunt_status "
    "WHERE calls > 0 AND table_name NOT IN ('minehunt_status', 'minehunt_gaps')"
)


@dataclass(frozen=True)
class TableScans:
    """How often a table was asked, how many scans that took, and their milliseconds together.

    Asked by one query or by several: a JOIN asks once a row. What is not scanned for is answered from a scan before.
    """

    table: str
    calls: int
    scans: int
    elapsed_ms: int


class ScanCount:
    """Counts from now on; an osquery that runs already has a past of its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._before = {one.table: one for one in self._all()}

    def since(self) -> tuple[TableScans, ...]:
        """The tables that were asked since then, the slowest first; of osquery's own tables nothing where osquery has them."""
        found = []
        for now in self._all():
            before = self._before.get(now.table, TableScans(now.table, 0, 0, 0))
            calls = now.calls - before.calls
            # An extension that was started anew counts anew.
            new = now if calls < 0 else TableScans(
                now.table, calls, now.scans - before.scans, now.elapsed_ms - before.elapsed_ms
            )  # fmt: skip
            if new.calls:
                found.append(new)
        return tuple(sorted(found, key=lambda one: (-one.elapsed_ms, one.table)))

    def _all(self) -> list[TableScans]:
        try:
            rows = self._engine.query(_SQL)
        except EngineError:
            # An extension before this count was introduced; what it lacks is said elsewhere.
            return []
        numbers = ("calls", "scans", "total_duration_ms")
        return [TableScans(row["table_name"], *(int(row[name] or 0) for name in numbers)) for row in rows]
