"""What a file is by its first bytes."""

from __future__ import annotations

import os
import stat
from typing import Optional

ELF = b"\x7fELF"
SCRIPT = b"#!"
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC


def file_head(located: str) -> Optional[bytes]:
    """ELF, SCRIPT or b"" for the regular file that our own process finds at `located`; None when it cannot be read.

    The time of the last access is left as it is where we may do so.
    """
    try:
        fd = _open(located)
    except OSError:
        return None
    try:
        head = os.read(fd, len(ELF)) if stat.S_ISREG(os.fstat(fd).st_mode) else None
    except OSError:
        return None
    finally:
        os.close(fd)
    if head is None:
        return None
    return next((known for known in (ELF, SCRIPT) if head.startswith(known)), b"")


def _open(located: str) -> int:
    try:
        return os.open(located, _FLAGS | os.O_NOATIME)
    except PermissionError:
        # O_NOATIME is the owner's and root's alone (open(2)).
        return os.open(located, _FLAGS)
