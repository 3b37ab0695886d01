"""The flags of an inode that chattr(1) sets, read by FS_IOC_GETFLAGS (ioctl_iflags(2))."""

from __future__ import annotations

import fcntl
import os
import struct
from typing import Optional

_GETFLAGS = 0x8008_6601
IMMUTABLE = 0x10
APPEND = 0x20
# include/uapi/linux/fs.h, with the letters and in the order of lsattr(1).
_LETTERS = (
    (0x1, "s"), (0x2, "u"), (0x8, "S"), (0x1_0000, "D"), (IMMUTABLE, "i"), (APPEND, "a"), (0x40, "d"), (0x80, "A"), (0x4, "c"),
    (0x800, "E"), (0x4000, "j"), (0x1000, "I"), (0x8000, "t"), (0x2_0000, "T"), (0x8_0000, "e"), (0x80_0000, "C"),
    (0x200_0000, "x"), (0x4000_0000, "F"), (0x1000_0000, "N"), (0x2000_0000, "P"), (0x10_0000, "V"),
)  # fmt: skip
_OPEN_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC


def inode_flags(located: str) -> Optional[int]:
    """The flags of the regular file or folder that our own process finds at `located`; None where it has none.

    Not every file system has flags, and a file that may not be read does not show them. Do not ask for other kinds of
    file: opening a device can already do something.
    """
    try:
        fd = os.open(located, _OPEN_FLAGS)
    except OSError:
        return None
    try:
        # The kernel writes an int, whatever the size in the request's number says.
        answer = fcntl.ioctl(fd, _GETFLAGS, bytes(8))
    except OSError:
        return None
    finally:
        os.close(fd)
    found: int = struct.unpack_from("=I", answer)[0]
    return found


def flags_text(flags: int) -> str:
    """The letters of the flags that are set, as lsattr prints them without its dashes."""
    return "".join(letter for bit, letter in _LETTERS if flags & bit)
