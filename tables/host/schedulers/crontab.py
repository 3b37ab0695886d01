"""Parses crontabs line by line, as vixie cron, cronie and busybox read them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple, Optional

from tables.text.lines import unquoted

# Variables that change what a job runs, or where its output goes.
STEERING_VARIABLES = frozenset(
    {
        "SHELL", "PATH", "HOME", "USER", "LOGNAME", "MAILTO", "MAILFROM", "CRON_TZ", "TZ", "LD_PRELOAD", "LD_AUDIT",
        "LD_LIBRARY_PATH", "BASH_ENV", "ENV", "PYTHONPATH", "PERL5LIB", "RANDOM_DELAY", "START_HOURS_RANGE",
    }
)  # fmt: skip
# Other variables remembered of one crontab.
_MAX_VARIABLES = 64

_NUMBERS = r"[0-9*~?][0-9*,/~-]*"
_NAMES = r"(?:[0-9*~?]|[A-Za-z]{3})[0-9A-Za-z*,/~-]*"
# crontab(5): minute, hour, day of month, month, day of week. cronie writes a leading `-` for jobs that are not logged.
FIVE_FIELDS = rf"-?{_NUMBERS}(?:[ \t]+{_NUMBERS}){{2}}[ \t]+{_NAMES}[ \t]+{_NAMES}"
_JOB = re.compile(rf"[ \t]*(@[A-Za-z0-9_]+|{FIVE_FIELDS})[ \t]+(\S.*)", re.DOTALL)
# The sixth field of a system crontab: a user, on some systems with a group or login class behind it.
_USER = re.compile(r"([^\s:/]+)(?:[:/]\S*)?[ \t]+(\S.*)", re.DOTALL)
_VARIABLE = re.compile(r"[ \t]*(?:\"([^\"]*)\"|'([^']*)'|([^\s=\"'][^\s=]*))[ \t]*=[ \t]*(.*)", re.DOTALL)
_PERCENT = re.compile(r"\\.|%", re.DOTALL)


class JobLine(NamedTuple):
    """One job of a crontab: where it stands, what it says, and the lines without jobs around it.

    `environment` holds the variables set above it. Of the raw text, `before` reaches from the job before to its own line,
    and `after` from there to the next job.
    """

    line: int
    schedule: str
    user: Optional[str]
    command: str
    environment: tuple[tuple[str, str], ...]
    text: str
    before: str
    after: str


# Schedule, user and command of a line; None when it is no job.
Match = Callable[[str], Optional[tuple[str, Optional[str], str]]]


def parse_crontab(text: str, has_user: bool) -> Iterator[JobLine]:
    """The jobs of a crontab; `has_user` for system crontabs, whose sixth field is a user. Never raises; linear time."""
    return job_lines(text, _system_job if has_user else _user_job)


def job_lines(text: str, match: Match) -> Iterator[JobLine]:
    """The lines of `text` that `match` takes for jobs, with the variables set above each (`NAME = value`)."""
    variables: dict[str, str] = {}
    pending: Optional[JobLine] = None
    since = position = 0
    # Only a newline ends a line of a crontab: text behind a carriage return still belongs to it.
    for number, line in enumerate(text.split("\n"), 1):
        start, position = position, position + len(line) + 1
        variable = None if line.lstrip().startswith("#") else _VARIABLE.match(line)
        if variable is not None:
            name = variable[1] or variable[2] or variable[3] or ""
            if len(variables) < _MAX_VARIABLES or name in variables or name in STEERING_VARIABLES:
                variables[name] = unquoted(variable[4].rstrip())
            continue
        found = None if line.lstrip().startswith("#") else match(line)
        if found is None:
            continue
        before = text[since:start]
        if pending is not None:
            yield pending._replace(after=before)
        schedule, user, command = found
        pending = JobLine(number, schedule, user, command, tuple(variables.items()), line, before, "")
        since = position
    if pending is not None:
        yield pending._replace(after=text[since:])


def split_input(command: str) -> tuple[str, Optional[str]]:
    r"""What cron gives to the shell, and to it as standard input: an unescaped `%` ends the one, others are newlines there.

    `\%` is a percent sign. The input is None where the command has no `%`.
    """
    text = _PERCENT.sub(lambda match: {"%": "\n", "\\%": "%"}.get(match[0], match[0]), command)
    shell, percent, given = text.partition("\n")
    return shell, given if percent else None


def _user_job(line: str) -> Optional[tuple[str, Optional[str], str]]:
    match = _JOB.match(line)
    return (" ".join(match[1].split()), None, match[2].rstrip()) if match else None


def _system_job(line: str) -> Optional[tuple[str, Optional[str], str]]:
    match = _JOB.match(line)
    rest = _USER.match(match[2]) if match else None
    return (" ".join(match[1].split()), rest[1], rest[2].rstrip()) if match and rest else None
