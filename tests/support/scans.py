"""Asks a table directly, past the runner."""

from __future__ import annotations

from tables.host import Host
from tables.schema import QueryContext, Table


def unseen_by(table: Table, host: Host) -> tuple[str, ...]:
    """What a scan of the whole table says that it could not see."""
    query = QueryContext()
    for _ in table.generate(host, query):
        pass
    return query.unseen
