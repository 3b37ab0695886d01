"""What of the inventories' rows is the same thing on several hosts (columns.STACKS), as Ibis expressions."""

from __future__ import annotations

import functools
import operator
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import ibis
import ibis.expr.types as ir
from ibis import _

from extension.fleet.columns import ANY_STACK, STACKS

_REASONS = ("reasons", "program_reasons", "unit_reasons")


def stackable(rows: ir.Table, queries: Iterable[str], normal: ir.Table) -> ir.Table:
    """(query, row_key, kind, text, example, program, package, reasons): what of the rows of these queries is stacked.

    `normal` is of normal_texts.
    """
    stacks = {query: STACKS.get(query, ANY_STACK) for query in queries}
    keys = _places(rows, {query: stack.key for query, stack in stacks.items()})
    exact = _places(rows, {query: stack.exact for query, stack in stacks.items()})
    named = [(rows.query == query, stack.kind) for query, stack in stacks.items() if stack.kind]
    own = rows.select(
        "query",
        "row_key",
        **{f"key_{place}": key for place, key in enumerate(keys)},
        exact=_joined(exact),
        kind=_first_true(named, rows.query.cast("string")),
        program=_chosen(rows, {query: stack.program for query, stack in stacks.items()}),
        package=_chosen(rows, {query: stack.package for query, stack in stacks.items()}),
        reasons=functools.reduce(operator.add, (rows[column] for column in _REASONS)),
    ).filter(_.query.isin(list(stacks)))
    for place in range(len(keys)):
        renamed = normal.select(**{f"text_{place}": normal.text, f"normal_{place}": normal.normal})
        own = own.left_join(renamed, [(f"key_{place}", f"text_{place}")])
    texts = [own[f"normal_{place}"].fill_null("") for place in range(len(keys))]
    examples = [own[f"key_{place}"] for place in range(len(keys))]
    return own.select(
        "query", "row_key", "kind", "program", "package", "reasons",
        text=_joined([*texts, own.exact]),
        example=_joined([*examples, own.exact]),
    ).filter(_.text != "")  # fmt: skip


def with_thing(stackable: ir.Table) -> ir.Table:
    """With the thing that a row is: of a query's rows with one text the first, since numbers are sooner counted than texts."""
    return stackable.mutate(thing=_.row_key.min().over(ibis.window(group_by=["query", "text"])))


def _places(rows: ir.Table, columns: Mapping[str, tuple[str, ...]]) -> list[ir.StringValue]:
    """What the first of the columns of each row's query holds, what the second does, and so on."""
    return [_chosen(rows, dict(zip(columns, place))) for place in zip_longest(*columns.values(), fillvalue="")]


def _chosen(rows: ir.Table, columns: Mapping[str, str]) -> ir.StringValue:
    """What the column of each row's query holds, '' where it has none."""
    queries: dict[str, list[str]] = defaultdict(list)
    for query, column in columns.items():
        queries[column].append(query)
    return _first_true([(rows.query.isin(queries[column]), rows[column]) for column in queries if column], ibis.literal(""))


def _first_true(branches: Sequence[tuple[ir.BooleanValue, Any]], otherwise: ir.StringValue) -> ir.StringValue:
    return ibis.cases(*branches, else_=otherwise) if branches else otherwise


def _joined(parts: Iterable[ir.StringValue]) -> ir.StringValue:
    """The parts with a blank between those that are not empty."""
    behind_blanks = (ibis.ifelse(part == "", "", ibis.literal(" ") + part) for part in parts)
    return functools.reduce(operator.add, behind_blanks, ibis.literal("")).strip()
