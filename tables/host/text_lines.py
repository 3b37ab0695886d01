"""Lines of configuration files, those that a backslash continues joined."""

from __future__ import annotations

from collections.abc import Iterator


def logical_lines(text: str, skips_comments: bool = False) -> Iterator[tuple[int, str]]:
    """Yield (number of the first line, text) with continued lines joined; the last one ends with the text.

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
            yield first, "".join(parts)
            parts = []
    if parts:
        yield first, "".join(parts)
