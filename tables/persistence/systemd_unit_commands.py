"""What systemd's unit files, drop-ins and generators start: the system's, and those of every account."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Optional

from tables.host import Host
from tables.host.disk.start_files import StartFile
from tables.host.startup.entries import StartupFiles
from tables.host.startup.udev_rules import udev_wants
from tables.host.systemd.commands import UnitCommand, unit_commands, unit_specifiers
from tables.host.systemd.environment import EnvironmentFiles, unit_environment
from tables.host.systemd.generators import read_generators
from tables.host.systemd.managers import Manager, Unit, UnitFile
from tables.host.systemd.syntax import Setting, activated_unit, events, last_value, split_name
from tables.host.systemd.units import SystemdUnits
from tables.reasons.command_patterns import alert_reasons, text_reasons
from tables.reasons.commands import command_reasons
from tables.reasons.followed_scripts import script_file_reasons
from tables.reasons.mining.started_miners import mines_by_environment
from tables.reasons.started_commands import CommandFacts, StartedCommand
from tables.reasons.units import (
    UNIT_WORDS,
    UnitProgram,
    change_reasons,
    is_left_over,
    joined,
    reasons_together,
    shadowed_file,
    unit_file_reasons,
)
from tables.schema import BIGINT, TEXT, QueryContext, column, table
from tables.text.programs import SHELLS, resolve
from tables.text.run_by_variables import names_code
from tables.text.shell import parse

_MAX_ROWS = 20_000
# No user may fill the table and so blind us to the others.
_MAX_USER_ROWS = 1000
_MAX_USER_TEXT = 64 * 1024
# Of one template so many instances are looked at.
_MAX_INSTANCES = 50
_LOADER_VARIABLES = ("LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH")


@dataclass(frozen=True)
class SystemdUnitCommand(StartedCommand):
    """One command of a unit file; one event that starts another unit; one loader variable; or a generator."""

    unit: str = column(
        TEXT, "unit that the file describes; of a drop-in for many units the folder's name without `.d`", index=True
    )
    directive: Optional[str] = column(
        TEXT,
        "ExecStart, ExecStartPre …; OnCalendar, PathChanged, ListenStream … (`command` is then the unit that is started); "
        "Environment (a loader variable); generator; empty for a file that holds none of these",
    )
    scope: str = column(TEXT, "system or user: whose systemd reads the file")
    username: Optional[str] = column(TEXT, "account whose own unit it is")
    origin: str = column(TEXT, "vendor, local, runtime, generator or transient: the kind of folder that holds the file")
    link_path: Optional[str] = column(TEXT, "the link in systemd's folders that leads to `path`")
    is_drop_in: int = column(BIGINT, "1 for a drop-in, which changes another unit")
    shadows: Optional[str] = column(TEXT, "the vendor's file of the same name, which this one replaces")
    is_masked: int = column(BIGINT, "1 if the unit is switched off by a link to /dev/null or an empty file")
    is_enabled: int = column(BIGINT, "1 if another unit wants or requires it, by a link or in its text")
    wanted_by: Optional[str] = column(TEXT, "the units that do, comma separated")
    triggers: Optional[str] = column(
        TEXT, "when it is started otherwise: its own events, or those of enabled timers, paths, sockets"
    )
    run_as: Optional[str] = column(TEXT, "user that the commands run as; empty when the file does not tell")
    restart: Optional[str] = column(TEXT, "Restart=: when it is started again after its end")
    environment: Optional[str] = column(TEXT, "LD_PRELOAD, LD_AUDIT and LD_LIBRARY_PATH with which the unit runs")
    description: Optional[str] = column(TEXT, "Description= of the unit")
    is_hidden_unit: int = column(BIGINT, "1 if the file's name begins with a dot")
    unit_reasons: Optional[str] = column(
        TEXT, "what is odd about the unit beyond its commands, comma separated (see the notes)", words=UNIT_WORDS
    )


@table(
    "systemd_unit_commands",
    SystemdUnitCommand,
    description="Each command that systemd's unit files, drop-ins and generators start, read from disk, with what is behind it.",
    sop_steps=(2, 5, 16),
    examples=[
        "SELECT unit, path, directive, command, reasons, program_reasons FROM systemd_unit_commands WHERE reasons <> ''",
        "SELECT unit, path, command, run_as, wanted_by, triggers FROM systemd_unit_commands "
        "WHERE is_packaged = 0 AND directive LIKE 'Exec%'",
    ],
    rests_on_files=True,
)
def systemd_unit_commands(host: Host, query: QueryContext) -> Iterator[SystemdUnitCommand]:
    """One row per Exec…= command, per event that starts another unit, per variable that has code loaded, and per generator.

    A file without any of these is a row as well. Read are all folders of systemd.unit(5), those of every account in
    /etc/passwd included: also units that are not loaded, masked, or replaced by another file. No D-Bus is asked. A file that
    links lead to is reported once, under its real path; a template once, and an instance that is wanted where its name gives
    the command another program or reason. `wanted_by` has udev's rules too (SYSTEMD_WANTS, systemd.device(5)). Specifiers and
    variables are filled in as far as the files tell, those of EnvironmentFile= included (of one that not everybody may read,
    for secrets are kept there, only the loader's); RootDirectory= is not followed. The `unit_reasons` are `link_outside` (the
    unit is a link to a file outside systemd's folders; with `temp_path` and the like where that is an odd place),
    `hidden_unit`, `world_writable_unit`, `shadows_vendor_command` (it replaces a vendor's unit, and starts a program that
    this does not), `drop_in_changes_command` (an unpackaged drop-in for a vendor's unit starts another program) and
    `generator_unpackaged`.
    At most 20,000 rows of the system's, 1,000 rows or 64 KiB of commands of each account's; of its files 2 MiB are read.
    """
    units = SystemdUnits(host.files, query)
    environment_files = EnvironmentFiles(units)
    facts = CommandFacts(host)
    rows: list[SystemdUnitCommand] = []
    for path, wanted in udev_wants(StartupFiles(host, query)):
        for manager in units.managers:
            if (manager.scope == "user") == wanted.is_users:
                manager.want(wanted.name, path)
    for manager in units.managers:
        left, text = (_MAX_ROWS, None) if manager.account is None else (_MAX_USER_ROWS, _MAX_USER_TEXT)
        for row in _ManagerRows(facts, manager, units.folders, environment_files).rows(query):
            if left == 0 or (text is not None and text < 0):
                query.truncate(f"{row.path}: more commands than are reported")
                break
            rows.append(row)
            left -= 1
            text = None if text is None else text - max(len(row.command), len(row.arguments or ""))
    rows += _generators(facts, query)
    yield from _finished(host, units.managers, list(facts.complete(rows, query)), query)


class _Facts(NamedTuple):
    """What holds for all rows of one file."""

    columns: dict[str, Any]
    environment: dict[str, str]
    specifiers: dict[str, str]


class _ManagerRows:
    """Makes the rows of one manager's files."""

    def __init__(
        self, facts: CommandFacts, manager: Manager, folders: Collection[str], environment_files: EnvironmentFiles
    ) -> None:
        self.facts = facts
        self.environment_files = environment_files
        self.folders = folders
        self.manager = manager
        self._triggers: dict[str, list[str]] = {}
        for name in manager.names():
            unit = manager.unit(name)
            own = events(unit.settings)
            started = activated_unit(name, unit.settings)
            if started and own and not unit.is_masked and manager.wanted_by(name):
                self._triggers.setdefault(started, []).append(f"{name} {_event_text(own)}")

    def rows(self, query: QueryContext) -> Iterator[SystemdUnitCommand]:
        """Yield them, file by file."""
        for found in self.manager.files():
            query.check_time()
            if found.file is not None and not found.is_mask:
                yield from self._file_rows(found, found.file)

    def _file_rows(self, found: UnitFile, file: StartFile) -> Iterator[SystemdUnitCommand]:
        unit = self.manager.unit(found.name)
        settings = unit.settings if found.is_drop_in or unit.fragment is found else list(found.settings)
        common = self._common(found, file, unit, settings)
        home = self._home(common.columns)
        folder = (last_value(settings, "Service", "WorkingDirectory") or "/").lstrip("-")
        is_fed_by_socket = last_value(settings, "Service", "StandardInput") == "socket"
        count = 0
        written: dict[int, SystemdUnitCommand] = {}
        commands = list(unit_commands(found.settings, common.specifiers, common.environment))
        for command, together in zip(commands, reasons_together(commands)):
            row = self._command_row(file, command, common, home, folder, is_fed_by_socket, together)
            written[command.setting.line] = row
            yield row
            count += 1
        for name in self.manager.instances(found.name)[:_MAX_INSTANCES] if written and found.name.find("@.") > 0 else ():
            specifiers = unit_specifiers(self.manager, name)
            for command in unit_commands(found.settings, specifiers, common.environment):
                row = self._command_row(file, command, common, home, folder, is_fed_by_socket, ())
                # What the instance's name adds; all else the template's row has.
                template = written[command.setting.line]
                if row.reasons != template.reasons or row.program != template.program:
                    yield dataclasses.replace(row, unit=name)
        for line, key, text, reasons, assignment in self._other_rows(found, settings, common.specifiers):
            count += 1
            parsed = parse(assignment).commands
            columns = self.facts.columns(file, line, text, parsed=parsed, reasons=sorted(reasons), home=home)
            yield SystemdUnitCommand(**columns, **common.columns, directive=key)
        if not count:
            columns = self.facts.columns(file, 1, "", parsed=(), reasons=())
            yield SystemdUnitCommand(**columns, **common.columns, directive=None)

    def _command_row(
        self,
        file: StartFile,
        command: UnitCommand,
        common: _Facts,
        home: Optional[str],
        folder: str,
        is_fed_by_socket: bool,
        together: Collection[str],
    ) -> SystemdUnitCommand:
        text = shlex.join(command.words)
        reasons = (set(command_reasons(text)) - text_reasons(text)) | text_reasons(command.text) | set(together)
        if mines_by_environment(command.words, common.environment):
            reasons.add("known_miner")
        started = resolve(command.words)
        # Who connects to the socket talks to the shell.
        if started is not None and started.name in SHELLS and started.reads_input and is_fed_by_socket:
            reasons.add("reverse_shell")
        columns = self.facts.columns(
            file,
            command.setting.line,
            command.text,
            parsed=parse(text).commands,
            reasons=sorted(reasons),
            home=home,
            folder=folder if folder.startswith("/") else "/",
        )
        if started is not None and columns["program"] is None:
            columns.update(program=started.program, arguments=" ".join(started.arguments))
        return SystemdUnitCommand(**columns, **common.columns, directive=command.setting.key)

    def _other_rows(
        self, found: UnitFile, settings: Sequence[Setting], specifiers: dict[str, str]
    ) -> Iterator[tuple[int, str, str, set[str], str]]:
        """Line, directive, text and reasons of each event and variable that has code loaded, and that as shell text."""
        started = activated_unit(found.name, settings) or ""
        for event in events(found.settings):
            yield event.line, event.key, started, text_reasons(event.value), ""
        for setting in found.settings:
            if setting.key == "Environment":
                for name, value in _loading(unit_environment([setting], specifiers)).items():
                    assignment = f"{name}={shlex.quote(value)}"
                    yield setting.line, "Environment", f"{name}={value}", set(command_reasons(assignment)), assignment

    def _common(self, found: UnitFile, file: StartFile, unit: Unit, settings: list[Setting]) -> _Facts:
        manager = self.manager
        specifiers = unit_specifiers(manager, found.name)
        environment = unit_environment(settings, specifiers, self.environment_files.of(manager, found.name, settings))
        wanted_by = manager.wanted_by(found.name)
        account = manager.account.name if manager.account else None
        default_user = "root" if manager.scope == "system" else account
        own = events(settings)
        kind = split_name(found.name)[2]
        columns: dict[str, Any] = {
            "unit": found.name,
            "scope": manager.scope,
            "username": account,
            "origin": found.folder.origin,
            "link_path": found.location if found.location != file.path else None,
            "is_drop_in": found.is_drop_in,
            "shadows": shadowed_file(manager, found),
            "is_masked": unit.is_masked,
            "is_enabled": bool(wanted_by),
            "wanted_by": ",".join(wanted_by),
            "triggers": _event_text(own) if own else ", ".join(self._triggers.get(found.name, ())),
            "run_as": last_value(settings, kind.capitalize(), "User") or default_user,
            "restart": last_value(settings, "Service", "Restart"),
            "environment": " ".join(f"{name}={value}" for name, value in _loader(environment).items()),
            "description": last_value(settings, "Unit", "Description"),
            "is_hidden_unit": found.is_hidden,
            "unit_reasons": ",".join(unit_file_reasons(found, self.folders)),
        }
        return _Facts(columns, environment, specifiers)

    def _home(self, columns: dict[str, Any]) -> Optional[str]:
        if self.manager.account is not None:
            return self.manager.account.home
        return "/root" if columns["run_as"] == "root" else None


def _event_text(found: Iterable[Setting]) -> str:
    return ", ".join(f"{event.key}={event.value}" for event in found)


def _loader(environment: dict[str, str]) -> dict[str, str]:
    return {name: environment[name] for name in _LOADER_VARIABLES if environment.get(name)}


def _loading(environment: dict[str, str]) -> dict[str, str]:
    """The variables that have a library or other code loaded."""
    return {name: value for name, value in environment.items() if value and (name in _LOADER_VARIABLES or names_code(name))}


def _finished(
    host: Host, managers: list[Manager], rows: list[SystemdUnitCommand], query: QueryContext
) -> Iterator[SystemdUnitCommand]:
    """The rows with the reasons that follow from comparing them with each other, and from what packages own."""
    programs: dict[str, set[Optional[str]]] = {}
    for row in rows:
        programs.setdefault(row.path, set()).add(row.program_path or row.program)
    by_account = {(one.scope, one.account.name if one.account else None): one for one in managers}
    for row in rows:
        query.check_time()
        more: list[str] = []
        if row.directive == "generator":
            if row.is_packaged == 0 or row.is_changed:
                more = ["generator_unpackaged"] if row.is_packaged == 0 else []
                reasons = ",".join(script_file_reasons(host, row.path, query))
                alerts = alert_reasons(reasons, row.program_reasons)
                row = dataclasses.replace(row, reasons=reasons, alert_reasons=",".join(alerts))
        elif row.program and (row.is_packaged != 1 or row.is_changed):
            program = UnitProgram(
                row.unit,
                row.path,
                row.directive,
                row.program_path or row.program,
                row.program_is_packaged,
                row.is_drop_in,
                row.shadows,
            )
            manager = by_account[row.scope, row.username]
            if not (row.is_drop_in and is_left_over(manager, host.files, row.unit)):
                more = change_reasons(program, manager, programs)
        yield dataclasses.replace(row, unit_reasons=joined(row.unit_reasons, more)) if more else row


def _generators(facts: CommandFacts, query: QueryContext) -> Iterator[SystemdUnitCommand]:
    for found in read_generators(facts.host.files, query):
        name = found.location.rpartition("/")[2]
        file = found.file
        yield SystemdUnitCommand(
            **facts.columns(file, 1, file.path, parsed=parse(shlex.quote(file.path)).commands, reasons=()),
            unit=name,
            directive="generator",
            scope=found.scope,
            origin=found.origin,
            link_path=found.location if found.location != file.path else None,
            is_drop_in=False,
            is_masked=False,
            is_enabled=True,
            run_as="root" if found.scope == "system" else None,
            is_hidden_unit=name.startswith("."),
        )
