"""What a command hands on to something that will run it: shell text, code of other languages, what variables have run."""

from __future__ import annotations

import re
from typing import Optional

from tables.text.programs import SHELLS, Invocation, is_interpreter
from tables.text.run_by_variables import names_code, run_by_variable
from tables.text.shell import Command

_CRON_SCHEDULE = re.compile(
    r"^[ \t]*(?:@\w+|(?:[\d*][\d*/,-]*[ \t]+){3}(?:[\d*/,A-Za-z-]+[ \t]+)[\d*/,A-Za-z-]+)[ \t]+(?:root[ \t]+)?", re.MULTILINE
)
_STARTUP_FILE = re.compile(r"/cron|rc\.local|/init\.d/|/profile|\.(?:sh|bashrc|profile|bash_profile|start)$")
# Units that a script writes, and what they start (systemd.service(5)).
_UNIT_FILE = re.compile(r"\.service$|/systemd/(?:system|user)/")
_UNIT_COMMAND = re.compile(r"(?m)^[ \t]*Exec(?:Start|StartPre|StartPost|Condition|Reload|Stop)[ \t]*=[ \t]*[-@:+!|]{0,4}([^\n]+)")
# What PostgreSQL is told to start (COPY … FROM PROGRAM).
_SQL_PROGRAM = re.compile(r"\b(?:FROM|TO|from|to)\s+(?:PROGRAM|program)\s+'([^\n]{1,4096}?)'(?=\s{0,8}[\"';)]|\s|$)")
_TRANSPARENT = frozenset({"echo", "printf"})
_OPTIONS_LIKE_VARIABLES = {"node": "NODE_OPTIONS", "nodejs": "NODE_OPTIONS", "java": "JAVA_TOOL_OPTIONS"}
# What may load or set something without any `=`.
_ALWAYS = (*_OPTIONS_LIKE_VARIABLES, "setenv")
_EXPORTS = frozenset({"export", "declare", "typeset", "readonly", "local"})


def without_schedules(crontab: str) -> str:
    """The commands of a crontab's lines, as shell text."""
    return _CRON_SCHEDULE.sub("", crontab)


def given_scripts(command: Command, found: Optional[Invocation], is_fed: bool) -> list[str]:
    """Shell text that the command hands to something which will run it: on a shell's input, or into a start-up file."""
    scripts: list[str] = []
    # Most commands hand on nothing.
    is_plain = not (is_fed or command.redirections or command.here_docs)
    if found is None or (is_plain and not found.program.endswith("psql")):
        return scripts
    if found.reads_input and (found.name in SHELLS or not is_interpreter(found.name)):
        scripts += command.here_docs
    targets = [redirection.target for redirection in command.redirections if ">" in redirection.operator]
    is_kept = False
    if targets:
        is_kept = any(map(_STARTUP_FILE.search, targets))
        if any(map(_UNIT_FILE.search, targets)):
            texts = (*command.here_docs, " ".join(found.arguments).replace("\\n", "\n") if found.name in _TRANSPARENT else "")
            scripts += [match for text in texts for match in _UNIT_COMMAND.findall(text)]
    if is_fed or is_kept:
        scripts += command.here_docs
        if found.name in _TRANSPARENT:
            scripts.append(" ".join(found.arguments))
    elif found.program.endswith("psql"):
        scripts += [match.replace("''", "'") for match in _SQL_PROGRAM.findall(command.text)]
    return scripts


def given_code(command: Command, found: Invocation) -> list[str]:
    """Text of another language than the shell's that the command gives to its interpreter."""
    if found.code is None and not (found.reads_input and command.here_docs):
        return []
    codes = [found.code] if found.code and not found.is_shell_code else []
    codes += command.here_docs if found.reads_input else []
    return codes if codes and is_interpreter(found.name) and found.name not in SHELLS else []


def run_by_variables(command: Command, found: Optional[Invocation]) -> list[str]:
    """Shell text for what the variables that the command sets, for itself or for what follows, have run.

    So do options that an interpreter takes on its command line as well as in a variable.
    """
    if found is None and not command.assignments:
        return []
    # Most commands set nothing.
    is_plain = not command.assignments and "=" not in command.text
    if is_plain and found is not None and found.program == command.words[0] and not found.program.endswith(_ALWAYS):
        return []
    name = "" if found is None else found.name
    loaded: list[str] = []
    if found is not None and name in _OPTIONS_LIKE_VARIABLES:
        end = found.arguments.index(found.script) if found.script in found.arguments else len(found.arguments)
        loaded = list(run_by_variable(_OPTIONS_LIKE_VARIABLES[name], " ".join(found.arguments[:end])))
    if not command.assignments and name not in _EXPORTS and name != "setenv" and name == command.words[0]:
        return loaded
    variables = list(command.assignments)
    if found is not None:
        words = command.words[: len(command.words) - len(found.arguments) - 1]
        if name in _EXPORTS:
            words = found.arguments
        elif name == "setenv" and len(found.arguments) == 2:
            variables.append((found.arguments[0], found.arguments[1]))
        variables += [(key, value) for key, _, value in (word.partition("=") for word in words) if value]
    if not any(names_code(name) for name, _ in variables):
        return loaded
    known = dict(variables)
    return loaded + [text for name, value in variables for text in run_by_variable(name, value, known)]
