"""What a script or crontab says beside blanks and comments, however many of these there are."""

from __future__ import annotations

import re

# Blank lines and comments; the blanks within a line that are more than any layout needs, of which as many stay as a pattern
# for padding looks for.
_LINES = re.compile(rb"^[ \t\r\f\v]*(?:#[^\n]*)?\n", re.MULTILINE)
_RUN = re.compile(rb"[ \t]{4096,}")
_FEW = b" " * 1024
# cron itself refuses a table with more of them between two jobs (MAX_GARBAGE in Debian's and cronie's cron.h).
_MUCH = 32 * 1024
_MOST_PART = 0.9


class PaddedScript:
    """Takes a text in pieces and gives back what is left of each."""

    def __init__(self) -> None:
        self._rest = b""
        self._is_first = True

    def feed(self, piece: bytes) -> bytes:
        """The whole lines that are complete now, without blank lines and comments; a first line with `#!` stays."""
        data = self._rest + _RUN.sub(_FEW, piece)
        start = data.find(b"\n") + 1 if self._is_first and data.startswith(b"#!") else 0
        self._is_first = False
        end = data.rfind(b"\n") + 1
        self._rest = data[max(end, start) :]
        bare = self._rest.lstrip(b" \t\r\f\v")
        if bare[:1] in (b"", b"#"):
            self._rest = bare[:1]
        return data[:start] + _LINES.sub(b"", data[start:end])

    def rest(self) -> bytes:
        """The last line, where no newline ends it."""
        return self._rest


def is_padded(text: str) -> bool:
    """Whether more than 32 KiB of a text, and nine tenths of it, are blank lines and comments, as in no table that cron takes."""
    if len(text) <= _MUCH:
        return False
    padding = sum(len(found[0]) for found in _LINES.finditer(text.encode("utf-8", "surrogateescape")))
    return padding > max(_MUCH, _MOST_PART * len(text))
