"""What the readers of all runtimes share: files below the host's root, what is already read, and bounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Optional, TypeVar, cast

from tables.host import Host
from tables.host.containers.model import Container
from tables.host.disk.files import Files, Unreadable
from tables.host.disk.footprint import FileKey, file_key
from tables.schema import QueryContext
from tables.unseen import Unseen, heard

# Of one store; kubelets allow 110 pods a node by default.
MAX_CONTAINERS = 10_000
_MAX_KEPT = 4000
# What a larger file says is read again each time; one account can write many of them.
_MAX_KEPT_SIZE = 128 * 1024
_MAX_OF_ACCOUNT = 1000
_MAX_DEPTH = 8
_SHARE = 4
_LINE_LIMIT = 4096


T = TypeVar("T")


class _Kept(NamedTuple):
    states: tuple[Optional[FileKey], ...]
    made: Any
    said: Unseen


class ShareUsedError(Exception):
    """One account's containers have had their part of the time."""


class Store:
    """The door of one scan: `files`, who is told what could not be seen, and what earlier scans have read unchanged."""

    def __init__(self, host: Host, query: QueryContext) -> None:
        self.files: Files = host.files
        self.query = query
        self.unseen: Unseen = query
        self._share_ends: Optional[float] = None
        self._kept: dict[str, _Kept] = host.state("containers: read", dict)

    def check_time(self) -> None:
        """Raise BudgetExceeded when the query's time is used up, ShareUsedError when that of one account is."""
        self.query.check_time()
        if self.is_share_used():
            raise ShareUsedError

    def is_share_used(self) -> bool:
        """Whether the account whose containers are read has had its part of the time; false for the system's own."""
        return self._share_ends is not None and time.monotonic() > self._share_ends

    def of_account(self, name: str, path: str, found: Iterable[Container]) -> Iterator[Container]:
        """The containers of an account, in a quarter of the time that is left, and 1,000 of them."""
        self._share_ends = time.monotonic() + self.query.seconds_left() / _SHARE
        try:
            for count, container in enumerate(found):
                if count >= _MAX_OF_ACCOUNT:
                    self.unseen.truncate(f"{path}: only the first {_MAX_OF_ACCOUNT} containers of {name} are reported")
                    return
                yield container
        except ShareUsedError:
            self.unseen.truncate(f"{path}: out of time for the containers of {name}")
        finally:
            self._share_ends = None

    def names(self, folder: str, most: int = MAX_CONTAINERS) -> list[str]:
        """The names in `folder`, at most so many; [] where there is none."""
        try:
            names = self.files.names(folder)
        except Unreadable as error:
            self.unseen.could_not_see(str(error))
            return []
        if len(names) > most:
            self.unseen.truncate(f"{folder}: only the first {most} of {len(names)} names were read")
        return names[:most]

    def is_inner_folder(self, path: str, depth: int) -> bool:
        """Whether `path`, so many folders below where reading began, is a folder to read too; a ninth is said instead."""
        if not self.files.is_folder(path):
            return False
        if depth >= _MAX_DEPTH:
            self.unseen.truncate(f"{path}: folders below it were not read")
        return depth < _MAX_DEPTH

    def each(self, names: Iterable[str], read: Callable[[str], Optional[Container]]) -> Iterator[Container]:
        """What `read` makes of each name."""
        for name in names:
            self.check_time()
            found = read(name)
            if found is not None:
                yield found

    def kept(self, paths: tuple[str, ...], read: Callable[[], T]) -> Optional[T]:
        """What `read` makes of the files `paths`, called anew only when one of them has changed; None without the first."""
        states = tuple(map(self.state, paths))
        if states[0] is None:
            return None
        known = self._kept.get(paths[0])
        if known is None or known.states != states:
            known = self._read(states, read)
            if len(self._kept) >= _MAX_KEPT:
                self._kept.clear()
            if states[0][2] <= _MAX_KEPT_SIZE:
                self._kept[paths[0]] = known
        self.unseen.take(known.said)
        return cast("T", known.made)

    def _read(self, states: tuple[Optional[FileKey], ...], read: Callable[[], T]) -> _Kept:
        """What `read` makes, with what it could not see, which is said again as long as it is kept."""
        said, before = Unseen(), self.unseen
        self.unseen = said
        try:
            return _Kept(states, next(heard((read() for _ in range(1)), said)), said)
        finally:
            self.unseen = before

    def state(self, path: str) -> Optional[FileKey]:
        """What tells this state of the file from another; None where there is none to be seen."""
        try:
            return file_key(self.files.stat(path))
        except Unreadable as error:
            if not error.is_missing:
                self.unseen.could_not_see(str(error))
            return None

    def line(self, path: str) -> str:
        """The first line of a small file, such as that of a pid; "" where there is none."""
        try:
            return self.files.read_text(path, _LINE_LIMIT).partition("\n")[0].strip()
        except Unreadable:
            return ""

    def pid(self, path: str) -> Optional[int]:
        """The number in a file that holds one; None where there is none."""
        found = self.line(path)
        return int(found) if found.isascii() and found.isdigit() and len(found) < 11 and int(found) else None
