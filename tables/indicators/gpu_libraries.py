"""What a program computes on a GPU for, by the libraries that it has mapped (gpu_libraries.yaml)."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Optional

from tables.indicators.loader import load_yaml
from tables.indicators.process_names import is_below


class MappedLibraries(NamedTuple):
    """The first among those mapped of a framework, by which one computes, and of a display; "" for none."""

    framework: str
    compute: str
    display: str


class GpuLibraries:
    """The lists, as one question with an answer."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._framework = _pattern(data["frameworks"])
        self._compute = _pattern(data["compute"])
        self._display = _pattern(data["display"])
        self._volunteers = frozenset(name for entry in data["volunteers"] for name in entry["names"])
        self._volunteer_folders = tuple(folder for entry in data["volunteers"] for folder in entry["folders"])

    def is_volunteers(self, path: str, ancestors: Iterable[str]) -> bool:
        """Whether the program at `path` is one of a volunteers' project: started by its client, and kept in its folder."""
        return is_below(path, self._volunteer_folders) is not None and not self._volunteers.isdisjoint(ancestors)

    def of_maps(self, maps: bytes) -> MappedLibraries:
        """Which of them a process has mapped, by its /proc/PID/maps."""
        return MappedLibraries(_first(self._framework, maps), _first(self._compute, maps), _first(self._display, maps))


def _pattern(entries: Iterable[Mapping[str, Any]]) -> re.Pattern[bytes]:
    names = "|".join(re.escape(name) for entry in entries for name in entry["names"])
    return re.compile(rf"/((?:{names})[^/\n ]{{0,255}})(?: \(deleted\))?$".encode(), re.MULTILINE)


def _first(pattern: re.Pattern[bytes], maps: bytes) -> str:
    found: Optional[re.Match[bytes]] = pattern.search(maps)
    return found[1].decode("utf-8", "backslashreplace") if found else ""


@functools.lru_cache(maxsize=1)
def gpu_libraries() -> GpuLibraries:
    """The built-in lists, read when first asked for."""
    return GpuLibraries(load_yaml("gpu_libraries.yaml"))
