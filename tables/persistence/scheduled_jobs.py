"""The jobs of every scheduler: cron of all kinds, anacron, at, incron, fcron and systemd's timers."""

from __future__ import annotations

import functools
import itertools
import os
import re
import shlex
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from tables.fair_shares import Shares
from tables.host import Host
from tables.host.accounts.databases import Account, is_login_shell, is_system_uid, uid_min
from tables.host.disk.files import DEFAULT_LIMIT, Unreadable
from tables.host.disk.start_files import StartFile, read_start_file
from tables.host.schedulers.crontab import STEERING_VARIABLES, JobLine, parse_crontab
from tables.host.schedulers.files import CRON, SCRIPT_FOLDERS, Daemons, JobFile, job_files, listed
from tables.host.schedulers.job_files import at_time, parse_anacrontab, parse_at_job, parse_fcrontab, parse_incrontab
from tables.host.schedulers.schedule_text import anacron_text, cron_text
from tables.host.systemd.timers import timer_jobs
from tables.reasons.command_patterns import text_reasons
from tables.reasons.commands import command_reasons, script_reasons
from tables.reasons.crontabs import environment_commands, environment_reasons, job_reasons, job_script, job_words
from tables.reasons.started_commands import CommandFacts, StartedCommand
from tables.reasons.started_files import SEARCH_PATH
from tables.schema import BIGINT, TEXT, QueryContext, column, table
from tables.text.shell import parse

_MAX_JOBS = 2000
# cronie runs no longer one than 128 KiB (MAX_COMMAND in cron.h), Debian none over 998 bytes.
_COMMAND_LIMIT = 256 * 1024
_MAX_VARIABLES_SHOWN = 32
_MAX_RUN_PARTS = 64
_RUN_PARTS = re.compile(r"\brun-parts(?:[ \t]+-\S+){0,8}[ \t]+(/[^\s;&|)}'\"]+)")


@dataclass(frozen=True)
class ScheduledJob(StartedCommand):
    """One job, or one suspicious command of a script that cron runs whole."""

    reasons: Optional[str] = column(
        TEXT,
        "what is suspicious about the job, comma separated (command_patterns.yaml, and what the notes name)",
        words=job_words,
    )
    scheduler: str = column(
        TEXT, "system_crontab, cron.d, user_crontab, cron_script, anacron, at, incron, fcron or systemd_timer", index=True
    )
    schedule: Optional[str] = column(TEXT, "when it runs, as written; for at the time, for incron the path and events")
    schedule_text: Optional[str] = column(TEXT, "the same in words, such as `at 03:30 every day`; empty for what no cron accepts")
    is_reboot: int = column(BIGINT, "1 if it runs at boot")
    run_as: Optional[str] = column(TEXT, "account it runs as; empty when unknown")
    environment: Optional[str] = column(
        TEXT, "variables set for it: NAME=value for those that steer a shell or loader (PATH, LD_PRELOAD …), else the name only"
    )
    enabled: int = column(BIGINT, "1 if the scheduler takes the file, as far as its name, owner and mode tell")
    disabled_why: Optional[str] = column(TEXT, "why the scheduler passes over it")


@table(
    "scheduled_jobs",
    ScheduledJob,
    description="Each job of cron, anacron, at, incron, fcron and systemd timers, of all distributions and accounts.",
    sop_steps=(2, 9, 15),
    examples=[
        "SELECT path, line, run_as, schedule_text, command, reasons FROM scheduled_jobs WHERE reasons <> ''",
        "SELECT scheduler, path, schedule, command FROM scheduled_jobs WHERE is_reboot = 1 AND program_is_packaged = 0",
    ],
    rests_on_files=True,
)
def scheduled_jobs(host: Host, query: QueryContext) -> Iterator[ScheduledJob]:
    """One row per job; of a script in cron.daily and the like one for itself (line 0), and one per remarkable command in it.

    That is one that is suspicious, or starts a program that no package owns.
    Files whose name, owner or mode make the scheduler pass them over are read as well: `enabled` tells. What follows an
    unescaped `%` in a crontab is its command's standard input, and is judged as such. Beside what the command gives, `reasons`
    can be: control_characters and padding (also in the lines around the job, and its schedule), dotfile, evades_limits (32 KiB
    and nine tenths of the file are blank lines and comments, which cron itself refuses), world_writable, system_account_crontab
    (an account that cannot log in has a crontab of its own) and spool_of_unknown_account. The values of variables are judged,
    but not shown unless they steer a shell or loader. Of a file 4 MiB beside blank lines and comments, and 2,000 jobs, are
    read, of a folder 4,096 files. The row of a timer has the timer's file and the ExecStart= of what it starts. What cannot be
    read, such as other accounts' crontabs without root, is left out and named in minehunt_status.
    """
    jobs = _Jobs(host, query)
    for row in jobs.facts.complete(jobs.rows(), query):
        # Of a script all commands were looked at, for what they start may be odd inside, or nobody's.
        if row.scheduler != "cron_script" or row.line == 0 or row.reasons or row.program_reasons or _starts_own(row):
            yield row


