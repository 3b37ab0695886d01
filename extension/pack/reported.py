"""Finds the reasons that a table gives and that no detection of a pack would report: new ones must not stay silent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Optional, Protocol

from sqlglot import exp

from extension.pack.model import Pack
from extension.sql_trees import sql_tree
from tables.reasons.command_patterns import alert_reasons
from tables.schema import Table

# A column whose text follows from those of the columns of reasons.
_DERIVED = "alert_reasons"
_WORD, _ALERTING = "word", "alerting"


class Evaluator(Protocol):
    """What runs SQL."""

    def query(self, sql: str) -> list[dict[str, str]]:
        """The rows of `sql`, values as text."""


def silent_reasons(pack: Pack, tables: Mapping[str, Table], engine: Evaluator) -> Iterator[tuple[Table, str, str]]:
    """Each (table, column, word) that no detection of `pack` reports, of the words that each deserve a detection.

    A detection reports a word where its conditions hold for a row that has this word alone, whatever it asks of other columns.
    One without a condition on reasons takes every row; that counts where the table has no other.
    """
    # Of what cannot be parsed, check_pack says so.
    parsed = [(query, tree) for query in pack.queries() if (tree := sql_tree(query.sql)) is not None]
    asked = {found.name for _, tree in parsed for found in tree.find_all(exp.Table)}
    for table in (table for table in tables.values() if table.name in asked):
        words = {column.name: column.words().alerting for column in table.columns if column.words is not None}
        detections = [
            tree
            for query, tree in parsed
            if query.kind == "detection" and any(found.name == table.name for found in tree.find_all(exp.Table))
        ]
        conditions = [condition for tree in detections if (condition := _condition(tree, {*words, _DERIVED})) is not None]
        for column, alerting in words.items() if conditions or not detections else ():
            reported = {word for condition in conditions for word in _holding(condition, column, alerting, engine)}
            yield from ((table, column, word) for word in alerting if word not in reported)


def _condition(tree: exp.Expr, names: set[str]) -> Optional[exp.Expr]:
    """What a query's WHEREs together ask of the columns `names`, whatever they ask of others; None when nothing."""
    made = {alias.alias: alias.this for alias in tree.find_all(exp.Alias) if not alias.this.find(exp.Select)}
    parts = []
    for where in tree.find_all(exp.Where):
        # A subquery within a condition asks about other rows.
        if where.find_ancestor(exp.Predicate, exp.Not) is None:
            filled = _filled(where.this, {name: value for name, value in made.items() if name not in names})
            if _mentions(filled, names):
                parts.append(_hopeful(filled, names, True))
    return exp.and_(*parts) if parts else None


def _mentions(node: exp.Expr, names: set[str]) -> bool:
    return any(column.name in names for column in node.find_all(exp.Column))


def _filled(node: exp.Expr, made: Mapping[str, exp.Expr]) -> exp.Expr:
    """`node` with the result columns that it names replaced by what they are made of."""

    def fill(inner: exp.Expr) -> exp.Expr:
        if isinstance(inner, exp.Column) and inner.name in made:
            # A column may be made of one of the same name.
            rest = {name: value for name, value in made.items() if name != inner.name}
            return exp.paren(_filled(made[inner.name], rest))
        return inner

    return node.copy().transform(fill)


def _hopeful(node: exp.Expr, names: set[str], is_wanted: bool) -> exp.Expr:
    """The condition with each part that asks nothing of the columns `names` taken to come out as it must."""
    if not _mentions(node, names):
        return exp.true() if is_wanted else exp.false()
    if isinstance(node, exp.Paren):
        return exp.paren(_hopeful(node.this, names, is_wanted))
    if isinstance(node, exp.Not) and not isinstance(node.this, exp.Is):
        return exp.not_(_hopeful(node.this, names, not is_wanted))
    if isinstance(node, (exp.And, exp.Or)):
        parts = [_hopeful(part, names, is_wanted) for part in (node.this, node.expression)]
        return exp.paren(exp.and_(*parts) if isinstance(node, exp.And) else exp.or_(*parts))
    return node.copy().transform(lambda inner: exp.null() if isinstance(inner, exp.Column) and inner.name not in names else inner)


def _holding(condition: exp.Expr, column: str, words: tuple[str, ...], engine: Evaluator) -> set[str]:
    """The words for which the condition holds when `column` has one alone and other columns of reasons have none."""
    places = {column: _WORD, _DERIVED: _ALERTING}

    def placed(inner: exp.Expr) -> exp.Expr:
        if not isinstance(inner, exp.Column):
            return inner
        return exp.column(places[inner.name], table="given") if inner.name in places else exp.Literal.string("")

    if not words:
        return set()
    rows = [
        exp.select(
            exp.Literal.string(word).as_(_WORD),
            exp.Literal.string(",".join(alert_reasons(word))).as_(_ALERTING),
        )
        for word in words
    ]
    given = exp.union(*rows, distinct=False) if len(rows) > 1 else rows[0]
    sql = exp.select(_WORD).from_(given.subquery("given")).where(condition.copy().transform(placed))
    return {row[_WORD] for row in engine.query(sql.sql("sqlite"))}
