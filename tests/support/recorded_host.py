"""A host made of recorded rows: osquery's and minehunt's tables as the embedded engine attaches them, filled from mappings."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import apsw
import apsw.ext

import tables
from extension.engines import EngineError, ResultRow, core
from extension.engines.embedded import as_logged
from extension.engines.functions import register_functions
from extension.engines.vtable import VirtualTable
from tables.reasons.command_patterns import alert_reasons
from tables.schema import Column, WireRow, wire_value

Rows = Mapping[str, Sequence[Mapping[str, Any]]]
_OURS = tables.discover()
_COLUMNS: dict[str, Sequence[Column]] = {
    **{name: [Column(column, kind, "", 0) for column, kind in kinds.items()] for name, kinds in core.COLUMNS.items()},
    **{table.name: table.columns for table in (*core.discover().values(), *_OURS.values())},
}


class RecordedHost:
    """Runs pack SQL over recorded rows; what a row leaves out is missing as in osquery: '' as a text, NULL as a number."""

    name = "recorded"
    version = apsw.sqlite_lib_version()

    def __init__(self, *layers: Rows) -> None:
        """Fill the tables with the rows of every layer: a clean host, and what was planted on it."""
        self.db = apsw.Connection(":memory:")
        register_functions(self.db)
        rows: dict[str, list[WireRow]] = {name: [] for name in _COLUMNS}
        for layer in layers:
            for name, recorded in layer.items():
                rows[name] += [_wire(name, row) for row in recorded]
        for name, columns in _COLUMNS.items():
            VirtualTable(name, columns, lambda _context, found=rows[name]: found, name in _OURS).attach(self.db)

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

    def expect(self, _tables: Collection[str]) -> None:
        """Nothing takes long."""

    def inapplicable(self, _sql: str) -> None:
        """Every query applies."""

    def host_facts(self) -> dict[str, str]:
        """A host of no name."""
        return {}

    def close(self) -> None:
        """Close the database."""
        self.db.close()


def _wire(table: str, row: Mapping[str, Any]) -> WireRow:
    known = {column.name for column in _COLUMNS[table]}
    assert row.keys() <= known, f"{table} has no column {', '.join(sorted(row.keys() - known))}"
    to_text = wire_value if table in _OURS else core.core_value
    return {name: to_text(value) for name, value in _completed(table, row).items() if value is not None}


def _completed(table: str, row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of a row the columns that follow from others: of a `file` its folder, name and usual kind, of commands what alerts."""
    if {"reasons", "alert_reasons"} <= {column.name for column in _COLUMNS[table]}:
        return {"alert_reasons": ",".join(alert_reasons(row.get("reasons"), row.get("program_reasons"))), **row}
    if table != "file":
        return row
    directory, filename = posixpath.split(row["path"])
    return {"directory": directory, "filename": filename, "type": "regular", "symlink": 0, "uid": 0, "mode": "0644", **row}
