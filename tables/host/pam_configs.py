"""What PAM starts when somebody logs in or becomes another user (pam.conf(5), pam_exec(8))."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple

from tables.host.startup_entries import NAME, StartupEntry, StartupFiles
from tables.host.text_lines import logical_lines

_FOLDERS = ("/etc/pam.d", "/usr/lib/pam.d", "/usr/local/etc/pam.d")
_LIBRARY_FOLDERS = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    *(f"{place}/{machine}-linux-gnu" for place in ("/lib", "/usr/lib") for machine in ("x86_64", "aarch64")),
)
_MODULE_FOLDERS = tuple(f"{folder}/security" for folder in _LIBRARY_FOLDERS)
# Service (in pam.conf only), type, control (a word or [value=action …]), module, arguments.
_RULE = re.compile(
    r"-?(?:auth|account|password|session)[ \t]+(?:\[[^\]\n]{0,1000}\]|\w+)[ \t]+(?P<module>\S+)[ \t]*(?P<arguments>.*)",
    re.IGNORECASE,
)
_EXEC_OPTION = re.compile(r"(?:debug|expose_authtok|seteuid|quiet|quiet_log|stdout|(?:log|type)=.*)$", re.IGNORECASE)
_BRACKETED = re.compile(r"\[((?:\\.|[^\[\]\\]){0,1000})\]")


class PamRule(NamedTuple):
    """One line: the module it loads, and for pam_exec the command line of the program that it runs, else ""."""

    line: int
    module: str
    command: str


def parse_pam_rules(text: str) -> Iterator[PamRule]:
    """Yield the rules of a file in /etc/pam.d, or of /etc/pam.conf; `@include` and comments are passed over. Never raises."""
    for number, line in logical_lines(text):
        line = line.partition("#")[0].strip()
        match = _RULE.match(line)
        if match is None:
            # pam.conf has the name of the service in front.
            match = _RULE.match(line.partition(" ")[2].lstrip())
        if match is not None:
            is_exec = os.path.basename(match["module"]) in ("pam_exec.so", "pam_exec")
            yield PamRule(number, match["module"], _exec_command(match["arguments"]) if is_exec else "")


def _exec_command(arguments: str) -> str:
    """The program and its arguments behind pam_exec's own options; words in brackets may hold blanks."""
    words = _BRACKETED.sub(lambda match: shlex.quote(match[1]), arguments).split()
    start = next((index for index, word in enumerate(words) if not _EXEC_OPTION.match(word)), len(words))
    return " ".join(words[start:])


def pam_programs(source: StartupFiles) -> Iterator[StartupEntry]:
    """What pam_exec runs, modules that rules take from other folders than PAM's, and modules that no package owns."""
    for file in source.read_each(["/etc/pam.conf", *(path for folder in _FOLDERS for path in source.paths(folder))]):
        for rule in parse_pam_rules(file.text):
            if rule.command:
                yield StartupEntry("pam", "login", file, rule.line, rule.command, run_as="root")
            elif rule.module.startswith("/") and os.path.dirname(rule.module) not in _MODULE_FOLDERS:
                yield StartupEntry("pam", "login", file, rule.line, rule.module, NAME, "root", program=rule.module)
    modules = [path for folder in _MODULE_FOLDERS for path in source.paths(folder) if path.endswith(".so")]
    for file in source.read_each(source.unpackaged(modules)):
        yield StartupEntry("pam", "login", file, 0, file.path, NAME, "root", program=file.path)
