"""The tables of an engine (engines.Engine) that DuckDB makes from what duck_files.py has read."""

from __future__ import annotations

import json
from collections.abc import Collection

from extension.fleet.columns import COLUMNS, NARROW
from extension.fleet.reading import quoted
from extension.fleet.statements import Statements


def keep_tables(statements: Statements) -> None:
    """Have `logged`, `spans` and `rows` made from `told` and `contents`; `senders` is there."""
    # Joined and counted by number, read as the names that they stand for.
    statements.keep("query_names", "CREATE TYPE query_names AS ENUM (SELECT query FROM queries ORDER BY number)")
    statements.keep("numbered", "CREATE VIEW numbered AS SELECT number, query::query_names AS query FROM queries")
    statements.keep("logged", "CREATE VIEW logged AS SELECT * EXCLUDE (number) FROM told JOIN numbered USING (number)")
    spans = "min(unix_time) AS first_time, max(unix_time) AS last_time, count(*) AS lines"
    statements.keep("spans", f"CREATE TABLE spans AS SELECT sender, {spans} FROM told GROUP BY sender")  # noqa: S608  # SQL of our own
    parts = [_widen(statements, "wide", COLUMNS, f"query NOT IN ({', '.join(map(quoted, NARROW))})")]
    parts += [_widen(statements, query, columns, f"query = {quoted(query)}") for query, columns in NARROW.items()]
    statements.keep("rows", f"CREATE VIEW rows AS {' UNION ALL '.join(parts)}")


def _widen(statements: Statements, part: str, columns: Collection[str], condition: str) -> str:
    """Keep these columns of the queries that the condition names in a table; SQL of its rows with all columns."""
    structure = json.dumps(dict.fromkeys(columns, "VARCHAR"))
    chosen = ", ".join(f"coalesce(c.{column}, '') AS {column}" for column in columns)
    name = f"{part}_rows"
    sql = f"""
        CREATE TABLE {name} AS SELECT query, row_key, {chosen}
        FROM (SELECT number, row_key, json_transform(row_json, '{structure}') AS c FROM contents)
        JOIN numbered USING (number) WHERE number IN (SELECT number FROM queries WHERE {condition})"""  # noqa: S608
    statements.keep(name, sql)
    every = ", ".join(column if column in columns else f"'' AS {column}" for column in COLUMNS)
    return f"SELECT query, row_key, {every} FROM {name}"  # noqa: S608  # names of our own
