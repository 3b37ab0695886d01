"""Which kernel modules have an innocent origin: kernel_modules.yaml as questions with answers."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

from tables.indicators.loader import load_yaml
from tables.indicators.process_names import Names


class KnownDriver(NamedTuple):
    """A maker's modules; `folders` are where the product that brings them is installed."""

    modules: Names
    exception: str
    folders: tuple[str, ...]


class ModuleOrigins:
    """The lists of kernel_modules.yaml."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._in_tree = Names.of(data["in_tree_folders"])
        self._out_of_tree = Names.of(data["out_of_tree_folders"])
        self._drivers = tuple(
            KnownDriver(Names.of([entry]), entry["exception"], tuple(entry.get("folders") or ()))
            for entry in data["known_drivers"]
        )

    def is_in_tree(self, inside: str) -> bool:
        """Whether `inside`, a path relative to the folder of a kernel's modules, is where the kernel's own modules lie."""
        parts = inside.split("/")
        return len(parts) > 2 and parts[0] == "kernel" and self._in_tree.match(parts[1])

    def is_added(self, inside: str) -> bool:
        """Whether that path is where modules from outside the kernel are installed."""
        return self._out_of_tree.match(inside.split("/")[0])

    def known_driver(self, module: str) -> Optional[KnownDriver]:
        """The maker's product that has a module of this name."""
        return next((driver for driver in self._drivers if driver.modules.match(module)), None)


@functools.lru_cache(maxsize=1)
def module_origins() -> ModuleOrigins:
    """The built-in lists, read when first asked for."""
    return ModuleOrigins(load_yaml("kernel_modules.yaml"))
