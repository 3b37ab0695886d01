"""DuckDB, the engine that `minehunt fleet` carries."""

from __future__ import annotations

import json
from typing import Any

import ibis
import ibis.expr.types as ir

from extension.fleet.columns import COLUMNS
from extension.fleet.duck_files import DuckFiles
from extension.fleet.engines import memory, texts


class Duck(DuckFiles):
    """DuckDB with the results of files in it, as engines.Engine asks."""

    name = "DuckDB"

    def ready(self) -> None:
        """Make the tables of the contract from what was loaded."""
        structure = json.dumps(dict.fromkeys(COLUMNS, "VARCHAR"))
        columns = ", ".join(f"coalesce(c.{name}, '') AS {name}" for name in COLUMNS)
        self.run(f"""
            CREATE OR REPLACE TABLE rows AS SELECT query, row_key, {columns}
            FROM (SELECT query, row_key, json_transform(row_json, '{structure}') AS c FROM contents)""")  # noqa: S608
        self.run("""
            CREATE OR REPLACE TABLE spans AS
            SELECT sender, min(unix_time) AS first_time, max(unix_time) AS last_time, count(*) AS lines
            FROM logged GROUP BY sender""")
        self.ibis = ibis.duckdb.from_connection(self.connection)

    def has_results(self) -> bool:
        """Whether anything was loaded."""
        return bool(self.run("SELECT count(*) FROM logged")[0][0])

    def table(self, name: str) -> ir.Table:
        """A table of the database."""
        return self.ibis.table(name)

    def keep(self, name: str, expression: ir.Table) -> ir.Table:
        """The expression's result as a table of the database."""
        self.run(f'CREATE OR REPLACE TABLE "{name}" AS {self.ibis.compile(expression)}')  # names of our own
        return self.ibis.table(name)

    def take(self, name: str, columns: dict[str, str], rows: list[tuple[Any, ...]]) -> ir.Table:
        """A table made of rows of Python's."""
        self.connection.register("taken", memory(columns, rows))
        self.run(f'CREATE OR REPLACE TABLE "{name}" AS SELECT * FROM taken')  # noqa: S608  # names of our own
        self.connection.unregister("taken")
        return self.ibis.table(name)

    def fetch(self, expression: ir.Table) -> list[dict[str, Any]]:
        """The rows of a small table."""
        rows: list[dict[str, Any]] = self.ibis.to_pyarrow(expression).to_pylist()
        return rows

    def rows_of(self, state: ir.Table) -> list[tuple[str, str, int, dict[str, str]]]:
        """(host, query, first time, all columns) of the rows that a small part of the state names."""
        self.keep("wanted", state)
        told = self.run("SELECT host, query, first_time, row_json FROM wanted JOIN contents USING (query, row_key)")
        return sorted(
            ((host, query, first, texts(row)) for host, query, first, row in told), key=lambda row: (*row[:3], json.dumps(row[3]))
        )
