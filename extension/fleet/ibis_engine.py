"""Whatever else Ibis speaks (ClickHouse, Trino, Snowflake …), by its URL: the results are a table there (columns.RAW)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Optional
from urllib.parse import urlsplit

import ibis
import ibis.expr.types as ir
from ibis import _

from extension.fleet.columns import COLUMNS, RAW
from extension.fleet.engines import LoggedRow, in_order
from extension.fleet.names import Names
from extension.fleet.open_engine import EngineRefusedError
from extension.fleet.reading import Loaded
from extension.fleet.sources import Source


class IbisEngine:
    """A connection with the results in it, as engines.Engine asks; it writes temporary tables only."""

    def __init__(self, names: Names, url: str) -> None:
        self.names = names
        # The rest of a URL holds passwords.
        self.name = url.partition("://")[0]
        self._tables: dict[str, ir.Table] = {}
        self._kept = 0
        self._raw: Optional[ir.Table] = None
        try:
            self.ibis = ibis.connect(url)
        except ImportError as error:
            raise EngineRefusedError(
                f"--engine {self.name}: the Python package {error.name} is missing: pip install 'ibis-framework[{self.name}]'"
            ) from None
        except Exception as error:  # noqa: BLE001  # each driver raises its own
            raise EngineRefusedError(f"--engine {self.name}: cannot connect: {_without(url, _first_line(error))}") from None

    def close(self) -> None:
        """End the connection."""
        self.ibis.disconnect()

    def load(self, sources: Iterable[Source], progress: Callable[[int], None] = lambda _: None) -> Loaded:
        """Take tables for sources; EngineRefusedError for one that is not there or lacks a column."""
        parts = []
        loaded = Loaded()
        for source in sources:
            with self._asked():
                table = self.ibis.table(source.path)
            missing = [name for name in RAW if name not in table.columns]
            if missing:
                raise EngineRefusedError(f"table {source.path}: lacks {', '.join(missing)} (dist/warehouse/README.md)")
            parts.append(table.select(*RAW))
            with self._asked():
                loaded.lines += int(table.count().execute())
            loaded.files += 1
            progress(loaded.files)
        self._raw = ibis.union(*parts) if len(parts) > 1 else parts[0]
        return loaded

    def has_results(self) -> bool:
        """Whether anything was loaded."""
        with self._asked():
            return self._raw is not None and bool(self._raw.limit(1).count().execute())

    def ready(self) -> IbisEngine:
        """The engine, with the tables of its contract made from what was loaded: a host there is a sender here."""
        assert self._raw is not None
        raw = self._raw.rename(sender="host")
        told = raw.filter(_.row_key.notnull())
        heard = raw.group_by("sender").agg(first_time=_.unix_time.min(), last_time=_.unix_time.max(), lines=_.count())
        self._tables["logged"] = raw.drop("columns")
        self._tables["spans"] = self.keep("spans", heard)
        self._tables["senders"] = self._tables["spans"].select("sender", identifier=_.sender, decorations=ibis.literal("{}"))
        self._tables["contents"] = told.group_by("query", "row_key").agg(columns=_["columns"].arbitrary())
        columns = {column: told["columns"].get(column, "") for column in COLUMNS}
        self._tables["rows"] = self.keep("rows", told.select("query", "row_key", **columns).distinct())
        return self

    def table(self, name: str) -> ir.Table:
        """A table by its name."""
        return self._tables[name]

    def keep(self, name: str, expression: ir.Table) -> ir.Table:
        """The expression's result as a temporary table."""
        self._kept += 1
        with self._asked():
            self._tables[name] = self.ibis.create_table(f"minehunt_{name}_{self._kept}", expression, temp=True)
        return self._tables[name]

    def take(self, name: str, columns: dict[str, str], rows: list[tuple[Any, ...]]) -> ir.Table:
        """A table made of rows of Python's."""
        self._tables[name] = ibis.memtable([dict(zip(columns, row)) for row in rows], schema=ibis.schema(columns))
        return self._tables[name]

    def fetch(self, expression: ir.Table) -> list[dict[str, Any]]:
        """The rows of a small table."""
        with self._asked():
            rows: list[dict[str, Any]] = self.ibis.to_pyarrow(expression).to_pylist()
        return rows

    def ask(self, expression: ir.Table) -> Callable[[], list[dict[str, Any]]]:
        """What fetches the rows of a small table."""
        return functools.partial(self.fetch, expression)

    def ask_rows(self, state: ir.Table) -> Callable[[], list[LoggedRow]]:
        """What fetches the rows that a small part of the state names, in order."""
        wanted = state.join(self._tables["contents"], ["query", "row_key"]).select("host", "query", "first_time", "columns")
        return lambda: in_order(
            (row["host"], row["query"], row["first_time"], _texts(row["columns"])) for row in self.fetch(wanted)
        )

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """Tell in one line what the engine does not do."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  # each driver raises its own
            raise EngineRefusedError(f"{self.name}: {_first_line(error)}") from None


def _without(url: str, text: str) -> str:
    """The text without the URL and what is secret in it."""
    for part in (url, url.partition("://")[2], urlsplit(url).password):
        text = text.replace(part, "…") if part else text
    return text


def _texts(columns: Any) -> dict[str, str]:
    """A row's columns: Arrow has a map as pairs."""
    return {key: value or "" for key, value in dict(columns or ()).items()}


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
