"""The jobs by which cron starts programs again and again, and how often systemd has started a unit anew."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Optional

from tables.host.disk.files import Files
from tables.host.schedulers.crontab import parse_crontab, split_input
from tables.host.schedulers.files import CRON, SCRIPT_FOLDERS, job_files
from tables.text.restarts import TEXT_LIMIT, Starts, shell_starts
from tables.unseen import Unseen, say_cut

_INVOCATIONS = "/run/systemd/units"
_MAX_INVOCATIONS = 4096

_MAX_CRON_FILES = 1024
_MAX_CRON_JOBS = 2000

_MAX_SCRIPTS = 8
_NOTHING = Starts((), ())


class CronJob(NamedTuple):
    """One job: the file and line (0 for a script that cron runs whole) and what its command starts."""

    path: str
    line: int
    starts: Starts


class RestartFiles:
    """Reads below a root folder; what cannot be read is left out."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self._invocations: dict[str, tuple[str, int]] = {}

    def unit_restarts(self, name: str) -> Optional[int]:
        """How often systemd has started the unit anew since it was first asked about; None where that cannot be told.

        systemd keeps the id of the current run as a link (/run/systemd/units/invocation:NAME, systemd 237 and newer); its
        own counter NRestarts is to be had over D-Bus only.
        """
        try:
            link = self.files.link_target(f"{_INVOCATIONS}/invocation:{name}")
        except OSError:
            return None
        before, count = self._invocations.get(name, (link, 0))
        count += link != before
        if name in self._invocations or len(self._invocations) < _MAX_INVOCATIONS:
            self._invocations[name] = (link, count)
        return count

    def cron_jobs(self) -> Iterator[CronJob]:
        """What cron runs: crontabs of the system and of users, and the scripts in cron.hourly and its like."""
        crontabs = (found for found in job_files(self.files, Unseen()) if found.scheduler in CRON)
        for count, found in enumerate(crontabs):
            if count == _MAX_CRON_FILES:
                say_cut(f"only {_MAX_CRON_FILES} crontabs were read, those before {found.path}")
                break
            jobs = parse_crontab(self._text(found.path) or "", found.has_user_field)
            for number, job in enumerate(jobs):
                if number == _MAX_CRON_JOBS:
                    say_cut(f"{found.path}: only the first {_MAX_CRON_JOBS} jobs were read")
                    break
                command, _ = split_input(job.command)
                yield CronJob(found.path, job.line, self._with_scripts(shell_starts(command)))
        for folder in SCRIPT_FOLDERS:
            names = self._names(folder)
            if len(names) > _MAX_CRON_FILES:
                say_cut(f"{folder}: only {_MAX_CRON_FILES} of {len(names)} scripts were read")
            for name in names[:_MAX_CRON_FILES]:
                yield CronJob(f"{folder}/{name}", 0, self._script_starts(f"{folder}/{name}"))

    def _with_scripts(self, starts: Starts) -> Starts:
        """`starts` and what the shell scripts among them start themselves."""
        paths = list(starts.paths())
        if len(paths) > _MAX_SCRIPTS:
            say_cut(f"{paths[_MAX_SCRIPTS]} and what else the same command starts were not looked into")
        for path in paths[:_MAX_SCRIPTS]:
            inner = self._script_starts(path)
            starts = Starts(starts.names + inner.names, starts.folders + inner.folders)
        return starts

    def _script_starts(self, path: str) -> Starts:
        text = self._text(path) or ""
        interpreter = text.partition("\n")[0]
        return shell_starts(text) if interpreter.startswith("#!") and "sh" in interpreter else _NOTHING

    def _names(self, folder: str) -> list[str]:
        try:
            return self.files.names(folder)
        except OSError:
            return []

    def _text(self, path: str) -> Optional[str]:
        try:
            return self.files.read_text(path, TEXT_LIMIT)
        except OSError:
            return None
