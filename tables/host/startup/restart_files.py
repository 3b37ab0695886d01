"""The files that make the system start programs again: systemd service units and crontabs, as text and as found on disk."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple, Optional

from tables.host.accounts.databases import parse_passwd
from tables.host.disk.files import Files
from tables.host.schedulers.crontab import parse_crontab, split_input
from tables.host.schedulers.files import CRON, SCRIPT_FOLDERS, job_files
from tables.host.systemd.folders import INSTALLED
from tables.host.systemd.syntax import EXEC_PREFIXES, last_value, parse_unit, values
from tables.text.restarts import TEXT_LIMIT, Starts, shell_starts
from tables.unseen import Unseen

# systemd.unit(5): earlier folders win.
_UNIT_FOLDERS = (
    *INSTALLED,
    "/etc/systemd/user",
    "/run/systemd/user",
    "/usr/lib/systemd/user",
    "/run/systemd/transient",
)
_HOME_UNIT_FOLDERS = (".config/systemd/user", ".local/share/systemd/user")
_INVOCATIONS = "/run/systemd/units"
_MAX_UNITS = 4096
_MAX_HOMES = 256

_MAX_CRON_FILES = 1024
_MAX_CRON_JOBS = 2000

_MAX_SCRIPTS = 8
_NOTHING = Starts((), ())


class Unit(NamedTuple):
    """A service unit: its file, its Restart= (None when not set, which means no), and what its ExecStart= lines start.

    `has_timer` tells whether a timer of the same name starts it again and again.
    """

    path: str
    restart: Optional[str]
    starts: Starts
    has_timer: bool = False

    @property
    def restarts(self) -> bool:
        """Whether systemd starts the service again after its end."""
        return self.has_timer or self.restart not in (None, "", "no")


class CronJob(NamedTuple):
    """One job: the file and line (0 for a script that cron runs whole) and what its command starts."""

    path: str
    line: int
    starts: Starts


def parse_service(*texts: str) -> tuple[Optional[str], tuple[str, ...]]:
    """Restart= and the ExecStart= commands of a unit file followed by its drop-ins (systemd.service(5)); never raises."""
    settings = [setting for text in texts for setting in parse_unit(text)]
    commands = [setting.value.lstrip(EXEC_PREFIXES) for setting in values(settings, "Service", "ExecStart")]
    return last_value(settings, "Service", "Restart"), tuple(commands)


class RestartFiles:
    """Reads units and crontabs below a root folder; what cannot be read is left out."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self._invocations: dict[str, tuple[str, int]] = {}

    def units(self) -> dict[str, Unit]:
        """The service units by name, drop-ins included, at most 4,096. What a unit starts is told only if it restarts."""
        folders = {folder: dict.fromkeys(self._names(folder)) for folder in (*_UNIT_FOLDERS, *self._home_folders())}
        found: dict[str, Unit] = {}
        for folder, names in folders.items():
            for name in names:
                if not name.endswith(".service") or name in found or len(found) >= _MAX_UNITS:
                    continue
                path = f"{folder}/{name}"
                text = self._text(path)
                if text is not None:
                    timer = name[: -len("service")] + "timer"
                    has_timer = any(timer in others for others in folders.values())
                    found[name] = self._unit(path, [text, *self._drop_ins(name, folders)], has_timer)
        return found

    def _drop_ins(self, name: str, folders: dict[str, dict[str, None]]) -> Iterator[str]:
        for folder, names in folders.items():
            if f"{name}.d" in names:
                for entry in self._names(f"{folder}/{name}.d"):
                    yield (self._text(f"{folder}/{name}.d/{entry}") or "") if entry.endswith(".conf") else ""

    def _unit(self, path: str, texts: list[str], has_timer: bool) -> Unit:
        restart, commands = parse_service(*texts)
        unit = Unit(path, restart, _NOTHING, has_timer)
        home = path.partition("/.")[0]
        return unit._replace(starts=shell_starts("\n".join(commands).replace("%h", home))) if unit.restarts else unit

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
        if name in self._invocations or len(self._invocations) < _MAX_UNITS:
            self._invocations[name] = (link, count)
        return count

    def cron_jobs(self) -> Iterator[CronJob]:
        """What cron runs: crontabs of the system and of users, and the scripts in cron.hourly and its like."""
        crontabs = (found for found in job_files(self.files, Unseen()) if found.scheduler in CRON)
        for found in itertools.islice(crontabs, _MAX_CRON_FILES):
            jobs = parse_crontab(self._text(found.path) or "", found.has_user_field)
            for job in itertools.islice(jobs, _MAX_CRON_JOBS):
                command, _ = split_input(job.command)
                yield CronJob(found.path, job.line, self._with_scripts(shell_starts(command)))
        for folder in SCRIPT_FOLDERS:
            for name in self._names(folder)[:_MAX_CRON_FILES]:
                yield CronJob(f"{folder}/{name}", 0, self._script_starts(f"{folder}/{name}"))

    def _with_scripts(self, starts: Starts) -> Starts:
        """`starts` and what the shell scripts among them start themselves."""
        for path in list(starts.paths())[:_MAX_SCRIPTS]:
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

    def _home_folders(self) -> list[str]:
        try:
            accounts = parse_passwd(self.files.read("/etc/passwd"))
        except OSError:
            return []
        homes = dict.fromkeys(account.home for account in accounts if len(account.home) > 1)
        return [f"{home}/{folder}" for home in list(homes)[:_MAX_HOMES] for folder in _HOME_UNIT_FOLDERS]

    def _text(self, path: str) -> Optional[str]:
        try:
            return self.files.read_text(path, TEXT_LIMIT)
        except OSError:
            return None
