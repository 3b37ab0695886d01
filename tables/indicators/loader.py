"""The one loader of the indicator files in data/."""

from __future__ import annotations

import functools
import pkgutil
from collections.abc import Mapping
from typing import Any


def read_data(name: str) -> bytes:
    """The bytes of the indicator file `name` of data/, also from inside a zipapp."""
    return pkgutil.get_data("tables.indicators", f"data/{name}") or b""


def load_yaml(name: str) -> Mapping[str, Any]:
    """The indicator file `name` of data/, also from inside a zipapp; ValueError when it is no mapping."""
    import yaml  # Parsing YAML takes tens of milliseconds of import time, which start-up does not need.

    # Both loaders are safe ones; libyaml's is there where PyYAML was built with it.
    loaded = yaml.load(read_data(name), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    if not isinstance(loaded, dict):
        raise ValueError(f"tables/indicators/data/{name}: not a mapping")
    return loaded


@functools.cache
def miner_programs() -> frozenset[str]:
    """File names of known mining programs."""
    return frozenset(name for entry in load_yaml("miner_programs.yaml")["programs"] for name in entry["names"])
