"""The things in rows that hosts of one campaign may share, as an Ibis expression."""

from __future__ import annotations

from collections.abc import Collection

import ibis
import ibis.expr.types as ir

from extension.fleet.columns import SHARED

_NORMALISED = ("command", "unit")


def shared_values(rows: ir.Table, kinds: Collection[str], normal: ir.Table) -> ir.Table:
    """(query, row_key, kind, value): what hosts of one campaign may share, of these kinds, in rows of any query.

    The same may come twice; `normal` is of normal_texts.
    """
    parts = []
    for kind in sorted(kinds):
        for column in SHARED[kind]:
            part = rows.filter(rows[column] != "").select("query", "row_key", kind=ibis.literal(kind), value=rows[column])
            if kind in _NORMALISED:
                part = part.join(normal, part.value == normal.text).select("query", "row_key", "kind", value=normal.normal)
            parts.append(part)
    return ibis.union(*parts) if len(parts) > 1 else parts[0]
