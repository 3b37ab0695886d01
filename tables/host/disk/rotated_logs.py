"""Log files and their rotated predecessors."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from tables.host.disk.files import Files, Unreadable
from tables.unseen import say_cut

_MAX_FILES = 100
# logrotate(8): .1, .2.gz; with dateext -20261115, -20261115-1795436646.gz.
_ROTATED = r"(?:[.-]\d{1,10}(?:-\d{1,10})?)?(?:\.(?:gz|xz|bz2|zst|lz4))?"


class LogFile(NamedTuple):
    """One log file, with its last change in unix seconds and its bytes on disk."""

    path: str
    mtime: int
    file_size: int


def rotations(files: Files, path: str) -> list[LogFile]:
    """The log at `path` and what was rotated away from it, newest first, at most 100; [] when there is none."""
    folder, base = os.path.split(path)
    pattern = re.compile(re.escape(base) + _ROTATED)
    found = []
    for name in files.names(folder):
        if pattern.fullmatch(name):
            try:
                status = files.stat(f"{folder}/{name}")
            except Unreadable as error:
                # A link that leads nowhere, or a rotation meanwhile; it must not hide the others.
                if error.is_missing:
                    continue
                raise
            found.append(LogFile(f"{folder}/{name}", int(status.st_mtime), status.st_size))
    if len(found) > _MAX_FILES:
        say_cut(f"{path}: only the newest {_MAX_FILES} of {len(found)} rotated logs were read")
    return sorted(found, key=lambda log: (-log.mtime, log.path))[:_MAX_FILES]
