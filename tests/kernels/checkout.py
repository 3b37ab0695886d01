"""The checkout as a guest gets it: the files that git does not ignore, as they lie in the working tree."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Mapping

from tests.kernels.cache import REPOSITORY


def packed(more: Mapping[str, bytes] | None = None) -> bytes:
    """A tar of the working tree's files that git does not ignore, and of `more` files (path: content)."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True).stdout
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz", compresslevel=1) as tar:
        for name in filter(None, listed.decode().split("\0")):
            # Removed in the working tree, and not yet in the index.
            if (REPOSITORY / name).is_symlink() or (REPOSITORY / name).exists():
                tar.add(REPOSITORY / name, name, recursive=False)
        for name, content in (more or {}).items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return archive.getvalue()
