"""What the fleet view asks of an engine: keep a result under a name, and hand a small one over to Python."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from extension.fleet.names import Names
from extension.fleet.reading import Loaded
from extension.fleet.sources import Source

if TYPE_CHECKING:
    # Whatever reads the results needs no Ibis yet.
    import ibis.expr.types as ir


class Engine(Protocol):
    """One of Ibis's backends, with the tables of the results in it.

    `senders`: sender, identifier, decorations (JSON text); `spans`: sender, first_time, last_time, lines; `logged`: sender,
    query, epoch, counter, unix_time, action, row_key; `rows`: query, row_key and the columns of COLUMNS.
    """

    name: str

    def table(self, name: str) -> ir.Table:
        """A table by its name."""
        ...

    def keep(self, name: str, expression: ir.Table) -> ir.Table:
        """Work the expression out once, in the engine."""
        ...

    def take(self, name: str, columns: dict[str, str], rows: list[tuple[Any, ...]]) -> ir.Table:
        """A table made of rows of Python's, its columns as (name, type of Ibis); the first with a `host` has all hosts."""
        ...

    def fetch(self, expression: ir.Table) -> list[dict[str, Any]]:
        """The rows of a small table."""
        ...

    def rows_of(self, state: ir.Table) -> list[tuple[str, str, int, dict[str, str]]]:
        """(host, query, first time, all columns) of the rows that a small part of the state names."""
        ...


class Results(Protocol):
    """Reads sources into an engine."""

    names: Names

    def load(self, sources: Iterable[Source], progress: Callable[[int], None] = ...) -> Loaded:
        """Read sources, telling `progress` how much of them is done."""
        ...

    def has_results(self) -> bool:
        """Whether anything was loaded."""
        ...

    def ready(self) -> Engine:
        """The engine, with the tables of its contract made from what was loaded."""
        ...

    def close(self) -> None:
        """End it, and with it the engine."""
        ...


def texts(row: str) -> dict[str, str]:
    """A row from its JSON text, every value a text as osquery has it."""
    loaded = json.loads(row)
    if not isinstance(loaded, dict):
        return {}
    return {str(key): value if isinstance(value, str) else "" if value is None else str(value) for key, value in loaded.items()}
