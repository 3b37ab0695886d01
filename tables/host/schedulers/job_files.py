"""Parses the job files of other schedulers than cron: anacron, incron, fcron and at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, Optional

from tables.host.schedulers.crontab import FIVE_FIELDS, JobLine, job_lines

# anacrontab(5): period, delay in minutes, job identifier, command.
_ANACRON = re.compile(r"[ \t]*(@[a-z]+|\d{1,9})[ \t]+(\d{1,9})[ \t]+\S+[ \t]+(\S.*)", re.DOTALL)
# incrontab(5): path (blanks escaped), event mask, command.
_INCRON = re.compile(r"[ \t]*((?:\\.|[^\s\\])+)[ \t]+(\S+)[ \t]+(\S.*)", re.DOTALL)
# fcrontab(5): options joined to `&`, `%` or `@`, then fields whose number the first letter and the keyword tell.
_FCRON = re.compile(r"([&%@]\S*)?[ \t]*(\S.*)", re.DOTALL)
_FCRON_FIELDS = re.compile(rf"({FIVE_FIELDS})[ \t]+(\S.*)", re.DOTALL)
_FCRON_RUN_AS = re.compile(r"\brunas\(([^)\s]{1,256})\)")
_FCRON_PERIOD_FIELDS = {"hourly": 1, "midhourly": 1, "daily": 2, "middaily": 2, "nightly": 2}
_FCRON_FULL = frozenset({"mins", "hours", "days", "mons", "dow"})

# at.c of at 3.2: the job's environment, then its folder, then (since 3.1.14) the commands in a here-document.
_AT_OWNER = re.compile(r"^# atrun uid=(\d{1,10})", re.MULTILINE)
_AT_VARIABLE = re.compile(r"^([A-Za-z_]\w*)=(.*?); export \1$", re.MULTILINE)
_AT_FOLDER = re.compile(r"^cd (.+) \|\| \{\n[^\n]*\n[^\n]*\n\}\n", re.MULTILINE)
_AT_HERE_DOC = re.compile(r"[^\n]*<<[ \t]*'?(marcinDELIMITER\w*)'?\n")
_AT_NAME = re.compile(r"[a-zA-Z=][0-9a-f]{5}([0-9a-f]{8})")


class AtJob(NamedTuple):
    """A job of at or batch: whose it is, where it starts, its variables, and its own commands without the preamble."""

    uid: Optional[int]
    folder: Optional[str]
    environment: tuple[tuple[str, str], ...]
    line: int
    command: str


def parse_anacrontab(text: str) -> Iterator[JobLine]:
    """The jobs of an anacrontab(5); the schedule is its period (days or @name) and delay (minutes)."""
    return job_lines(text, _anacron_job)


def parse_incrontab(text: str) -> Iterator[JobLine]:
    """The jobs of an incrontab(5); the schedule is the watched path and the events."""
    return job_lines(text, _incron_job)


def parse_fcrontab(text: str) -> Iterator[JobLine]:
    """The jobs of a fcrontab(5), as fcron keeps its source in NAME.orig."""
    return job_lines(text, _fcron_job)


def parse_at_job(text: str) -> AtJob:
    """A file of at's spool; what has no such preamble counts as commands from its first line. Never raises."""
    owner = _AT_OWNER.search(text)
    folder = _AT_FOLDER.search(text)
    start = folder.end() if folder else 0
    variables = tuple(match.groups() for match in _AT_VARIABLE.finditer(text, 0, start))
    opening = _AT_HERE_DOC.match(text, start)
    end = len(text)
    if opening:
        start = opening.end()
        closing = text.rfind(f"\n{opening[1]}", start - 1)
        end = closing if closing >= 0 else end
    body = text[start:end]
    start += len(body) - len(body.lstrip("\n"))
    return AtJob(
        int(owner[1]) if owner else None,
        re.sub(r"\\(.)", r"\1", folder[1]) if folder else None,
        tuple((name, re.sub(r"\\(.)", r"\1", value)) for name, value in variables),
        text.count("\n", 0, start) + 1,
        body.strip("\n"),
    )


def at_time(name: str) -> Optional[int]:
    """When at runs the job file called `name` (unix seconds): its name ends in the minutes, in hexadecimal."""
    match = _AT_NAME.fullmatch(name)
    return int(match[1], 16) * 60 if match else None


def _anacron_job(line: str) -> Optional[tuple[str, Optional[str], str]]:
    match = _ANACRON.match(line)
    return (f"{match[1]} {match[2]}", None, match[3].rstrip()) if match else None


def _incron_job(line: str) -> Optional[tuple[str, Optional[str], str]]:
    match = _INCRON.match(line)
    return (f"{match[1]} {match[2]}", None, match[3].rstrip()) if match else None


def _fcron_job(line: str) -> Optional[tuple[str, Optional[str], str]]:
    match = _FCRON.match(line.lstrip(" \t"))
    if match is None or line.lstrip().startswith("!"):
        return None
    options, rest = match[1] or "", match[2].rstrip()
    run_as = _FCRON_RUN_AS.search(options)
    user = run_as[1] if run_as else None
    keyword = re.split(r"[,(]", options[1:], maxsplit=1)[0]
    if options.startswith("%"):
        count = _FCRON_PERIOD_FIELDS.get(keyword, 5 if keyword in _FCRON_FULL else 3)
    elif options.startswith("@"):
        count = 0 if keyword in ("reboot", "resume") else 1
    else:
        fields = _FCRON_FIELDS.match(rest)
        return (f"{options} {fields[1]}".lstrip(), user, fields[2]) if fields else None
    words = rest.split(None, count)
    return (" ".join([options, *words[:count]]), user, words[count]) if len(words) > count else None
