"""One scan of a table: all its rows as the wire wants them, or why there are none."""

from __future__ import annotations

import logging
import threading
from typing import NamedTuple, Optional, Protocol

from extension.serving.file_answers import FileAnswers
from tables.errors import BadQuestion, BudgetExceeded, TableError
from tables.host import Host
from tables.schema import QueryContext, Table, WireRow

log = logging.getLogger("minehunt")

# A scan that honours its deadline ends a little after it; only one that never looks at the clock does not.
GRACE_SECONDS = 2.0


class Scanned(NamedTuple):
    """What a scan gave: its rows, or why it failed (`rows` is empty then). What it lacks is in the query that was asked."""

    rows: list[WireRow]
    error: Optional[str] = None
    is_question_at_fault: bool = False


class Scanner(Protocol):
    """What runs the scans of a TableRunner."""

    def scan(self, table: Table, query: QueryContext) -> Scanned:
        """Scan `table`; raises TableError instead where the table may not be asked just now."""


def scan(table: Table, host: Host, query: QueryContext) -> Scanned:
    """Scan in this thread. Never raises: whatever goes wrong is the answer's error."""
    try:
        # A triage asks once.
        if table.rests_on_files and host.is_live and not host.settings.is_triage:
            kept = host.state("answers that rest on files", FileAnswers)
            return Scanned(kept.rows(table, query, lambda: _rows(table, host, query)))
        return Scanned(_rows(table, host, query))
    except (TableError, OSError) as error:
        return Scanned([], str(error), isinstance(error, BadQuestion))
    except MemoryError:
        return Scanned([], "out of memory")
    # A defect in one table must reach the user as that query's error, and must not end the extension.
    except (Exception, SystemExit) as error:
        log.exception("table %s failed", table.name)
        return Scanned([], f"internal error: {type(error).__name__}: {error}")


def _rows(table: Table, host: Host, query: QueryContext) -> list[WireRow]:
    rows: list[WireRow] = []
    for row in table.generate(host, query):
        if len(rows) >= table.max_rows:
            query.truncate(f"more than {table.max_rows} rows")
            break
        rows.append(row.to_wire())
        query.check_time()
    return rows


class _Thread(threading.Thread):
    def __init__(self, table: Table, host: Host, query: QueryContext) -> None:
        super().__init__(name=f"scan {table.name}", daemon=True)
        self._arguments = table, host, query
        self.answer: Optional[Scanned] = None

    def run(self) -> None:
        self.answer = scan(*self._arguments)


class ThreadScanner:
    """Scans in this process, each in a thread of its own that a system call may keep without keeping the caller."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._late: dict[str, _Thread] = {}

    def scan(self, table: Table, query: QueryContext) -> Scanned:
        """Scan `table`; a scan that is left behind lets no other of its table begin before it has ended."""
        if not table.own_thread:
            return scan(table, self.host, query)
        late = self._late.pop(table.name, None)
        if late is not None and late.is_alive():
            self._late[table.name] = late
            raise TableError(f"{table.name}: an earlier scan is over its time and has not ended yet")
        thread = _Thread(table, self.host, query)
        thread.start()
        thread.join(query.budget_seconds + GRACE_SECONDS * self.host.settings.budget_factor)
        if thread.answer is None:
            self._late[table.name] = thread
            return Scanned([], str(BudgetExceeded(f"no answer within {query.budget_seconds:g} s")))
        return thread.answer
