"""Finds SQL that believes in NULL text: in osquery a missing text is '', so `IS NULL` of one never holds.

osquery's DynamicTableRow::get_column (osquery/sql/dynamic_table_row.cpp) gives '' for a missing TEXT or BLOB, and NULL for
a missing number only. What is right on osquery: `x = ''`, `coalesce(x, '') = ''`, `coalesce(nullif(a, ''), b)`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Optional

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import Scope, traverse_scope

# Table → column → SQL type.
Schema = Mapping[str, Mapping[str, str]]

_TEXT_TYPES = frozenset({"TEXT", "BLOB"})
# Functions that are NULL exactly where one of their arguments is.
_STRICT = (exp.DPipe, exp.Lower, exp.Upper, exp.Trim, exp.Substring, exp.Replace, exp.Cast, exp.Paren)
# SQL in a text: what stands between double quotes or back quotes and begins like a query.
_QUOTED = re.compile(r"([\"`])((?:SELECT|WITH)\b.*?)\1", re.DOTALL)

_PLACEHOLDER = re.compile(r"<\w+>")


class Belief(NamedTuple):
    """One place of a query that counts on NULL text: its line in the query, from 1, and what the author is told."""

    line: int
    message: str


def beliefs_in_null_text(sql: str, schema: Schema) -> list[Belief]:
    """Where `sql` asks whether a text column of `schema` is NULL, by IS [NOT] NULL, coalesce, ifnull or count.

    A query that cannot be parsed gives one entry that says so.
    """
    try:
        tree = sqlglot.parse_one(sql, dialect="sqlite")
        scopes = {id(scope.expression): scope for scope in traverse_scope(tree)}
    except (SqlglotError, RecursionError) as error:
        return [Belief(1, f"the SQL cannot be parsed: {str(error).splitlines()[0]}")]
    found = []
    for node in tree.find_all(exp.Is, exp.Coalesce, exp.Count):
        scope = _scope_of(node, scopes)
        if scope is not None and (message := _complaint(node, scope, schema)):
            found.append(Belief(_line(node), message))
    return sorted(set(found))


def quoted_sql(text: str) -> Iterator[tuple[int, str]]:
    """The queries quoted in a document: (line on which it begins, SQL with a number for each <placeholder>)."""
    for match in _QUOTED.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, _PLACEHOLDER.sub("0", match[2])


def _complaint(node: exp.Expr, scope: Scope, schema: Schema) -> Optional[str]:
    if isinstance(node, exp.Is):
        if isinstance(node.expression, exp.Null) and _is_text(node.this, scope, schema):
            return f"`{node.this.sql('sqlite')}` is a text, which osquery never makes NULL: compare with '' instead"
    elif isinstance(node, exp.Count):
        if isinstance(node.this, exp.Column) and _is_text(node.this, scope, schema):
            return f"count({node.this.sql('sqlite')}) counts empty texts too: count(nullif({node.this.sql('sqlite')}, ''))"
    else:
        first, *others = [node.this, *node.expressions]
        if isinstance(first, exp.Column) and len(others) == 1 and _is_empty(others[0]):
            return None
        for part in (first, *others[:-1]):
            if _is_text(part, scope, schema):
                return f"`{part.sql('sqlite')}` is a text, which osquery never makes NULL: use nullif(…, '') inside coalesce"
    return None


def _is_empty(node: exp.Expr) -> bool:
    return isinstance(node, exp.Literal) and bool(node.is_string) and not node.this


def _is_text(node: exp.Expr, scope: Scope, schema: Schema) -> bool:
    """Whether this expression could be NULL only through a missing text, which is '' in osquery."""
    if isinstance(node, exp.Column):
        return _is_text_column(node, scope, schema)
    if isinstance(node, _STRICT):
        return any(_is_text(part, scope, schema) for part in node.iter_expressions())
    return False


def _is_text_column(column: exp.Column, scope: Scope, schema: Schema) -> bool:
    inside: Optional[Scope] = scope
    while inside is not None:
        for name, source in inside.sources.items():
            if column.table in ("", name) and (answer := _column_of(source, column.name, schema)) is not None:
                return answer
        if not column.table:
            # SQLite also takes the name of a result column.
            made = next((part for part in _results(inside) if part.alias == column.name), None)
            if made is not None and not any(made is parent for parent in _parents(column)):
                return _is_text(made.unalias(), inside, schema)
        inside = inside.parent
    return False


def _column_of(source: object, name: str, schema: Schema) -> Optional[bool]:
    """Whether the column `name` of a table, CTE or subquery is a text; None when it has no such column."""
    if isinstance(source, exp.Table):
        kind = schema.get(source.name, {}).get(name)
        return None if kind is None else kind in _TEXT_TYPES
    if not isinstance(source, Scope):
        return None
    # The columns of a UNION are named by its first part.
    first = source.set_operation_scopes[0] if source.set_operation_scopes else source
    named = dict(zip(source.outer_columns, _results(first)))
    if name in named:
        return _is_text(named[name].unalias(), first, schema)
    for part in _results(first):
        if isinstance(part, exp.Star) or (isinstance(part, exp.Column) and isinstance(part.this, exp.Star)):
            for inner in first.sources.values():
                if (answer := _column_of(inner, name, schema)) is not None:
                    return answer
        elif part.alias_or_name == name:
            return _is_text(part.unalias(), first, schema)
    return None


def _results(scope: Scope) -> list[exp.Expr]:
    """The result columns of a scope."""
    query = scope.expression
    return list(query.selects) if isinstance(query, exp.Query) else []


def _scope_of(node: exp.Expr, scopes: Mapping[int, Scope]) -> Optional[Scope]:
    return next((scopes[id(parent)] for parent in _parents(node) if id(parent) in scopes), None)


def _parents(node: exp.Expr) -> Iterator[exp.Expr]:
    """The expression, what it is part of, and so on."""
    parent: Optional[exp.Expr] = node
    while parent is not None:
        yield parent
        parent = parent.parent


def _line(node: exp.Expr) -> int:
    return min((part.meta["line"] for part in node.find_all(exp.Identifier) if "line" in part.meta), default=1)
