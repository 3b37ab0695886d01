"""With which variables systemd starts a unit's commands: Environment= and EnvironmentFile= (systemd.exec(5))."""

from __future__ import annotations

import fnmatch
import re
import stat
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Optional

from tables.host.disk.files import Unreadable
from tables.host.disk.start_files import StartFile, read_start_file
from tables.host.systemd.commands import unit_specifiers
from tables.host.systemd.managers import Manager
from tables.host.systemd.syntax import COMMAND_SECTIONS, Setting, expand_specifiers, split_words, values
from tables.host.systemd.units import SystemdUnits

# Of longer ones the beginning is read; of one systemd's files so many, and a user's own less.
_MAX_SIZE = 256 * 1024
_MAX_FILES = 1000
_MAX_USER_FILES = 50
_MAX_PATTERN = 4096
# Whoever reads a file in there may change something, or wait.
_NO_FILES = ("/proc/", "/sys/", "/dev/")

_GLOB = re.compile(r"[*?\[]")
_BLANK = re.compile(r"\s*")
_NAME = re.compile(r"([^=\n]*)(=?)")
_INNER_BLANK = re.compile(r"[ \t\r]*")
_PLAIN = re.compile(r"(?:[^\\\n]+|\\.|\\$)*", re.DOTALL)
_SINGLE = re.compile(r"'([^']*)'?")
_DOUBLE = re.compile(r'"((?:[^"\\]+|\\.|\\$)*)"?', re.DOTALL)
_ESCAPE = re.compile(r"\\(.?)", re.DOTALL)
_VALID = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Variable(NamedTuple):
    """One variable that a file sets: the line on which its name stands, from 1."""

    line: int
    name: str
    value: str


class EnvironmentFile(NamedTuple):
    """A file that EnvironmentFile= names, where it was found, what lies there (its text left out), and what it sets.

    `is_public` tells whether everybody may read it: other files are where secrets are kept.
    """

    location: str
    file: StartFile
    variables: tuple[Variable, ...]

    @property
    def is_public(self) -> bool:
        """Whether every account may read the file."""
        return bool(self.file.status.st_mode & stat.S_IROTH)


def parse_environment_file(text: str) -> Iterator[Variable]:
    """Yield the variables of an environment file in their order; quotes and continuations as in systemd.exec(5).

    What is no assignment is passed over. Never raises; linear in the length of the text.
    """
    position, line, counted = 0, 1, 0
    while (position := _end(_BLANK, text, position)) < len(text):
        if text[position] in "#;":
            position = text.find("\n", position)
            if position < 0:
                return
            continue
        line += text.count("\n", counted, position)
        counted = position
        name = _NAME.match(text, position)
        if name is None:
            return
        position = name.end()
        if name[2]:
            value, position = _value(text, position)
            if _VALID.fullmatch(name[1].rstrip()):
                yield Variable(line, name[1].rstrip(), value)


def _value(text: str, position: int) -> tuple[str, int]:
    """The value that begins at `position`, and where it ends: quoted parts, one after another, and what is not quoted."""
    parts = []
    while True:
        position = _end(_INNER_BLANK, text, position)
        if (single := _SINGLE.match(text, position)) is not None:
            parts.append(single[1])
            position = single.end()
        elif (double := _DOUBLE.match(text, position)) is not None:
            # A backslash stays, except before what it is there for.
            parts.append(
                _ESCAPE.sub(lambda found: "" if found[1] == "\n" else found[1] if found[1] in '"\\`$' else found[0], double[1])
            )
            position = double.end()
        else:
            end = _end(_PLAIN, text, position)
            parts.append(_ESCAPE.sub(lambda found: "" if found[1] == "\n" else found[1], text[position:end].rstrip()))
            return "".join(parts), end


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    found = pattern.match(text, position)
    return found.end() if found else position


