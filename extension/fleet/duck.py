"""DuckDB, the engine that `minehunt fleet` carries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, count
from typing import Any

import ibis
import ibis.expr.types as ir
from ibis import duckdb as backend

from extension.fleet.columns import COLUMNS
from extension.fleet.duck_files import DuckFiles
from extension.fleet.engines import LoggedRow, in_order, texts

_LOGGED = {"query": "string", "epoch": "int64", "counter": "int64", "unix_time": "int64", "action": "string", "row_key": "uint64"}
_SCHEMAS = {
    "senders": ibis.schema({"sender": "uint64", "identifier": "string", "decorations": "string"}),
    "spans": ibis.schema({"sender": "uint64", "first_time": "int64", "last_time": "int64", "lines": "int64"}),
    "logged": ibis.schema({"sender": "uint64", **_LOGGED}),
    "rows": ibis.schema({"query": "string", "row_key": "uint64", **dict.fromkeys(COLUMNS, "string")}),
}
_TYPES = {"string": "VARCHAR", "int64": "BIGINT", "uint64": "UBIGINT", "boolean": "BOOLEAN"}


class Duck:
    """DuckDB with the results of files in it, as engines.Engine asks."""

    name = "DuckDB"
    _knows_hosts = False

    def __init__(self, files: DuckFiles) -> None:
        self._statements = files.statements
        # Told rather than asked for: Ibis reads the names of a type of ten thousand hosts one by one.
        self._schemas = dict(_SCHEMAS)

    def table(self, name: str) -> ir.Table:
        """A table of the database."""
        return ibis.table(self._schemas[name], name=name)

    def keep(self, name: str, expression: ir.Table) -> ir.Table:
        """The expression's result as a table of the database, which is worked out while Python goes on."""
        return self._make(name, expression.schema(), backend.compile(expression))

    def take(self, name: str, columns: dict[str, str], rows: list[tuple[Any, ...]]) -> ir.Table:
        """A table made of rows of Python's."""
        values = [list(column) for column in zip(*rows)] if rows else [[] for _ in columns]
        if "host" in columns and not self._knows_hosts:
            hosts = "CREATE TYPE hosts AS ENUM (SELECT DISTINCT unnest(?::VARCHAR[]))"
            self._statements.keep("hosts", hosts, [values[list(columns).index("host")]])
            self._knows_hosts = True
        kinds = {column: "hosts" if column == "host" else _TYPES[kind] for column, kind in columns.items()}
        chosen = ", ".join(f'unnest(?::{kind}[]) AS "{column}"' for column, kind in kinds.items())
        return self._make(name, ibis.schema(columns), f"SELECT {chosen}", values)

    def _make(self, name: str, schema: ibis.Schema, sql: str, values: Sequence[Any] = ()) -> ir.Table:
        # A second of one name stands beside the first, which somebody may not have read yet.
        made = next(each for each in chain([name], (f"{name}_{number}" for number in count(2))) if each not in self._schemas)
        self._statements.keep(made, f"CREATE TABLE {made} AS {sql}", values)
        self._schemas[made] = schema
        return self.table(made)

    def ask(self, expression: ir.Table) -> Callable[[], list[dict[str, Any]]]:
        """Begin to work out the rows of a small table; what is returned waits for them."""
        names = expression.columns
        rows = self._statements.ask(str(backend.compile(expression)))
        return lambda: [dict(zip(names, row)) for row in rows()]

    def fetch(self, expression: ir.Table) -> list[dict[str, Any]]:
        """The rows of a small table."""
        return self.ask(expression)()

    def ask_rows(self, state: ir.Table) -> Callable[[], list[LoggedRow]]:
        """Begin to look for the rows that a small part of the state names; what is returned waits for them."""
        wanted = self.keep("wanted", state).get_name()
        told = self._statements.ask(f"""
            SELECT host, query, first_time, row_json
            FROM {wanted} JOIN numbered USING (query) JOIN contents USING (number, row_key)""")  # noqa: S608  # a name of our own
        return lambda: in_order((host, query, first, texts(row)) for host, query, first, row in told())
