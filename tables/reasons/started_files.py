"""Which files a command starts: programs, and the scripts that interpreters, shells and schedulers are given."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Optional

from tables.host.disk.files import Files, Unreadable
from tables.reasons.commands import handed_on
from tables.text.package_scripts import project_run
from tables.text.programs import SHELLS, Invocation, is_interpreter
from tables.text.shell import Command, parse
from tables.unseen import say_cut

# What systemd and most cron daemons search, in their order.
SEARCH_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
# What a started file holds, where the command tells.
SHELL_TEXT, SOURCED, CODE, CRONTAB, PROJECT = "shell", "sourced", "code", "crontab", "project"

_SYSTEM_FOLDERS = ("/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/", "/usr/lib/", "/lib/", "/usr/libexec/", "/usr/lib64/")
# Commands that start nothing of their own, most of them built into the shell.
_PREPARATIONS = (
    ": . [ [[ alias break cd command continue declare echo eval exec exit export false local mkdir printf pushd read return "
    "set shift sleep source test trap true type ulimit umask unalias unset wait"
)
_STARTS_NOTHING = frozenset(_PREPARATIONS.split())
_VARIABLE_PARTS = re.compile(r"[$`*?]")
_MAX_DEPTH = 3
_MAX_FILES = 256


class Started(NamedTuple):
    """A file that is run: its path, links resolved, what it holds as far as known, and the home of whoever runs it."""

    path: str
    language: Optional[str] = None
    home: Optional[str] = None
    # Of a project's file: the scripts in it that are run.
    scripts: tuple[str, ...] = ()


class StartedFiles:
    """Finds the files of commands; whether one exists is asked once."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self._real: dict[str, Optional[str]] = {}

    def program(
        self,
        commands: Sequence[Command],
        search_path: Sequence[str],
        home: Optional[str],
        folder: str,
    ) -> tuple[Optional[Invocation], Optional[str]]:
        """What a line of shell commands starts, and the file that is run: an interpreter's script rather than the interpreter.

        Of several programs the first outside the system's own folders, else the first. The file is None where the command
        does not tell it: a variable, an interpreter fed through a pipe.
        """
        first: tuple[Optional[Invocation], Optional[str]] = (None, None)
        for found, inside in _invocations(commands, folder, is_thorough=False):
            path = self._path(found.script or found.program, found.script is not None, search_path, home, inside)
            if first[0] is None:
                first = found, path
            # Settings that are read first are not what is started.
            is_setting = found.name in (".", "source") and path is not None and path.startswith("/etc/")
            if path is not None and not path.startswith(_SYSTEM_FOLDERS) and not is_setting:
                return found, path
        return first

    def all(
        self,
        commands: Sequence[Command],
        search_path: Sequence[str] = SEARCH_PATH,
        home: Optional[str] = None,
        folder: str = "/",
        handed: Optional[Sequence[Sequence[str]]] = None,
    ) -> tuple[Started, ...]:
        """All files that exist among those which shell commands start, at most 256, none twice.

        `handed` is what `handed_on` found where the commands are not a whole script.
        """
        seen: dict[Started, None] = {}
        for found, inside in _invocations(commands, folder, handed):
            if len(seen) >= _MAX_FILES:
                say_cut(
                    f"only the first {_MAX_FILES} files that a script starts are looked at, those before {found.program[:80]}"
                )
                break
            for given, is_script in ((found.program, False), (found.script, True)):
                path = self._path(given, is_script, search_path, home, inside) if given else None
                real = self.real_path(path) if path else None
                if real is not None:
                    seen[Started(real, _language(found) if is_script else None, home)] = None
            project = project_run(found.name, found.arguments)
            path = self._path(project.path, True, search_path, home, inside) if project else None
            real = self.real_path(path) if path else None
            if project is not None and real is not None:
                seen[Started(real, PROJECT if project.scripts else CODE, home, project.scripts)] = None
        return tuple(seen)

    def real_path(self, path: str) -> Optional[str]:
        """`path` with its links resolved; None where nothing is there."""
        if path not in self._real:
            try:
                self.files.stat(path)
                self._real[path] = self.files.real_path(path)
            except Unreadable:
                self._real[path] = None
        return self._real[path]

    def _path(self, given: str, is_script: bool, search_path: Sequence[str], home: Optional[str], folder: str) -> Optional[str]:
        if home:
            given, folder = _from_home(given, home), _from_home(folder, home)
        if not given or _VARIABLE_PARTS.search(given) or given.startswith(("~", "<(", "-")):
            return None
        if is_script or "/" in given:
            return os.path.normpath(os.path.join(folder, given)) if folder.startswith("/") or given.startswith("/") else None
        places = (f"{place}/{given}" for place in search_path)
        return next((place for place in places if self.real_path(place) is not None), None)


def _from_home(path: str, home: str) -> str:
    """The path with `~` or `$HOME` at its beginning filled in."""
    return home + path[path.index("/") :] if path.startswith(("~/", "$HOME/", "${HOME}/")) else path


def _language(found: Invocation) -> Optional[str]:
    if found.name == "crontab":
        return CRONTAB
    if found.name in (".", "source"):
        return SOURCED
    if found.name in SHELLS or found.name in ("at", "batch"):
        return SHELL_TEXT
    return CODE if is_interpreter(found.name) else None


def _invocations(
    commands: Sequence[Command],
    folder: str,
    handed: Optional[Sequence[Sequence[str]]] = None,
    is_thorough: bool = True,
    depth: int = 0,
) -> Iterator[tuple[Invocation, str]]:
    """What each simple command starts, with the folder that it starts in; what only prepares is left out.

    `is_thorough`: with what stands in substitutions, and in text that is handed on to something that runs it.
    """
    if handed is None:
        handed = handed_on(commands) if is_thorough else [()] * len(commands)
    for command, given in zip(commands, handed):
        found = command.invocation
        inner = [*given, *command.substitutions] if is_thorough else []
        if found is not None and found.name in ("cd", "pushd") and found.arguments:
            target = found.arguments[-1]
            folder = target if target.startswith("~/") else os.path.join(folder, target)
        elif found is not None and found.is_shell_code and found.code:
            inner.insert(0, found.code)
        elif found is not None and (found.name not in _STARTS_NOTHING or (found.script and found.name in (".", "source"))):
            yield found, folder
        for text in inner if depth < _MAX_DEPTH else ():
            yield from _invocations(parse(text).commands, folder, None, is_thorough, depth + 1)
