"""Compares what is on a host with a known-good list: what the list does not cover, and what of the list is not there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from extension.baseline.seen import Entry, Seen
from tables.indicators.known_good_list import Entry as Listed


@dataclass(frozen=True)
class Drift:
    """One category: its entries that no pattern covers, and the patterns that match nothing there."""

    seen: Seen
    new: tuple[Entry, ...]
    gone: tuple[Listed, ...]

    def as_json(self) -> dict[str, Any]:
        """The drift as JSON types."""
        return {
            "category": self.seen.source.category,
            "problem": self.seen.problem,
            "blind_spots": list(self.seen.blind_spots),
            "new": [{"key": entry.key, "context": entry.context} for entry in self.new],
            "gone": [listed._asdict() for listed in self.gone],
        }


def compare(seen: Iterable[Seen], listed: Iterable[Listed]) -> list[Drift]:
    """Every category that was looked at, against the list; one that could not be read has no drift but its problem."""
    entries = list(listed)
    return [_compare(one, [entry for entry in entries if entry.category == one.source.category]) for one in seen]


def _compare(seen: Seen, listed: list[Listed]) -> Drift:
    if seen.problem:
        return Drift(seen, (), ())
    # SQLite itself, so that GLOB means here what it means in the pack's queries.
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE seen (number INTEGER, key TEXT)")
        db.execute("CREATE TABLE listed (number INTEGER, pattern TEXT)")
        db.executemany("INSERT INTO seen VALUES (?, ?)", [(number, entry.key) for number, entry in enumerate(seen.entries)])
        db.executemany("INSERT INTO listed VALUES (?, ?)", [(number, entry.pattern) for number, entry in enumerate(listed)])
        new = db.execute("SELECT number FROM seen WHERE NOT EXISTS (SELECT 1 FROM listed WHERE key GLOB pattern) ORDER BY 1")
        gone = db.execute("SELECT number FROM listed WHERE NOT EXISTS (SELECT 1 FROM seen WHERE key GLOB pattern) ORDER BY 1")
        return Drift(seen, tuple(seen.entries[number] for (number,) in new), tuple(listed[number] for (number,) in gone))
