"""Files inside another root folder (a container's, a chroot's), reached without following a link out of it."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple, Optional

from tables.host.disk.tree import Walked, walk
from tables.host.disk.unmarked import open_unmarked
from tables.host.processes.procfs import Procfs

_READ_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_MISSING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})


class Located(NamedTuple):
    """A file found inside a root folder: its path there with links followed, and the first bytes of a regular file."""

    path: str
    status: os.stat_result
    head: bytes
    by_alternatives: bool

    @property
    def is_elf(self) -> bool:
        """Whether it is a program in machine code."""
        return self.head == b"\x7fELF"


class RootFolder:
    """A root folder by an open descriptor; links are followed inside it, so that no path leads out of it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def locate(self, path: str) -> Optional[Located]:
        """The file at the absolute `path`, None when there is none; OSError when it cannot be reached."""
        found = self._walked(path)
        if found is None:
            return None
        try:
            return Located(found.path, os.fstat(found.fd), _head(found.fd), found.by_alternatives)
        finally:
            os.close(found.fd)

    def names(self, path: str, most: int) -> list[str]:
        """The names in the folder at `path`, at most so many of them; [] when it is none, OSError when it cannot be reached."""
        found = self._walked(path)
        if found is None:
            return []
        try:
            with os.scandir(f"/proc/self/fd/{found.fd}") as entries:
                return [entry.name for entry in islice(entries, most)]
        except NotADirectoryError:
            return []
        finally:
            os.close(found.fd)

    def _walked(self, path: str) -> Optional[Walked]:
        try:
            return walk(self.fd, path)
        except OSError as error:
            if error.errno in _MISSING:
                return None
            raise


def _head(fd: int) -> bytes:
    """The first four bytes of the regular file behind an O_PATH descriptor; b"" for all else."""
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        return b""
    try:
        reading = open_unmarked(f"/proc/self/fd/{fd}", _READ_FLAGS)
    except OSError:
        return b""
    try:
        return os.read(reading, 4)
    except OSError:
        return b""
    finally:
        os.close(reading)


class View(NamedTuple):
    """A file system root: `through` is the pid by whose root link it is reached (None: our own root); `key` names it."""

    procfs: Procfs
    through: Optional[int]
    key: tuple[str, str]

    @contextlib.contextmanager
    def open(self) -> Iterator[RootFolder]:
        """The root folder, held open only for a moment: an open folder keeps a container from being unmounted."""
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        # The dir_fd of an absolute path is ignored (openat(2)).
        fd = os.open("/" if self.through is None else f"{self.through}/root", flags, dir_fd=self.procfs.fd)
        try:
            yield RootFolder(fd)
        finally:
            os.close(fd)

    def locate(self, path: str) -> Optional[Located]:
        """The file at `path` inside this root; None when there is none, OSError when it cannot be reached."""
        with self.open() as root:
            return root.locate(path)

    def names(self, path: str, most: int) -> list[str]:
        """The names in the folder at `path` inside this root, as RootFolder.names."""
        with self.open() as root:
            return root.names(path, most)

    def stat_plain(self, path: str) -> Optional[os.stat_result]:
        """The status of `path` in one call; right only when it turns out to be the file that was expected there."""
        try:
            if self.through is None:
                return os.lstat(path)
            with self.open() as root:
                return os.stat(path.lstrip("/"), dir_fd=root.fd, follow_symlinks=False)
        except (OSError, ValueError):
            return None


def same_file(one: Optional[os.stat_result], other: Optional[os.stat_result]) -> bool:
    """Whether both are known and are the same inode."""
    return one is not None and other is not None and (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
