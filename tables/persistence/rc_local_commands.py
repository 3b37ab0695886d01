"""The commands of rc.local and its kin: which run at boot, and what is suspicious about them."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import shlex
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Optional

from tables.host import Host
from tables.host.files import DEFAULT_LIMIT, Files, Unreadable, read_fd
from tables.host.programs import SHELLS, resolve
from tables.host.shell import Script, parse
from tables.indicators.commands import script_reasons
from tables.schema import BIGINT, TEXT, QueryContext, Row, column, table

# Debian and most others; EL; SUSE; and the System V script that on Debian only starts /etc/rc.local.
_FILES = ("/etc/rc.local", "/etc/rc.d/rc.local", "/etc/init.d/boot.local", "/etc/init.d/after.local", "/etc/init.d/rc.local")
# OpenRC's `local` service runs what is executable in there, in the order of the names.
_OPENRC_FOLDERS = ("/etc/local.d", "/etc/openrc/local.d")
_INIT_SCRIPT = re.compile(r"^### BEGIN INIT INFO", re.MULTILINE)
_SHEBANG = re.compile(r"#![ \t]*([^ \t\r\n]+)[ \t]*([^\r\n]*)")
_SHELL_SCRIPTS = SHELLS | {"openrc-run", "runscript"}

_SYSTEMD = ("/usr/lib/systemd/systemd", "/lib/systemd/systemd")
_UNIT_FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
_UNITS = ("rc-local.service", "after-local.service")
_GENERATORS = tuple(
    f"{folder}/system-generators/systemd-rc-local-generator"
    for folder in ("/usr/lib/systemd", "/lib/systemd", "/usr/local/lib/systemd", "/etc/systemd")
)
_EXEC_START = re.compile(r"^[ \t]*ExecStart[ \t]*=[ \t]*[-@:+!]*([^ \t\r\n]+)", re.MULTILINE)


@dataclass(frozen=True)
class RcLocalCommand(Row):
    """One simple command of one boot script."""

    path: str = column(TEXT, "script that holds the command; links resolved", index=True)
    line: int = column(BIGINT, "line the command starts on")
    command: str = column(TEXT, "the command as written, continuations joined, its here-documents below it")
    program: Optional[str] = column(TEXT, "program it starts, behind nohup, env, sudo and the like; NULL for an assignment")
    arguments: Optional[str] = column(TEXT, "the program's arguments, quotes removed, separated by blanks")
    enabled: int = column(BIGINT, "1 if the script runs at boot")
    disabled_why: Optional[str] = column(TEXT, "why the script does not run at boot")
    is_background: int = column(BIGINT, "1 if it is left running with `&`")
    is_reachable: int = column(BIGINT, "0 if an unconditional `exit` or `exec` comes before it")
    in_function: Optional[str] = column(TEXT, "function that it belongs to; it runs when something calls that")
    mtime: int = column(BIGINT, "last change of the script's content (unix seconds)")
    ctime: int = column(BIGINT, "last change of the script's content or status (unix seconds), which nobody can set")
    owner_uid: int = column(BIGINT, "owner of the script")
    mode: str = column(TEXT, "permission bits of the script, octal")
    file_size: int = column(BIGINT, "bytes")
    sha256: Optional[str] = column(TEXT, "SHA-256 of the script; NULL when it was not read to its end")
    reasons: Optional[str] = column(TEXT, "what is suspicious, comma separated (patterns in indicators/command_patterns.yaml)")


@table(
    "rc_local_commands",
    RcLocalCommand,
    description="Each command of rc.local, SUSE's boot.local and after.local, and OpenRC's local.d, and whether it runs at boot.",
    sop_steps=(5, 16),
    examples=[
        "SELECT path, line, command, reasons FROM rc_local_commands WHERE reasons IS NOT NULL",
        "SELECT path, line, program, arguments FROM rc_local_commands WHERE enabled = 1 AND is_reachable = 1",
    ],
)
def rc_local_commands(host: Host, query: QueryContext) -> Iterator[RcLocalCommand]:
    """One row per simple command of each boot script; scripts are read, never run.

    A file reached by several names (EL links /etc/rc.local to rc.d/rc.local) is reported once, under its real path.
    Of a System V init script named rc.local, which Debian ships to start /etc/rc.local, only suspicious commands are
    reported. A script for another interpreter than a shell is one row with the whole script as its command.
    Reads at most 4 MiB and 20,000 commands a script, and says so in minehunt_status. What a script starts or sources
    is not followed. An existing script that cannot be read fails the query.
    """
    units = _Units(host.files)
    degraded: list[str] = []
    seen: set[str] = set()
    for name in _candidates(host.files):
        try:
            script = _read(host.files, name)
        except Unreadable as error:
            if error.is_missing:
                continue
            # Neither systemd nor OpenRC runs anything but a regular file.
            if error.why != "not a regular file":
                raise
            degraded.append(str(error))
            continue
        if script.path in seen:
            continue
        seen.add(script.path)
        yield from _rows(script, units.why_not(script), query)
    host.status.degrade("rc_local_commands", *degraded)


class _BootScript(NamedTuple):
    path: str
    text: str
    status: os.stat_result
    sha256: Optional[str]

    @property
    def is_openrc(self) -> bool:
        return os.path.dirname(self.path) in _OPENRC_FOLDERS


def _candidates(files: Files) -> Iterator[str]:
    yield from _FILES
    for folder in _OPENRC_FOLDERS:
        yield from (path for path in files.paths(folder) if path.endswith(".start"))


def _real_path(files: Files, path: str) -> str:
    """`path` with every link resolved, as the host itself sees it."""
    located = os.path.realpath(files.locate(path))
    return located if files.root == "/" else located[len(files.root) :]


def _read(files: Files, name: str) -> _BootScript:
    fd = files.open(name)
    try:
        status = os.fstat(fd)
        data = read_fd(fd, DEFAULT_LIMIT)
    except OSError as error:
        raise Unreadable(name, error.strerror or str(error), error.errno) from None
    finally:
        os.close(fd)
    is_whole = len(data) < DEFAULT_LIMIT
    text = data.decode("utf-8", "surrogateescape")
    return _BootScript(_real_path(files, name), text, status, hashlib.sha256(data).hexdigest() if is_whole else None)


def _rows(script: _BootScript, disabled_why: Optional[str], query: QueryContext) -> Iterator[RcLocalCommand]:
    parsed = _parse(script)
    if script.sha256 is None:
        query.truncate(f"{script.path}: only the first {DEFAULT_LIMIT} bytes were read")
    if parsed.is_cut:
        query.truncate(f"{script.path}: only the first {len(parsed.commands)} commands were read")
    is_init_script = bool(_INIT_SCRIPT.search(script.text)) and script.path.startswith("/etc/init.d/")
    for command, reasons in zip(parsed.commands, script_reasons(parsed)):
        if is_init_script and not reasons:
            continue
        found = resolve(command.words)
        yield RcLocalCommand(
            path=script.path,
            line=command.line,
            command="\n".join((command.text, *command.here_docs)),
            program=found.program if found else None,
            arguments=" ".join(found.arguments) if found else None,
            enabled=disabled_why is None,
            disabled_why=disabled_why,
            is_background=command.is_background,
            is_reachable=command.is_reachable,
            in_function=command.in_function,
            mtime=int(script.status.st_mtime),
            ctime=int(script.status.st_ctime),
            owner_uid=script.status.st_uid,
            mode=f"{stat.S_IMODE(script.status.st_mode):04o}",
            file_size=script.status.st_size,
            sha256=script.sha256,
            reasons=",".join(reasons),
        )


def _parse(script: _BootScript) -> Script:
    """The script's commands; a single one for a binary, and for an interpreter that is no shell."""
    if script.text.startswith("\x7fELF"):
        return _one_command(script.text, script.path)
    shebang = _SHEBANG.match(script.text)
    interpreter = resolve([shebang[1], *shebang[2].split()]) if shebang else None
    if interpreter is None or interpreter.name in _SHELL_SCRIPTS:
        return parse(script.text)
    return _one_command(script.text, interpreter.program, script.text)


