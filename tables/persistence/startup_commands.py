"""What the host starts by itself apart from cron, systemd units and rc.local: logins, devices, packages, networks, the kernel."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from tables.fair_shares import Shares
from tables.host import Host
from tables.host.disk.files import DEFAULT_LIMIT
from tables.host.disk.start_files import parse_script, settings_of
from tables.host.startup.boot_loader import boot_loader_settings, early_boot_scripts, grub_scripts, initramfs_scripts
from tables.host.startup.daemon_configs import inittab, interface_hooks, logrotate_scripts, network_daemons
from tables.host.startup.desktop_entries import dbus_services, xdg_autostart
from tables.host.startup.entries import NAME, SCRIPT, StartupEntry, StartupFiles
from tables.host.startup.kernel_helpers import kernel_helpers, module_commands
from tables.host.startup.loaded_by_variables import loaded_by_variables
from tables.host.startup.log_pipes import apache_programs, syslog_programs
from tables.host.startup.name_services import name_service_libraries, service_libraries
from tables.host.startup.package_hooks import package_hooks
from tables.host.startup.package_scripts import maintainer_scripts, package_plugins, plugin_files
from tables.host.startup.pam_configs import pam_modules, pam_programs
from tables.host.startup.php_settings import php_programs
from tables.host.startup.polkit_programs import polkit_programs
from tables.host.startup.repository_hooks import repository_hooks
from tables.host.startup.rpm_scriptlets import rpm_scriptlets
from tables.host.startup.scripts import init_scripts, script_folders
from tables.host.startup.service_folders import service_folders
from tables.host.startup.service_hooks import service_hooks
from tables.host.startup.shell_files import profile, shell_rc
from tables.host.startup.sshd_commands import sshd_commands
from tables.host.startup.supervisors import supervised_programs
from tables.host.startup.temporary_files import tmpfiles_lines
from tables.host.startup.terminal_tools import terminal_tools
from tables.host.startup.tool_hooks import git_hooks, python_files, python_startup, sudo_settings
from tables.host.startup.udev_rules import udev_programs
from tables.reasons.code_strings import code_reasons
from tables.reasons.commands import command_reasons, handed_on, script_reasons
from tables.reasons.started_commands import CommandFacts, StartedCommand, row_key
from tables.reasons.started_files import SEARCH_PATH, Started
from tables.schema import BIGINT, TEXT, QueryContext, column, table
from tables.text.code_calls import started_by
from tables.text.shell import Command, Script, parse

_TABLE = "startup_commands"
_READERS: tuple[Callable[[StartupFiles], Iterator[StartupEntry]], ...] = (
    profile,
    shell_rc,
    init_scripts,
    inittab,
    xdg_autostart,
    udev_programs,
    loaded_by_variables,
    pam_programs,
    script_folders,
    package_hooks,
    module_commands,
    kernel_helpers,
    sudo_settings,
    interface_hooks,
    logrotate_scripts,
    git_hooks,
    dbus_services,
    network_daemons,
    python_startup,
    sshd_commands,
    tmpfiles_lines,
    syslog_programs,
    apache_programs,
    php_programs,
    boot_loader_settings,
    early_boot_scripts,
    polkit_programs,
    supervised_programs,
    service_folders,
    package_plugins,
    maintainer_scripts,
    rpm_scriptlets,
    name_service_libraries,
    repository_hooks,
    terminal_tools,
    service_hooks,
)
_MECHANISMS = (
    "acpi, boot_loader, dbus_service, environment, git_hook, inetd, init_script, initramfs, inittab, kernel_helper, log_pipe, "
    "logrotate, module, motd, name_service, network_hook, package_hook, pam, php, polkit, preload, profile, python_startup, "
    "service_hook, shell_rc, sleep_hook, sshd, sudoers, supervisor, terminal_tool, tmpfiles, udev or xdg_autostart"
)
_NAME_IN_TEXT = re.compile(r"[^\s;&|()<>'\"`$={}]+")
# What shells call by itself: bash(1), zshmisc(1), fish(1).
_CALLED_BY_SHELLS = re.compile(
    r"command_not_found_handler?|precmd|preexec|chpwd|periodic|zshexit|zshaddhistory|TRAP[A-Z0-9]{2,10}"
    r"|fish_(?:right_|mode_)?prompt|fish_greeting|fish_title|fish_command_not_found"
)
# Of a script in a home so much is looked into: text made to be slow takes seconds for each megabyte.
_HOME_LIMIT = 512 * 1024


@dataclass(frozen=True)
class StartupCommand(StartedCommand):
    """One command, or one script that is run whole."""

    mechanism: str = column(TEXT, f"what starts it: {_MECHANISMS}", index=True)
    trigger: str = column(TEXT, "when it is started: boot, login shell, device event, package operation …")
    run_as: Optional[str] = column(TEXT, "account it runs as; empty for whoever triggers it")
    enabled: int = column(BIGINT, "1 if it is started")
    disabled_why: Optional[str] = column(TEXT, "why it is not")
    in_function: Optional[str] = column(TEXT, "function or alias that it belongs to")
    is_triggered: int = column(
        BIGINT, "0 if it belongs to a function or alias that its file does not use and that stands in for no program of the host"
    )


@table(
    _TABLE,
    StartupCommand,
    description="What logins, desktops, devices, package managers, PAM, the kernel and other tools start by themselves.",
    sop_steps=(5, 10),
    examples=[
        "SELECT mechanism, path, line, command, reasons FROM startup_commands WHERE reasons <> '' AND enabled = 1",
        "SELECT mechanism, path, line, program_path FROM startup_commands WHERE is_packaged = 0 AND program_is_packaged = 0",
    ],
    cache_seconds=30.0,
    scan_early=True,
    rests_on_files=True,
)
def startup_commands(host: Host, query: QueryContext) -> Iterator[StartupCommand]:
    """One row per command of a configuration file; a script that is run or sourced whole is one row with line 0.

    Of such a script the commands that are suspicious or left running in the background have rows of their own; its
    `sha256` tells when anything else in it changes. Accounts' copies of the skeleton files (/etc/skel) give no row, nor
    do PAM modules, .pth files and customize modules that a package owns. A module or library is a row with its name as
    the command. Sources: bash(1), zsh(1), fish(1), sshd(8), insserv(8), OpenRC, inittab(5), the Desktop Application
    Autostart Specification, udev(7), ld.so(8), pam.conf(5), pam_exec(8), update-motd(5), apt.conf(5), dpkg.cfg(5), dnf
    and ALPM hooks, modprobe.d(5), sysctl.d(5), core(5), binfmt.d(5), sudoers(5), interfaces(5), NetworkManager-dispatcher(8),
    logrotate(8), git-config(1), dbus-daemon(1), inetd(8), xinetd.conf(5), site(3), sshd_config(5), tmpfiles.d(5), rsyslog's
    omprog, syslog-ng's program(), Apache's mod_log_config, php.ini, GRUB's grub-mkconfig, dracut.modules(7), polkit(8),
    supervisord, monit(1), pm2, runsvdir(8), s6-svscan, deb-postinst(5), nsswitch.conf(5), vim, tmux(1), screen(1),
    snmpd.conf(5), Zabbix's UserParameter, openvpn(8), aliases(5), forward(5), procmailrc(5), postgresql.conf, redis.conf,
    auditd-plugins(5), Tomcat's setenv.sh and cloud-init.
    Variables of environment files that have code loaded (BASH_ENV, NODE_OPTIONS, JAVA_TOOL_OPTIONS, PYTHONPATH …) are rows with
    what they have run as the command, in shell text (bash(1), node(1), java(1), python(1), perlrun(1), ruby(1), pam_env.conf(5),
    environment.d(5)); units' own are in systemd_unit_commands.
    Of tmpfiles.d only lines into start-up places or with setuid modes are rows, of packages' own scripts only those with a
    suspicious command or of a package that dpkg does not know, of rpm's scriptlets likewise (`path` is then the database).
    Scripts that are sourced or run are followed three deep, where no package answers for them.

    Not seen: what variables name that a script does not set itself, git hooks of repositories elsewhere than directly in
    homes, /opt, /srv, /var/www and /usr/local/src, variables of running processes (preloaded_libraries has those of the
    loader). Files that may not be read are named in minehunt_status.
    """
    facts = CommandFacts(host)
    source = StartupFiles(host, query)
    rows = _Rows(facts, source, query)
    # Asked for at once, one look through the package database answers for all of them.
    source.unpackaged(
        [
            *pam_modules(source),
            *python_files(source),
            *grub_scripts(source),
            *initramfs_scripts(source),
            *plugin_files(source),
            *(path for _, libraries in service_libraries(source) for path in libraries),
        ]
    )
    entries = (row for reader in _READERS for entry in reader(source) for row in rows.of(entry))
    for row in facts.complete(entries, query):
        if rows.is_remarkable(row) or row.unpackaged_program or row.alert_reasons:
            yield row


class _Rows:
    """Makes rows of the readers' entries."""

    def __init__(self, facts: CommandFacts, source: StartupFiles, query: QueryContext) -> None:
        self.facts = facts
        self.source = source
        self.query = query
        self._programs: dict[str, bool] = {}
        self._shares = Shares(query)
        # All but commands in scripts that nothing is known of yet but what they start.
        self._remarkable: set[tuple[str, int, str]] = set()

    def is_remarkable(self, row: StartupCommand) -> bool:
        """Whether a row says something whatever its command starts."""
        return row_key(row) in self._remarkable

    def of(self, entry: StartupEntry) -> Iterator[StartupCommand]:
        """The rows of one entry."""
        if not entry.file.is_whole:
            self.query.truncate(f"{entry.file.path}: only the first {DEFAULT_LIMIT} bytes were read")
        if entry.kind == SCRIPT:
            yield self._row(entry, parsed=parse(shlex.quote(entry.command)).commands, reasons=_script_path_reasons(entry))
            if entry.home is None:
                yield from self._inside(entry)
            else:
                yield from self._shares.of(entry.home, entry.file.path, self._inside(self._cut(entry)))
        elif entry.kind == NAME:
            yield self._row(entry, parsed=parse(_started_by_name(entry)).commands, reasons=_name_reasons(entry))
        elif entry.judged is not None:
            yield self._row(entry, parsed=parse(entry.judged).commands, reasons=command_reasons(entry.judged))
        else:
            yield self._row(entry)

    def _cut(self, entry: StartupEntry) -> StartupEntry:
        """The entry with as much of an account's file as can be read in the time that one account may take."""
        if len(entry.file.text) <= _HOME_LIMIT:
            return entry
        self.query.truncate(f"{entry.file.path}: only the first {_HOME_LIMIT} characters were looked into")
        return entry._replace(file=entry.file._replace(text=entry.file.text[:_HOME_LIMIT]))

    def _row(
        self,
        entry: StartupEntry,
        parsed: Optional[Sequence[Command]] = None,
        reasons: Optional[Sequence[str]] = None,
        in_function: Optional[str] = None,
        is_triggered: bool = True,
        handed: Optional[Sequence[Sequence[str]]] = None,
        is_remarkable: bool = True,
    ) -> StartupCommand:
        if is_remarkable:
            self._remarkable.add((entry.file.path, entry.line, entry.command))
        columns: dict[str, Any] = self.facts.columns(
            entry.file,
            entry.line,
            entry.command,
            parsed=parsed,
            reasons=reasons,
            search_path=entry.search_path or SEARCH_PATH,
            home=entry.home,
            handed=handed,
        )
        return StartupCommand(
            **columns,
            mechanism=entry.mechanism,
            trigger=entry.trigger,
            run_as=entry.run_as,
            enabled=entry.disabled_why is None,
            disabled_why=entry.disabled_why,
            in_function=in_function,
            is_triggered=is_triggered,
        )

    def _inside(self, entry: StartupEntry) -> Iterator[StartupCommand]:
        """The rows of the remarkable commands in a script."""
        script = parse_script(entry.file, settings_of(self.source.files))
        if script.is_cut:
            self.query.truncate(f"{entry.file.path}: only the first {len(script.commands)} commands were read")
        used: Optional[set[str]] = None
        seen: set[Started] = set()
        for command, reasons, handed in zip(script.commands, script_reasons(script), handed_on(script.commands)):
            self.query.check_time()
            is_remarkable = bool(reasons) or command.is_background
            if not is_remarkable:
                starts = self.facts.started.all([command], entry.search_path or SEARCH_PATH, entry.home, handed=[handed])
                if seen.issuperset(starts):
                    continue
                seen.update(starts)
            function = _function(command)
            if function is not None and used is None:
                used = _names_used(script)
            why = entry.disabled_why or (None if command.is_reachable else "an `exit` comes before it")
            yield self._row(
                entry._replace(line=command.line, command="\n".join((command.text, *command.here_docs)), disabled_why=why),
                [command],
                reasons,
                function,
                function is None or function in (used or ()) or self._is_program(function),
                [handed],
                is_remarkable,
            )

    def _is_program(self, name: str) -> bool:
        if name not in self._programs:
            self._programs[name] = (
                name == "cd"
                or _CALLED_BY_SHELLS.fullmatch(name) is not None
                or any(self.source.exists(f"{folder}/{name}") for folder in SEARCH_PATH)
            )
        return self._programs[name]


