"""Scans that a triage begins at once in a process of their own, beside all others: those that take seconds and share nothing."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import Future

from extension.serving.scan import Scanned, ThreadScanner
from extension.serving.workers import Workers
from tables.errors import TableError
from tables.host import Host
from tables.schema import QueryContext, Table


class EarlyScans:
    """Scans the given tables one after another from now on; each answer serves once, and every other scan is run as it comes."""

    def __init__(self, tables: Mapping[str, Table], host: Host) -> None:
        self._workers = Workers(tables, host)
        host.adopt(self._workers.start())
        self._otherwise = ThreadScanner(host)
        # What was asked, which says what the answer lacks, and the answer.
        self._answers: dict[str, Future[tuple[QueryContext, Scanned]]] = {name: Future() for name in tables}
        threading.Thread(target=self._scan_all, args=(dict(self._answers),), name="early scans", daemon=True).start()

    def scan(self, table: Table, query: QueryContext) -> Scanned:
        """As a Scanner: the answer that was begun early, else a scan now."""
        early = self._answers.pop(table.name, None)
        if early is None:
            return self._otherwise.scan(table, query)
        asked, answer = early.result()
        query.take(asked)
        return answer

    def close(self) -> None:
        """End the process; a scan that still runs in it has no answer."""
        self._workers.end()

    def _scan_all(self, answers: Mapping[str, Future[tuple[QueryContext, Scanned]]]) -> None:
        for name, answer in answers.items():
            table = self._workers.tables[name]
            query = QueryContext(budget_seconds=table.budget_seconds * self._workers.host.settings.budget_factor)
            try:
                found = self._workers.scan(table, query)
            except TableError as error:
                found = Scanned([], str(error))
            answer.set_result((query, found))
        self._workers.end()
