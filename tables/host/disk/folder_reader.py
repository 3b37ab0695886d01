"""Reads folders for files that changed since a moment, about as fast as find(1): one process's share of a walk."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Optional

from tables.host.disk.file_heads import SCRIPT, head_in_folder
from tables.host.disk.file_status import FileStatus, Statuses
from tables.host.disk.unmarked import open_unmarked
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
_EXECUTABLE = 0o111
# What one part holds and how long it takes, so that it is soon known how far a walk is, and little is waiting at once.
_PART_FILES = 1000
_PART_SECONDS = 0.03
MAX_PENDING = 200_000
MAX_LOST = 5

# Path, the fields of FileStatus, head: exact tuples of plain values, which marshal hands from one process to another.
Found = tuple[Any, ...]


class Changed(NamedTuple):
    """A file that changed, by the path below which our own process finds it; `head` as file_head() gives it if it is regular."""

    path: str
    status: FileStatus
    head: Optional[bytes]


class Plan(NamedTuple):
    """What a walk looks for: files of these kinds whose ctime is `since` (unix seconds) or later, and not after `until_ns`.

    `closed` are folders not to be entered: mount points with the device (major:minor) that must lie there, or None for
    a path that is left out whatever it is.
    """

    closed: Mapping[str, Optional[str]]
    kinds: frozenset[str]
    since: int
    until_ns: Optional[int] = None


class Part(NamedTuple):
    """What a reader found since its last part, in which folder it is, and folders that it leaves to others.

    `lost` are some of the paths, with the reason, that could not be looked at, `lost_count` is how many there are.
    """

    programs: list[Found]
    others: list[Found]
    here: str
    pending: list[str]
    lost: list[tuple[str, str]]
    lost_count: int
    cut: str
    is_last: bool


def changed(found: Found) -> Changed:
    """One of a part's files."""
    return Changed(found[0], FileStatus(*found[1:-1]), found[-1])


class FolderReader:
    """Reads folders depth first; links are not followed. One object serves one thread."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._plain = frozenset(_LISTED_KINDS[kind] for kind in plan.kinds) - _PERHAPS_FOLDERS
        self._statuses = Statuses()
        self._listing = ctypes.create_string_buffer(_LISTING_BYTES)
        self._names = [ctypes.byref(self._listing, start + _NAME_OFFSET) for start in range(0, _LISTING_BYTES, 8)]
        self._address = ctypes.addressof(self._listing) + _NAME_OFFSET
        self._octets = memoryview(self._listing).cast("B")
        self._lengths = self._octets.cast("H")
        self._programs_only = False
        self._pending: list[str] = []
        self._here = ""
        self._empty()

    def read(self, folders: list[str], programs_only: bool) -> Iterator[Part]:
        """Some of what is below these folders, the last first: one part or more; the last leaves the folders that were not read.

        Of regular files only those that are executable, in machine code or scripts are wanted if `programs_only`.
        """
        self._pending = folders
        self._programs_only = programs_only
        end = pause = time.monotonic() + _PART_SECONDS
        while self._pending and time.monotonic() < end:
            self._here = here = self._pending.pop()
            try:
                fd = open_unmarked(here, _FOLDER_FLAGS)
            except OSError as error:
                self._missed(here, error)
                continue
            try:
                for _ in self._listings(fd, here if here.endswith("/") else here + "/"):
                    if len(self._programs) + len(self._others) >= _PART_FILES or time.monotonic() > pause:
                        yield self._part(is_last=False)
                        pause = time.monotonic() + _PART_SECONDS
            except OSError as error:
                self._missed(here, error)
            finally:
                os.close(fd)
        yield self._part(is_last=True)

    def _empty(self) -> None:
        self._programs: list[Found] = []
        self._others: list[Found] = []
        self._lost: list[tuple[str, str]] = []
        self._lost_count = 0
        self._cut = ""

    def _part(self, is_last: bool) -> Part:
        pending, self._pending = (self._pending, []) if is_last else ([], self._pending)
        part = Part(self._programs, self._others, self._here, pending, self._lost, self._lost_count, self._cut, is_last)
        self._empty()
        return part

    def _listings(self, fd: int, prefix: str) -> Iterator[None]:
        """Read a folder, pausing now and then."""
        while filled := list_folder(fd, self._listing):
            slots = self._read_listing(filled, prefix)
            for start in range(0, len(slots), Statuses.limit):
                part = slots[start : start + Statuses.limit]
                results = self._statuses.call(fd, list(map(self._names.__getitem__, part)))
                if any(results):
                    self._explain(fd, prefix, [slot for slot, result in zip(part, results) if result])
                for number in self._statuses.changed_since(len(part), self._plan.since):
                    if results[number] == 0:
                        self._take(fd, prefix, self._name(part[number]), number)
            yield

    def _take(self, fd: int, prefix: str, name: bytes, number: int) -> None:
        if self._plan.until_ns is not None and self._statuses.status(number).ctime_ns > self._plan.until_ns:
            return
        mode = self._statuses.modes[number]
        is_regular = stat.S_ISREG(mode)
        head = None
        is_program = is_regular and mode & _EXECUTABLE
        if self._programs_only and not is_program:
            # Of most files that is all there is to be known.
            if not is_regular or self._statuses.sizes[number] < len(SCRIPT):
                return
            head = head_in_folder(name, fd)
            if not head:
                return
        status = self._statuses.status(number)
        if status.kind not in self._plan.kinds:
            return
        if is_regular and head is None:
            head = head_in_folder(name, fd)
        (self._programs if is_program or head else self._others).append((prefix + os.fsdecode(name), *status, head))

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
                name = os.fsdecode(self._name(position >> 3))
                if name not in (".", ".."):
                    if kind == DT_DIR or self._is_folder(prefix + name):
                        self._add(prefix + name)
                    if kind == _DT_UNKNOWN or "directory" in self._plan.kinds:
                        append(position >> 3)
            position += lengths[(position >> 1) + 8]
        return slots

    def _add(self, folder: str) -> None:
        if folder in self._plan.closed and self._is_closed(folder):
            return
        if len(self._pending) < MAX_PENDING:
            self._pending.append(folder)
        else:
            self._cut = self._cut or too_many_pending(folder)

    def _is_closed(self, folder: str) -> bool:
        device = self._plan.closed[folder]
        if device is None:
            return True
        # Another mount may cover the one that was listed, and hide behind its name.
        try:
            found = os.lstat(folder).st_dev
        except OSError:
            return True
        return f"{os.major(found)}:{os.minor(found)}" == device

    def _name(self, slot: int) -> bytes:
        return ctypes.string_at(self._address + slot * 8)

    @staticmethod
    def _is_folder(path: str) -> bool:
        try:
            return stat.S_ISDIR(os.lstat(path).st_mode)
        except OSError:
            return False

    def _explain(self, fd: int, prefix: str, slots: list[int]) -> None:
        for slot in slots:
            name = self._name(slot)
            try:
                os.stat(name, dir_fd=fd, follow_symlinks=False)
            except OSError as error:
                self._missed(prefix + os.fsdecode(name), error)

    def _missed(self, path: str, error: OSError) -> None:
        if error.errno in _GONE:
            return
        self._lost_count += 1
        if len(self._lost) < MAX_LOST:
            self._lost.append((path, error.strerror or str(error)))


def too_many_pending(folder: str) -> str:
    """What to say when no more folders can wait to be read."""
    return f"more than {MAX_PENDING} folders were waiting at {folder}"
