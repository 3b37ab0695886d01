"""Reads the host's files for the core tables as osquery does, and keeps account of what could not be read."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from typing import Optional

from tables.host import Host
from tables.host.disk.files import Unreadable
from tables.schema import QueryContext

log = logging.getLogger("minehunt")

# osquery reads no file larger than its flag read_max (osquery/filesystem/filesystem.cpp).
READ_MAX = 50 * 1024 * 1024
# What C's isspace accepts in the C locale: osquery trims these and no others.
SPACE = " \t\n\v\f\r"


class Reader:
    """The files of one table: one that cannot be read is left out, as osquery does, but shown as a gap in its status.

    What is new since the last call is logged too, as osquery logs it.
    """

    def __init__(self, host: Host, table: str, query: QueryContext) -> None:
        self.host = host
        self.table = table
        self.query = query
        self._logged: dict[str, str] = host.state(f"{table}: unreadable", dict)

    def read(self, path: str, expected: bool = False) -> Optional[bytes]:
        """The whole regular file at `path`, b"" for a device or FIFO; None when it cannot be read or is over READ_MAX.

        A missing file is a gap only where it is `expected` on every host.
        """
        try:
            data = self.host.files.read(path, READ_MAX + 1)
        except Unreadable as error:
            if error.is_missing and not expected:
                return None
            # A history linked to /dev/null holds nothing, which is not the same as being unreadable.
            if error.errno == errno.EINVAL:
                return b""
            self.missed(path, error.why)
            return None
        if len(data) > READ_MAX:
            self.missed(path, f"larger than {READ_MAX} bytes")
            return None
        self.found(path)
        return data

    def text(self, path: str, expected: bool = False) -> str:
        """Like `read`, as text whose bytes that are no UTF-8 are surrogate escapes; "" when it cannot be read."""
        return (self.read(path, expected) or b"").decode("utf-8", "surrogateescape")

    def names(self, folder: str) -> list[str]:
        """The sorted names in `folder`, dotfiles included; [] when it is missing or cannot be listed."""
        try:
            names = self.host.files.names(folder)
        except Unreadable as error:
            self.missed(folder, error.why)
            return []
        self.found(folder)
        return names

    def listing(self, folder: str) -> Iterator[str]:
        """The files that osquery's listFilesInDirectory gives: no dotfiles, no folders, links in the folder's path resolved."""
        folder = self.canonical(folder)
        for name in self.names(folder):
            path = os.path.join(folder, name)
            if not name.startswith(".") and not self.is_folder(path):
                yield path

    def canonical(self, path: str) -> str:
        """`path` without links, as the host itself sees it."""
        root = self.host.files.root
        if root == "/":
            return os.path.realpath(path)
        try:
            return self.host.files.locate(path)[len(root) :] or "/"
        except Unreadable:
            return path

    def is_folder(self, path: str) -> bool:
        """Whether `path` is a folder or a link to one."""
        try:
            return os.path.isdir(self.host.files.locate(path))
        except OSError:
            return False

    def missed(self, what: str, why: str, level: int = logging.INFO) -> None:
        """Record that `what` (a path, a bus) could not be read; logged the first time."""
        self.query.could_not_see(f"{what}: {why}")
        if self._logged.get(what) != why:
            log.log(level, "%s: %s: %s", self.table, what, why)
            self._logged[what] = why

    def found(self, what: str) -> None:
        """Record that `what` could be read."""
        self._logged.pop(what, None)


def split(text: str, delimiters: str) -> list[str]:
    """Cut `text` at any of the characters `delimiters`, drop empty pieces, then trim what is left, as osquery's split does.

    A piece of nothing but whitespace is trimmed to "" and stays (osquery/utils/conversions/split.cpp).
    """
    for other in delimiters[1:]:
        text = text.replace(other, delimiters[0])
    return [piece.strip(SPACE) for piece in text.split(delimiters[0]) if piece]
