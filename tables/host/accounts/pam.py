"""Which PAM modules a program's stack runs, includes followed (pam.conf(5))."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import NamedTuple

from tables.host.disk.files import Files
from tables.text.lines import logical_lines
from tables.unseen import say_cut

# SUSE and others keep the vendor's files in /usr; a file in /etc takes their place.
FOLDERS = ("/etc/pam.d", "/usr/lib/pam.d", "/usr/etc/pam.d")
_FILE_LIMIT = 256 * 1024
_MAX_FILES = 64
# Type, control (a word or [value=action …]), module, arguments.
_RULE = re.compile(
    r"-?(auth|account|password|session)[ \t]+(\[[^\]\n]{0,1000}\]|[^\s\[]\S*)[ \t]+(\S+)[ \t]*(.*)", re.IGNORECASE | re.DOTALL
)
_INCLUDE = re.compile(r"@include[ \t]+(\S+)")


class PamRule(NamedTuple):
    """One line of a stack: the module as written, its arguments as written, and where that is."""

    phase: str
    control: str
    module: str
    text: str
    path: str
    line: int

    @property
    def name(self) -> str:
        """The module's file name."""
        return posixpath.basename(self.module)

    @property
    def arguments(self) -> tuple[str, ...]:
        """The arguments, parted at blanks."""
        return tuple(self.text.split())

    @property
    def is_include(self) -> bool:
        """Whether it stands for the rules of another file, its `module`."""
        return self.control in ("include", "substack")

    def argument(self, name: str) -> str:
        """The value of `name=value` among the arguments; "" when there is none."""
        return next((word.partition("=")[2] for word in self.arguments if word.startswith(f"{name}=")), "")


def parse_pam(text: str, path: str = "") -> Iterator[PamRule]:
    """Yield the rules of a file in /etc/pam.d, or of /etc/pam.conf. Never raises.

    An `@include` line is an include of the phase `*`, which stands for all phases.
    """
    for number, line in logical_lines(text, joint=" "):
        line = line.partition("#")[0].strip()
        included = _INCLUDE.match(line)
        if included:
            yield PamRule("*", "include", included[1], "", path, number)
            continue
        # pam.conf has the name of the service in front.
        rule = _RULE.match(line) or _RULE.match(line.partition(" ")[2].lstrip())
        if rule:
            yield PamRule(rule[1].lower(), rule[2].lower(), rule[3], rule[4], path, number)


def pam_stack(files: Files, phase: str, *services: str) -> list[PamRule]:
    """The rules that the first of these services that has a file runs in a phase, in order; [] when none has one.

    Unreadable when a file of the stack cannot be read. At most 64 files.
    """
    for service in services:
        for folder in FOLDERS:
            if files.exists(f"{folder}/{service}"):
                return _Stack(files, phase).rules(service)
    return []


class _Stack:
    def __init__(self, files: Files, phase: str) -> None:
        self.files = files
        self.phase = phase
        self.opened = 0

    def rules(self, service: str) -> list[PamRule]:
        found: list[PamRule] = []
        for rule in self._read(service):
            if rule.phase not in (self.phase, "*"):
                continue
            if rule.is_include:
                found += self.rules(rule.module)
            else:
                found.append(rule)
        return found

    def _read(self, service: str) -> list[PamRule]:
        self.opened += 1
        if self.opened > _MAX_FILES:
            say_cut(f"{service}: not read, after {_MAX_FILES} files of PAM")
            return []
        paths = [service] if service.startswith("/") else [f"{folder}/{service}" for folder in FOLDERS]
        path = next((path for path in paths if self.files.exists(path)), None)
        return list(parse_pam(self.files.read_text(path, _FILE_LIMIT), path)) if path else []
