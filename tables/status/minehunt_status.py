"""What every minehunt table did last, and what it could not see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

import tables
from tables.host import Host
from tables.schema import BIGINT, TEXT, QueryContext, Row, column, table


@dataclass(frozen=True)
class MinehuntStatus(Row):
    """One table's record since the extension started."""

    table_name: str = column(TEXT, "table that the row is about", index=True)
    calls: int = column(BIGINT, "queries answered since the extension started")
    scans: int = column(BIGINT, "scans made for them (the other calls were answered from the last scan)")
    last_duration_ms: Optional[int] = column(BIGINT, "how long the last scan took, in milliseconds")
    total_duration_ms: int = column(BIGINT, "how long all scans took together, in milliseconds")
    last_rows: Optional[int] = column(BIGINT, "rows the last scan found; NULL when it failed or none was made yet")
    last_error: Optional[str] = column(TEXT, "why the last scan failed, of each question (set of constraints) asked within a day")
    truncated: int = column(BIGINT, "1 if a bound cut the last scan of a question short")
    truncated_why: Optional[str] = column(TEXT, "which bounds those were")
    degraded: int = column(BIGINT, "1 if the last scan of a question could not see everything")
    degraded_why: str = column(TEXT, "what kept it from seeing everything, separated by `; `")
    is_blind: int = column(BIGINT, "1 if something could hide in what it could not see (the notes say what that is)")


@table(
    "minehunt_status",
    MinehuntStatus,
    description="What every minehunt table did last, how long it took, and what it could not see and why.",
    sop_steps=(18,),
    examples=[
        "SELECT table_name, last_error, degraded_why FROM minehunt_status WHERE last_error <> '' OR truncated = 1 OR is_blind = 1"
    ],
    cache_seconds=0.0,
    of_extension=True,
)
def minehunt_status(host: Host, query: QueryContext) -> Iterator[MinehuntStatus]:
    """One row per minehunt table, also for those never queried (calls = 0), and with the embedded engine per core table used.

    An empty detection result means "nothing there" only when this table shows a recent scan without error or truncation, and
    with is_blind = 0. That is 1 for all that this host has and that could not be looked at: not root, a refused or unreadable
    file, a user's own file system. It stays 0 where only a description is missing (which package owns a file), where a host
    of this kind has nothing to look at (no package database, no such interface of the kernel), and for file systems of other
    machines. Kept in the extension's memory: it starts anew with the extension.
    """
    for name in sorted({*tables.modules(), *host.status.names()}):
        record = host.status.get(name)
        yield MinehuntStatus(
            table_name=name,
            calls=record.calls,
            scans=record.scans,
            last_duration_ms=record.last_duration_ms,
            total_duration_ms=record.total_duration_ms,
            last_rows=record.last_rows,
            last_error=record.last_error,
            truncated=bool(record.truncated),
            truncated_why=record.truncated,
            degraded=bool(record.degraded),
            degraded_why="; ".join(record.degraded),
            is_blind=record.is_blind,
        )
