"""Takes the blanks and comments out of a text of settings, so that no amount of them hides what it sets."""

from __future__ import annotations

import re

# Comments begin a line or follow a blank or a sign of JSON's; inside a string or a URL there is none.
_TOKEN = re.compile(
    rb"""(?P<string>"(?:\\[^\n]|[^"\\\n]|\\\Z)*(?P<close>")?)|(?P<blanks>[ \t\r\n\v\f]{2,})"""
    rb"""|(?:(?<=[\s{}\[\],"])|(?<=":))(?:(?P<block>/\*)|(?P<line>//))|(?<=\s)(?P<hash>\#)|(?<=\n)(?P<semicolon>;)""",
)
_LONGEST_STRING = 1 << 16


class Squeezer:
    """Takes a text in pieces and gives it back without comments, each run of blanks as one; `padding` counts what is left out.

    Comments are JSON's (`//`, `/* */`), and lines that begin with `#` or `;`. Linear in the text, holds 64 KiB of it at most.
    """

    def __init__(self) -> None:
        self.padding = 0
        self._before = b"\n"
        self._held = b""
        self._end = b""

    def feed(self, piece: bytes) -> bytes:
        """What is left of the next piece of the text, as far as that is certain."""
        data = self._before + self._held + piece
        self._held = b""
        at = len(self._before)
        kept: list[bytes] = []
        while at < len(data):
            if self._end:
                at = self._skip(data, at)
                continue
            found = _TOKEN.search(data, at)
            while found is not None and found.lastgroup == "string" and found.end() < len(data):
                kept.append(data[at : found.end()])
                at = found.end()
                found = _TOKEN.search(data, at)
            start = len(data) if found is None else found.start()
            kept.append(data[at:start])
            at = start
            if found is None:
                break
            at = found.end()
            if found.lastgroup == "string":
                if found["close"] is None and len(found[0]) < _LONGEST_STRING:
                    self._held = found[0]
                else:
                    kept.append(found[0])
            elif found.lastgroup == "blanks":
                kept.append(b"\n" if b"\n" in found[0] else b" ")
                self.padding += len(found[0]) - 1
            else:
                self.padding += len(found[0])
                self._end = b"*/" if found.lastgroup == "block" else b"\n"
        if kept and kept[-1].endswith(b"/") and not self._held and not self._end:
            # Half of what begins a comment.
            kept[-1], self._held = kept[-1][:-1], b"/"
        self._before = data[: len(data) - len(self._held)][-2:]
        return b"".join(kept)

    def rest(self) -> bytes:
        """What was held back, at the end of the text."""
        held, self._held = self._held, b""
        return held

    def _skip(self, data: bytes, at: int) -> int:
        """Where the comment that `data` is inside of at `at` ends; its own line's end is none of it."""
        end = data.find(self._end, at)
        if end < 0:
            is_half = self._end == b"*/" and data.endswith(b"*")
            self._held = b"*" if is_half else b""
            self.padding += len(data) - at - is_half
            return len(data)
        end += 2 if self._end == b"*/" else 0
        self.padding += end - at
        self._end = b""
        return end


def squeeze(text: str) -> str:
    """The whole `text` without its comments, each run of blanks as one."""
    squeezer = Squeezer()
    return (squeezer.feed(text.encode("utf-8", "surrogateescape")) + squeezer.rest()).decode("utf-8", "surrogateescape")
