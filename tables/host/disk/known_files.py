"""What was made of files in the last two scans, so that one that did not change is not read again."""

from __future__ import annotations

import os
from typing import Generic, Optional, TypeVar

from tables.host.disk.footprint import file_key

T = TypeVar("T")


class KnownFiles(Generic[T]):
    """Keeps something for each state of a file; what two scans in a row do not ask for is forgotten."""

    def __init__(self) -> None:
        self._known: dict[int, T] = {}
        self._earlier: dict[int, T] = {}

    def start(self) -> None:
        """Begin a scan: forget what the one before did not ask for."""
        self._earlier, self._known = self._known, {}

    def get(self, status: os.stat_result) -> Optional[T]:
        """What is known of the file with this status; None where nothing is."""
        key = hash(file_key(status))
        found = self._known.get(key, self._earlier.get(key))
        if found is not None:
            self._known[key] = found
        return found

    def put(self, status: os.stat_result, made: T) -> None:
        """Keep what was made of the file with this status."""
        self._known[hash(file_key(status))] = made