def _one_command(text: str, program: str, *here_docs: str) -> Script:
    parsed = parse(shlex.quote(program))
    whole = dataclasses.replace(parsed.commands[0], end=len(text), here_docs=here_docs)
    return Script(text, (whole,), is_cut=False)


class _Units:
    """What systemd on this host would run: rc-local.service (systemd-rc-local-generator(8)) and SUSE's after-local.service."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self.has_systemd = any(files.exists(path) for path in _SYSTEMD)
        self.has_generator = any(_is_executable(files, path) for path in _GENERATORS)

    def why_not(self, script: _BootScript) -> Optional[str]:
        """Why the script does not run at boot; None when it does."""
        if not script.status.st_mode & 0o111:
            return "not executable"
        if script.is_openrc or not self.has_systemd:
            return None
        if not script.text.startswith("#!"):
            return "no #! line, without which systemd cannot start it"
        causes = [cause for unit in _UNITS if (cause := self._cause(unit, script.path)) is not None]
        if not causes:
            return "no rc-local.service names it"
        return None if "" in causes else causes[0]

    def _cause(self, unit: str, path: str) -> Optional[str]:
        """Why `unit` does not run the script though it names it, empty when it does run it; None when it does not name it."""
        found = next((f"{folder}/{unit}" for folder in _UNIT_FOLDERS if self.files.exists(f"{folder}/{unit}")), None)
        if found is None:
            return None
        if _real_path(self.files, found) == "/dev/null":
            return f"{unit} is masked"
        text = self.files.read_text(found)
        if path not in {_real_path(self.files, program) for program in _EXEC_START.findall(text)}:
            return None
        if (unit == "rc-local.service" and self.has_generator) or self._is_wanted(unit):
            return ""
        return f"nothing starts {unit}"

    def _is_wanted(self, unit: str) -> bool:
        return any(
            self.files.exists(f"{folder}/{target}/{unit}")
            for folder in _UNIT_FOLDERS
            for target in self.files.names(folder)
            if target.endswith((".wants", ".requires"))
        )


def _is_executable(files: Files, path: str) -> bool:
    try:
        return bool(files.stat(path).st_mode & 0o111)
    except Unreadable:
        return False
