"""Where files set variables that have programs load or run more than they ask for: units, environment files, shell profiles."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Union

from tables.host.disk.files import DEFAULT_LIMIT, Files, Unreadable
from tables.host.disk.start_files import StartFile, read_start_file
from tables.host.loader.preloads import FOLDER_VARIABLE, LIBRARY_VARIABLES, Setting, parse_settings, split_value
from tables.host.loader.sources import PAM_ENVIRONMENT, environment_paths, manager_paths, profile_paths
from tables.host.systemd.commands import unit_specifiers
from tables.host.systemd.environment import EnvironmentFiles, Variable, parse_environment_file
from tables.host.systemd.managers import Manager, UnitFile
from tables.host.systemd.syntax import expand_specifiers, split_words
from tables.host.systemd.units import SystemdUnits
from tables.schema import QueryContext
from tables.text.lines import logical_lines, unquoted
from tables.text.run_by_variables import names_code, run_by_variable, sets_code

_LOADER = (*LIBRARY_VARIABLES, FOLDER_VARIABLE)
_EXPORT = re.compile(r"(?m)^[ \t]*export[ \t]+")
_PAM_NAME = re.compile(r"[ \t]*(\w{1,255})[ \t]+(?=DEFAULT|OVERRIDE)")
_PAM_VALUE = re.compile(r"\b(?:DEFAULT|OVERRIDE)=(\"[^\"]*\"|'[^']*'|\S*)")
_PAM_HOME = re.compile(r"@\{HOME\}")
_DEFAULT_ENVIRONMENT = "DefaultEnvironment="


class LoaderSetting(NamedTuple):
    """One of the loader's variables, set in a file: `mechanism` is unit or environment, `location` where the file was found."""

    mechanism: str
    location: str
    file: StartFile
    line: int
    variable: str
    values: tuple[str, ...]


class CodeSetting(NamedTuple):
    """A variable that has a shell, an interpreter or another tool run `code`, which is shell text; the rest as above."""

    mechanism: str
    location: str
    file: StartFile
    line: int
    variable: str
    code: str


def parse_pam_environment(text: str) -> Iterator[Variable]:
    """Yield the variables of pam_env.conf(5), a default and what overrides it each by itself; `@{HOME}` as `$HOME`."""
    for number, line in logical_lines(text, skips_comments=True):
        name = _PAM_NAME.match(line)
        for value in _PAM_VALUE.finditer(line, name.end()) if name else ():
            if value[1]:
                yield Variable(number, name[1] if name else "", _PAM_HOME.sub("$HOME", unquoted(value[1])))


def parse_login_environment(path: str, text: str) -> list[Variable]:
    """The variables of a file that sets some for logins or services, by its format: pam_env.conf's, or NAME=value."""
    if path.endswith(PAM_ENVIRONMENT):
        found = list(parse_pam_environment(text))
        # The file of an account may hold either.
        if found or path.startswith("/etc/"):
            return found
    return list(parse_environment_file(_EXPORT.sub("", text)))


def code_settings(file: StartFile, mechanism: str, location: str, variables: Iterable[Variable]) -> Iterator[CodeSetting]:
    """What the variables of one file have run."""
    listed = list(variables)
    if any(names_code(variable.name) for variable in listed):
        known = {variable.name: variable.value for variable in listed}
        for line, name, value in listed:
            for code in run_by_variable(name, value, known):
                yield CodeSetting(mechanism, location, file, line, name, code)


class EnvironmentSettings:
    """Reads them below a root folder; what could not be read, or was left out for being too much, is said to `query`."""

    def __init__(self, files: Files, query: QueryContext) -> None:
        self._files = files
        self._query = query
        self._units = SystemdUnits(files, query)

    def __iter__(self) -> Iterator[Union[LoaderSetting, CodeSetting]]:
        seen: set[tuple[object, ...]] = set()
        for found in self._all():
            key = (found.file.path, *found[3:])
            # /lib is mostly a link to /usr/lib, and units name the environment files that are read anyway.
            if key not in seen:
                seen.add(key)
                yield found

    def _all(self) -> Iterator[Union[LoaderSetting, CodeSetting]]:
        for path, file in self._read(manager_paths(self._files)):
            yield from _loader_settings("unit", path, file)
            yield from code_settings(file._replace(text=""), "unit", path, _default_environment(file.text))
        # What units set for themselves systemd_unit_commands shows; profiles are read as the scripts that they are.
        for manager in self._units.managers:
            for found in manager.files():
                yield from _of_unit(manager, found)
        for path, file in self._read(profile_paths(self._files)):
            yield from _loader_settings("environment", path, file)
        for path, file in self._read(environment_paths(self._files)):
            yield from _loader_settings("environment", path, file)
            is_pams = path.endswith(PAM_ENVIRONMENT)
            variables = parse_login_environment(path, file.text) if is_pams or sets_code(file.text) else []
            if is_pams:
                yield from _of_variables(path, file._replace(text=""), variables)
            yield from code_settings(file._replace(text=""), "environment", path, variables)
        for one in EnvironmentFiles(self._units).all():
            yield from _of_variables(one.location, one.file, one.variables)
            yield from code_settings(one.file, "environment", one.location, one.variables)

    def _read(self, paths: Iterable[str]) -> Iterator[tuple[str, StartFile]]:
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
            yield path, file


def _loader_settings(mechanism: str, path: str, file: StartFile) -> Iterator[LoaderSetting]:
    for setting in parse_settings(file.text):
        yield LoaderSetting(mechanism, path, file._replace(text=""), *setting)


def _default_environment(text: str) -> Iterator[Variable]:
    for number, line in logical_lines(text, skips_comments=True):
        if line.lstrip().startswith(_DEFAULT_ENVIRONMENT):
            for word in split_words(line.partition("=")[2]):
                name, equals, value = word.partition("=")
                if equals:
                    yield Variable(number, name, value)


def _of_unit(manager: Manager, found: UnitFile) -> Iterator[LoaderSetting]:
    """What a unit file sets by Environment=, or in its commands."""
    for setting in found.settings:
        if found.file is None or "LD_" not in setting.value:
            continue
        value = expand_specifiers(setting.value, unit_specifiers(manager, found.name))
        for named in parse_settings(f"{setting.key}={value}"):
            yield LoaderSetting("unit", found.location, found.file, *named._replace(line=setting.line))


def _of_variables(location: str, file: StartFile, variables: Iterable[Variable]) -> Iterator[LoaderSetting]:
    for line, name, value in variables:
        if name in _LOADER:
            yield LoaderSetting("environment", location, file, *Setting(line, name, split_value(name, value)))
