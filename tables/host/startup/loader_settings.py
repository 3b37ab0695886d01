"""Where files tell the dynamic loader to load more than a program asks for: units, environment files, shell profiles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tables.host.disk.files import DEFAULT_LIMIT, Files, Unreadable
from tables.host.disk.start_files import StartFile, read_start_file
from tables.host.loader.preloads import FOLDER_VARIABLE, LIBRARY_VARIABLES, Setting, parse_settings, split_value
from tables.host.loader.sources import environment_paths, manager_paths
from tables.host.systemd.commands import unit_specifiers
from tables.host.systemd.environment import EnvironmentFile, EnvironmentFiles
from tables.host.systemd.managers import Manager, UnitFile
from tables.host.systemd.syntax import expand_specifiers
from tables.host.systemd.units import SystemdUnits
from tables.schema import QueryContext

_VARIABLES = (*LIBRARY_VARIABLES, FOLDER_VARIABLE)


class LoaderSetting(NamedTuple):
    """One of the loader's variables, set in a file: `mechanism` is unit or environment, `location` where the file was found."""

    mechanism: str
    location: str
    file: StartFile
    line: int
    variable: str
    values: tuple[str, ...]


class LoaderSettings:
    """Reads them below a root folder; what could not be read, or was left out for being too much, is said to `query`."""

    def __init__(self, files: Files, query: QueryContext) -> None:
        self._files = files
        self._query = query
        self._units = SystemdUnits(files, query)

    def __iter__(self) -> Iterator[LoaderSetting]:
        seen: set[tuple[str, int, str, tuple[str, ...]]] = set()
        for found in self._all():
            key = (found.file.path, found.line, found.variable, found.values)
            # /lib is mostly a link to /usr/lib, and units name the environment files that are read anyway.
            if key not in seen:
                seen.add(key)
                yield found

    def _all(self) -> Iterator[LoaderSetting]:
        yield from self._of_texts("unit", manager_paths(self._files))
        for manager in self._units.managers:
            for found in manager.files():
                yield from _of_unit(manager, found)
        yield from self._of_texts("environment", environment_paths(self._files))
        for file in EnvironmentFiles(self._units).all():
            yield from _of_environment_file(file)

    def _of_texts(self, mechanism: str, paths: Iterator[str]) -> Iterator[LoaderSetting]:
        for path in paths:
            self._query.check_time()
            try:
                file = read_start_file(self._files, path)
            except Unreadable as error:
                # Folders lie among the files.
                if not error.is_missing and error.why != "not a regular file":
                    self._query.could_not_see(str(error))
                continue
            if not file.is_whole:
                self._query.truncate(f"{path}: only the first {DEFAULT_LIMIT} bytes were read")
            for setting in parse_settings(file.text):
                yield LoaderSetting(mechanism, path, file._replace(text=""), *setting)


def _of_unit(manager: Manager, found: UnitFile) -> Iterator[LoaderSetting]:
    """What a unit file sets by Environment=, or in its commands."""
    for setting in found.settings:
        if found.file is None or "LD_" not in setting.value:
            continue
        value = expand_specifiers(setting.value, unit_specifiers(manager, found.name))
        for named in parse_settings(f"{setting.key}={value}"):
            yield LoaderSetting("unit", found.location, found.file, *named._replace(line=setting.line))


def _of_environment_file(found: EnvironmentFile) -> Iterator[LoaderSetting]:
    for line, name, value in found.variables:
        if name in _VARIABLES:
            setting = Setting(line, name, split_value(name, value))
            yield LoaderSetting("environment", found.location, found.file, *setting)
