"""A walk through a tree of files for those that changed since a moment, by one process or several, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

from tables.host.disk.folder_reader import MAX_LOST, MAX_PENDING, FolderReader, Part, Plan, too_many_pending
from tables.host.disk.forked_readers import ForkedReaders


class TreeWalk:
    """Walks below a folder; links are not followed. One object serves one walk.

    `readers` is how many processes may read at once; small trees are read by this one alone. `must_stop` is asked often; once
    it says so the walk ends. With `programs_only`, which may be set while the walk goes on, of regular files only those that
    are executable, in machine code or scripts are wanted. Afterwards `cut` says where the walk left something out, if it did,
    `lost` are some of the paths, each with the reason, that could not be looked at, and `lost_count` is how many there are.
    """

    def __init__(self, plan: Plan, must_stop: Callable[[], bool], readers: int = 1, programs_only: bool = False) -> None:
        self.plan = plan
        self.must_stop = must_stop
        self.programs_only = programs_only
        self.cut = ""
        self.lost: list[tuple[str, str]] = []
        self.lost_count = 0
        self._readers = readers
        self._pending: list[str] = []
        self._here = ""

    def below(self, folder: str) -> Iterator[Part]:
        """What is below `folder`, part by part."""
        self._pending, self._here = [folder], folder
        reader = FolderReader(self.plan)
        while self._pending and not self._is_over():
            waiting, self._pending = self._pending, []
            for part in reader.read(waiting, self.programs_only):
                self._note(part)
                yield part
                if not part.is_last and self._is_over():
                    return
            # A first part shows whether there is enough to be worth the company.
            if self._readers > 1 and self._pending:
                yield from self._side_by_side()

    def _side_by_side(self) -> Iterator[Part]:
        """Read on with other processes; without any left, this one reads what is left alone."""
        with closing(ForkedReaders(self.plan, self._readers)) as readers:
            self._readers = 1
            while readers.pids and (self._pending or readers.is_busy) and not self._is_over():
                readers.hand_out(self._pending, self.programs_only)
                for part in readers.parts():
                    self._note(part)
                    readers.hand_out(self._pending, self.programs_only)
                    yield part
            self.cut = "; ".join(filter(None, [self.cut, *readers.losses]))

    def _is_over(self) -> bool:
        if not self.must_stop():
            return False
        self.cut = self.cut or f"stopped in {self._here}"
        self._pending = []
        return True

    def _note(self, part: Part) -> None:
        self._here = part.here
        self.cut = self.cut or part.cut
        self.lost += part.lost[: MAX_LOST - len(self.lost)]
        self.lost_count += part.lost_count
        room = MAX_PENDING - len(self._pending)
        if len(part.pending) > room:
            self.cut = self.cut or too_many_pending(part.pending[room])
        self._pending += part.pending[:room]
