"""`minehunt fleet load`: results of any form into one Parquet data set, partitioned by day, once.

A file is known by the hash of its content: the same file, under whatever name, changes nothing. What is loaded stands in
`minehunt-fleet.json`, which is exchanged last: what an end in the middle leaves behind goes when the file is loaded again. One
process at a time loads into a data set.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from extension import private_file
from extension.fleet.duck_files import DuckFiles
from extension.fleet.reading import Loaded
from extension.fleet.sources import DATA_SET, Problem, Source

_FORMAT = 1
_CHUNK = 1 << 20
_LOCK, _FRESH = ".lock", ".loading"


class NoDataSetError(Exception):
    """The folder cannot take the data set; the message says why."""


def load(
    engine: DuckFiles, sources: Iterable[Source], folder: Path, progress: Callable[[int], None] = lambda _: None
) -> tuple[Loaded, int]:
    """Add the files that are not in the data set yet; what was read, and how many were in it already."""
    # Nothing is put into a folder of other things, not even a lock.
    _known(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        known = _known(folder)
        if not known:
            # Before there are results, which in a folder that says nothing are somebody else's.
            _tell(folder, known)
        (folder / "results").mkdir(exist_ok=True)
        for left in folder.glob(f"{_FRESH}*"):
            shutil.rmtree(left, ignore_errors=True)
        return _add(engine, sources, folder, known, progress)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While nobody else loads into the data set; NoDataSetError where somebody does."""
    with (folder / _LOCK).open("a", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NoDataSetError(f"{folder}: another `fleet load` is at work there; try again when it is done") from None
        yield


def _add(
    engine: DuckFiles, sources: Iterable[Source], folder: Path, known: dict[str, str], progress: Callable[[int], None]
) -> tuple[Loaded, int]:
    total, old = Loaded(), 0
    for source in sources:
        try:
            content = _hash(source.path)
        except OSError as error:
            total.problems.append(Problem(source.path, error.strerror or str(error)))
            continue
        total.size += source.size
        if content in known:
            old += 1
            continue
        fresh, name = folder / _FRESH, content[:32]
        try:
            loaded = engine.convert(source, fresh, name)
            _forget(name, folder / "results")
            _move(fresh, folder / "results")
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        known[content] = source.path
        _tell(folder, known)
        total.files += 1
        total.lines += loaded.lines
        total.broken += loaded.broken
        total.problems += loaded.problems
        progress(total.size)
    return total, old


def _known(folder: Path) -> dict[str, str]:
    if folder.exists() and not folder.is_dir():
        raise NoDataSetError(f"{folder}: is there already, and no folder")
    try:
        loaded = json.loads((folder / DATA_SET).read_text(encoding="utf-8"))
        if loaded["format"] != _FORMAT:
            raise NoDataSetError(f"{folder}: a data set of another format ({loaded['format']!r})")
        return dict(loaded["files"])
    except FileNotFoundError:
        if folder.is_dir() and any(not name.startswith(".") for name in os.listdir(folder)):
            raise NoDataSetError(f"{folder}: is neither empty nor a data set of `fleet load`") from None
        return {}
    except (ValueError, KeyError, TypeError) as error:
        raise NoDataSetError(f"{folder / DATA_SET}: cannot be read: {error}") from None


def _tell(folder: Path, known: dict[str, str]) -> None:
    private_file.write(folder / DATA_SET, json.dumps({"format": _FORMAT, "files": known}, indent=1, ensure_ascii=True) + "\n")


def _hash(path: str) -> str:
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _forget(name: str, results: Path) -> None:
    """Remove what a load that was killed left of the file of this name."""
    for left in results.glob(f"*/{name}_*"):
        left.unlink()


def _move(fresh: Path, results: Path) -> None:
    """Put the new files, named by their source's hash, beside those that are there."""
    with suppress(FileNotFoundError):
        for day in sorted(os.listdir(fresh)):
            (results / day).mkdir(exist_ok=True)
            for name in os.listdir(fresh / day):
                os.replace(fresh / day / name, results / day / name)