def _starts_own(row: ScheduledJob) -> bool:
    """Whether a script's command starts a program that no package owns."""
    is_own = row.program_exists and row.program_is_packaged == 0 and row.program_path != row.path
    return bool(is_own or row.unpackaged_program)


class _Jobs:
    """One scan."""

    def __init__(self, host: Host, query: QueryContext) -> None:
        self.files = host.files
        self.query = query
        self.facts = CommandFacts(host)
        self.daemons = Daemons(host.files)
        accounts = host.accounts
        accounts.say_gap(query)
        self.accounts = accounts.by_name
        self.uid_min = self._uid_min()
        # Folders that a crontab has run-parts go through, and when.
        self.run_parts: dict[str, str] = {}
        self.seen: set[str] = set()
        self._shares = Shares(query)

    def rows(self) -> Iterator[ScheduledJob]:
        """All rows, packages left out."""
        for found in job_files(self.files, self.query):
            file = self._read(found.path)
            if file is not None:
                rows = self._file_rows(found, file)
                # Anybody may have a crontab, and queue jobs for at.
                is_users = found.user is not None or found.scheduler == "at"
                yield from self._shares.of(file.status.st_uid, file.path, rows) if is_users else rows
        for folder in (*SCRIPT_FOLDERS, *sorted(self.run_parts.keys() - SCRIPT_FOLDERS.keys())):
            for path in listed(self.files, folder, self.query):
                file = self._read(path)
                if file is not None:
                    yield from self._script_rows(path, file, folder)
        yield from self._timer_rows()

    def _uid_min(self) -> int:
        try:
            return uid_min(self.files.read_text("/etc/login.defs"))
        except Unreadable:
            return uid_min("")

    def _read(self, path: str) -> Optional[StartFile]:
        """The file at `path`; None when it cannot be read or was read before under another name."""
        self.query.check_time()
        try:
            file = read_start_file(self.files, path)
        except Unreadable as error:
            if not error.is_missing:
                self.query.could_not_see(str(error))
            return None
        if file.path in self.seen:
            return None
        self.seen.add(file.path)
        if not file.is_whole:
            self.query.truncate(f"{file.path}: only the first {DEFAULT_LIMIT} bytes were read")
        return file

    def _file_rows(self, found: JobFile, file: StartFile) -> Iterator[ScheduledJob]:
        if found.scheduler == "at":
            yield from self._at_rows(found, file)
            return
        parsers = {"anacron": parse_anacrontab, "incron": parse_incrontab, "fcron": parse_fcrontab}
        parser = parsers.get(found.scheduler)
        lines = parser(file.text) if parser else parse_crontab(file.text, found.has_user_field)
        account = self.accounts.get(found.user) if found.user else None
        disabled_why = self.daemons.why_ignored(found, file, account)
        of_file = self._file_reasons(found, file, account)
        for count, job in enumerate(lines):
            self.query.check_time()
            if count >= _MAX_JOBS:
                self.query.truncate(f"{file.path}: only the first {_MAX_JOBS} jobs were read")
                return
            job = job._replace(command=self._cut(job.command, file))
            run_as = job.user or found.user or "root"
            yield self._row(
                self._line_columns(file, job, found.scheduler in CRON, self.accounts.get(run_as), of_file),
                scheduler=found.scheduler,
                schedule=job.schedule,
                schedule_text=_schedule_text(found.scheduler, job.schedule),
                is_reboot=job.schedule == "@reboot",
                run_as=run_as,
                environment=job.environment,
                disabled_why=disabled_why,
            )

    def _cut(self, command: str, file: StartFile) -> str:
        """As much of a command as is judged; text made to be slow takes seconds for each megabyte."""
        if len(command) > _COMMAND_LIMIT:
            self.query.truncate(f"{file.path}: only the first {_COMMAND_LIMIT} characters of a command were looked into")
        return command[:_COMMAND_LIMIT]

    def _line_columns(
        self, file: StartFile, job: JobLine, is_cron: bool, account: Optional[Account], of_file: Iterable[str]
    ) -> dict[str, Any]:
        variables = dict(job.environment)
        script = job_script(job, has_input=is_cron)
        reasons = job_reasons(job, script).union(of_file)
        for folder in _RUN_PARTS.findall(job.command):
            if len(self.run_parts) < _MAX_RUN_PARTS:
                self.run_parts.setdefault(os.path.normpath(folder), job.schedule)
        home = variables.get("HOME") or (account.home if account else None)
        folders = [folder for folder in variables.get("PATH", "").split(":") if folder.startswith("/")]
        return self.facts.columns(
            file,
            job.line,
            job.command,
            parsed=(*environment_commands(job.environment), *script.commands),
            reasons=sorted(reasons),
            search_path=[*folders[:32], *SEARCH_PATH],
            home=home,
            folder=home or "/",
        )

    def _script_rows(self, path: str, file: StartFile, folder: str) -> Iterator[ScheduledJob]:
        """The script, and all that it starts; nothing for a placeholder that holds no command."""
        schedule = self.run_parts.get(folder)
        rest: dict[str, Any] = {
            "scheduler": "cron_script",
            "schedule": schedule,
            "schedule_text": (cron_text(schedule) or anacron_text(schedule)) if schedule else SCRIPT_FOLDERS[folder],
            "is_reboot": schedule == "@reboot",
            "run_as": "root",
            "environment": (),
            "disabled_why": self.daemons.why_not_run(path, file),
        }
        commands = [columns for _, columns in self.facts.script(file, self.query, home="/root")]
        if not commands:
            return
        of_file = self._file_reasons(JobFile(path, "cron_script"), file, None)
        whole = self.facts.columns(file, 0, path, parsed=parse(shlex.quote(path)).commands, reasons=sorted(of_file))
        yield self._row(whole, **rest)
        for columns in commands:
            # A binary, or a script of another interpreter, is one command; the row above stands for it.
            if columns["program_path"] != file.path or columns["reasons"]:
                yield self._row(columns, **rest)

    def _at_rows(self, found: JobFile, file: StartFile) -> Iterator[ScheduledJob]:
        due = at_time(found.name)
        if due is None:
            return
        job = parse_at_job(file.text)
        job = job._replace(command=self._cut(job.command, file))
        owner = file.status.st_uid if job.uid is None else job.uid
        run_as = next((name for name, account in self.accounts.items() if account.uid == owner), str(owner))
        script = parse(job.command)
        reasons = self._file_reasons(found, file, None) | text_reasons(file.text) | environment_reasons(job.environment)
        reasons.update(*script_reasons(script))
        when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(due))
        home = self.accounts[run_as].home if run_as in self.accounts else None
        yield self._row(
            self.facts.columns(
                file,
                job.line,
                job.command,
                parsed=(*environment_commands(job.environment), *script.commands),
                reasons=sorted(reasons),
                home=home,
                folder=job.folder or "/",
            ),
            scheduler="at",
            schedule=when,
            schedule_text=f"once, at {when}",
            is_reboot=False,
            run_as=run_as,
            environment=job.environment,
            # batch's and at's own mark for a job that must not run is a file without the execute bit (atd.c).
            disabled_why=None if file.status.st_mode & 0o100 else "not executable",
        )

    def _timer_rows(self) -> Iterator[ScheduledJob]:
        for job in timer_jobs(self.files, self.query):
            script = parse(" ".join(map(shlex.quote, job.command.words)))
            reasons = text_reasons(job.command.text) | environment_reasons(job.environment)
            reasons.update(*script_reasons(script))
            yield self._row(
                self.facts.columns(
                    job.file,
                    job.line,
                    job.command.text,
                    parsed=(*environment_commands(job.environment), *script.commands),
                    reasons=sorted(reasons),
                    home=job.home,
                ),
                scheduler="systemd_timer",
                schedule=job.schedule,
                schedule_text=job.schedule_text,
                is_reboot=job.is_reboot,
                run_as=job.run_as,
                environment=job.environment,
                disabled_why=job.disabled_why,
            )

    def _file_reasons(self, found: JobFile, file: StartFile, account: Optional[Account]) -> set[str]:
        reasons = set()
        if found.name.startswith("."):
            reasons.add("dotfile")
        if file.status.st_mode & 0o002:
            reasons.add("world_writable")
        if file.is_padded and found.scheduler != "cron_script":
            reasons.add("evades_limits")
        if file.path != found.path:
            # A link: where it leads is judged like a program's place.
            reasons.update(command_reasons(shlex.quote(file.path)))
        if found.user and account is None and self.daemons.knows_all_accounts:
            reasons.add("spool_of_unknown_account")
        if found.user and account is not None and is_system_uid(account.uid, self.uid_min) and not is_login_shell(account.shell):
            reasons.add("system_account_crontab")
        return reasons

    @staticmethod
    def _row(
        columns: dict[str, Any], environment: Sequence[tuple[str, str]], disabled_why: Optional[str], **rest: Any
    ) -> ScheduledJob:
        return ScheduledJob(
            **columns,
            **rest,
            environment=_shown(tuple(environment)),
            enabled=disabled_why is None,
            disabled_why=disabled_why,
        )


@functools.lru_cache(maxsize=256)
def _shown(variables: tuple[tuple[str, str], ...]) -> str:
    """The variables without the values that may be secrets."""
    steering = [f"{name}={value}" for name, value in variables if name in STEERING_VARIABLES]
    others = (name for name, _ in variables if name not in STEERING_VARIABLES)
    return " ".join([*steering, *itertools.islice(others, _MAX_VARIABLES_SHOWN)])


def _schedule_text(scheduler: str, schedule: str) -> Optional[str]:
    if scheduler == "anacron":
        return anacron_text(schedule)
    if scheduler == "incron":
        path, _, events = schedule.rpartition(" ")
        return f"when {path} changes ({events})"
    return cron_text(schedule.lstrip("& ") if scheduler == "fcron" else schedule)
