"""What a report says of the host and of minehunt's own lists besides the pack's results."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from extension.engines import Engine, EngineError, ResultRow

# The host's facts that Engine.host_facts has not, from tables that osquery and the embedded engine both have.
_HOST = (
    "SELECT total_seconds AS uptime FROM uptime",
    "SELECT cpu_logical_cores, cpu_brand, physical_memory, hardware_vendor, hardware_model FROM system_info",
    "SELECT arguments AS kernel_arguments FROM kernel_info",
)
_INDICATORS = """
    SELECT source, count(*) AS entries, max(updated) AS updated,
      CAST(julianday('now') - julianday(max(updated)) AS INTEGER) AS age_days
    FROM miner_pools GROUP BY source ORDER BY source
"""
_KNOWN_GOOD = "SELECT list_path AS source, count(*) AS entries FROM known_good GROUP BY list_path ORDER BY list_path"


@dataclass(frozen=True)
class Facts:
    """Facts by column name, empty where they could not be had; a list that could not be read is None."""

    host: ResultRow = field(default_factory=dict)
    indicators: Optional[tuple[ResultRow, ...]] = ()
    known_good: Optional[tuple[ResultRow, ...]] = ()


def collect(engine: Engine) -> Facts:
    """Ask the engine that the triage ran on. What it cannot tell is left out: a report is written all the same."""
    host: ResultRow = {}
    for sql in _HOST:
        for row in _rows(engine, sql) or ():
            host.update(row)
    return Facts(host, _rows(engine, _INDICATORS), _rows(engine, _KNOWN_GOOD))


def _rows(engine: Engine, sql: str) -> Optional[tuple[ResultRow, ...]]:
    if engine.inapplicable(sql) is not None:
        return ()
    try:
        return tuple(engine.query(sql))
    except EngineError:
        return None
