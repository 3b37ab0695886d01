"""Files of settings, read past any amount of blanks and comments."""

from __future__ import annotations

import hashlib
import os
from typing import NamedTuple, Optional

from tables.host.disk.files import read_fd
from tables.text.padding import Squeezer

# A shorter file is taken as it is.
_SHORT = 4 * 1024
# How much is read at most, and from how much, and which part of it, blanks and comments are there to hide something.
MOST_READ = 4 << 20
_MUCH = 64 * 1024
_HIDING_PART = 0.99
_CHUNK = 1 << 16


class SettingsFile(NamedTuple):
    """What a file of settings holds; of a longer one without blanks and comments.

    `is_whole` tells that nothing is missing; `sha256` is that of the whole file, None when it is not.
    """

    data: bytes
    is_whole: bool
    bytes_read: int
    padding: int
    sha256: Optional[str]

    @property
    def is_hiding(self) -> bool:
        """Whether more than 64 KiB were read and 99 % of it are blanks and comments, as in no honest file."""
        return self.bytes_read > _MUCH and self.padding >= _HIDING_PART * self.bytes_read


def read_settings(fd: int, limit: int) -> SettingsFile:
    """The file behind `fd`, from its beginning: at most `limit` bytes beside blanks and comments, of its first 4 MiB."""
    if os.fstat(fd).st_size <= min(_SHORT, limit):
        data = read_fd(fd, min(_SHORT, limit))
        return SettingsFile(data, True, len(data), 0, hashlib.sha256(data).hexdigest())
    squeezer, digest = Squeezer(), hashlib.sha256()
    kept: list[bytes] = []
    left, read = limit, 0
    is_whole = False
    while left > 0 and read < MOST_READ and not is_whole:
        chunk = read_fd(fd, _CHUNK)
        is_whole = len(chunk) < _CHUNK
        read += len(chunk)
        digest.update(chunk)
        piece = squeezer.feed(chunk)
        kept.append(piece[:left])
        left -= len(piece)
    kept.append(squeezer.rest())
    is_whole = is_whole and left >= 0
    return SettingsFile(b"".join(kept), is_whole, read, squeezer.padding, digest.hexdigest() if is_whole else None)
