"""Lines of configuration files, those that a backslash continues joined, and values in quotes."""

from __future__ import annotations

import re
from collections.abc import Iterator


def logical_lines(text: str, skips_comments: bool = False, joint: str = "") -> Iterator[tuple[int, str]]:
    """Yield (number of the first line, text) with continued lines joined by `joint`; the last one ends with the text.

    `skips_comments` leaves out lines that start with `#`, also between a line and its continuation, as udev does.
    """
    parts: list[str] = []
    first = 1
    for number, line in enumerate(text.split("\n"), 1):
        if skips_comments and line.lstrip().startswith("#"):
            continue
        if not parts:
            first = number
        continues = line.endswith("\\")
        parts.append(line[:-1] if continues else line)
        if not continues:
            yield first, joint.join(parts)
            parts = []
    if parts:
        yield first, joint.join(parts)


def numbered_matches(pattern: re.Pattern[str], text: str) -> Iterator[tuple[int, re.Match[str]]]:
    """Yield (line that it starts on, match) of each match of `pattern`; counts the lines once, however many match."""
    line, counted = 1, 0
    for match in pattern.finditer(text):
        line += text.count("\n", counted, match.start())
        counted = match.start()
        yield line, match


def unquoted(value: str) -> str:
    """`value` without the quotes around it."""
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value
