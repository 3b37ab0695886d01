"""Which tables a query only decorates its rows with: without them it has the same rows, and says less about each."""

from __future__ import annotations

import functools

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError


@functools.lru_cache(maxsize=512)
def decorating_tables(sql: str) -> frozenset[str]:
    """The tables that stand in `sql` nowhere but at the right of a LEFT JOIN; none where it cannot be parsed."""
    try:
        tree = sqlglot.parse_one(sql, dialect="sqlite")
    except (SqlglotError, RecursionError):
        return frozenset()
    joined: set[str] = set()
    needed: set[str] = set()
    for table in tree.find_all(exp.Table):
        is_decoration = isinstance(table.parent, exp.Join) and table.parent.side == "LEFT"
        (joined if is_decoration else needed).add(table.name)
    return frozenset(joined - needed)
