"""Which files the arguments of `minehunt fleet` name, and of what form each one is."""

from __future__ import annotations

import glob
import gzip
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

LINES, DOCUMENT, PARQUET, TABLE = "lines", "document", "parquet", "table"
DATA_SET = "minehunt-fleet.json"
_ENDINGS = (".log", ".json", ".ndjson", ".jsonl", ".parquet")
_PACKED = (".gz", ".zst")
_GZIP, _ZSTD, _PARQUET = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1"
_HEAD = 64 * 1024


class Problem(NamedTuple):
    """Something that could not be read: `place` is a file, or file:line."""

    place: str
    why: str

    def __str__(self) -> str:
        return f"{self.place}: {self.why}"


class Source(NamedTuple):
    """One file to read. `form` is lines, document (one JSON text over several lines), parquet or table (of a database)."""

    path: str
    form: str
    packed: str
    size: int

    @property
    def is_remote(self) -> bool:
        """Whether it is a URL, which the engine alone reads."""
        return _is_remote(self.path)


class NoSourceError(Exception):
    """An argument names nothing that is there; the message says which."""


def discover(arguments: Iterable[str]) -> tuple[list[Source], list[Problem]]:
    """The files that files, folders, globs and URLs name, each once; NoSourceError for an argument that names none."""
    found: dict[str, Source] = {}
    problems: list[Problem] = []

    def told(error: OSError) -> None:
        problems.append(Problem(str(error.filename), error.strerror or str(error)))

    for argument in arguments:
        before = len(problems)
        paths = list(_paths(argument, told))
        if not paths and len(problems) == before:
            raise NoSourceError(
                f"{argument}: no such file, and no file there ends in {', '.join(_ENDINGS)} (or these and .gz, .zst)"
            )
        for path in paths:
            key = path if _is_remote(path) else os.path.realpath(path)
            if key in found:
                continue
            try:
                found[key] = _source(path)
            except OSError as error:
                problems.append(Problem(path, error.strerror or str(error)))
    return list(found.values()), problems


def _is_remote(path: str) -> bool:
    return "://" in path


def _paths(argument: str, told: Callable[[OSError], None]) -> Iterator[str]:
    if _is_remote(argument):
        yield argument
    elif os.path.isdir(argument):
        yield from _below(Path(argument), told)
    elif os.path.lexists(argument):
        yield argument
    else:
        for path in sorted(glob.glob(argument, recursive=True)):
            yield from _below(Path(path), told) if os.path.isdir(path) else (path,)


def _below(folder: Path, told: Callable[[OSError], None]) -> Iterator[str]:
    """Every file of a known ending, at any depth; of a data set that `fleet load` wrote only its results.

    `told` is told of folders that cannot be read.
    """
    if (folder / DATA_SET).is_file():
        folder = folder / "results"
    for place, folders, files in os.walk(folder, onerror=told):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if is_result_file(name):
                yield os.path.join(place, name)


def is_result_file(name: str) -> bool:
    """Whether a file's name is one of a log of results, rotated (`.log.1`, `.log-20261123`) and packed ones included."""
    for ending in _PACKED:
        name = name.removesuffix(ending)
    stem, dot, rest = name.rpartition(".log")
    return name.endswith(_ENDINGS) or bool(dot and stem and rest[:1] in (".", "-") and rest[1:].replace("-", "").isdigit())


def _source(path: str) -> Source:
    if _is_remote(path):
        packed = "gzip" if path.endswith(".gz") else "zstd" if path.endswith(".zst") else ""
        return Source(path, PARQUET if path.endswith(".parquet") else LINES, packed, 0)
    if not os.path.isfile(path):
        raise OSError(0, "not a regular file")
    size = os.path.getsize(path)
    with Path(path).open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith(_PARQUET):
        return Source(path, PARQUET, "", size)
    packed = "gzip" if head.startswith(_GZIP) else "zstd" if head.startswith(_ZSTD) else ""
    if packed == "gzip":
        try:
            with gzip.open(path) as unpacked:
                head = unpacked.read(_HEAD)
        except (OSError, EOFError):
            head = b""
    return Source(path, DOCUMENT if packed != "zstd" and _is_document(head) else LINES, packed, size)


def _is_document(head: bytes) -> bool:
    """Whether the file is one JSON text that goes on over lines: an array, or an object that its first line only opens."""
    text = head.lstrip()
    first = text.split(b"\n", 1)[0].strip()
    return text[:1] == b"[" or first == b"{"
