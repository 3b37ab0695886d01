"""Rows that are kept: compressed, as text that repeats itself is most of them."""

from __future__ import annotations

import json
import zlib

from tables.schema import WireRow


class PackedRows:
    """The rows of one answer; unpacking thousands takes milliseconds."""

    def __init__(self, rows: list[WireRow]) -> None:
        self.count = len(rows)
        self._packed = zlib.compress(json.dumps(rows).encode(), 1)

    @property
    def size(self) -> int:
        """Bytes that they take."""
        return len(self._packed)

    def rows(self) -> list[WireRow]:
        """The rows, made anew each time."""
        unpacked: list[WireRow] = json.loads(zlib.decompress(self._packed))
        return unpacked
