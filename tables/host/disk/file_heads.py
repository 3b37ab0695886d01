"""What a file is by its first bytes."""

from __future__ import annotations

import os
import stat
from typing import Optional

from tables.host.disk.unmarked import open_unmarked

ELF = b"\x7fELF"
SCRIPT = b"#!"
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC


def file_head(located: str) -> Optional[bytes]:
    """ELF, SCRIPT or b"" for the regular file that our own process finds at `located`; None when it cannot be read.

    The time of the last access is left as it is where we may do so.
    """
    try:
        fd = open_unmarked(located, _FLAGS)
    except OSError:
        return None
    try:
        head = os.read(fd, len(ELF)) if stat.S_ISREG(os.fstat(fd).st_mode) else None
    except OSError:
        return None
    finally:
        os.close(fd)
    return None if head is None else _known(head)


def head_in_folder(name: bytes, folder: int) -> Optional[bytes]:
    """As `file_head`, for the file `name` of the open folder `folder`, whose status has just said that it is regular.

    Saves the look at what was opened: of a FIFO put in its place nothing can be read, and nothing waits for one.
    """
    try:
        fd = open_unmarked(name, _FLAGS, folder)
    except OSError:
        return None
    try:
        return _known(os.read(fd, len(ELF)))
    except OSError:
        return None
    finally:
        os.close(fd)


def _known(head: bytes) -> bytes:
    return ELF if head == ELF else SCRIPT if head.startswith(SCRIPT) else b""
