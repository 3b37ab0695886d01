"""Opens what is only to be read so that it keeps its access time, which says when others have read it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Optional, Union


def unmarked(attempt: Callable[[int], int], flags: int) -> int:
    """What `attempt` opens with these flags and O_NOATIME, where that is ours to ask: of our own files, and as root of all.

    Without it of another owner's file, for which open(2) answers EPERM. Raises as `attempt` does.
    """
    try:
        return attempt(flags | os.O_NOATIME)
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
        return attempt(flags)


def open_unmarked(path: Union[str, bytes], flags: int, dir_fd: Optional[int] = None) -> int:
    """As os.open(), `unmarked`."""
    return unmarked(lambda allowed: os.open(path, allowed, dir_fd=dir_fd), flags)
