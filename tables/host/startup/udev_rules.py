"""The programs that udev rules run (udev(7))."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import NamedTuple, Optional

from tables.host.startup.entries import SHELL, StartupEntry, StartupFiles
from tables.text.lines import logical_lines

# Earlier folders win; names without a slash are looked for in udev's own folder.
_FOLDERS = ("/etc/udev/rules.d", "/run/udev/rules.d", "/usr/local/lib/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d")
_PROGRAM_FOLDERS = ("/usr/lib/udev", "/lib/udev")
_TOKEN = re.compile(r"([A-Z_]{1,32})(?:\{([^{}\"\n]{0,200})\})?[ \t]*(==|!=|\+=|-=|:=|=)[ \t]*(?:(e)?\"((?:\\.|[^\"\\])*)\")")
_ESCAPED_QUOTE = re.compile(r"\\(\")")


class RuleProgram(NamedTuple):
    """A program in a rule: the key that names it (RUN, PROGRAM or IMPORT), and its command line."""

    line: int
    key: str
    command: str


def parse_udev_rules(text: str) -> Iterator[RuleProgram]:
    """Yield the programs that rules name; udev's built-in commands are none. Never raises; linear in the text."""
    for number, line in logical_lines(text, skips_comments=True):
        for match in _TOKEN.finditer(line):
            key, attribute, operator, escaped, value = match.groups()
            if operator in ("!=", "-="):
                continue
            runs = (key == "RUN" and attribute != "builtin") or key == "PROGRAM" or (key == "IMPORT" and attribute == "program")
            if runs:
                command = _ESCAPED_QUOTE.sub(r"\1", value)
                if escaped:
                    command = re.sub(r"\\(.)", r"\1", value)
                if command.strip():
                    yield RuleProgram(number, key, command.strip())


def udev_programs(source: StartupFiles) -> Iterator[StartupEntry]:
    """The programs of all udev rules; a file that one of the same name in an earlier folder replaces is disabled."""
    winners: dict[str, str] = {}
    for folder in _FOLDERS:
        # A mask is no regular file, but takes the name all the same.
        names = [name for name in source.names(folder) if name.endswith(".rules")]
        for file in source.read_each(f"{folder}/{name}" for name in names):
            winner = winners.get(os.path.basename(file.path))
            why: Optional[str] = f"replaced by {winner}" if winner not in (None, file.path) else None
            for found in parse_udev_rules(file.text):
                yield StartupEntry(
                    "udev", "device event", file, found.line, found.command, SHELL, "root", why, search_path=_PROGRAM_FOLDERS
                )
        for name in names:
            winners.setdefault(name, source.real_path(f"{folder}/{name}"))
