"""The services that systemd starts again after their end, or by a timer (systemd.service(5), systemd.timer(5))."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple, Optional

from tables.host.disk.files import Files
from tables.host.processes.cgroups import systemd_unit
from tables.host.systemd.commands import unit_commands, unit_specifiers
from tables.host.systemd.environment import EnvironmentFiles, unit_environment
from tables.host.systemd.managers import Manager, Unit
from tables.host.systemd.syntax import activated_unit, last_value
from tables.host.systemd.units import SystemdUnits
from tables.schema import QueryContext
from tables.text.restarts import Starts, shell_starts

_USER_MANAGER = re.compile(r"/user@(\d{1,10})\.service/")


class Service(NamedTuple):
    """A service unit: its name, its file, its Restart= (None when not set: no), and what its ExecStart= lines start.

    `has_timer` tells whether a timer starts it again and again. What it starts is told only if it restarts.
    """

    name: str
    path: str
    restart: Optional[str]
    starts: Starts = Starts((), ())
    has_timer: bool = False
    is_masked: bool = False

    @property
    def restarts(self) -> bool:
        """Whether systemd starts the service again after its end."""
        return not self.is_masked and (self.has_timer or self.restart not in (None, "", "no"))


class RestartUnits:
    """The service units of the system and of all users, as systemd puts them together when this is made.

    What could not be read, or was left out, is said to `query`.
    """

    def __init__(self, files: Files, query: QueryContext) -> None:
        self._units = SystemdUnits(files, query)
        self._environment_files = EnvironmentFiles(self._units)
        self._timers = [_started_by_timers(manager) for manager in self._units.managers]

    def __iter__(self) -> Iterator[Service]:
        for index, manager in enumerate(self._units.managers):
            for unit in manager.all_units("service"):
                self._units.query.check_time()
                yield self._service(index, unit)

    def of(self, cgroup_path: str) -> Optional[Service]:
        """The service that a process in this cgroup belongs to, a user's own where a user's systemd started it."""
        name = systemd_unit(cgroup_path) or ""
        if not name.endswith(".service"):
            return None
        index = self._manager(cgroup_path)
        unit = self._units.managers[index].unit(name)
        return self._service(index, unit) if unit.fragment is not None else None

    def _manager(self, cgroup_path: str) -> int:
        """Which manager a process in this cgroup was started by: the system's, all users' in common, or one user's."""
        user = _USER_MANAGER.search(cgroup_path)
        if user is None:
            return 0
        owners = (index for index, one in enumerate(self._units.managers) if one.account and one.account.uid == int(user[1]))
        return next(owners, 1)

    def _service(self, index: int, unit: Unit) -> Service:
        manager = self._units.managers[index]
        settings = unit.settings
        path = unit.fragment.location if unit.fragment else ""
        restart = last_value(settings, "Service", "Restart")
        has_timer = unit.name in self._timers[index]
        found = Service(unit.name, path, restart, has_timer=has_timer, is_masked=unit.is_masked)
        if not found.restarts:
            return found
        specifiers = unit_specifiers(manager, unit.name)
        environment = unit_environment(settings, specifiers, self._environment_files.of(manager, unit.name, settings))
        commands = unit_commands(settings, specifiers, environment, ["ExecStart"])
        return found._replace(starts=shell_starts("\n".join(shlex.join(command.words) for command in commands)))


def _started_by_timers(manager: Manager) -> set[Optional[str]]:
    """The units that the manager's timers start."""
    timers = (unit for unit in manager.all_units("timer") if not unit.is_masked)
    return {activated_unit(unit.name, unit.settings) for unit in timers}
