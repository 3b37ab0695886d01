"""What each table did last, and what its answers lacked: the facts behind `minehunt_status` and `minehunt_gaps`."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Optional

# Of a question that nobody has asked again for so long, nothing is said any more.
_KEPT_SECONDS = 25 * 3600.0
_MAX_QUESTIONS = 64
_MAX_GAPS = 512

ERROR, TRUNCATED, DEGRADED = "error", "truncated", "degraded"


@dataclass(frozen=True)
class Notes:
    """What one answer of a table lacks: why there is none, which bound cut it, what could not be seen.

    `blind` is that part of `degraded` in which something could hide; all of it where nobody has told them apart.
    """

    error: Optional[str] = None
    truncated: Optional[str] = None
    degraded: tuple[str, ...] = ()
    blind: Optional[tuple[str, ...]] = None

    def gaps(self) -> Iterable[tuple[str, str, bool]]:
        """Each as (kind, why, whether something could hide in it): error, truncated or degraded."""
        yield from ((kind, why, True) for kind, why in ((ERROR, self.error), (TRUNCATED, self.truncated)) if why)
        yield from ((DEGRADED, why, self.blind is None or why in self.blind) for why in self.degraded)


@dataclass(frozen=True)
class TableStatus:
    """The record of one table since this process started; durations in milliseconds.

    `notes` are those of each different question (set of constraints) that was last asked within a day, by its text.
    """

    calls: int = 0
    scans: int = 0
    last_duration_ms: Optional[int] = None
    last_rows: Optional[int] = None
    total_duration_ms: int = 0
    notes: Mapping[str, Notes] = field(default_factory=dict)

    @property
    def last_error(self) -> Optional[str]:
        """Why the last scan of a question failed."""
        return _joined(notes.error for notes in self.notes.values())

    @property
    def truncated(self) -> Optional[str]:
        """Which bounds cut answers short."""
        return _joined(notes.truncated for notes in self.notes.values())

    @property
    def degraded(self) -> tuple[str, ...]:
        """What could not be seen."""
        return tuple(dict.fromkeys(why for notes in self.notes.values() for why in notes.degraded))

    @property
    def is_blind(self) -> bool:
        """Whether something could hide in it."""
        return any(notes.degraded if notes.blind is None else notes.blind for notes in self.notes.values())


class Gap(NamedTuple):
    """Something that an answer lacked; `sequence` grows with each answer that lacked something."""

    sequence: int
    table: str
    kind: str
    why: str
    question: str
    answered_at: int
    is_blind: bool


class StatusBoard:
    """Thread-safe records by table name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: dict[str, TableStatus] = {}
        self._asked: dict[tuple[str, str], float] = {}
        self._gaps: dict[tuple[str, str, str], Gap] = {}
        self._sequence = 0

    def called(self, table: str) -> None:
        """Count a call."""
        with self._lock:
            record = self._records.get(table, TableStatus())
            self._records[table] = replace(record, calls=record.calls + 1)

    def scanned(self, table: str, question: str, duration_ms: int, rows: Optional[int], notes: Notes) -> None:
        """Record how a scan for a question ended; `rows` is None when it failed."""
        with self._lock:
            record = self._records.get(table, TableStatus())
            kept = {text: old for text, old in record.notes.items() if text != question and not self._is_stale(table, text)}
            while len(kept) >= _MAX_QUESTIONS:
                del kept[next(iter(kept))]
            self._asked[table, question] = time.monotonic()
            self._records[table] = replace(
                record,
                scans=record.scans + 1,
                last_duration_ms=duration_ms,
                last_rows=rows,
                total_duration_ms=record.total_duration_ms + duration_ms,
                notes={**kept, question: notes},
            )

    def answered(self, table: str, question: str, notes: Notes) -> None:
        """Record what an answer lacked, whether it was scanned for or given once more."""
        with self._lock:
            for kind, why, is_blind in notes.gaps():
                self._sequence += 1
                # The newest last: what is said of every row of a JOIN is kept once.
                self._gaps.pop((table, kind, why), None)
                self._gaps[table, kind, why] = Gap(self._sequence, table, kind, why, question, int(time.time()), is_blind)
                if len(self._gaps) > _MAX_GAPS:
                    del self._gaps[next(iter(self._gaps))]

    def gaps(self) -> list[Gap]:
        """What recent answers lacked, the latest last; at most 512 different things."""
        with self._lock:
            return list(self._gaps.values())

    def names(self) -> list[str]:
        """The tables that have a record."""
        with self._lock:
            return sorted(self._records)

    def get(self, table: str) -> TableStatus:
        """The record of one table."""
        with self._lock:
            record = self._records.get(table, TableStatus())
            fresh = {text: notes for text, notes in record.notes.items() if not self._is_stale(table, text)}
            return replace(record, notes=fresh)

    def _is_stale(self, table: str, question: str) -> bool:
        return time.monotonic() - self._asked.get((table, question), 0.0) > _KEPT_SECONDS


def _joined(texts: Iterable[Optional[str]]) -> Optional[str]:
    return "; ".join(dict.fromkeys(filter(None, texts))) or None
