"""Runs DuckDB's statements on a thread of their own: first what is asked for, with what that stands on."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import duckdb

Rows = list[tuple[Any, ...]]
_WORD = re.compile(r"\w+")


@dataclass(eq=False)
class _Statement:
    sql: str
    values: Sequence[Any]
    needs: tuple[_Statement, ...]
    rows: Future[Rows] = field(default_factory=Future)

    def with_needs(self, found: dict[_Statement, None]) -> dict[_Statement, None]:
        """Add what must have run to what was found, in order, and this."""
        if self not in found:
            for need in self.needs:
                need.with_needs(found)
            found[self] = None
        return found


class Statements:
    """The statements of one connection.

    `keep` makes something with a name, for nobody yet; `ask` is for rows. What a statement stands on is seen by the names in its
    SQL: a word that only looks like one has that thing made sooner, and changes nothing else.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="duckdb")
        self._lock = threading.Lock()
        self._asked: deque[_Statement] = deque()
        self._kept: deque[_Statement] = deque()
        self._makers: dict[str, _Statement] = {}

    def ask(self, sql: str, values: Sequence[Any] = ()) -> Callable[[], Rows]:
        """Have a statement run next; what is returned waits for its rows, and raises what went wrong with it or what it needs."""
        statement = self._statement(sql, values)
        chain = statement.with_needs({})
        with self._lock:
            soon = [each for each in chain if each in self._kept]
            for each in soon:
                self._kept.remove(each)
            self._asked += [*soon, statement]
        self._worker.submit(self._run_one)
        return lambda: [each.rows.result() for each in chain][-1]

    def keep(self, name: str, sql: str, values: Sequence[Any] = ()) -> None:
        """Have a statement run that makes what is called `name`, at the latest when something that stands on it is asked for."""
        assert name not in self._makers, name
        statement = self._statement(sql, values)
        self._makers[name] = statement
        with self._lock:
            self._kept.append(statement)
        self._worker.submit(self._run_one)

    def close(self) -> None:
        """End the statement that is running; those after it do not run."""
        with self._lock:
            for each in (*self._asked, *self._kept):
                each.rows.cancel()
            self._asked.clear()
            self._kept.clear()
        self._connection.interrupt()
        self._worker.shutdown()

    def _statement(self, sql: str, values: Sequence[Any]) -> _Statement:
        words = dict.fromkeys(_WORD.findall(sql))
        return _Statement(sql, values, tuple(self._makers[word] for word in words if word in self._makers))

    def _run_one(self) -> None:
        with self._lock:
            waiting = self._asked or self._kept
            if not waiting:
                return
            statement = waiting.popleft()
        try:
            statement.rows.set_result(self._connection.execute(statement.sql, list(statement.values) or None).fetchall())
        except BaseException as error:  # noqa: BLE001  # raised for whoever waits
            statement.rows.set_exception(error)
