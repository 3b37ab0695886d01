"""Finds the paths that osquery finds for `path LIKE …`, where `%` is a shell wildcard."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from extension.engines.core.reading import Reader
from tables.schema import LIKE, QueryContext

_MAX_DEPTH = 64


def paths_asked_for(reader: Reader, query: QueryContext, column: str, only_folders: bool = False) -> list[str]:
    """The sorted paths that `column` is compared to with `=`, and those that exist for its LIKE patterns."""
    paths = set(query.equals(column) or ())
    for term in query.constraints.get(column, ()):
        if term.op == LIKE:
            paths.update(path for path in expand(reader, query, term.expr) if path.endswith("/") or not only_folders)
    return sorted(paths)


def expand(reader: Reader, query: QueryContext, pattern: str) -> Iterator[str]:
    """Yield the existing paths for a LIKE pattern, folders and links to folders with a closing slash.

    As osquery's resolveFilePattern and glob(3): `%` matches within one path component and no leading dot, unless the
    component starts with one (`.%` then also finds `.` and `..`); `%%` at the end takes everything below, dotfiles
    included; `_` is no wildcard. A relative pattern starts at `/`, where osqueryd runs.
    """
    pattern = pattern.replace("%", "*")
    is_recursive = pattern.endswith("**")
    if is_recursive:
        pattern = pattern[:-1]
    seen: set[tuple[int, int]] = set()
    for path in _glob(reader, query, "/", pattern[pattern.startswith("/") :].split("/")):
        yield path
        if is_recursive and path.endswith("/"):
            yield from _below(reader, query, path, seen, 0)


def _glob(reader: Reader, query: QueryContext, folder: str, parts: list[str]) -> Iterator[str]:
    query.check_time()
    part, *rest = parts
    if not part and not rest:
        if reader.is_folder(folder):
            yield folder
        return
    for name in _matches(reader, folder, part) if "*" in part else [part]:
        path = folder + name
        if not rest:
            if "*" in part or reader.host.files.exists(path):
                yield path + "/" * reader.is_folder(path)
        elif "*" not in part or reader.is_folder(path):
            yield from _glob(reader, query, path + "/", rest)


def _matches(reader: Reader, folder: str, part: str) -> list[str]:
    wanted = re.compile(".*".join(map(re.escape, part.split("*"))), re.DOTALL)
    names = reader.names(folder)
    if part.startswith(".") and reader.is_folder(folder):
        names = [".", "..", *names]
    return [name for name in names if name.startswith(".") == part.startswith(".") and wanted.fullmatch(name)]


def _below(reader: Reader, query: QueryContext, folder: str, seen: set[tuple[int, int]], depth: int) -> Iterator[str]:
    """Everything below `folder`, links to folders followed, each folder once."""
    query.check_time()
    try:
        found = reader.host.files.stat(folder)
    except OSError:
        return
    if depth >= _MAX_DEPTH or (found.st_dev, found.st_ino) in seen:
        return
    seen.add((found.st_dev, found.st_ino))
    for name in reader.names(folder):
        path = os.path.join(folder, name)
        if reader.is_folder(path):
            yield path + "/"
            yield from _below(reader, query, path + "/", seen, depth + 1)
        else:
            yield path
