"""Judges the lines of crontabs: what runs, what it reads as input, the variables set for it, and the text around it."""

from __future__ import annotations

import functools
import os
import shlex
from collections.abc import Iterable
from dataclasses import replace

from tables.host.schedulers.crontab import JobLine, split_input
from tables.reasons.command_patterns import command_words, text_reasons
from tables.reasons.commands import command_reasons, script_reasons
from tables.reasons.started_files import SEARCH_PATH
from tables.schema import Words
from tables.text.programs import SHELLS
from tables.text.run_by_variables import names_code
from tables.text.shell import Command, Script, parse


def job_words() -> Words:
    """The words of a job's `reasons`: those of commands, and those that its file gives."""
    # No cron runs the jobs of an account that does not exist.
    return Words(
        (*command_words().alerting, "dotfile", "evades_limits", "system_account_crontab", "world_writable"),
        ("spool_of_unknown_account",),
    )


def job_script(job: JobLine, has_input: bool) -> Script:
    """What the shell reads of a job.

    With `has_input`, as in a crontab, what stands behind its `%` is a here-document of the commands that read their input.
    """
    text, given = split_input(job.command) if has_input else (job.command, None)
    shell = dict(job.environment).get("SHELL", "")
    is_plain = not shell or (os.path.basename(shell) in SHELLS and os.path.dirname(shell) in SEARCH_PATH)
    script = parse(text if is_plain else f"{shlex.quote(shell)} -c {shlex.quote(text)}")
    if not given:
        return script
    fed = (
        command if command.fed_by != (0, 0) else replace(command, here_docs=(*command.here_docs, given))
        for command in script.commands
    )
    return replace(script, commands=tuple(fed))


def job_reasons(job: JobLine, script: Script) -> set[str]:
    """What is suspicious about a job, given what runs: also what hides in its schedule and in the lines around it."""
    # Blanks before the next job hide that one.
    reasons = text_reasons(job.before + job.text) | (text_reasons(job.after) - {"padding"})
    return reasons.union(*script_reasons(script), environment_reasons(job.environment))


def environment_commands(variables: Iterable[tuple[str, str]]) -> tuple[Command, ...]:
    """The variables set for a job that have code run, as commands that set them."""
    named = [f"{name}={shlex.quote(value)}" for name, value in variables if names_code(name)]
    return parse(" ".join(named)).commands if named else ()


def environment_reasons(variables: Iterable[tuple[str, str]]) -> set[str]:
    """What is suspicious about variables that are set for a program; their values are taken as they stand."""
    return set().union(*(_variable_reasons(name, value) for name, value in variables))


@functools.lru_cache(maxsize=256)
def _variable_reasons(name: str, value: str) -> tuple[str, ...]:
    if name in ("BASH_ENV", "ENV"):
        return tuple(command_reasons(f". {shlex.quote(value)}"))
    return tuple(command_reasons(f"{name}={shlex.quote(value)}")) if name.isidentifier() else ()
