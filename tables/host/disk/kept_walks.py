"""Whole-disk walks of the last minute, so that several questions, in whatever order, have each folder read once."""

from __future__ import annotations

import marshal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Optional

from tables.host.disk.folder_reader import Changed, Found, Part, Plan, changed
from tables.host.disk.tree_walk import TreeWalk

_KEPT_SECONDS = 60.0
# The longest span of time that a query of the pack asks for: a walk for a shorter one may have to serve that as well.
_LOOK_BACK_SECONDS = 7 * 86400
_MOST_BYTES = 16 << 20
# Files that are no programs are asked for in few folders, and to describe all of a new disk takes longer than to find them.
_MOST_OTHER_BYTES = 2 << 20
_REGULAR = frozenset({"regular"})


@dataclass
class Walked:
    """What is below a folder: blocks of the files of its parts. `others` is None where these were not kept.

    `moment` is when the walk began, on the clock that only goes forward; `size` and `other_size` count bytes.
    """

    folder: str
    plan: Plan
    programs: list[bytes] = field(default_factory=list)
    others: Optional[list[bytes]] = field(default_factory=list)
    lost: list[tuple[str, str]] = field(default_factory=list)
    lost_count: int = 0
    moment: float = 0.0
    size: int = 0
    other_size: int = 0
    is_too_large: bool = False

    def add(self, part: Part) -> None:
        """Take in what a walk found; what would take too much memory is left out, the files that are no programs first."""
        if self.others is not None and part.others:
            self.others.append(marshal.dumps(part.others))
            self.other_size += len(self.others[-1])
            if self.other_size > _MOST_OTHER_BYTES:
                self.others = None
        if part.programs and not self.is_too_large:
            self.programs.append(marshal.dumps(part.programs))
            self.size += len(self.programs[-1])
            if self.size > _MOST_BYTES:
                self.is_too_large = True
                self.programs.clear()

    def take(self, other: Walked) -> None:
        """Take in what lies in a folder below this one."""
        self.programs += other.programs
        self.size += other.size
        self.other_size += other.other_size
        is_whole = self.others is not None and other.others is not None and self.other_size <= _MOST_OTHER_BYTES
        self.others = [*(self.others or ()), *(other.others or ())] if is_whole else None
        self.lost += other.lost
        self.lost_count += other.lost_count
        self.plan = self.plan._replace(since=max(self.plan.since, other.plan.since))

    def files(self, folder: str, programs_only: bool) -> Iterator[Found]:
        """The files below `folder`, which is this walk's or lies below."""
        prefix = folder.rstrip("/") + "/"
        for block in chain(self.programs, [] if programs_only else self.others or []):
            yield from (found for found in marshal.loads(block) if found[0].startswith(prefix))  # noqa: S302 -- our own

    def serves(self, plan: Plan, programs_only: bool) -> bool:
        """Whether it looked for all that `plan` looks for."""
        return self.plan.since <= plan.since and (programs_only or self.others is not None)

    def losses_below(self, folder: str) -> list[tuple[str, str]]:
        """What could not be looked at below `folder`."""
        return [(path, why) for path, why in self.lost if _is_at_or_below(path, folder)]


class KeptWalks:
    """Answers questions for regular files, each from walks of the last minute as far as these have the answer."""

    def __init__(self) -> None:
        self._kept: list[Walked] = []

    def walk(
        self, folder: str, plan: Plan, programs_only: bool, must_stop: Callable[[], bool], readers: int
    ) -> tuple[Iterator[Changed], TreeWalk]:
        """The files that `plan` looks for and perhaps others; and the walk, which says afterwards what is missing."""
        oldest = time.monotonic() - _KEPT_SECONDS
        self._kept = [kept for kept in self._kept if kept.moment > oldest]
        serving = [kept for kept in self._kept if kept.serves(plan, programs_only)]
        for kept in serving:
            # Whether one of many losses that nobody has named is below the folder is not known.
            if _agree(kept.folder, kept.plan, folder, plan) and kept.lost_count == len(kept.lost):
                walk = TreeWalk(plan, must_stop)
                walk.lost = kept.losses_below(folder)
                walk.lost_count = len(walk.lost)
                return map(changed, kept.files(folder, programs_only)), walk
        parts = [kept for kept in serving if _agree(folder, plan, kept.folder, kept.plan)]
        parts = [part for part in parts if not any(part is not other and _agree_at(other, part) for other in parts)]
        closed = {**plan.closed, **{part.folder: None for part in parts}}
        since = min(plan.since, int(time.time()) - _LOOK_BACK_SECONDS)
        walk = TreeWalk(plan._replace(closed=closed, since=since, until_ns=None), must_stop, readers)
        return self._rest(folder, plan._replace(since=since, until_ns=None), programs_only, walk, parts), walk

    def _rest(self, folder: str, plan: Plan, programs_only: bool, walk: TreeWalk, parts: list[Walked]) -> Iterator[Changed]:
        whole = Walked(folder, plan, moment=time.monotonic())
        for kept in parts:
            whole.take(kept)
            yield from map(changed, kept.files(kept.folder, programs_only))
        for part in walk.below(folder):
            whole.add(part)
            # Files of no further use are not even described.
            walk.programs_only = programs_only and whole.others is None
            yield from map(changed, part.programs)
            if not programs_only:
                yield from map(changed, part.others)
        walk.lost += whole.lost
        walk.lost_count += whole.lost_count
        if not walk.cut and not whole.is_too_large:
            whole.lost, whole.lost_count = list(walk.lost), walk.lost_count
            self._keep(whole, parts)

    def _keep(self, whole: Walked, parts: list[Walked]) -> None:
        # Its parts may still have the files that are no programs, of which the whole has too many.
        replaced = {whole.folder, *(part.folder for part in parts if whole.others is not None)}
        self._kept = [kept for kept in self._kept if kept.folder not in replaced] + [whole]
        while sum(kept.size for kept in self._kept) > 2 * _MOST_BYTES:
            del self._kept[0]


def _agree_at(wide: Walked, narrow: Walked) -> bool:
    return wide.folder != narrow.folder and _agree(wide.folder, wide.plan, narrow.folder, narrow.plan)


def _agree(wide: str, wide_plan: Plan, narrow: str, narrow_plan: Plan) -> bool:
    """Whether a walk below `wide` meets just what one below `narrow` does there: no mount is closed to only one of them."""
    if not _is_at_or_below(narrow, wide) or any(_is_at_or_below(narrow, point) for point in wide_plan.closed if point != wide):
        return False
    return _closed_below(narrow, wide_plan) == _closed_below(narrow, narrow_plan)


def _closed_below(folder: str, plan: Plan) -> dict[str, Optional[str]]:
    return {point: device for point, device in plan.closed.items() if point != folder and _is_at_or_below(point, folder)}


def _is_at_or_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def changed_below(
    kept: Optional[KeptWalks], folder: str, plan: Plan, programs_only: bool, must_stop: Callable[[], bool], readers: int
) -> tuple[Iterable[Changed], TreeWalk]:
    """As KeptWalks.walk; without them, or for other than regular files, by a walk for just what `plan` looks for."""
    if kept is not None and plan.kinds == _REGULAR:
        return kept.walk(folder, plan, programs_only, must_stop, readers)
    walk = TreeWalk(plan, must_stop, readers, programs_only)
    return map(changed, chain.from_iterable(chain(part.programs, part.others) for part in walk.below(folder))), walk
