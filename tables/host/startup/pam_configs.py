"""What PAM starts when somebody logs in or becomes another user (pam.conf(5), pam_exec(8))."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator

from tables.host.accounts.pam import FOLDERS, PamRule, parse_pam
from tables.host.disk.file_heads import SCRIPT, file_head
from tables.host.startup.entries import NAME, StartupEntry, StartupFiles

LIBRARY_FOLDERS = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    *(f"{place}/{machine}-linux-gnu" for place in ("/lib", "/usr/lib") for machine in ("x86_64", "aarch64")),
)
_MODULE_FOLDERS = tuple(f"{folder}/security" for folder in LIBRARY_FOLDERS)
_EXEC_OPTION = re.compile(r"(?:debug|expose_authtok|seteuid|quiet|quiet_log|stdout|(?:log|type)=.*)$", re.IGNORECASE)
_BRACKETED = re.compile(r"\[((?:\\.|[^\[\]\\]){0,1000})\]")


def exec_command(rule: PamRule) -> str:
    """The program that a rule has pam_exec run, with its arguments; "" for another module. Words in brackets may hold blanks."""
    if rule.name not in ("pam_exec.so", "pam_exec"):
        return ""
    words = _BRACKETED.sub(lambda match: shlex.quote(match[1]), rule.text).split()
    start = next((index for index, word in enumerate(words) if not _EXEC_OPTION.match(word)), len(words))
    return " ".join(words[start:])


def pam_modules(source: StartupFiles) -> list[str]:
    """The modules in PAM's folders, packaged or not."""
    return [path for folder in _MODULE_FOLDERS for path in source.paths(folder) if path.endswith(".so")]


def pam_programs(source: StartupFiles) -> Iterator[StartupEntry]:
    """What pam_exec runs, modules that rules take from other folders than PAM's, and modules that no package owns."""
    for file in source.read_each(["/etc/pam.conf", *(path for folder in FOLDERS for path in source.paths(folder))]):
        for rule in parse_pam(file.text):
            command = exec_command(rule)
            if command:
                yield StartupEntry("pam", _trigger(source, rule, command), file, rule.line, command, run_as="root")
            elif rule.module.startswith("/") and os.path.dirname(rule.module) not in (*_MODULE_FOLDERS, *FOLDERS):
                yield StartupEntry("pam", "login", file, rule.line, rule.module, NAME, "root", program=rule.module)
    for file in source.read_each(source.unpackaged(pam_modules(source))):
        yield StartupEntry("pam", "login", file, 0, file.path, NAME, "root", program=file.path)


def _trigger(source: StartupFiles, rule: PamRule, command: str) -> str:
    """`session script` for a script that is run once somebody is in and is told no password, as for a notice; else `login`."""
    program = command.split(None, 1)[0]
    if rule.phase.lstrip("-") != "session" or "expose_authtok" in rule.text.lower() or not program.startswith("/"):
        return "login"
    try:
        is_script = file_head(source.files.locate(program)) == SCRIPT
    except OSError:
        return "login"
    return "session script" if is_script else "login"
