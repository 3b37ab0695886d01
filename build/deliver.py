"""What the builders share: the sources to ship, the date of the commit, files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Optional

from extension.pack.model import PackError

ROOT = Path(__file__).resolve().parents[1]
PACK = ROOT / "packs" / "cryptominer_triage"
EVENTS = ROOT / "packs" / "cryptominer_events"


class BuildError(Exception):
    """A deliverable could not be built; the message names the file or the tool at fault."""


def source_date() -> int:
    """Seconds since 1970 that every built file carries: $SOURCE_DATE_EPOCH, else the date of the commit.

    See reproducible-builds.org/specs/source-date-epoch.
    """
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is None:
        done = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True)
        given = done.stdout
    try:
        return int(given)
    except ValueError:
        raise BuildError("no date for the files: no git checkout, and no SOURCE_DATE_EPOCH (seconds since 1970)") from None


def tarball(folder: Path, name: str, target: Path) -> None:
    """Pack `folder` as `name` into a .tar.gz: the same bytes for the same files, all of them root's."""

    def owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        entry.mtime = source_date()
        return entry

    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path in [folder, *sorted(folder.rglob("*"))]:
            archive.add(path, str(Path(name, path.relative_to(folder))), recursive=False, filter=owned_by_root)
    target.write_bytes(gzip.compress(content.getvalue(), 9, mtime=0))


@contextlib.contextmanager
def whole(destination: Path) -> Iterator[Path]:
    """A new folder that takes the place of `destination` when the block ends well, and vanishes when it does not."""
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=f".{destination.name}-", dir=destination.parent))
    except OSError as error:
        raise BuildError(f"{destination}: cannot be written: {error.strerror}") from None
    try:
        new.chmod(0o755)
        yield new
        old = new.with_name(f"{new.name}.old")
        if destination.exists():
            destination.rename(old)
        new.rename(destination)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def sha256_sums(folder: Path) -> str:
    """One `digest  path` line for every file below `folder`, as sha256sum(1) writes and checks them."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n" for path in files)


def run(name: str, build: Callable[[Path], object]) -> int:
    """What `python -m build.<module> FOLDER` does: build there, and print what that returns or one line for what went wrong."""
    if len(sys.argv) != 2:
        print(f"usage: python -m build.{name} FOLDER", file=sys.stderr)
        return 2
    try:
        built = build(Path(sys.argv[1]))
    except (BuildError, PackError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    if built is not None:
        print(built)
    return 0


def tool(name: str) -> str:
    """The path of a program of the development tools; BuildError where it is not installed."""
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        raise BuildError(f"{name}: not installed; make setup of the development tools brings it (make dist does)")
    return str(path)


def call(*command: str, cwd: Optional[Path] = None, env: Optional[Mapping[str, str]] = None) -> str:
    """What a program prints; BuildError with its own words when it fails."""
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"{Path(command[0]).name}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def plain_sql(sql: str) -> str:
    """The statement without its comment lines and common indentation, which no consumer of it needs."""
    return textwrap.dedent("\n".join(line.rstrip() for line in sql.split("\n") if not line.lstrip().startswith("--"))).strip()
