"""A walk through a tree of files for those that changed since a moment, about as fast as find(1), in bounded memory."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import NamedTuple, Optional

from tables.host.disk.file_status import FileStatus, Statuses, parse_statx
from tables.host.syscalls import DT_DIR, list_folder

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_LISTING_BYTES = 32 * 1024
_NAME_OFFSET = 19
# Some file systems leave it to their readers to find out the kind of an entry.
_DT_UNKNOWN = 0
_PERHAPS_FOLDERS = frozenset({DT_DIR, _DT_UNKNOWN})
# The kind of an entry as getdents64(2) gives it, without a look at the file itself.
_LISTED_KINDS = {"fifo": 1, "character": 2, "directory": 4, "block": 6, "regular": 8, "symlink": 10, "socket": 12}
KINDS = frozenset(_LISTED_KINDS)
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


class Changed(NamedTuple):
    """A file that changed, by the path below which our own process finds it."""

    path: str
    status: FileStatus


class TreeWalk:
    """Walks depth first; links are not followed. One object serves one walk.

    `closed` are folders not to be entered: mount points with the device (major:minor) that must lie there, or None for
    a path that is left out whatever it is. `must_stop` is asked often; once it says so the walk ends.
    Afterwards `cut` says where it left something out, if it did, and `unreadable` what could not be looked at.
    """

    max_pending = 200_000
    max_unreadable = 5

    def __init__(
        self, closed: Mapping[str, Optional[str]], kinds: Collection[str], since: int, must_stop: Callable[[], bool]
    ) -> None:
        self.closed = closed
        self.since = since
        self.must_stop = must_stop
        self.cut = ""
        self.unreadable: list[str] = []
        self.unreadable_count = 0
        self._wanted_kinds = frozenset(kinds)
        self._plain = frozenset(_LISTED_KINDS[kind] for kind in kinds) - _PERHAPS_FOLDERS
        self._pending: list[str] = []
        self._statuses = Statuses()
        self._listing = ctypes.create_string_buffer(_LISTING_BYTES)
        self._names = [ctypes.byref(self._listing, start + _NAME_OFFSET) for start in range(0, _LISTING_BYTES, 8)]
        self._octets = memoryview(self._listing).cast("B")
        self._lengths = self._octets.cast("H")

    def below(self, folder: str) -> Iterator[Changed]:
        """The files below `folder` of the wanted kinds whose ctime is `since` (unix seconds) or later."""
        self._pending = [folder]
        while self._pending:
            here = self._pending.pop()
            try:
                fd = os.open(here, _FOLDER_FLAGS)
            except OSError as error:
                self._missed(here, error)
                continue
            try:
                yield from self._in_folder(fd, here if here.endswith("/") else here + "/")
            except OSError as error:
                self._missed(here, error)
            finally:
                os.close(fd)

    def _in_folder(self, fd: int, prefix: str) -> Iterator[Changed]:
        while filled := list_folder(fd, self._listing):
            if self.must_stop():
                self.cut, self._pending = f"stopped in {prefix}", []
                return
            slots = self._read_listing(filled, prefix)
            for start in range(0, len(slots), Statuses.limit):
                part = slots[start : start + Statuses.limit]
                results = self._statuses.call(fd, list(map(self._names.__getitem__, part)))
                if any(results):
                    self._explain(fd, prefix, [slot for slot, result in zip(part, results) if result])
                for number in self._statuses.changed_since(len(part), self.since):
                    if results[number] == 0:
                        status = parse_statx(self._statuses.raw(number))
                        if status.kind in self._wanted_kinds:
                            yield Changed(prefix + self._name(part[number]), status)

    def _read_listing(self, filled: int, prefix: str) -> list[int]:
        """Where in the listing, in units of eight bytes, the names of the files to look at lie; folders become pending."""
        slots: list[int] = []
        octets, lengths, plain, append = self._octets, self._lengths, self._plain, slots.append
        position = 0
        # struct linux_dirent64: ino u64, off u64, reclen u16, type u8, NUL-terminated name.
        while position < filled:
            kind = octets[position + 18]
            if kind in plain:
                append(position >> 3)
            elif kind in _PERHAPS_FOLDERS:
                name = self._name(position >> 3)
                if name not in (".", ".."):
                    if kind == DT_DIR or self._is_folder(prefix + name):
                        self._add(prefix + name)
                    if kind == _DT_UNKNOWN or "directory" in self._wanted_kinds:
                        append(position >> 3)
            position += lengths[(position >> 1) + 8]
        return slots

    def _add(self, folder: str) -> None:
        if folder in self.closed and self._is_closed(folder):
            return
        if len(self._pending) < self.max_pending:
            self._pending.append(folder)
        else:
            self.cut = self.cut or f"more than {self.max_pending} folders were waiting at {folder}"

    def _is_closed(self, folder: str) -> bool:
        device = self.closed[folder]
        if device is None:
            return True
        # Another mount may cover the one that was listed, and hide behind its name.
        try:
            found = os.lstat(folder).st_dev
        except OSError:
            return True
        return f"{os.major(found)}:{os.minor(found)}" == device

    def _name(self, slot: int) -> str:
        return os.fsdecode(ctypes.string_at(ctypes.addressof(self._listing) + slot * 8 + _NAME_OFFSET))

    @staticmethod
    def _is_folder(path: str) -> bool:
        try:
            return stat.S_ISDIR(os.lstat(path).st_mode)
        except OSError:
            return False

    def _explain(self, fd: int, prefix: str, slots: list[int]) -> None:
        for slot in slots:
            try:
                os.stat(self._name(slot), dir_fd=fd, follow_symlinks=False)
            except OSError as error:  # noqa: PERF203 -- each is a failure of its own
                self._missed(prefix + self._name(slot), error)

    def _missed(self, path: str, error: OSError) -> None:
        if error.errno in _GONE:
            return
        self.unreadable_count += 1
        if len(self.unreadable) < self.max_unreadable:
            self.unreadable.append(f"{path}: {error.strerror}")
