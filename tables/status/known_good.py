"""What the site has declared normal: the entries in force of its known-good list."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

from tables.host import Host
from tables.indicators.known_good_list import CATEGORIES, in_force, known_good_entries
from tables.schema import BIGINT, TEXT, QueryContext, Row, column, table


@dataclass(frozen=True)
class KnownGood(Row):
    """One entry in force."""

    category: str = column(TEXT, f"kind of thing that is declared normal: {', '.join(CATEGORIES)}", index=True)
    pattern: str = column(
        TEXT, "GLOB pattern over the kind's key text: " + "; ".join(f"of {name} {kind.key}" for name, kind in CATEGORIES.items())
    )
    note: Optional[str] = column(TEXT, "why it is normal, in the words of who listed it")
    expires: Optional[int] = column(BIGINT, "unix time from which on the entry counts no more; NULL for never")
    # Not `path` and `line`: in `NOT EXISTS (SELECT 1 FROM known_good …)` those names mean the outer row's columns.
    list_path: str = column(TEXT, "list that it comes from")
    list_line: int = column(BIGINT, "line it stands on there")


@table(
    "known_good",
    KnownGood,
    description="What the site has declared normal, which the pack's detections leave out: the entries in force of its list.",
    sop_steps=range(1, 19),
    examples=["SELECT category, pattern, note, datetime(expires, 'unixepoch') AS until FROM known_good"],
)
def known_good(host: Host, query: QueryContext) -> Iterator[KnownGood]:
    """One row per entry that has not expired.

    The list is /etc/minehunt/known_good.yaml and known_good.d/*.yaml beside it, or what `known_good:` of the
    configuration, MINEHUNT_KNOWN_GOOD or --known-good names. It must be root's (or ours) and writable by nobody else;
    one that is not, or that is not valid, fails the query with the file's name (and line). No list: no rows.
    """
    current, expired = in_force(known_good_entries(host), time.time())
    if expired:
        query.cannot_tell(f"{expired} entries have expired and count no more")
    for entry in current:
        yield KnownGood(*entry)
