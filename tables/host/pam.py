"""Which PAM modules a program's stack runs, includes followed (pam.conf(5))."""

from __future__ import annotations

import posixpath
import re
from typing import NamedTuple

from tables.host.files import Files

# SUSE and others keep the vendor's files in /usr; a file in /etc takes their place.
_FOLDERS = ("/etc/pam.d", "/usr/lib/pam.d", "/usr/etc/pam.d")
_FILE_LIMIT = 256 * 1024
_MAX_FILES = 64
_LINE = re.compile(r"-?(auth|account|password|session)\s+(\[[^\]]*\]|\S+)\s+(\S+)\s*(.*)", re.IGNORECASE)
_INCLUDE = re.compile(r"@include\s+(\S+)")


class PamModule(NamedTuple):
    """One line of a stack: the module's file name, its arguments, and where it is written."""

    phase: str
    control: str
    module: str
    arguments: tuple[str, ...]
    path: str
    line: int

    def argument(self, name: str) -> str:
        """The value of `name=value` among the arguments; "" when there is none."""
        return next((word.partition("=")[2] for word in self.arguments if word.startswith(f"{name}=")), "")


def parse_pam(text: str, path: str = "") -> list[PamModule]:
    """The lines of one file; an include is a line whose module is the file and whose control is include or substack.

    An `@include` line has the phase `*`: it stands for all phases.
    """
    found = []
    pending, start = "", 1
    for number, raw in enumerate(text.split("\n"), 1):
        start = start if pending else number
        line = pending + raw
        if line.endswith("\\") and len(line) < _FILE_LIMIT:
            pending = line[:-1] + " "
            continue
        pending = ""
        line = line.partition("#")[0].strip()
        included = _INCLUDE.match(line)
        match = _LINE.match(line)
        if included:
            found.append(PamModule("*", "include", included[1], (), path, start))
        elif match:
            module = match[3] if match[2].lower() in ("include", "substack") else posixpath.basename(match[3])
            found.append(PamModule(match[1].lower(), match[2].lower(), module, tuple(match[4].split()), path, start))
    return found


def pam_stack(files: Files, phase: str, *services: str) -> list[PamModule]:
    """The modules that the first of these services that has a file runs in a phase, in order; [] when none has one.

    Unreadable when a file of the stack cannot be read. At most 64 files.
    """
    for service in services:
        for folder in _FOLDERS:
            if files.exists(f"{folder}/{service}"):
                return _Stack(files, phase).modules(service)
    return []


class _Stack:
    def __init__(self, files: Files, phase: str) -> None:
        self.files = files
        self.phase = phase
        self.opened = 0

    def modules(self, service: str) -> list[PamModule]:
        found: list[PamModule] = []
        for entry in self._read(service):
            if entry.phase not in (self.phase, "*"):
                continue
            if entry.control in ("include", "substack"):
                found += self.modules(entry.module)
            else:
                found.append(entry)
        return found

    def _read(self, service: str) -> list[PamModule]:
        self.opened += 1
        if self.opened > _MAX_FILES:
            return []
        paths = [service] if service.startswith("/") else [f"{folder}/{service}" for folder in _FOLDERS]
        path = next((path for path in paths if self.files.exists(path)), None)
        return parse_pam(self.files.read_text(path, _FILE_LIMIT), path) if path else []
