"""What recent answers of minehunt's tables lacked: the errors, cuts and blind spots behind each query's result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

from tables.host import Host
from tables.schema import BIGINT, TEXT, QueryContext, Row, column, table


@dataclass(frozen=True)
class MinehuntGap(Row):
    """One thing that an answer of one table lacked."""

    sequence: int = column(BIGINT, "grows with each answer that lacks something: what is above an earlier one is new")
    table_name: str = column(TEXT, "table that gave the answer")
    kind: str = column(TEXT, "error (there was no answer), truncated (a bound cut it short), degraded (not all could be seen)")
    why: str = column(TEXT, "what is missing, and why")
    question: Optional[str] = column(TEXT, "constraints of the question, such as `root = /`; empty without any")
    answered_at: int = column(BIGINT, "when the latest answer lacked it, in unix seconds")
    is_blind: bool = column(BIGINT, "1 if something could hide in it (the notes of minehunt_status say what that is)")


@table(
    "minehunt_gaps",
    MinehuntGap,
    description="What recent answers of minehunt's tables lacked, the latest last: errors, cuts and blind spots.",
    sop_steps=(18,),
    examples=["SELECT table_name, kind, why, question FROM minehunt_gaps ORDER BY sequence DESC LIMIT 20"],
    cache_seconds=0.0,
    of_extension=True,
)
def minehunt_gaps(host: Host, query: QueryContext) -> Iterator[MinehuntGap]:
    """One row per table, kind and reason; at most 512, the oldest dropped first.

    `minehunt triage` reads it after each query, so that an answer which was cut is told with the query that got it.
    Kept in the extension's memory: it starts anew with the extension.
    """
    for gap in host.status.gaps():
        yield MinehuntGap(
            sequence=gap.sequence,
            table_name=gap.table,
            kind=gap.kind,
            why=gap.why,
            question=gap.question,
            answered_at=gap.answered_at,
            is_blind=gap.is_blind,
        )
