"""What the operator configured: /etc/minehunt/minehunt.yaml and the indicator files beside it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Optional

from tables.host.files import Files
from tables.schema import TableError

DEFAULT_CONFIG = "/etc/minehunt/minehunt.yaml"
CONFIG_VARIABLE = "MINEHUNT_CONFIG"
INDICATORS_VARIABLE = "MINEHUNT_INDICATORS"
_KEYS = frozenset({"indicators"})


@dataclass(frozen=True)
class Settings:
    """`config` is the file in force; `indicators` are the indicator files named on the command line."""

    config: str = DEFAULT_CONFIG
    indicators: tuple[str, ...] = ()

    @classmethod
    def from_environment(
        cls, config: Optional[str] = None, indicators: Iterable[str] = (), environ: Mapping[str, str] = os.environ
    ) -> Settings:
        """Settings from the command line, else from MINEHUNT_CONFIG and MINEHUNT_INDICATORS (paths joined by `:`)."""
        given = tuple(indicators) or tuple(filter(None, environ.get(INDICATORS_VARIABLE, "").split(":")))
        return cls(config or environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG, tuple(map(os.path.abspath, given)))

    def to_environment(self) -> dict[str, str]:
        """The variables that hand these settings to an extension process."""
        return {CONFIG_VARIABLE: self.config, INDICATORS_VARIABLE: ":".join(self.indicators)}

    def indicator_files(self) -> list[str]:
        """Every indicator file in force: `indicators:` of the config, indicators.d/ beside it, the command line's.

        Raises TableError naming the file for a config that is missing though asked for, not trusted, or not valid.
        """
        # The operator's files belong to the machine we run on, also when a mounted disk is examined.
        files = Files("/")
        folder = os.path.dirname(os.path.abspath(self.config))
        named: list[str] = []
        if self.config != DEFAULT_CONFIG or files.exists(self.config):
            named = [os.path.join(folder, path) for path in self._load(files)]
        beside = os.path.join(folder, "indicators.d")
        return [*named, *(path for path in files.paths(beside) if not os.path.basename(path).startswith(".")), *self.indicators]

    def _load(self, files: Files) -> list[str]:
        import yaml  # Parsing YAML takes tens of milliseconds of import time, which start-up does not need.

        try:
            loaded = yaml.safe_load(files.read_trusted(self.config)) or {}
        except OSError as error:
            raise TableError(f"config: {error}") from None
        except yaml.YAMLError as error:
            raise TableError(f"config: {self.config}: {error}") from None
        if not isinstance(loaded, dict) or not _KEYS.issuperset(loaded):
            raise TableError(f"config: {self.config}: only the keys {sorted(_KEYS)} are known")
        paths = loaded.get("indicators") or []
        if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
            raise TableError(f"config: {self.config}: indicators must be a list of file names")
        return paths
