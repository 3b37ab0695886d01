"""Strings become SQL values, and tables are declared, as osquery does it."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extension.engines import EngineError
from extension.engines.embedded import EmbeddedEngine, as_logged
from extension.engines.vtable import VirtualTable, create_statement, to_sql
from tables.host import Host
from tables.schema import (
    BIGINT,
    BLOB,
    DOUBLE,
    INTEGER,
    OPTION_INDEX,
    OPTION_OPTIMIZED,
    SQL_TYPES,
    TEXT,
    UNSIGNED_BIGINT,
    Column,
)
from tests.support.core_tables import PlantedHost


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        (None, TEXT, ""), (None, BLOB, ""), (None, BIGINT, None), (None, DOUBLE, None),
        ("", TEXT, ""), ("a\0b", TEXT, "a"), ("x", TEXT, "x"),
        ("", BIGINT, None), ("", INTEGER, None), ("", DOUBLE, None), ("", UNSIGNED_BIGINT, None),
        ("12", BIGINT, 12), ("-12", BIGINT, -12), ("010", BIGINT, 8), ("0x1f", BIGINT, 31), ("12abc", BIGINT, 12),
        ("3.7", BIGINT, 3), ("1e5", BIGINT, 1), ("True", BIGINT, None), ("None", INTEGER, None), ("n/a", BIGINT, None),
        (str(2**63 - 1), BIGINT, 2**63 - 1), (str(2**63), BIGINT, None), (str(2**63), UNSIGNED_BIGINT, None),
        (str(2**32 + 5), INTEGER, 5), (str(2**31), INTEGER, -(2**31)), ("9" * 5000, BIGINT, None),
        ("1.5", DOUBLE, 1.5), ("1.5x", DOUBLE, None), ("-2e3", DOUBLE, -2000.0), ("1", "UNKNOWN", None),
    ],
)  # fmt: skip
def test_strings_convert_as_dynamic_table_row_does(text: str | None, kind: str, value: object) -> None:
    assert to_sql(text, kind) == value


@given(st.text(max_size=50), st.sampled_from(SQL_TYPES))
def test_any_string_converts_to_something_sqlite_can_hold(text: str, kind: str) -> None:
    value = to_sql(text, kind)
    assert value is None or not isinstance(value, int) or -(1 << 63) <= value < 1 << 63


COLUMNS = [Column("path", TEXT, "", 9), Column("n", BIGINT, "", 4), Column("v", TEXT, "", 8), Column("h", TEXT, "", 16)]


def test_keys_are_the_index_and_additional_columns() -> None:
    body = "(`path` TEXT, `n` BIGINT, `v` TEXT, `h` TEXT HIDDEN, PRIMARY KEY (`path`, `n`))"
    assert create_statement("t", COLUMNS, True) == f"CREATE TABLE t {body}"
    assert create_statement("t", COLUMNS, False) == f"CREATE TABLE t {body} WITHOUT ROWID"
    # With additional columns only, the whole row is the key.
    assert "PRIMARY KEY (`n`, `v`)" in create_statement("t", COLUMNS[1:3], True)


@pytest.mark.parametrize(
    ("value", "logged"), [(None, ""), (1, "1"), (1.0, "1.0"), (0.1, "0.1"), (1e20, "1e+20.0"), ("x", "x"), (b"\xff", "\\xff")]
)
def test_results_are_printed_as_osquery_logs_them(value: object, logged: str) -> None:
    assert as_logged(value) == logged


@pytest.mark.parametrize(
    "sql", ["ATTACH 'x' AS y", "PRAGMA journal_mode = WAL", "SELECT load_extension('x')", "SELECT", "SELECT * FROM no"]
)
def test_what_osquery_refuses_is_refused_with_a_message(sql: str) -> None:
    with pytest.raises(EngineError) as caught:
        EmbeddedEngine(Host()).query(sql)
    assert str(caught.value)


def test_a_required_column_is_asked_for_in_osquery_s_words() -> None:
    engine = EmbeddedEngine(Host())
    with pytest.raises(EngineError, match="Table file was queried without a required column in the WHERE clause"):
        engine.query("SELECT * FROM file")
    assert engine.query("SELECT filename FROM file WHERE path = '/etc/passwd'") == [{"filename": "passwd"}]


def test_temporary_tables_and_recursion_work_as_in_osquery() -> None:
    engine = EmbeddedEngine(Host())
    engine.query("CREATE TEMP TABLE t AS SELECT 1 AS a")
    assert engine.query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT i, a FROM n, t") == [
        {"i": "1", "a": "1"}, {"i": "2", "a": "1"}, {"i": "3", "a": "1"},
    ]  # fmt: skip
    assert engine.column_names("SELECT pid, name AS n FROM processes") == ["pid", "n"]


def test_select_distinct_over_the_index_columns_of_an_extension_gives_each_once() -> None:
    db = apsw.Connection(":memory:")
    columns = [Column("path", TEXT, "", OPTION_INDEX | OPTION_OPTIMIZED), Column("line", BIGINT, "", OPTION_OPTIMIZED)]
    rows = [{"path": "/a", "line": "1"}, {"path": "/a", "line": "2"}, {"path": "/b"}]
    VirtualTable("jobs", columns, lambda _: rows, is_extension=True).attach(db)
    assert list(db.execute("SELECT DISTINCT path FROM jobs")) == [("/a",), ("/b",)]


def test_distinct_and_group_by_agree_on_minehunts_own_tables(tmp_path: Path) -> None:
    host = PlantedHost(tmp_path)
    host.plant("/etc/crontab", "".join(f"{minute} * * * * root /opt/job{minute}\n" for minute in range(3)))
    distinct = host.query("SELECT DISTINCT path, scheduler FROM scheduled_jobs")
    assert distinct == host.query("SELECT path, scheduler FROM scheduled_jobs GROUP BY path, scheduler")
    assert len(distinct) == 1 and len(host.query("SELECT path FROM scheduled_jobs")) == 3
    host.engine.close()
