"""The programs that udev rules run (udev(7))."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import NamedTuple, Optional

from tables.host.disk.start_files import StartFile
from tables.host.startup.entries import SHELL, StartupEntry, StartupFiles
from tables.text.lines import logical_lines

# Earlier folders win; names without a slash are looked for in udev's own folder.
_FOLDERS = ("/etc/udev/rules.d", "/run/udev/rules.d", "/usr/local/lib/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d")
_PROGRAM_FOLDERS = ("/usr/lib/udev", "/lib/udev")
_TOKEN = re.compile(r"([A-Z_]{1,32})(?:\{([^{}\"\n]{0,200})\})?[ \t]*(==|!=|\+=|-=|:=|=)[ \t]*(?:(e)?\"((?:\\.|[^\"\\])*)\")")
_WANTS = ("SYSTEMD_WANTS", "SYSTEMD_USER_WANTS")
_TOLD_BY_DEVICE = re.compile(r"@[^@]*[%$][^@]*(?=\.\w+\Z)")
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


class WantedUnit(NamedTuple):
    """A unit that a rule has systemd start with a device; `is_users`: each user's systemd."""

    line: int
    name: str
    is_users: bool


def parse_udev_wants(text: str) -> Iterator[WantedUnit]:
    """Yield the units that rules want by SYSTEMD_WANTS and SYSTEMD_USER_WANTS (systemd.device(5)).

    Of an instance that the device names the template is what is known. Never raises; linear in the text.
    """
    if "SYSTEMD_" not in text:
        return
    for number, line in logical_lines(text, skips_comments=True):
        for match in _TOKEN.finditer(line) if "SYSTEMD_" in line else ():
            key, attribute, operator, _, value = match.groups()
            if key == "ENV" and attribute in _WANTS and operator in ("=", "+=", ":="):
                for name in value.split():
                    yield WantedUnit(number, _TOLD_BY_DEVICE.sub("@", name), attribute == _WANTS[1])


def udev_wants(source: StartupFiles) -> Iterator[tuple[str, WantedUnit]]:
    """What the rules want, each with its file, those that another file replaces left out."""
    for file, winner in _rule_files(source):
        if winner is None:
            yield from ((file.path, wanted) for wanted in parse_udev_wants(file.text))


def udev_programs(source: StartupFiles) -> Iterator[StartupEntry]:
    """The programs of all udev rules; a file that one of the same name in an earlier folder replaces is disabled."""
    for file, winner in _rule_files(source):
        why = f"replaced by {winner}" if winner is not None else None
        for found in parse_udev_rules(file.text):
            yield StartupEntry(
                "udev", "device event", file, found.line, found.command, SHELL, "root", why, search_path=_PROGRAM_FOLDERS
            )


def _rule_files(source: StartupFiles) -> Iterator[tuple[StartFile, Optional[str]]]:
    """The files of rules, each with the one that replaces it, if one does."""
    winners: dict[str, str] = {}
    for folder in _FOLDERS:
        # A mask is no regular file, but takes the name all the same.
        names = [name for name in source.names(folder) if name.endswith(".rules")]
        for file in source.read_each(f"{folder}/{name}" for name in names):
            winner = winners.get(os.path.basename(file.path))
            yield file, winner if winner != file.path else None
        for name in names:
            winners.setdefault(name, source.real_path(f"{folder}/{name}"))
