"""Where what the rig downloads and builds is kept: outside git, each thing under the hash of all that it was made of."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("MINEHUNT_CACHE") or REPOSITORY / ".cache" / "kernels").absolute()


class RigError(Exception):
    """The rig cannot do what it was asked for; the message says why."""


def key(*parts: object) -> str:
    """A short hash of all that something is made of."""
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:16]


def run(*command: str | Path, **options: object) -> str:
    """The standard output of a command, which runs with low priority. Raises RigError with its words when it fails."""
    argv = ["nice", *map(str, command)]
    try:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)  # type: ignore[call-overload]
    except OSError as error:
        raise RigError(f"{command[0]}: {error}") from None
    if done.returncode:
        raise RigError(f"{' '.join(argv[1:])}: exit {done.returncode}\n{done.stdout[-3000:]}")
    return str(done.stdout)


@contextmanager
def made_whole(target: Path) -> Iterator[Path]:
    """A name beside `target` under which to build it; it becomes `target` only when the block ends well.

    Where another run was quicker, its result stays.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part{os.getpid()}")
    try:
        yield part
        if not target.exists():
            part.rename(target)
    finally:
        remove(part)


def remove(path: Path) -> None:
    """Remove a file or folder of the cache, unless something is mounted in it. Raises RigError then."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    if any(mount.startswith(f"{path}/") for mount in mounts):
        raise RigError(f"{path}: something is mounted in it; unmount it, then remove it")
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def forget_others(kept: Path, pattern: str) -> None:
    """Remove what the folder of `kept` holds under `pattern` besides `kept`: builds of older packages or lock files."""
    for path in kept.parent.glob(pattern):
        if path != kept and ".part" not in path.name:
            remove(path)
