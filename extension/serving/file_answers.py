"""Answers of tables that rest on files alone: they serve again while all these are as they were."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from extension.serving.packed_rows import PackedRows
from tables.host.disk.footprint import Footprint, footprint
from tables.schema import QueryContext, Table, WireRow
from tables.unseen import Unseen

# A file's times can be set back by whoever sets the clock or writes to the disk past the file system: so long it may go unseen.
_SERVES_SECONDS = 3600.0
# A table without constraints is asked with and without its columns on demand.
_MAX_ANSWERS = 16


class _Answer(NamedTuple):
    """The rows of a scan, what it lacks, when it was made and what it rests on."""

    moment: float
    packed: PackedRows
    lacks: Unseen
    rests_on: Footprint


class FileAnswers:
    """The last whole answers, by table and question; of tables that say `rests_on_files`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[tuple[str, str], _Answer] = {}

    def rows(self, table: Table, query: QueryContext, scan: Callable[[], list[WireRow]]) -> list[WireRow]:
        """The rows that `scan` finds, or found before where nothing has changed since; raises what it raises."""
        key = table.name, table.question(query)
        moment = self._clock()
        known = self._kept.get(key)
        if known is not None and moment - known.moment < _SERVES_SECONDS and known.rests_on.holds():
            query.take(known.lacks)
            return known.packed.rows()
        self._kept.pop(key, None)
        with footprint() as rests_on:
            rows = scan()
        if query.truncated is None and rests_on.is_whole:
            if len(self._kept) >= _MAX_ANSWERS:
                self._kept.clear()
            self._kept[key] = _Answer(moment, PackedRows(rows), query, rests_on)
        return rows