class EnvironmentFiles:
    """Reads the files that the units name with EnvironmentFile=, each once; what cannot be read is told to the units' lists."""

    def __init__(self, units: SystemdUnits) -> None:
        self._units = units
        self._files = units.files
        self._read: dict[str, Optional[EnvironmentFile]] = {}
        # By account, the system's first: what was looked for, so that a user's many names take nothing from others.
        self._asked: dict[Optional[str], set[str]] = {}

    def of(self, manager: Manager, name: str, settings: Iterable[Setting]) -> list[EnvironmentFile]:
        """The files of the unit `name` of these settings, in the order in which they take effect.

        A name whose specifiers are not known is left out, and what lies in /proc, /sys or /dev; so is a file that the
        account whose unit it is may not read.
        """
        settings = list(settings)
        named = [setting for section in COMMAND_SECTIONS for setting in values(settings, section, "EnvironmentFile")]
        if not named:
            return []
        specifiers = unit_specifiers(manager, name)
        patterns = (expand_specifiers(setting.value.lstrip("-"), specifiers, "\0") for setting in named)
        paths = (path for pattern in patterns for path in self._paths(manager, pattern))
        return [found for path in paths if (found := self._file(manager, path)) is not None]

    def all(self) -> Iterator[EnvironmentFile]:
        """Yield the files of all units, each once; of templates those of the instances that something wants."""
        seen: set[str] = set()
        for manager in self._units.managers:
            for unit in manager.all_units(*(section.lower() for section in COMMAND_SECTIONS)):
                self._units.query.check_time()
                for found in self.of(manager, unit.name, unit.settings):
                    if found.file.path not in seen:
                        seen.add(found.file.path)
                        yield found

    def _paths(self, manager: Manager, pattern: str) -> list[str]:
        """The paths that a value of EnvironmentFile= stands for (glob(7))."""
        if not pattern.startswith("/") or "\0" in pattern or len(pattern) > _MAX_PATTERN:
            return []
        if not _GLOB.search(pattern):
            return [pattern]
        paths = [""]
        for part in pattern.split("/")[1:]:
            if not _GLOB.search(part):
                paths = [f"{path}/{part}" for path in paths]
                continue
            self._units.query.check_time()
            paths = [f"{path}/{name}" for path in paths for name in self._names(path or "/") if _matches(name, part)]
            most = _most(manager)
            if len(paths) > most:
                self._units.query.truncate(f"{pattern}: only {most} of the environment files it stands for are read")
                paths = paths[:most]
        return paths

    def _names(self, folder: str) -> list[str]:
        try:
            return self._files.names(folder)
        except Unreadable as error:
            self._tell(error)
            return []

    def _file(self, manager: Manager, path: str) -> Optional[EnvironmentFile]:
        asked = self._asked.setdefault(manager.account.name if manager.account else None, set())
        if path not in asked:
            if len(asked) == _most(manager):
                whose = f"{manager.account.name}'s units" if manager.account else "the units"
                text = f"only {_most(manager)} environment files of {whose} are read"
                self._units.query.truncate(text)
            if len(asked) >= _most(manager):
                return None
            asked.add(path)
        if path not in self._read:
            self._units.query.check_time()
            self._read[path] = self._looked_at(path)
        found = self._read[path]
        if found is None or manager.account is None or found.is_public or found.file.status.st_uid == manager.account.uid:
            return found
        return None

    def _looked_at(self, path: str) -> Optional[EnvironmentFile]:
        try:
            real = self._files.real_path(path)
            if f"{real}/".startswith(_NO_FILES):
                return None
            file = read_start_file(self._files, real, real)
        except Unreadable as error:
            self._tell(error)
            return None
        if len(file.text) > _MAX_SIZE:
            self._units.query.truncate(f"{path}: only the first {_MAX_SIZE} characters were read")
        return EnvironmentFile(path, file._replace(text=""), tuple(parse_environment_file(file.text[:_MAX_SIZE])))

    def _tell(self, error: Unreadable) -> None:
        if not error.is_missing and error.why != "not a regular file":
            self._units.query.could_not_see(str(error))


def _most(manager: Manager) -> int:
    return _MAX_FILES if manager.account is None else _MAX_USER_FILES


def _matches(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern) and name.startswith(".") <= pattern.startswith(".")


def unit_environment(
    settings: Iterable[Setting], specifiers: dict[str, str], files: Iterable[EnvironmentFile] = ()
) -> dict[str, str]:
    """The variables that Environment= sets in the end, and those of the environment files, which go before.

    Of a file that not everybody may read, which is where secrets are kept, only the loader's variables are taken.
    """
    settings = list(settings)
    found: dict[str, str] = {}
    for section in COMMAND_SECTIONS:
        for setting in values(settings, section, "Environment"):
            for word in split_words(setting.value):
                name, equals, value = word.partition("=")
                if equals:
                    found[name] = expand_specifiers(value, specifiers)
    for file in files:
        for variable in file.variables:
            if file.is_public or variable.name.startswith("LD_"):
                found[variable.name] = variable.value
    return found
