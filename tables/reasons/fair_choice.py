"""Keeps the best of very many things, so that no group of them, however large, pushes another one out."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class FairChoice(Generic[T]):
    """Keeps at most `most` things: of each group as many as of every other, those of the highest rank.

    What small groups leave of their share goes to the larger ones. `dropped` counts what is left out. Takes linear time, but
    for sorting, and room for a quarter more than is kept.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.dropped = 0
        self._groups: dict[Hashable, list[tuple[Any, int, T]]] = {}
        self._number = 0
        self._kept = 0

    def add(self, group: Hashable, rank: Any, thing: T) -> None:
        """Offer one more thing; of two of one rank the later is kept."""
        self._number += 1
        self._groups.setdefault(group, []).append((rank, self._number, thing))
        self._kept += 1
        if self._kept > self.most + self.most // 4 + 1:
            self.trim()

    def trim(self) -> None:
        """Leave out what is too much by now."""
        share, left = self.most, self.most
        sizes = sorted(len(group) for group in self._groups.values())
        for number, size in enumerate(sizes):
            share = left // (len(sizes) - number)
            if size > share:
                break
            left -= size
        else:
            return
        for name, group in list(self._groups.items()):
            if len(group) > share:
                group.sort(key=lambda one: one[:2], reverse=True)
                del group[share:]
                if not group:
                    del self._groups[name]
        before, self._kept = self._kept, sum(map(len, self._groups.values()))
        self.dropped += before - self._kept

    def __iter__(self) -> Iterator[T]:
        self.trim()
        return (thing for group in self._groups.values() for _, _, thing in group)

    def __len__(self) -> int:
        """How many are kept."""
        return self._kept
