"""statx(2): a file's status with its time of birth and its immutable and append-only marks, for one file or for many."""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import NamedTuple, Optional, Union

from tables.errors import TableError
from tables.host.disk.files import Files, Unreadable

# include/uapi/linux/stat.h
SIZE = 256
_LAYOUT = struct.Struct("=I4xQ4xIIH10xQ8xQ16x" + "qI4x" * 3)
_BASIC_STATS = 0x7FF
_BTIME = 0x800
_IMMUTABLE = 0x10
_APPEND = 0x20
# AT_SYMLINK_NOFOLLOW, AT_NO_AUTOMOUNT, AT_STATX_DONT_SYNC: what the file system knows without asking another machine.
_FLAGS = 0x100 | 0x800 | 0x4000
_SECONDS_OF_CTIME = 96 // 8
_MODE = 28 // 2
_SIZE = 40 // 8
_BATCH = 128

_KINDS = {
    stat.S_IFREG: "regular",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFBLK: "block",
    stat.S_IFCHR: "character",
}

# Declaring argument types would make each call half as fast again; what is passed here is converted rightly without.
_statx = getattr(ctypes.CDLL(None), "statx", None)


class FileStatus(NamedTuple):
    """What statx tells of a file; times in nanoseconds since 1970, None where the file system keeps none.

    `is_immutable` and `is_append_only` are None where the file system has no such marks (chattr(1)).
    """

    mode: int
    owner_uid: int
    owner_gid: int
    file_size: int
    mtime_ns: int
    ctime_ns: int
    btime_ns: Optional[int]
    is_immutable: Optional[bool]
    is_append_only: Optional[bool]

    @property
    def kind(self) -> str:
        """regular, directory, symlink, fifo, socket, block or character, as osquery's `file` table says it."""
        return _KINDS.get(stat.S_IFMT(self.mode), "unknown")

    @property
    def permissions(self) -> str:
        """The permission bits in octal."""
        return f"{stat.S_IMODE(self.mode):04o}"


def parse_statx(data: Union[bytes, memoryview]) -> FileStatus:
    """The status in a struct statx of 256 bytes, in the byte order of this machine."""
    mask, marks, uid, gid, mode, size, known_marks, *times = _LAYOUT.unpack_from(data)
    born, changed, modified = (seconds * 1_000_000_000 + part for seconds, part in zip(times[::2], times[1::2]))
    return FileStatus(
        mode,
        uid,
        gid,
        size,
        modified,
        changed,
        # Images made by other programs than the kernel may leave it out.
        born if mask & _BTIME and born else None,
        bool(marks & _IMMUTABLE) if known_marks & _IMMUTABLE else None,
        bool(marks & _APPEND) if known_marks & _APPEND else None,
    )


def file_status(files: Files, path: str, statuses: Statuses) -> FileStatus:
    """The status of the file at `path` itself, a link not followed; Unreadable when there is none.

    `statuses` lends its buffer, for callers that ask about many files.
    """
    located = files.locate(path, follow=False)
    folder, _, name = located.rpartition("/")
    try:
        fd = os.open(folder or "/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise Unreadable(path, error.strerror or str(error), error.errno) from None
    try:
        # Of a folder's own path nothing is left; "." is the folder itself.
        data = _one(fd, name or ".", statuses)
    except OSError as error:
        raise Unreadable(path, error.strerror or str(error), error.errno) from None
    finally:
        os.close(fd)
    return parse_statx(data)


def _one(fd: int, name: str, statuses: Statuses) -> bytes:
    if not any(statuses.call(fd, [os.fsencode(name)])):
        return statuses.raw(0)
    os.stat(name, dir_fd=fd, follow_symlinks=False)
    raise OSError(0, "statx failed")


class Statuses:
    """The statuses of up to `limit` files of one folder, by one system call each and no Python object for any of them.

    They stay in the kernel's own form in one buffer, small enough for the processor's cache; one object serves one thread.
    """

    limit = _BATCH

    def __init__(self) -> None:
        if _statx is None:
            raise TableError("the C library has no statx(2): glibc before 2.28, musl before 1.2.5")
        self._buffer = ctypes.create_string_buffer(SIZE * _BATCH)
        self._places = [ctypes.byref(self._buffer, SIZE * number) for number in range(_BATCH)]
        view = memoryview(self._buffer).cast("B")
        self._bytes = view
        self._change_seconds = view.cast("q")[_SECONDS_OF_CTIME :: SIZE // 8]
        # What tells the fate of most files, in a tenth of the time that a whole status takes.
        self.modes = view.cast("H")[_MODE :: SIZE // 2]
        self.sizes = view.cast("Q")[_SIZE :: SIZE // 8]

    def call(self, fd: int, names: Sequence[object]) -> list[int]:
        """Ask for the files `names` (bytes, or pointers to names) of the open folder `fd`; for each 0, or -1 where it failed."""
        assert _statx is not None and len(names) <= _BATCH
        return list(map(_statx, repeat(fd), names, repeat(_FLAGS), repeat(_BASIC_STATS | _BTIME), self._places))

    def changed_since(self, count: int, seconds: int) -> Iterator[int]:
        """Which of the first `count` files changed at `seconds` (unix time) or later by their ctime."""
        changes = self._change_seconds[:count]
        if max(changes) >= seconds:
            yield from (number for number, change in enumerate(changes) if change >= seconds)

    def status(self, number: int) -> FileStatus:
        """The status of one file."""
        return parse_statx(self._bytes[SIZE * number : SIZE * (number + 1)])

    def raw(self, number: int) -> bytes:
        """The struct statx of one file."""
        return bytes(self._bytes[SIZE * number : SIZE * (number + 1)])
