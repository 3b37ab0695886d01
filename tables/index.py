"""The index that a built extension carries: what osquery is told of each table, so that its module is imported when first used.

In one file nothing is compiled beforehand, and importing every table would take half a second of the CPU time that osqueryd's
unit allows it and its extensions together.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Optional

from tables.schema import Column, QueryContext, Row, Table

if TYPE_CHECKING:
    from tables.host import Host

FILE = "index.json"
_OPTIONS = tuple(field.name for field in dataclasses.fields(Table) if field.name not in ("row", "generate"))


@dataclasses.dataclass(frozen=True)
class IndexedTable(Table):
    """A table known by its index entry."""

    indexed_columns: tuple[Column, ...] = ()

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns, in order."""
        return self.indexed_columns


def write_index(tables: Mapping[str, Table], modules: Mapping[str, str]) -> str:
    """The index of `tables` as JSON; `modules` names the module that defines each."""
    entries = {
        name: {
            "module": modules[name],
            "columns": [column._replace(words=None) for column in table.columns],
            "options": {key: getattr(table, key) for key in _OPTIONS},
        }
        for name, table in tables.items()
    }
    return json.dumps(entries, indent=1, sort_keys=True)


def read_index(data: Optional[bytes]) -> dict[str, Table]:
    """The tables of an index, {} where there is none."""
    return {name: _table(entry) for name, entry in json.loads(data or b"{}").items()}


def _table(entry: Mapping[str, Any]) -> IndexedTable:
    options: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in entry["options"].items()}
    module, name = str(entry["module"]), str(options["name"])

    def generate(host: Host, query: QueryContext) -> Iterable[Row]:
        table: Table = getattr(importlib.import_module(module), name)
        return table.generate(host, query)

    columns = tuple(Column(*column) for column in entry["columns"])
    return IndexedTable(row=Row, generate=generate, indexed_columns=columns, **options)
