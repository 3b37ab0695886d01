"""In what order DuckDB's statements run, and whose an error is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import CancelledError

import duckdb
import pytest

from extension.fleet.statements import Statements

# Takes as long as it takes to ask for a few others behind it.
_SLOW = "SELECT count(*) FROM range(200000000)"


@pytest.fixture
def statements() -> Iterator[Statements]:
    with duckdb.connect() as connection:
        made = Statements(connection)
        yield made
        made.close()


def test_what_is_asked_for_runs_before_what_is_only_kept(statements: Statements) -> None:
    statements.ask("CREATE SEQUENCE turn")()
    slow = statements.ask(_SLOW)
    statements.keep("first_kept", "CREATE TABLE first_kept AS SELECT nextval('turn') AS n")
    statements.keep("last_kept", "CREATE TABLE last_kept AS SELECT nextval('turn') AS n")
    # With what it stands on, and before what was kept earlier.
    asked = [statements.ask(sql) for sql in ("SELECT nextval('turn')", "SELECT n FROM last_kept", "SELECT n FROM first_kept")]
    assert slow() == [(200000000,)] and [rows() for rows in asked] == [[(1,)], [(2,)], [(3,)]]


def test_what_went_wrong_is_told_to_whoever_stands_on_it_and_to_nobody_else(statements: Statements) -> None:
    statements.keep("base", "CREATE TABLE base AS SELECT error('no base') AS n")
    statements.keep("above", "CREATE TABLE above AS SELECT n FROM base")
    assert statements.ask("SELECT 1")() == [(1,)]
    with pytest.raises(duckdb.Error, match="no base"):
        statements.ask("SELECT * FROM above")()


def test_closing_ends_what_runs_and_leaves_the_rest(statements: Statements) -> None:
    running = statements.ask("SELECT count(*) FROM range(1000000000000)")
    never = statements.ask("SELECT 1")
    time.sleep(0.2)
    statements.close()
    with pytest.raises(duckdb.InterruptException):
        running()
    with pytest.raises(CancelledError):
        never()
