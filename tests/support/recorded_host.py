"""A host made of recorded rows: SQLite tables named and typed as osquery's and minehunt's, filled from mappings."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

import apsw
import apsw.ext

import tables
from extension.engines import EngineError, ResultRow
from extension.engines.core import COLUMNS
from extension.engines.embedded import as_logged
from extension.engines.functions import register_functions

Rows = Mapping[str, Sequence[Mapping[str, Any]]]


class RecordedHost:
    """Runs pack SQL over recorded rows; a column that a row leaves out is NULL."""

    name = "recorded"
    version = apsw.sqlite_lib_version()

    def __init__(self, *layers: Rows) -> None:
        """Fill the tables with the rows of every layer: a clean host, and what was planted on it."""
        self.db = apsw.Connection(":memory:")
        register_functions(self.db)
        columns = {name: dict(kinds) for name, kinds in COLUMNS.items()}
        for table in tables.discover().values():
            columns[table.name] = {column.name: column.type for column in table.columns}
        for name, kinds in columns.items():
            self.db.execute(f"CREATE TABLE {name} ({', '.join(f'{column} {kind}' for column, kind in kinds.items())})")
        for layer in layers:
            for name, rows in layer.items():
                for row in rows:
                    self._insert(name, columns[name], _completed(name, row))

    def _insert(self, table: str, columns: Mapping[str, str], row: Mapping[str, Any]) -> None:
        unknown = row.keys() - columns.keys()
        assert not unknown, f"{table} has no column {', '.join(sorted(unknown))}"
        places = ", ".join("?" * len(row))
        self.db.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", list(row.values()))

    def query(self, sql: str) -> list[ResultRow]:
        """The rows of `sql`, as an engine gives them."""
        try:
            cursor = self.db.execute(sql)
            names = [description[0] for description in cursor.description or ()]
            return [dict(zip(names, map(as_logged, row))) for row in cursor]
        except apsw.ExecutionCompleteError:
            return []
        except apsw.Error as error:
            raise EngineError(str(error)) from None

    def column_names(self, sql: str) -> list[str]:
        """The result columns of `sql`."""
        try:
            return [name for name, _ in apsw.ext.query_info(self.db, sql).description]
        except apsw.Error as error:
            raise EngineError(str(error)) from None

    def inapplicable(self, _sql: str) -> None:
        """Every query applies."""

    def host_facts(self) -> dict[str, str]:
        """A host of no name."""
        return {}

    def close(self) -> None:
        """Close the database."""
        self.db.close()


def _completed(table: str, row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A `file` row needs only its path: folder, name and the usual kind follow from it."""
    if table != "file":
        return row
    directory, filename = posixpath.split(row["path"])
    return {"directory": directory, "filename": filename, "type": "regular", "symlink": 0, "uid": 0, "mode": "0644", **row}
