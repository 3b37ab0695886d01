"""Regular files a few folders deep, dot folders included, without following links or waiting for other machines."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tables.host.disk.files import Files, Unreadable


class FoundFile(NamedTuple):
    """A regular file with its status; `depth` counts the folders below the place where the walk began."""

    path: str
    status: os.stat_result
    depth: int


class Walk:
    """Walks below several places, each within one bound; `cut` names the first folder at which that was met, if it was."""

    def __init__(self, files: Files, max_entries: int, is_remote: Callable[[str], bool]) -> None:
        self.files = files
        self.max_entries = max_entries
        self.is_remote = is_remote
        self.cut = ""
        self._seen: set[tuple[int, int]] = set()

    def below(self, folder: str, depth: int, wanted: Callable[[str], bool]) -> Iterator[FoundFile]:
        """Files in `folder` and down to `depth` folders below whose path is `wanted`, each folder once however it is reached."""
        # The nearest first: of too many those that lie deepest are left out.
        pending = deque([(folder, 0)])
        left = self.max_entries
        while pending:
            here, level = pending.popleft()
            if not self._is_new_folder(here) or self.is_remote(here):
                continue
            try:
                paths = list(self.files.paths(here))
            except Unreadable:
                continue
            for path in paths:
                if left <= 0:
                    self.cut = self.cut or here
                    return
                left -= 1
                try:
                    status = self.files.stat(path, follow=False)
                except Unreadable:
                    continue
                if stat.S_ISDIR(status.st_mode):
                    if level < depth:
                        pending.append((path, level + 1))
                elif stat.S_ISREG(status.st_mode) and wanted(path):
                    yield FoundFile(path, status, level)

    def _is_new_folder(self, path: str) -> bool:
        try:
            status = self.files.stat(path, follow=False)
        except Unreadable:
            return False
        key = (status.st_dev, status.st_ino)
        if not stat.S_ISDIR(status.st_mode) or key in self._seen:
            return False
        self._seen.add(key)
        return True
