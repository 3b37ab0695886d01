"""Which preloaded libraries have an innocent origin: preloads.yaml as questions with answers."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Optional

from tables.indicators.loader import load_yaml
from tables.indicators.process_names import Names


class _Known(NamedTuple):
    libraries: Names
    mechanisms: frozenset[str]
    folders: tuple[str, ...]
    parents: frozenset[str]
    exception: str


class PreloadOrigins:
    """The lists of preloads.yaml; `tools_pattern` are the names of its tools, parted by |."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.build_programs = frozenset(data["build_programs"])
        self.tools_pattern = "|".join(map(re.escape, data["tools"]))
        self._known = tuple(
            _Known(
                Names.of(
                    [{**entry, "patterns": [text.replace("{tools}", self.tools_pattern) for text in entry.get("patterns") or ()]}]
                ),
                frozenset(entry["mechanisms"]),
                tuple(entry.get("folders") or ()),
                frozenset(entry.get("parents") or ()),
                entry["exception"],
            )
            for entry in data["known_libraries"]
        )

    def exception(
        self, path: str, mechanism: str, exists: Callable[[str], bool], programs: Callable[[], frozenset[str]]
    ) -> Optional[str]:
        """Why the library at `path` is harmless when loaded by `mechanism`; None when nothing says so.

        `exists` tells whether a folder is there, `programs` names those of the process and its nearest ancestors.
        """
        for known in self._known:
            if mechanism not in known.mechanisms or not known.libraries.match(path):
                continue
            if known.folders and not any(map(exists, known.folders)):
                continue
            if known.parents and not known.parents & programs():
                continue
            return known.exception
        return None


@functools.lru_cache(maxsize=1)
def preload_origins() -> PreloadOrigins:
    """The built-in lists, read when first asked for."""
    return PreloadOrigins(load_yaml("preloads.yaml"))
