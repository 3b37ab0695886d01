"""What a scan rests on: the states of all that it looked at by path, to be compared with what is there later."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Optional

# What more paths than these were looked at for is not kept in memory.
_MAX_PATHS = 50_000
# The kernel makes these files as they are read, and keeps no time of their changes.
_MADE = ("/proc/", "/sys/")
_MOST_READ = 1 << 16
_READ_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY

FileKey = tuple[int, int, int, int, int]


def file_key(status: os.stat_result) -> FileKey:
    """What tells one state of a file from another."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


class Footprint:
    """The states of files, folders and links of the running system, by path; what is not there has a state as well."""

    def __init__(self) -> None:
        # Whether each was found in one state only, and all of them are here.
        self.is_whole = True
        self._states: dict[tuple[str, bool], int] = {}
        self._real_paths: dict[str, str] = {}

    def saw(self, path: str, follow: bool, status: os.stat_result) -> None:
        """Note what was found at `path`, links followed or not, before anything of it is read."""
        self._note(path, follow, _state(path, follow) if path.startswith(_MADE) else hash(file_key(status)))

    def failed(self, path: str, follow: bool) -> None:
        """Note that there is nothing at `path`, or not what was looked for, or nothing that may be read."""
        self._note(path, follow, _state(path, follow))

    def resolved(self, path: str, real_path: str) -> None:
        """Note where the links in `path` lead."""
        self.is_whole = self.is_whole and self._real_paths.setdefault(path, real_path) == real_path

    def holds(self) -> bool:
        """Whether all that was looked at is as it was."""
        return (
            self.is_whole
            and all(_state(path, follow) == state for (path, follow), state in self._states.items())
            and all(os.path.realpath(path) == real_path for path, real_path in self._real_paths.items())
        )

    def paths(self) -> Iterator[str]:
        """All paths that were looked at."""
        yield from (path for path, _ in self._states)
        yield from self._real_paths

    def _note(self, path: str, follow: bool, state: int) -> None:
        # Changed while it was looked at, or too much to be kept.
        if self._states.setdefault((path, follow), state) != state or len(self._states) > _MAX_PATHS:
            self.is_whole = False


_left_by: ContextVar[Optional[Footprint]] = ContextVar("left_by", default=None)


@contextmanager
def footprint() -> Iterator[Footprint]:
    """Collects what is looked at meanwhile in this thread, through `Files`."""
    found = Footprint()
    token = _left_by.set(found)
    try:
        yield found
    finally:
        _left_by.reset(token)


def collected() -> Optional[Footprint]:
    """The footprint that is being collected in this thread, if one is."""
    return _left_by.get()


def _state(path: str, follow: bool) -> int:
    try:
        status = os.stat(path, follow_symlinks=follow)
        if not path.startswith(_MADE):
            return hash(file_key(status))
        if stat.S_ISDIR(status.st_mode):
            return hash(tuple(sorted(os.listdir(path))))
        return hash(_head(path)) if stat.S_ISREG(status.st_mode) else hash(os.readlink(path))
    except OSError as error:
        return -(error.errno or 0)


def _head(path: str) -> bytes:
    fd = os.open(path, _READ_FLAGS)
    try:
        return os.read(fd, _MOST_READ)
    finally:
        os.close(fd)
