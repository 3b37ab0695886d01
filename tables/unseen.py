"""What an answer lacks, said where it is found out: what could not be seen, and which bounds cut it short."""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import ContextVar
from typing import Optional, TypeVar

T = TypeVar("T")

# A host with a thousand unreadable folders is told by some of them, and by their number.
_MAX_NAMED = 20


_heard_by: ContextVar[Optional[Unseen]] = ContextVar("heard_by", default=None)


def say_cut(*why: str) -> None:
    """Say which bound cut something short to the query for which this runs; for rooms that know of no query."""
    unseen = _heard_by.get()
    if unseen is not None:
        unseen.truncate(*why)


def heard(rows: Iterator[T], unseen: Unseen) -> Iterator[T]:
    """`rows`, made so that what is said meanwhile with `say_cut` is said to `unseen`."""
    while True:
        token = _heard_by.set(unseen)
        try:
            row = next(rows)
        except StopIteration:
            return
        finally:
            _heard_by.reset(token)
        yield row


class Unseen:
    """Collects what one scan lacks; a room that keeps what it read keeps its own, and hands it on with `take`.

    It is filled while the scan goes on, so that nothing is lost when that is cut, fails or is left behind.
    """

    def __init__(self) -> None:
        self._unseen = _Texts()
        self._untold = _Texts()
        self._cut = _Texts()

    def could_not_see(self, *why: str) -> None:
        """Say what could not be read, compared or looked at, so that something could hide there; said twice it counts once."""
        self._unseen.add(why)

    def cannot_tell(self, *why: str) -> None:
        """Say what is missing without that anything could hide in it here.

        That is what only describes what was seen (which package owns it), what a host of this kind does not have (a
        package database, a kernel's interface), and what is another machine's to look at (its file systems).
        """
        self._untold.add(why)

    def truncate(self, *why: str) -> None:
        """Say which bound cut the scan short, and where."""
        self._cut.add(why)

    def take(self, other: Unseen) -> None:
        """Say all that `other` collected."""
        self._unseen.take(other._unseen)
        self._untold.take(other._untold)
        self._cut.take(other._cut)

    @property
    def unseen(self) -> tuple[str, ...]:
        """What could not be seen or told, each in the order in which it was said: at most 20 texts, and how many more."""
        return (*self.blind, *self.untold)

    @property
    def blind(self) -> tuple[str, ...]:
        """That part of it in which something could hide."""
        return self._unseen.all()

    @property
    def untold(self) -> tuple[str, ...]:
        """The other part."""
        return self._untold.all()

    @property
    def cuts(self) -> tuple[str, ...]:
        """Which bounds were hit, likewise."""
        return self._cut.all()

    @property
    def said(self) -> tuple[str, ...]:
        """Both."""
        return (*self.unseen, *self.cuts)

    @property
    def truncated(self) -> Optional[str]:
        """The same as one text, separated by `; `; None where nothing was cut."""
        return "; ".join(self.cuts) or None


class _Texts:
    """Different texts in their order, and how many are left out."""

    def __init__(self) -> None:
        self._kept: dict[str, None] = {}
        self._more = 0

    def add(self, texts: tuple[str, ...]) -> None:
        for text in texts:
            if len(self._kept) < _MAX_NAMED:
                self._kept[text] = None
            elif text not in self._kept:
                self._more += 1

    def take(self, other: _Texts) -> None:
        self.add(tuple(other._kept))
        self._more += other._more

    def all(self) -> tuple[str, ...]:
        # A scan that is left behind goes on adding.
        return (*list(self._kept), *([f"and {self._more} more"] if self._more else []))
