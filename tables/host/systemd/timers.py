"""The systemd timers of a host, with what they start and when."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, Optional

from tables.host.disk.files import Files
from tables.host.disk.start_files import StartFile
from tables.host.systemd.commands import UnitCommand, unit_commands, unit_specifiers
from tables.host.systemd.environment import EnvironmentFiles, unit_environment
from tables.host.systemd.managers import Manager
from tables.host.systemd.syntax import TRIGGER_KEYS, Setting, activated_unit, last_value, values
from tables.host.systemd.units import SystemdUnits
from tables.schema import QueryContext

_BOOT = frozenset({"OnBootSec", "OnStartupSec"})
# systemd.time(7).
_EVERY = {
    "minutely": "every minute",
    "hourly": "every hour",
    "daily": "every day",
    "weekly": "every week",
    "monthly": "every month",
}
_EVERY_DAY = re.compile(r"(?:([A-Za-z][A-Za-z,.-]*)[ \t]+)?\*-\*-\*(?:[ \t]+([0-9][0-9,:.]*))?")
_TEXTS = {
    "OnActiveSec": "{} after the timer is started",
    "OnBootSec": "{} after boot",
    "OnStartupSec": "{} after systemd is started",
    "OnUnitActiveSec": "{} after the last start",
    "OnUnitInactiveSec": "{} after the last end",
}


class TimerJob(NamedTuple):
    """One command that a timer starts; `file` and `line` are those of the timer, `home` that of the user whose timer it is."""

    file: StartFile
    line: int
    schedule: str
    schedule_text: str
    is_reboot: bool
    command: UnitCommand
    run_as: Optional[str]
    home: Optional[str]
    environment: tuple[tuple[str, str], ...]
    disabled_why: Optional[str]


def timer_jobs(files: Files, query: QueryContext) -> Iterator[TimerJob]:
    """What the timers of the system and of all users start with ExecStart=; what could not be read is said to `query`."""
    units = SystemdUnits(files, query)
    environment_files = EnvironmentFiles(units)
    for manager in units.managers:
        for name in manager.names():
            query.check_time()
            if name.endswith(".timer"):
                yield from _jobs(manager, name, environment_files)


def _jobs(manager: Manager, name: str, environment_files: EnvironmentFiles) -> Iterator[TimerJob]:
    timer = manager.unit(name)
    file = timer.fragment.file if timer.fragment else None
    if file is None or timer.fragment is None or timer.is_masked:
        return
    triggers = sorted(values(timer.settings, "Timer", *TRIGGER_KEYS["Timer"]), key=lambda setting: setting.line)
    started = activated_unit(name, timer.settings)
    if not triggers or started is None:
        return
    service = manager.unit(started)
    specifiers = unit_specifiers(manager, started)
    environment = unit_environment(service.settings, specifiers, environment_files.of(manager, started, service.settings))
    account = manager.account
    user = last_value(service.settings, "Service", "User")
    for command in unit_commands(service.settings, specifiers, environment, ["ExecStart"]):
        yield TimerJob(
            file,
            triggers[0].line,
            "; ".join(f"{setting.key}={setting.value}" for setting in triggers),
            " and ".join(map(_text, triggers)),
            any(setting.key in _BOOT for setting in triggers),
            command,
            user or (account.name if account else "root" if manager.scope == "system" else None),
            account.home if account else None,
            tuple(environment.items()),
            None if manager.wanted_by(name) else "no unit wants it",
        )


def _text(setting: Setting) -> str:
    if setting.key == "OnCalendar":
        daily = _EVERY_DAY.fullmatch(setting.value)
        if daily:
            return f"at {daily[2] or '00:00'} {'on ' + daily[1] if daily[1] else 'every day'}"
        return _EVERY.get(setting.value.lower(), f"at {setting.value}")
    return _TEXTS.get(setting.key, f"when {setting.key[2:]}").format(setting.value)
