"""SQL as a tree, for those that ask what a query reads, compares or joins."""

from __future__ import annotations

import functools
from typing import Optional

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError


@functools.lru_cache(maxsize=512)
def sql_tree(sql: str) -> Optional[exp.Expr]:
    """The tree of a query in SQLite's dialect, shared and so not to be changed; None where it cannot be parsed."""
    try:
        return sqlglot.parse_one(sql, dialect="sqlite")
    except (SqlglotError, RecursionError):
        return None
