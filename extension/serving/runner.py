"""Runs one table's scans: one at a time, briefly cached, bounded in time and rows, every failure a message."""

from __future__ import annotations

import threading
import time
from typing import NamedTuple, Optional

from extension.serving.kept_rows import KeptRows
from extension.serving.packed_rows import PackedRows
from extension.serving.scan import Scanner, ThreadScanner
from tables.errors import TableError
from tables.host import Host
from tables.host.status import Notes
from tables.schema import DOUBLE, TEXT, QueryContext, Table, WireRow, whole_number

# A cached answer serves a few times longer than it took to make, so that a JOIN over a slow table costs one scan.
_CACHE_FACTOR = 10.0
_CACHE_LIMIT_SECONDS = 60.0
# A JOIN that pushes its key down asks for thousands of different answers, of which few are asked for again.
_CACHE_ENTRIES = 64


class _Answer(NamedTuple):
    """An answer that may serve again."""

    expires: float
    notes: Notes
    packed: PackedRows


class TableRunner:
    """Answers generate requests for one table; safe to call from many threads."""

    def __init__(self, table: Table, host: Host, scanner: Optional[Scanner] = None) -> None:
        self.table = table
        self.host = host
        self.scanner = scanner or ThreadScanner(host)
        self._budget_seconds = table.budget_seconds * host.settings.budget_factor
        self._lock = threading.Lock()
        self._cached: dict[str, _Answer] = {}
        self._earlier = KeptRows(table, host)

    def generate(self, context: Optional[str]) -> list[WireRow]:
        """Rows for osquery's query context (JSON), at least all that match it.

        Raises TableError, with the table's name in the message, when the scan failed or took too long.
        """
        query = QueryContext.from_wire(context, self._budget_seconds)
        self.host.status.called(self.table.name)
        if not self._lock.acquire(timeout=self._budget_seconds):
            raise TableError(f"{self.table.name}: busy for more than {self._budget_seconds:g} s with an earlier query")
        try:
            rows = self._rows(query)
        finally:
            self._lock.release()
        return matching(self.table, rows, query)

    def forget_expired(self) -> int:
        """Drop the answers that are too old to serve again; how many rows they had. Does nothing during a scan."""
        if not self._cached or not self._lock.acquire(blocking=False):
            return 0
        try:
            now = time.monotonic()
            expired = [key for key, kept in self._cached.items() if kept.expires <= now]
            return sum(self._cached.pop(key).packed.count for key in expired)
        finally:
            self._lock.release()

    def _rows(self, query: QueryContext) -> list[WireRow]:
        if not self.table.uses_constraints:
            query = QueryContext(columns_used=query.columns_used, budget_seconds=self._budget_seconds)
        # An answer that left out what nobody asked for cannot serve the query that does.
        key = self.table.question(query)
        now = time.monotonic()
        kept = self._cached.get(key)
        if kept is not None and kept.expires > now:
            rows, notes = kept.packed.rows(), kept.notes
        else:
            if len(self._cached) >= _CACHE_ENTRIES:
                self._cached.clear()
            self._cached.pop(key, None)
            rows, notes = self._scan(query)
            packed = PackedRows(rows)
            earlier = self._earlier.complete(key, rows, packed, notes.truncated is not None)
            if earlier:
                rows = rows + earlier
                packed = PackedRows(rows)
            took = time.monotonic() - now
            if self.table.cache_seconds:
                lifetime = max(self.table.cache_seconds, min(took * _CACHE_FACTOR, _CACHE_LIMIT_SECONDS))
                self._cached[key] = _Answer(time.monotonic() + lifetime, notes, packed)
        self.host.status.answered(self.table.name, query.question, notes)
        return rows

    def _scan(self, query: QueryContext) -> tuple[list[WireRow], Notes]:
        started = time.monotonic()
        answer = self.scanner.scan(self.table, query)
        duration_ms = round((time.monotonic() - started) * 1000)
        notes = Notes(answer.error, query.truncated, query.unseen, query.blind)
        # What nobody could have answered says nothing of the table's health.
        lasting = Notes() if answer.is_question_at_fault else notes
        rows = None if answer.error else len(answer.rows)
        self.host.status.scanned(self.table.name, query.question, duration_ms, rows, lasting)
        if answer.error:
            self.host.status.answered(self.table.name, query.question, notes)
            raise TableError(f"{self.table.name}: {answer.error}")
        return answer.rows, notes


def matching(table: Table, rows: list[WireRow], query: QueryContext) -> list[WireRow]:
    """The rows that SQLite could accept: without those for which an `=` cannot hold under any collation or number format."""
    for column in table.columns:
        wanted = query.equals(column.name) if column.name in query.constraints else None
        if wanted is None or column.type == DOUBLE:
            continue
        if column.type == TEXT:
            texts = {text.rstrip(" ").casefold() for text in wanted}
            rows = [row for row in rows if row.get(column.name, "").rstrip(" ").casefold() in texts]
        else:
            numbers = {whole_number(text) for text in wanted}
            # What is no number may be one in SQLite's eyes; and NULL never equals, which SQLite finds by itself.
            if None not in numbers:
                rows = [row for row in rows if not row.get(column.name) or int(row[column.name]) in numbers]
    return rows
