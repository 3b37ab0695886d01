"""What the operator configured: /etc/minehunt/minehunt.yaml, and the indicator files and known-good list beside it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Optional

from tables.errors import TableError

if TYPE_CHECKING:
    from tables.host.disk.files import Files

DEFAULT_CONFIG = "/etc/minehunt/minehunt.yaml"
CONFIG_VARIABLE = "MINEHUNT_CONFIG"
INDICATORS_VARIABLE = "MINEHUNT_INDICATORS"
KNOWN_GOOD_VARIABLE = "MINEHUNT_KNOWN_GOOD"
BUDGET_FACTOR_VARIABLE = "MINEHUNT_BUDGET_FACTOR"
TRIAGE_VARIABLE = "MINEHUNT_TRIAGE"
_QUICK = "quick"
_MOST_BUDGET_FACTOR = 1000.0
# More readers than this a disk seldom serves faster.
_MOST_PROCESSES = 8
_KEYS = frozenset({"feeds", "indicators", "known_good"})


def budget_factor(environ: Mapping[str, str] = os.environ) -> float:
    """By how much every table's time budget is stretched, which MINEHUNT_BUDGET_FACTOR says: 1, more on a slow machine.

    Raises TableError naming the variable for what is no such number.
    """
    text = environ.get(BUDGET_FACTOR_VARIABLE) or "1"
    try:
        factor = float(text)
    except ValueError:
        factor = math.nan
    if not 1 <= factor <= _MOST_BUDGET_FACTOR:
        raise TableError(f"{BUDGET_FACTOR_VARIABLE}: {text!r} is no number from 1 to {_MOST_BUDGET_FACTOR:g}")
    return factor


@dataclass(frozen=True)
class Settings:
    """`config` is the file in force; `indicators` and `known_good` are the files named on the command line.

    `budget_factor` stretches the time budgets of all tables, for a machine that is many times slower than others. `is_triage`
    says that somebody waits for the answers to many questions at once, rather than that a schedule asks for one now and then:
    a walk through the disk then takes all cores, and serves the questions after it too. `is_quick` says that they would rather
    do without what takes seconds and is there for doubly hidden things alone.
    """

    config: str = DEFAULT_CONFIG
    indicators: tuple[str, ...] = ()
    known_good: Optional[str] = None
    budget_factor: float = field(default_factory=budget_factor)
    is_triage: bool = False
    is_quick: bool = False

    @classmethod
    def from_environment(
        cls,
        config: Optional[str] = None,
        indicators: Iterable[str] = (),
        environ: Mapping[str, str] = os.environ,
        known_good: Optional[str] = None,
    ) -> Settings:
        """Settings from the command line, else from the MINEHUNT_ variables; MINEHUNT_INDICATORS is joined by `:`."""
        given = tuple(indicators) or tuple(filter(None, environ.get(INDICATORS_VARIABLE, "").split(":")))
        listed = known_good or environ.get(KNOWN_GOOD_VARIABLE)
        return cls(
            config or environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG,
            tuple(map(os.path.abspath, given)),
            os.path.abspath(listed) if listed else None,
            budget_factor(environ),
            bool(environ.get(TRIAGE_VARIABLE)),
            environ.get(TRIAGE_VARIABLE) == _QUICK,
        )

    def to_environment(self) -> dict[str, str]:
        """The variables that hand these settings to an extension process."""
        return {
            CONFIG_VARIABLE: self.config,
            INDICATORS_VARIABLE: ":".join(self.indicators),
            KNOWN_GOOD_VARIABLE: self.known_good or "",
            BUDGET_FACTOR_VARIABLE: f"{self.budget_factor:g}",
            TRIAGE_VARIABLE: _QUICK if self.is_quick else "whole" if self.is_triage else "",
        }

    @property
    def side_by_side(self) -> int:
        """How many processes may work side by side: of a triage as many as there are cores for it, at most 8, else one."""
        return min(len(os.sched_getaffinity(0)), _MOST_PROCESSES) if self.is_triage else 1

    def indicator_files(self) -> list[str]:
        """Every indicator file in force: `indicators:` of the config, indicators.d/ beside it, the command line's.

        Raises TableError naming the file for a config that is missing though asked for, not trusted, or not valid.
        """
        # The operator's files belong to the machine we run on, also when a mounted disk is examined.
        files = _host_files()
        paths = self._load(files).get("indicators") or []
        if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
            raise TableError(f"config: {self.config}: indicators must be a list of file names")
        named = [os.path.join(self._folder, path) for path in paths]
        beside = (path for path in files.paths(self.indicators_folder) if not os.path.basename(path).startswith("."))
        return [*named, *beside, *self.indicators]

    @property
    def indicators_folder(self) -> str:
        """The folder beside the configuration all of whose files are indicator lists."""
        return os.path.join(self._folder, "indicators.d")

    def feeds(self) -> Any:
        """What the configuration says under `feeds:`, which `minehunt intel update` reads; None where it says nothing."""
        return self._load(_host_files()).get("feeds")

    def known_good_files(self) -> list[str]:
        """Every known-good list in force: the file, and the *.yaml files of the folder named like it with .d for .yaml.

        The file is the command line's, else `known_good:` of the config, else known_good.yaml beside the config, which
        alone may be missing. Raises TableError as `indicator_files` does.
        """
        files = _host_files()
        given = self.known_good
        if given is None:
            given = self._load(files).get("known_good")
            if given is not None and not isinstance(given, str):
                raise TableError(f"config: {self.config}: known_good must be a file name")
        path = os.path.join(self._folder, given or "known_good.yaml")
        more = [
            found
            for found in files.paths(os.path.splitext(path)[0] + ".d")
            if found.endswith(".yaml") and not os.path.basename(found).startswith(".")
        ]
        return [path, *more] if given or files.exists(path) else more

    @property
    def _folder(self) -> str:
        return os.path.dirname(os.path.abspath(self.config))

    def _load(self, files: Files) -> dict[str, Any]:
        if self.config == DEFAULT_CONFIG and not files.exists(self.config):
            return {}
        import yaml  # Parsing YAML takes tens of milliseconds of import time, which start-up does not need.

        from tables.text import bounded_yaml

        try:
            loaded = bounded_yaml.load(files.read_trusted(self.config)) or {}
        except OSError as error:
            raise TableError(f"config: {error}") from None
        except (yaml.YAMLError, ValueError) as error:
            raise TableError(f"config: {self.config}: {error}") from None
        if not isinstance(loaded, dict) or not _KEYS.issuperset(loaded):
            raise TableError(f"config: {self.config}: only the keys {sorted(_KEYS)} are known")
        return loaded


def _host_files() -> Files:
    from tables.host.disk.files import Files

    return Files("/")
