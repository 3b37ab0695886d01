"""The embedded engine: SQLite with minehunt's tables, osquery's core tables and osquery's SQL functions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any, Optional

import apsw
import apsw.ext

import tables
from extension import __version__
from extension.engines import EngineError, ResultRow, core
from extension.engines.decoration import decorating_tables
from extension.engines.early_scans import EarlyScans
from extension.engines.facts import host_facts
from extension.engines.functions import register_functions
from extension.engines.vtable import VirtualTable
from extension.serving.runner import TableRunner
from tables.host import Host
from tables.schema import Table, WireRow, clean_text


class EmbeddedEngine:
    """Runs pack SQL in this process; a triage engine, not a daemon."""

    name = "embedded"

    def __init__(self, host: Host) -> None:
        self.version = f"minehunt {__version__}, SQLite {apsw.sqlite_lib_version()}"
        self.host = host
        self._lock = threading.Lock()
        self.db = apsw.Connection(":memory:")
        register_functions(self.db)
        extension = tables.discover()
        self.tables: Mapping[str, Table] = {**core.discover(), **extension}
        self._absent: frozenset[str] = frozenset()
        self._runners = {name: TableRunner(table, host) for name, table in self.tables.items()}
        self._early: Optional[EarlyScans] = None
        for table in self.tables.values():
            VirtualTable(table.name, table.columns, self._generator(table), table.name in extension).attach(self.db)
        self.db.set_authorizer(_authorize)

    def expect(self, tables: Collection[str]) -> None:
        """Begin the long scans among these tables, for a triage of the running system."""
        early = [self.tables[name] for name in tables if name in self.tables and self.tables[name].scan_early]
        if early and self.host.is_live and self.host.settings.is_triage:
            self._early = EarlyScans(early, self.host)
            for table in early:
                self._runners[table.name].scanner = self._early

    def query(self, sql: str) -> list[ResultRow]:
        """The rows of `sql`, every value as osquery would log it; EngineError when SQLite or a table refuses."""
        with self._lock:
            # A mounted disk has no processes that could tell more about what lies on it.
            self._absent = frozenset() if self.host.is_live else decorating_tables(sql)
            try:
                cursor = self.db.execute(sql)
                try:
                    names = [description[0] for description in cursor.get_description()]
                except apsw.ExecutionCompleteError:
                    return []
                return [dict(zip(names, map(as_logged, row))) for row in cursor]
            except apsw.Error as error:
                raise EngineError(_message(error)) from None

    def column_names(self, sql: str) -> list[str]:
        """The result columns of `sql`, found by compiling it without running it; EngineError when it does not compile."""
        with self._lock:
            try:
                return [name for name, _ in apsw.ext.query_info(self.db, sql).description]
            except apsw.Error as error:
                raise EngineError(_message(error)) from None

    def inapplicable(self, sql: str) -> Optional[str]:
        """On a mounted disk: which tables that the query cannot do without tell about a running system alone."""
        if self.host.is_live:
            return None
        with self._lock:
            try:
                actions = apsw.ext.query_info(self.db, sql, actions=True).actions or []
            except apsw.Error:
                return None
        read = {action.table_name for action in actions} - decorating_tables(sql)
        live = sorted(name for name, table in self.tables.items() if table.needs_live and name in read)
        return f"only a running system has {', '.join(live)}" if live else None

    def _generator(self, table: Table) -> Callable[[Optional[str]], list[WireRow]]:
        generate = self._runners[table.name].generate
        return lambda context: [] if table.needs_live and table.name in self._absent else generate(context)

    def host_facts(self) -> dict[str, str]:
        """What identifies the host, read from the disk where it is a mounted one."""
        return host_facts(self.host)

    def close(self) -> None:
        """Close the database, and end what was begun."""
        if self._early is not None:
            self._early.close()
        self.db.close()


def as_logged(value: Any) -> str:
    """A SQL value as clean text, as osquery prints it: NULL is "", a double has at most 15 digits and a point."""
    if value is None:
        return ""
    if isinstance(value, float):
        text = f"{value:.15g}"
        return text if "." in text else f"{text}.0"
    return clean_text(value if isinstance(value, (bytes, str)) else str(value))


def _message(error: apsw.Error) -> str:
    text = str(error)
    return text.partition(": ")[2] if text.startswith("SQLError: ") else text


def _authorize(operation: int, first: Any, second: Any, _database: Any, _trigger: Any) -> int:
    """Refuse what osquery's own authorizer refuses: ATTACH, DETACH, most PRAGMAs, loading code."""
    denied = operation in (apsw.SQLITE_ATTACH, apsw.SQLITE_DETACH)
    denied |= operation == apsw.SQLITE_PRAGMA and first not in ("table_info", "table_xinfo", "table_list", "data_version")
    denied |= operation == apsw.SQLITE_FUNCTION and second == "load_extension"
    return int(apsw.SQLITE_DENY if denied else apsw.SQLITE_OK)
