"""Scans that a triage begins at once, beside all others: those that take seconds, or wait for most of their time."""

from __future__ import annotations

import threading
from collections.abc import Collection
from concurrent.futures import Future

from extension.serving.scan import Scanned, Scanner, ThreadScanner
from extension.serving.workers import Workers
from tables.errors import TableError
from tables.host import Host
from tables.schema import QueryContext, Table


class EarlyScans:
    """Scans the given tables from now on; each answer serves once, and every other scan is run as it comes.

    Tables that remember what they saw are scanned in this process, all at once, for others ask for what they found; the rest
    one after another in a process of their own, or where there is none as they are asked. Whoever asks for a scan before its
    turn has come does not wait for it.
    """

    def __init__(self, tables: Collection[Table], host: Host) -> None:
        self._host = host
        self._otherwise = ThreadScanner(host)
        here = [table for table in tables if table.remembers]
        # A process for them where a core is free for it.
        apart = {table.name: table for table in tables if not table.remembers} if host.settings.side_by_side > 1 else {}
        self._workers = Workers(apart, host)
        if apart:
            try:
                host.adopt(self._workers.start())
            except OSError:
                apart = {}
        # What was asked, which says what the answer lacks, and the answer.
        self._answers: dict[str, Future[tuple[QueryContext, Scanned]]] = {}
        self._begin(self._workers, list(apart.values()))
        for table in here:
            self._begin(self._otherwise, [table])

    def scan(self, table: Table, query: QueryContext) -> Scanned:
        """As a Scanner: the answer that was begun early, else a scan now."""
        early = self._answers.pop(table.name, None)
        if early is None or early.cancel():
            return self._otherwise.scan(table, query)
        asked, answer = early.result()
        query.take(asked)
        return answer

    def close(self) -> None:
        """End the process; a scan that still runs in it has no answer."""
        self._workers.end()

    def _begin(self, scanner: Scanner, tables: list[Table]) -> None:
        """Scan these one after another."""
        answers = {table.name: Future[tuple[QueryContext, Scanned]]() for table in tables}
        self._answers.update(answers)

        def scan_all() -> None:
            for table in tables:
                if not (answers[table.name].running() or answers[table.name].set_running_or_notify_cancel()):
                    continue
                query = QueryContext(budget_seconds=table.budget_seconds * self._host.settings.budget_factor)
                try:
                    found = scanner.scan(table, query)
                except TableError as error:
                    found = Scanned([], str(error))
                answers[table.name].set_result((query, found))
            if scanner is self._workers:
                self._workers.end()

        if tables:
            # The first one's turn has come already.
            answers[tables[0].name].set_running_or_notify_cancel()
            threading.Thread(target=scan_all, name="early scans", daemon=True).start()