def _script_path_reasons(entry: StartupEntry) -> list[str]:
    """What is suspicious about a script's path; shells' own files, and git's folder, are mostly dot files."""
    if entry.mechanism in ("shell_rc", "profile"):
        return []
    return command_reasons(shlex.quote(entry.command.replace("/.git/", "/git/")))


def _started_by_name(entry: StartupEntry) -> str:
    """What is loaded, and what it starts in turn where it is Python's code, as shell text."""
    named = [shlex.quote(entry.program)] if entry.program else []
    if entry.mechanism == "python_startup" and entry.line:
        return "\n".join((*named, *started_by(entry.command)))
    return "\n".join((*named, *(started_by(entry.file.text) if entry.file.path.endswith(".py") else ())))


def _name_reasons(entry: StartupEntry) -> list[str]:
    if entry.mechanism == "python_startup" and entry.line:
        # Tools of all kinds keep one-liners in .pth files.
        reasons = {*command_reasons(f"python3 -c {shlex.quote(entry.command)}"), *code_reasons(entry.command)}
        return sorted(reasons - {"interpreter_one_liner"})
    inside = code_reasons(entry.file.text) if entry.file.path.endswith(".py") else []
    return sorted({*inside, *(command_reasons(shlex.quote(entry.program)) if entry.program else ())})


def _function(command: Command) -> Optional[str]:
    """The function that a command belongs to, or the (first) alias that it defines."""
    found = command.invocation
    if found is not None and found.name == "alias":
        return next((word.partition("=")[0] for word in found.arguments if "=" in word), None)
    return command.in_function


def _names_used(script: Script) -> set[str]:
    """The words that commands outside of functions and alias definitions use, those in quoted code included."""
    names: set[str] = set()
    for command in script.commands:
        if command.in_function is None and command.words[:1] != ("alias",):
            for text in (*command.words, *(value for _, value in command.assignments), *command.substitutions):
                names.update(_NAME_IN_TEXT.findall(text))
    return names
