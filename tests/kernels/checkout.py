"""The checkout as a guest gets it: the files that git does not ignore, as they lie in the working tree."""

from __future__ import annotations

import io
import subprocess
import tarfile

from tests.kernels.cache import REPOSITORY


def packed(*more: str) -> bytes:
    """A tar of the working tree's files that git does not ignore, and of `more` paths below it that it does."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=REPOSITORY, capture_output=True, check=True).stdout
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz", compresslevel=1) as tar:
        for name in [*filter(None, listed.decode().split("\0")), *more]:
            # Removed in the working tree, and not yet in the index.
            if (REPOSITORY / name).is_symlink() or (REPOSITORY / name).exists():
                tar.add(REPOSITORY / name, name, recursive=False)
    return archive.getvalue()
