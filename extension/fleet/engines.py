"""What the fleet view asks of an engine: keep a result under a name, and hand a small one over to Python."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from extension.fleet.names import Names
from extension.fleet.reading import Loaded
from extension.fleet.sources import Source

if TYPE_CHECKING:
    # Whatever reads the results needs no Ibis yet.
    import ibis.expr.types as ir


class LoggedRow(NamedTuple):
    """A row that a host logged, with all its columns, and when it was first (unix seconds)."""

    host: str
    query: str
    first_time: int
    columns: dict[str, str]


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

    def ask(self, expression: ir.Table) -> Callable[[], list[dict[str, Any]]]:
        """What fetches the rows of a small table; the engine may work them out meanwhile."""
        ...

    def ask_rows(self, state: ir.Table) -> Callable[[], list[LoggedRow]]:
        """What fetches the rows that a small part of the state names, in order; the engine may look for them meanwhile."""
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


def in_order(rows: Iterable[tuple[str, str, int, dict[str, str]]]) -> list[LoggedRow]:
    """The rows in an order that is the same for all engines."""
    return sorted(map(LoggedRow._make, rows), key=lambda row: (*row[:3], json.dumps(row.columns, sort_keys=True)))


def texts(row: str) -> dict[str, str]:
    """A row from its JSON text, every value a text as osquery has it."""
    loaded = json.loads(row)
    if not isinstance(loaded, dict):
        return {}
    return {str(key): value if isinstance(value, str) else "" if value is None else str(value) for key, value in loaded.items()}
