"""Who waits for whom: the mass that one account, file or folder brings must not take the time and the rows of the others."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import islice, zip_longest
from typing import TypeVar

from tables.schema import QueryContext

T = TypeVar("T")
_NOTHING = object()
# The part of the time left that one owner's files may take: one over this.
_TIME_SHARE = 4
_MAX_ROWS = 5000


def in_turn(items: Iterable[T], cost: Callable[[T], float]) -> Iterator[tuple[T, int]]:
    """The items, the cheapest first, each with the number of those to come, itself included.

    Who takes at most that part of what is left gives what it does not need to those that need more.
    """
    ordered = sorted(items, key=cost)
    for index, item in enumerate(ordered):
        yield item, len(ordered) - index


def in_time(query: QueryContext, items: Iterable[T], cost: Callable[[T], float]) -> Iterator[tuple[T, float]]:
    """As `in_turn`, each with the moment (time.monotonic) at which its part of the query's time ends."""
    for item, left in in_turn(items, cost):
        yield item, time.monotonic() + query.seconds_left() / (left + 1)


class Shares:
    """Keeps what each owner of files has had of a query's time and rows, so that none of them has what the others need."""

    def __init__(self, query: QueryContext, rows_each: int = _MAX_ROWS) -> None:
        self.query = query
        self.rows_each = rows_each
        self._seconds: dict[Hashable, float] = defaultdict(float)
        self._rows: dict[Hashable, int] = defaultdict(int)

    def of(self, owner: Hashable, path: str, rows: Iterator[T]) -> Iterator[T]:
        """The rows made of the file at `path`, until its owner has had a quarter of the time that is left, or its `rows_each`."""
        while True:
            is_late = self._seconds[owner] > self.query.seconds_left() / _TIME_SHARE
            if is_late or self._rows[owner] >= self.rows_each:
                why = (
                    "out of time for the files of this account" if is_late else f"{self.rows_each} rows of one account are given"
                )
                self.query.truncate(f"{path}: {why}; not looked into further")
                return
            started = time.monotonic()
            try:
                row = next(rows)
            except StopIteration:
                return
            finally:
                self._seconds[owner] += time.monotonic() - started
            self._rows[owner] += 1
            yield row


def fairly(items: Iterable[T], owner: Callable[[T], Hashable], limit: int) -> list[T]:
    """At most `limit` items, in their order: of each owner as many, as far as it has them."""
    listed = list(items)
    if len(listed) <= limit:
        return listed
    owned: dict[Hashable, list[int]] = {}
    for index, item in enumerate(listed):
        owned.setdefault(owner(item), []).append(index)
    rounds = (index for each in zip_longest(*owned.values(), fillvalue=_NOTHING) for index in each if isinstance(index, int))
    return [listed[index] for index in sorted(islice(rounds, limit))]
