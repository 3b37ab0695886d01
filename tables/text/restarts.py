"""Which programs a script starts, and which of them it starts again and again: shell text and other interpreters' code."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tables.text.shell import Command, parse

# Longest script that is looked into; a guard is a few lines.
TEXT_LIMIT = 64 * 1024
_MAX_STARTS = 256
_MAX_NESTING = 3
_MAX_FOLDERS = 16

_LOOP_WORD = re.compile(r"(?:^|[;&|({\n]|\b(?:do|then|else)\b)[ \t]*(while|until|for|select|done)(?=[\s;&|)<>(]|$)", re.MULTILINE)
_ENDLESS = re.compile(
    r"while[ \t]+(?:true|:|\[+[ \t]+(?:1|true)[ \t]+\]+|\(\([ \t]*1[ \t]*\)\))[ \t]*[;\n]|for[ \t]*\(\([ \t]*;[ \t]*;"
)
_PAUSES = frozenset({"sleep", "usleep", "inotifywait"})
_POSITIONAL = re.compile(r"\$\{?[1-9@*]\}?")
_CODE_LOOP = re.compile(r"\b(?:while|for|loop|setInterval)\b")
_CODE_PAUSE = re.compile(r"sleep|setInterval|setTimeout|\bwait\b")
_CODE_START = re.compile(r"\b(?:subprocess|system|popen|Popen|exec\w*|spawn\w*|fork|shell_exec|proc_open|passthru)\b")
_CODE_PATH = re.compile(r"(?<![\w./$-])(\.{0,2}/[\w.+@/-]{1,255})")


class Starts(NamedTuple):
    """What a script starts: `names` as written (paths or bare names), `folders` that it changes to.

    `runs_arguments` tells whether it also starts what it is given as arguments.
    """

    names: tuple[str, ...]
    folders: tuple[str, ...]
    runs_arguments: bool = False

    def paths(self, *folders: str) -> Iterator[str]:
        """The absolute paths that the names may stand for; relative ones below each of `folders` and of its own."""
        for name in self.names:
            if name.startswith("/"):
                yield os.path.normpath(name)
            elif "/" in name:
                for folder in (*folders, *self.folders):
                    if folder.startswith("/"):
                        yield os.path.normpath(os.path.join(folder, name))

    @property
    def bare_names(self) -> Iterable[str]:
        """The names that are looked up in PATH."""
        return (name for name in self.names if "/" not in name)


@functools.lru_cache(maxsize=128)
def shell_starts(text: str) -> Starts:
    """The programs and scripts that the shell text starts anywhere. Never raises, reads at most TEXT_LIMIT characters."""
    return _gather(parse(text[:TEXT_LIMIT]).commands)


@functools.lru_cache(maxsize=128)
def shell_restarts(text: str) -> Starts:
    """The programs and scripts started inside a loop that pauses or has no end, also by functions called there.

    A loop over words or input that never pauses restarts nothing. Never raises, reads at most TEXT_LIMIT characters.
    """
    text = text[:TEXT_LIMIT]
    spans = list(_loops(text))
    if not spans:
        return Starts((), ())
    commands = parse(text).commands
    chosen: list[Command] = []
    for first, end in spans:
        inside = _with_functions([command for command in commands if first <= command.start < end], commands)
        pauses = any(name in _PAUSES or (name == "read" and "-t" in command.words) for command, name in _named(inside))
        if pauses or _ENDLESS.match(text, first):
            chosen += inside
    found = _gather(chosen)
    # Where a loop stands, a `cd` before it counts as well.
    return found._replace(folders=_gather(commands).folders)


@functools.lru_cache(maxsize=128)
def code_restarts(text: str) -> Starts:
    """The paths in program text of another language that loops, pauses and starts programs; nothing where it lacks one."""
    text = text[:TEXT_LIMIT]
    if not (_CODE_LOOP.search(text) and _CODE_PAUSE.search(text) and _CODE_START.search(text)):
        return Starts((), ())
    names = dict.fromkeys(match[1] for match in _CODE_PATH.finditer(text))
    return Starts(tuple(names)[:_MAX_STARTS], (), "sys.argv" in text)


def _loops(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each outermost loop; one never closed reaches to the end of the text."""
    depth = 0
    first = 0
    for match in _LOOP_WORD.finditer(text):
        if match[1] != "done":
            if depth == 0:
                first = match.start(1)
            depth += 1
        elif depth > 0:
            depth -= 1
            if depth == 0:
                yield first, match.end(1)
    if depth:
        yield first, len(text)


def _named(commands: Iterable[Command]) -> Iterator[tuple[Command, str]]:
    for command in commands:
        found = command.invocation
        if command.words:
            yield command, found.name if found else ""


def _with_functions(inside: list[Command], commands: Iterable[Command]) -> list[Command]:
    """`inside` and the bodies of the functions that it calls, directly or through one another."""
    bodies: dict[str, list[Command]] = {}
    for command in commands:
        if command.in_function:
            bodies.setdefault(command.in_function, []).append(command)
    found = list(inside)
    called: set[str] = set()
    position = 0
    while position < len(found):
        name = found[position].words[0] if found[position].words else ""
        if name in bodies and name not in called:
            called.add(name)
            found += bodies[name]
        position += 1
    return found


def _gather(commands: Iterable[Command], nesting: int = 0) -> Starts:
    names: dict[str, None] = {}
    folders: dict[str, None] = {}
    runs_arguments = False
    for command in commands:
        inner = list(command.substitutions)
        found = command.invocation
        if found is not None and found.name in ("cd", "pushd") and found.arguments:
            folders[found.arguments[-1]] = None
        elif found is not None:
            name = found.script or found.program
            if found.is_shell_code and found.code:
                inner.append(found.code)
            elif found.code is None:
                runs_arguments |= bool(_POSITIONAL.fullmatch(name))
                names[name] = None
        for text in inner if nesting < _MAX_NESTING else ():
            deeper = _gather(parse(text).commands, nesting + 1)
            names.update(dict.fromkeys(deeper.names))
            folders.update(dict.fromkeys(deeper.folders))
            runs_arguments |= deeper.runs_arguments
        if len(names) > _MAX_STARTS:
            break
    return Starts(tuple(names)[:_MAX_STARTS], tuple(folders)[:_MAX_FOLDERS], runs_arguments)
