"""The commands of rc.local and its kin: which run at boot, and what is suspicious about them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Optional

from tables.host import Host
from tables.host.disk.files import Files, Unreadable
from tables.host.disk.start_files import StartFile, read_start_file
from tables.host.systemd.commands import unit_commands, unit_specifiers
from tables.host.systemd.managers import Manager
from tables.host.systemd.units import SystemdUnits
from tables.reasons.started_commands import CommandFacts, StartedCommand
from tables.schema import BIGINT, TEXT, QueryContext, column, table

# Debian and most others; EL; SUSE; and the System V script that on Debian only starts /etc/rc.local.
_FILES = ("/etc/rc.local", "/etc/rc.d/rc.local", "/etc/init.d/boot.local", "/etc/init.d/after.local", "/etc/init.d/rc.local")
# OpenRC's `local` service runs what is executable in there, in the order of the names.
_OPENRC_FOLDERS = ("/etc/local.d", "/etc/openrc/local.d")
_INIT_SCRIPT = re.compile(r"^### BEGIN INIT INFO", re.MULTILINE)

_SYSTEMD = ("/usr/lib/systemd/systemd", "/lib/systemd/systemd")
_UNITS = ("rc-local.service", "after-local.service")
_GENERATORS = tuple(
    f"{folder}/system-generators/systemd-rc-local-generator"
    for folder in ("/usr/lib/systemd", "/lib/systemd", "/usr/local/lib/systemd", "/etc/systemd")
)


@dataclass(frozen=True)
class RcLocalCommand(StartedCommand):
    """One simple command of one boot script, its here-documents below it."""

    enabled: int = column(BIGINT, "1 if the script runs at boot")
    disabled_why: Optional[str] = column(TEXT, "why the script does not run at boot")
    is_background: int = column(BIGINT, "1 if it is left running with `&`")
    is_reachable: int = column(BIGINT, "0 if an unconditional `exit` or `exec` comes before it")
    in_function: Optional[str] = column(TEXT, "function that it belongs to; it runs when something calls that")


@table(
    "rc_local_commands",
    RcLocalCommand,
    description="Each command of rc.local, SUSE's boot.local and after.local, and OpenRC's local.d, and whether it runs at boot.",
    sop_steps=(5, 16),
    examples=[
        "SELECT path, line, command, reasons FROM rc_local_commands WHERE reasons <> ''",
        "SELECT path, line, program, arguments FROM rc_local_commands WHERE enabled = 1 AND is_reachable = 1",
    ],
)
def rc_local_commands(host: Host, query: QueryContext) -> Iterator[RcLocalCommand]:
    """One row per simple command of each boot script; scripts are read, never run.

    A file reached by several names (EL links /etc/rc.local to rc.d/rc.local) is reported once, under its real path.
    Of a System V init script named rc.local, which Debian ships to start /etc/rc.local, only suspicious commands are
    reported. A script for another interpreter than a shell is one row with the whole script as its command.
    Reads at most 4 MiB and 20,000 commands a script, and says so in minehunt_status. What a script starts
    or sources is followed three scripts deep (`program_reasons`, `unpackaged_program`). An existing script that cannot be read
    fails the query.
    """
    facts = CommandFacts(host)
    yield from facts.complete(_commands(host.files, facts, query), query)


def _commands(files: Files, facts: CommandFacts, query: QueryContext) -> Iterator[RcLocalCommand]:
    units = _Units(files, query)
    seen: set[str] = set()
    for name in _candidates(files):
        try:
            script = read_start_file(files, name)
        except Unreadable as error:
            if error.is_missing:
                continue
            # Neither systemd nor OpenRC runs anything but a regular file.
            if error.why != "not a regular file":
                raise
            query.could_not_see(str(error))
            continue
        if script.path in seen:
            continue
        seen.add(script.path)
        yield from _rows(facts, script, units.why_not(script), query)


def _candidates(files: Files) -> Iterator[str]:
    yield from _FILES
    for folder in _OPENRC_FOLDERS:
        yield from (path for path in files.paths(folder) if path.endswith(".start"))


def _rows(facts: CommandFacts, script: StartFile, disabled_why: Optional[str], query: QueryContext) -> Iterator[RcLocalCommand]:
    is_init_script = bool(_INIT_SCRIPT.search(script.text)) and script.path.startswith("/etc/init.d/")
    for command, columns in facts.script(script, query):
        if is_init_script and not columns["reasons"]:
            continue
        yield RcLocalCommand(
            **columns,
            enabled=disabled_why is None,
            disabled_why=disabled_why,
            is_background=command.is_background,
            is_reachable=command.is_reachable,
            in_function=command.in_function,
        )


class _Units:
    """What systemd on this host would run: rc-local.service (systemd-rc-local-generator(8)) and SUSE's after-local.service."""

    def __init__(self, files: Files, query: QueryContext) -> None:
        self.files = files
        self._query = query
        self.has_systemd = any(files.exists(path) for path in _SYSTEMD)
        self.has_generator = any(_is_executable(files, path) for path in _GENERATORS)

    @cached_property
    def _manager(self) -> Manager:
        return SystemdUnits(self.files, self._query, with_users=False).managers[0]

    def why_not(self, script: StartFile) -> Optional[str]:
        """Why the script does not run at boot; None when it does."""
        if not script.status.st_mode & 0o111:
            return "not executable"
        if os.path.dirname(script.path) in _OPENRC_FOLDERS or not self.has_systemd:
            return None
        if not script.text.startswith("#!"):
            return "no #! line, without which systemd cannot start it"
        causes = [cause for unit in _UNITS if (cause := self._cause(unit, script.path)) is not None]
        if not causes:
            return "no rc-local.service names it"
        return None if "" in causes else causes[0]

    def _cause(self, unit: str, path: str) -> Optional[str]:
        """Why `unit` does not run the script though it names it, empty when it does run it; None when it does not name it."""
        found = self._manager.unit(unit)
        if found.fragment is None:
            return None
        if found.is_masked:
            return f"{unit} is masked"
        commands = unit_commands(found.settings, unit_specifiers(self._manager, unit), {}, ["ExecStart"])
        if path not in {self.files.real_path(command.words[0]) for command in commands}:
            return None
        if (unit == "rc-local.service" and self.has_generator) or self._manager.wanted_by(unit):
            return ""
        return f"nothing starts {unit}"


def _is_executable(files: Files, path: str) -> bool:
    try:
        return bool(files.stat(path).st_mode & 0o111)
    except Unreadable:
        return False
