"""Files written whole or not at all, and for their owner only unless told otherwise: reports tell an attacker what was found."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path


def check(path: Path) -> None:
    """Raise OSError where `write` could not write `path` now; nothing is left there."""
    handle, temporary = _begin(path)
    os.close(handle)
    os.unlink(temporary)


def write(path: Path, text: str, mode: int = 0o600) -> None:
    """Put `text` into `path`, of this mode, in place of a file that is there; OSError when that fails."""
    handle, temporary = _begin(path)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _begin(path: Path) -> tuple[int, str]:
    with suppress(FileNotFoundError):
        # Never in place of a device, such as /dev/stdout. A link to a file is replaced, not followed: anybody could plant one.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise FileExistsError(None, "is there already, and no regular file")
    return tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
