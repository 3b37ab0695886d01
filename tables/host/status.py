"""What each table did last: the facts behind `minehunt_status`, so that no blind spot is silent."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Optional


@dataclass(frozen=True)
class TableStatus:
    """The record of one table since this process started; durations in milliseconds."""

    calls: int = 0
    scans: int = 0
    last_duration_ms: Optional[int] = None
    last_rows: Optional[int] = None
    last_error: Optional[str] = None
    truncated: Optional[str] = None
    degraded: tuple[str, ...] = ()


class StatusBoard:
    """Thread-safe records by table name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: dict[str, TableStatus] = {}

    def called(self, table: str) -> None:
        """Count a call."""
        with self._lock:
            record = self._records.get(table, TableStatus())
            self._records[table] = replace(record, calls=record.calls + 1)

    def scanned(self, table: str, duration_ms: int, rows: Optional[int], error: Optional[str], truncated: Optional[str]) -> None:
        """Record how a scan ended; `rows` is None when it failed."""
        with self._lock:
            record = self._records.get(table, TableStatus())
            self._records[table] = replace(
                record,
                scans=record.scans + 1,
                last_duration_ms=duration_ms,
                last_rows=rows,
                last_error=error,
                truncated=truncated,
            )

    def degrade(self, table: str, *reasons: str) -> None:
        """Say what the table could not see in its last scan; no reasons: it saw everything."""
        with self._lock:
            self._records[table] = replace(self._records.get(table, TableStatus()), degraded=tuple(reasons))

    def names(self) -> list[str]:
        """The tables that have a record."""
        with self._lock:
            return sorted(self._records)

    def get(self, table: str) -> TableStatus:
        """The record of one table."""
        with self._lock:
            return self._records.get(table, TableStatus())
