"""The history files that shells keep: which there are, and the commands in each form."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Optional

FISH = ".local/share/fish/fish_history"
# Below a home; bash and zsh write the path that HISTFILE names, these are the usual ones.
NAMES = (".bash_history", ".zsh_history", ".zhistory", ".histfile", ".history", ".sh_history", ".ash_history", FISH)

# Of a command of many lines, those after so many bytes are left out.
MAX_COMMAND = 64 * 1024

_BASH_TIME = re.compile(rb"#([0-9]{9,11})")
_ZSH_START = re.compile(rb": {1,10}([0-9]{1,11}):[0-9]{1,9};")
_FISH_WHEN = re.compile(rb" {1,8}when: ([0-9]{1,11})")


class Entered(NamedTuple):
    """One command: the line of the file it starts on, the time it was entered (unix seconds; None where not kept), its text."""

    line: int
    time: Optional[int]
    command: str


def parse_history(lines: Iterable[bytes], path: str) -> Iterator[Entered]:
    """Yield the commands of the history file at `path`, in bash's, zsh's or fish's form; never raises, linear time.

    `lines` are the file's, and are read as the commands are asked for.
    """
    stripped = (line.rstrip(b"\n") for line in lines)
    first = next(stripped, b"")
    parse = _fish if path.endswith("fish_history") else _zsh if _ZSH_START.match(first) else _bash
    for line, time, command in parse(itertools.chain([first], stripped)):
        text = command.rstrip(b"\n").decode("utf-8", "surrogateescape")
        if text.strip():
            yield Entered(line, time, text)


def _bash(lines: Iterable[bytes]) -> Iterator[tuple[int, Optional[int], bytes]]:
    """One command a line; with times (HISTTIMEFORMAT), all lines up to the next time are one command."""
    time: Optional[int] = None
    start = held = 0
    pending: list[bytes] = []
    for number, line in enumerate(lines, 1):
        stamp = _BASH_TIME.fullmatch(line)
        if stamp:
            yield start, time, b"\n".join(pending)
            time, pending = int(stamp[1]), []
        elif time is None:
            yield number, None, line
        elif pending:
            if held < MAX_COMMAND:
                pending.append(line)
                held += len(line) + 1
        elif line:
            start, pending, held = number, [line], len(line)
    yield start, time, b"\n".join(pending)


def _zsh(lines: Iterable[bytes]) -> Iterator[tuple[int, Optional[int], bytes]]:
    """`: time:seconds;command`; a backslash ends a line that goes on, and some bytes are shifted (zsh's metafication)."""
    time: Optional[int] = None
    start = held = 0
    parts: list[bytes] = []
    for number, line in enumerate(lines, 1):
        if not parts:
            held = 0
            match = _ZSH_START.match(line)
            time = int(match[1]) if match else None
            start, line = number, line[match.end() :] if match else line
        goes_on = line.endswith(b"\\")
        if held < MAX_COMMAND:
            parts.append(line[:-1] if goes_on else line)
            held += len(line)
        if not goes_on:
            yield start, time, _unmetafied(b"\n".join(parts))
            parts = []
    yield start, time, _unmetafied(b"\n".join(parts))


def _unmetafied(command: bytes) -> bytes:
    first, *others = command.split(b"\x83")
    return first + b"".join(bytes([part[0] ^ 32]) + part[1:] for part in others if part)


def _fish(lines: Iterable[bytes]) -> Iterator[tuple[int, Optional[int], bytes]]:
    r"""`- cmd: command` and `  when: time` lines; `\n` and `\\` are escaped in the command."""
    start, command, time = 0, b"", None
    for number, line in enumerate(lines, 1):
        if line.startswith(b"- cmd: "):
            yield start, time, command
            start, time = number, None
            command = re.sub(rb"\\(.)", lambda match: b"\n" if match[1] == b"n" else match[1], line[7:])
        elif when := _FISH_WHEN.fullmatch(line):
            time = int(when[1])
    yield start, time, command
