"""osquery's core tables for the embedded engine: same names, columns, types, units and formats as osquery's own.

columns.json holds the columns and types that osquery 5.23 reports (PRAGMA table_info); a module in this folder computes
the rows of one or a few of them. What is not computed is missing: '' as a text, NULL as a number.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Optional

from tables.host import Host
from tables.schema import (
    OPTION_ADDITIONAL,
    OPTION_INDEX,
    OPTION_OPTIMIZED,
    OPTION_REQUIRED,
    Column,
    QueryContext,
    Row,
    Scalar,
    Table,
    WireRow,
    wire_value,
)

CoreRow = dict[str, Scalar]
CoreGenerate = Callable[[Host, QueryContext], Iterator[CoreRow]]


@dataclass(frozen=True)
class CoreTable(Table):
    """A core table: its rows are plain mappings, and its columns come from columns.json."""

    core_columns: tuple[Column, ...] = ()

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns, in osquery's order."""
        return self.core_columns


class _MappingRow(Row):
    """A core table's row; unlike minehunt's own, an empty text stays an empty text, as in osquery."""

    def __init__(self, values: Mapping[str, Scalar]) -> None:
        object.__setattr__(self, "_values", values)

    def to_wire(self) -> WireRow:
        """The row as strings, None left out."""
        values: Mapping[str, Scalar] = self._values  # type: ignore[attr-defined]  # set past the frozen dataclass
        return {name: core_value(value) for name, value in values.items() if value is not None}


def core_value(value: Scalar) -> str:
    """A value as osquery's own tables give it: control characters stay, so that a path still names its file in a JOIN."""
    if isinstance(value, str):
        return value.replace("\0", "\\x00").encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return wire_value(value)


def _load_columns() -> dict[str, dict[str, str]]:
    data = pkgutil.get_data(__name__, "columns.json")
    if data is None:
        raise FileNotFoundError("columns.json is missing beside extension/engines/core")
    loaded: dict[str, dict[str, str]] = json.loads(data)
    return loaded


COLUMNS = _load_columns()


def core_table(
    name: str,
    *,
    index: Iterable[str] = (),
    required: Iterable[str] = (),
    additional: Iterable[str] = (),
    optimized: Iterable[str] = (),
    kinds: Optional[Mapping[str, str]] = None,
    **options: Any,
) -> Callable[[CoreGenerate], CoreTable]:
    """Make the decorated generator the core table `name`, with the column options of osquery's .table spec.

    `kinds` are the types of its columns where columns.json has them not.
    """
    flags = {
        OPTION_INDEX: set(index),
        OPTION_REQUIRED: set(required),
        OPTION_ADDITIONAL: set(additional),
        OPTION_OPTIMIZED: set(optimized),
    }
    columns = tuple(
        Column(column, kind, "", sum(flag for flag, names in flags.items() if column in names))
        for column, kind in (kinds or COLUMNS[name]).items()
    )

    def decorate(generate: CoreGenerate) -> CoreTable:
        def rows(host: Host, query: QueryContext) -> Iterator[Row]:
            return map(_MappingRow, generate(host, query))

        rows.__doc__ = generate.__doc__
        # A JOIN asks `processes` once per row, and a thread each time would cost more than the answer.
        settings = {"cache_seconds": 0.0, "uses_constraints": True, "own_thread": False, "max_rows": 1_000_000, **options}
        return CoreTable(name, Row, rows, f"osquery's {name} table", (), (), core_columns=columns, **settings)

    return decorate


def discover() -> dict[str, CoreTable]:
    """Every core table defined by a module of this folder, by name."""
    found: dict[str, CoreTable] = {}
    for entry in pkgutil.iter_modules(__path__, prefix=f"{__name__}."):
        for value in vars(importlib.import_module(entry.name)).values():
            if isinstance(value, CoreTable):
                found[value.name] = value
    return dict(sorted(found.items()))
