"""Bounded, non-blocking reads of the host's files, below a root folder that no link can leave."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import weakref
from collections.abc import Iterator
from typing import Optional

from tables.host.disk.footprint import collected
from tables.host.disk.tree import PATH, open_in_root
from tables.host.disk.unmarked import unmarked
from tables.unseen import say_cut

_OPEN_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_MAX_LINKS = 40
DEFAULT_LIMIT = 4 * 1024 * 1024
HASH_LIMIT = 256 * 1024 * 1024


class Unreadable(OSError):
    """A file that could not be read: which one, and why."""

    def __init__(self, path: str, why: str, code: Optional[int] = None) -> None:
        super().__init__(code or 0, f"{path}: {why}")
        self.path = path
        self.why = why

    def __str__(self) -> str:
        return f"{self.path}: {self.why}"

    @property
    def is_missing(self) -> bool:
        """Whether there is no such file (as opposed to one that we may not read)."""
        return self.errno in (errno.ENOENT, errno.ENOTDIR)


def _unreadable(path: str, error: OSError) -> Unreadable:
    return error if isinstance(error, Unreadable) else Unreadable(path, error.strerror or str(error), error.errno)


def _can_exist(path: str) -> bool:
    """Whether the kernel can be asked for `path`: no NUL, and no half of a surrogate pair that stands for no byte."""
    if path.isascii():
        return "\0" not in path
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


class Files:
    """The files below `root`; every path given and returned is absolute as the host itself sees it."""

    def __init__(self, root: str = "/") -> None:
        self.root = os.path.realpath(root)
        self._folder: Optional[int] = None

    def _open(self, path: str, flags: int, follow: bool = True) -> int:
        """A descriptor of whatever is at `path`, which no link and no exchange of folders leads out of the root."""
        if not _can_exist(path):
            raise Unreadable(path, os.strerror(errno.ENOENT), errno.ENOENT)
        footprint = collected()
        try:
            if self.root == "/":
                fd = os.open(path, flags | (0 if follow else os.O_NOFOLLOW))
            else:
                if self._folder is None:
                    self._folder = os.open(self.root, PATH | os.O_DIRECTORY)
                    weakref.finalize(self, os.close, self._folder)
                fd = open_in_root(self._folder, path, flags, follow)
        except OSError as error:
            if footprint is not None:
                footprint.failed(path, follow)
            raise _unreadable(path, error) from None
        if footprint is not None:
            footprint.saw(path, follow, os.fstat(fd))
        return fd

    def locate(self, path: str, follow: bool = True) -> str:
        """The path at which our own process finds `path`; links are resolved inside the root folder.

        Raises Unreadable for a chain of more than 40 links, as the kernel does (ELOOP), and for text that can be no path
        (ENOENT); the methods below therefore take any text.
        """
        if not _can_exist(path):
            raise Unreadable(path, os.strerror(errno.ENOENT), errno.ENOENT)
        if self.root == "/":
            return path
        pending = [part for part in path.split("/") if part not in ("", ".")][::-1]
        done: list[str] = []
        links = 0
        while pending:
            part = pending.pop()
            if part == "..":
                del done[-1:]
                continue
            here = "/".join([self.root, *done, part])
            if (follow or pending) and os.path.islink(here):
                links += 1
                if links > _MAX_LINKS:
                    raise Unreadable(path, os.strerror(errno.ELOOP), errno.ELOOP)
                target = os.readlink(here)
                if target.startswith("/"):
                    done = []
                pending += [piece for piece in target.split("/") if piece not in ("", ".")][::-1]
                continue
            done.append(part)
        return "/".join([self.root, *done])

    def real_path(self, path: str) -> str:
        """`path` with every link in it resolved, as the host itself sees it."""
        located = os.path.realpath(self.locate(path))
        if (footprint := collected()) is not None:
            footprint.resolved(path, located)
        return located if self.root == "/" else located[len(self.root) :] or "/"

    def open(self, path: str) -> int:
        """A descriptor of the regular file at `path`; Unreadable for anything else, FIFOs and devices included."""
        fd = unmarked(lambda flags: self._open(path, flags), _OPEN_FLAGS)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise Unreadable(path, "not a regular file", errno.EINVAL)
        return fd

    def head(self, path: str, length: int) -> bytes:
        """The first `length` bytes of the regular file at `path`, for a reader that wants no more."""
        fd = self.open(path)
        try:
            return read_fd(fd, length)
        except OSError as error:
            raise _unreadable(path, error) from None
        finally:
            os.close(fd)

    def read(self, path: str, limit: int = DEFAULT_LIMIT) -> bytes:
        """At most `limit` bytes from the start of the regular file at `path`; a longer one is said to be cut."""
        fd = self.open(path)
        try:
            data = read_fd(fd, limit)
            if len(data) == limit and os.fstat(fd).st_size > limit:
                say_cut(f"{path}: only the first {limit} bytes were read")
            return data
        except OSError as error:
            raise _unreadable(path, error) from None
        finally:
            os.close(fd)

    def read_text(self, path: str, limit: int = DEFAULT_LIMIT) -> str:
        """Like `read`, decoded as UTF-8; bytes that are none are kept as surrogate escapes."""
        return self.read(path, limit).decode("utf-8", "surrogateescape")

    def read_trusted(self, path: str, limit: int = DEFAULT_LIMIT) -> str:
        """Like `read_text`, for files that steer minehunt: refused unless root's or ours and writable by nobody else."""
        fd = self.open(path)
        try:
            found = os.fstat(fd)
            if found.st_uid not in (0, os.geteuid()):
                raise Unreadable(path, f"refused: owned by uid {found.st_uid}, not by root (chown root)", errno.EPERM)
            if found.st_mode & stat.S_IWOTH or (found.st_mode & stat.S_IWGRP and found.st_gid not in (0, os.getegid())):
                mode = stat.S_IMODE(found.st_mode)
                raise Unreadable(path, f"refused: writable by others (mode {mode:04o}; chmod go-w)", errno.EPERM)
            return read_fd(fd, limit).decode("utf-8", "surrogateescape")
        finally:
            os.close(fd)

    def sha256(self, path: str, limit: int = HASH_LIMIT) -> Optional[str]:
        """Hex SHA-256 of the regular file at `path`; None when it is larger than `limit` bytes."""
        fd = self.open(path)
        try:
            return sha256_fd(fd, limit)
        except OSError as error:
            raise _unreadable(path, error) from None
        finally:
            os.close(fd)

    def stat(self, path: str, follow: bool = True) -> os.stat_result:
        """The file's status; of the link itself where `follow` is false."""
        if self.root == "/" and _can_exist(path):
            footprint = collected()
            try:
                status = os.stat(path, follow_symlinks=follow)
            except OSError as error:
                if footprint is not None:
                    footprint.failed(path, follow)
                raise _unreadable(path, error) from None
            if footprint is not None:
                footprint.saw(path, follow, status)
            return status
        fd = self._open(path, PATH, follow)
        try:
            return os.fstat(fd)
        finally:
            os.close(fd)

    def exists(self, path: str) -> bool:
        """Whether anything is at `path`, a dangling link included."""
        try:
            self.stat(path, follow=False)
        except Unreadable as error:
            return not error.is_missing
        return True

    def is_folder(self, path: str) -> bool:
        """Whether `path` leads to a folder; False too where that may not be looked at."""
        try:
            return stat.S_ISDIR(self.stat(path).st_mode)
        except Unreadable:
            return False

    def names(self, path: str) -> list[str]:
        """The sorted names in the folder at `path`, dotfiles included; [] when there is no such folder."""
        try:
            fd = self._open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except Unreadable as error:
            if error.is_missing:
                return []
            raise
        try:
            return sorted(os.listdir(fd))
        except OSError as error:
            raise _unreadable(path, error) from None
        finally:
            os.close(fd)

    def link_target(self, path: str) -> str:
        """What the symbolic link at `path` names, as it is written there."""
        fd = self._open(path, PATH, follow=False)
        try:
            return os.readlink("", dir_fd=fd)
        except OSError as error:
            # No link: readlinkat(2) says ENOENT of a descriptor that is none.
            raise Unreadable(path, os.strerror(errno.EINVAL), errno.EINVAL) from error
        finally:
            os.close(fd)

    def paths(self, folder: str) -> Iterator[str]:
        """The absolute paths of all entries of `folder`, sorted."""
        for name in self.names(folder):
            yield os.path.join(folder, name)


def read_fd(fd: int, limit: int) -> bytes:
    """At most `limit` bytes from `fd`, however many reads they take."""
    chunks = []
    left = limit
    while left > 0:
        chunk = os.read(fd, min(left, 1 << 16))
        if not chunk:
            break
        chunks.append(chunk)
        left -= len(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def sha256_fd(fd: int, limit: int = HASH_LIMIT) -> Optional[str]:
    """Hex SHA-256 of what `fd` still holds; None when that is more than `limit` bytes."""
    if os.fstat(fd).st_size > limit:
        return None
    digest = hashlib.sha256()
    left = limit
    while left > 0:
        chunk = os.read(fd, min(left, 1 << 20))
        if not chunk:
            return digest.hexdigest()
        digest.update(chunk)
        left -= len(chunk)
    return None
