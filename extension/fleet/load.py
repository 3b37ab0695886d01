"""`minehunt fleet load`: results of any form into one Parquet data set, partitioned by day, once.

A file is known by the hash of its content: the same file, under whatever name, changes nothing. What is loaded stands in
`minehunt-fleet.json`, which is exchanged last, so that an end in the middle leaves the data set as it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from extension import private_file
from extension.fleet.duck_files import DuckFiles
from extension.fleet.reading import Loaded
from extension.fleet.sources import DATA_SET, Problem, Source

_FORMAT = 1
_CHUNK = 1 << 20


class NoDataSetError(Exception):
    """The folder cannot take the data set; the message says why."""


def load(
    engine: DuckFiles, sources: Iterable[Source], folder: Path, progress: Callable[[int], None] = lambda _: None
) -> tuple[Loaded, int]:
    """Add the files that are not in the data set yet; what was read, and how many were in it already."""
    known = _known(folder)
    (folder / "results").mkdir(parents=True, exist_ok=True)
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
        fresh = folder / f".loading-{os.getpid()}"
        try:
            loaded = engine.convert(source, fresh, content[:32])
            _move(fresh, folder / "results")
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        known[content] = source.path
        private_file.write(folder / DATA_SET, json.dumps({"format": _FORMAT, "files": known}, indent=1, ensure_ascii=True) + "\n")
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


def _hash(path: str) -> str:
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _move(fresh: Path, results: Path) -> None:
    """Put the new files, named by their source's hash, beside those that are there."""
    with suppress(FileNotFoundError):
        for day in sorted(os.listdir(fresh)):
            (results / day).mkdir(exist_ok=True)
            for name in os.listdir(fresh / day):
                os.replace(fresh / day / name, results / day / name)
