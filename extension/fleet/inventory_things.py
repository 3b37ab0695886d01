"""The things in rows that hosts of one campaign may share, as an Ibis expression."""

from __future__ import annotations

from collections.abc import Iterable

import ibis
import ibis.expr.types as ir
from ibis import _

from extension.fleet.columns import SHARED

_NORMALISED = ("command", "unit")


def shared_values(rows: ir.Table, normal: ir.Table) -> ir.Table:
    """(query, row_key, kind, value): what hosts of one campaign may share, in rows of any query.

    The same may come twice; `normal` is of normal_texts.
    """
    texts = _values(rows, _NORMALISED).join(normal, _.value == normal.text)
    others = _values(rows, [kind for kind in SHARED if kind not in _NORMALISED])
    return ibis.union(others, texts.select("query", "row_key", "kind", value=texts.normal))


def _values(rows: ir.Table, kinds: Iterable[str]) -> ir.Table:
    parts = [
        rows.select("query", "row_key", kind=ibis.literal(kind), value=rows[column]) for kind in kinds for column in SHARED[kind]
    ]
    return ibis.union(*parts).filter(_.value != "")
