"""The columns that every table of started commands has: the command, the program behind it, who owns both, what is odd."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Optional, TypeVar

from tables.host import Host
from tables.host.disk.files import DEFAULT_LIMIT, Files, Unreadable
from tables.host.disk.start_files import StartFile, parse_script
from tables.host.packages.owners import OwnerUnknown, owners
from tables.reasons.commands import alert_reasons, command_reasons, command_words, script_reasons
from tables.schema import BIGINT, TEXT, QueryContext, Row, column
from tables.text.programs import SHELLS, Invocation
from tables.text.shell import Command, parse

# What systemd and most cron daemons search, in their order.
SEARCH_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_SYSTEM_FOLDERS = ("/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/", "/usr/lib/", "/lib/", "/usr/libexec/", "/usr/lib64/")
# Commands that start nothing of their own, most of them built into the shell.
_PREPARATIONS = (
    ": . [ [[ alias break cd command continue declare echo eval exec exit export false local mkdir printf pushd read return "
    "set shift sleep source test trap true type ulimit umask unalias unset wait"
)
_STARTS_NOTHING = frozenset(_PREPARATIONS.split())
_VARIABLE_PARTS = re.compile(r"[$`*?]")
_MAX_DEPTH = 3
_SCRIPT_LIMIT = 256 * 1024
_SHELL_SCRIPT = re.compile(
    r"#![ \t]{0,255}\S{0,255}/(?:env[ \t]{1,255}(?:-\S{1,64}[ \t]{1,255}){0,8})?(?:\S{0,255}/)?("
    + "|".join(sorted(SHELLS))
    + r")\b"
)


@dataclass(frozen=True)
class StartedCommand(Row):
    """A command that something on the host starts by itself, and the file that says so."""

    path: str = column(TEXT, "file that holds the command; links resolved", index=True)
    line: int = column(BIGINT, "line the command starts on")
    command: str = column(TEXT, "the command as written, continuations joined")
    program: Optional[str] = column(
        TEXT,
        "program it starts, as written, behind nohup, env, sh -c and the like; of several the first outside the system's folders",
    )
    arguments: Optional[str] = column(TEXT, "the program's arguments, quotes removed, separated by blanks")
    program_path: Optional[str] = column(
        TEXT, "the program's file, or the script that it is given to run, links resolved; empty when the command does not tell"
    )
    program_exists: Optional[int] = column(BIGINT, "1 if there is such a file")
    program_owner_uid: Optional[int] = column(BIGINT, "owner of that file")
    program_package: Optional[str] = column(TEXT, "package that owns that file")
    program_is_packaged: Optional[int] = column(BIGINT, "1 if a package owns that file, 0 if none does, NULL if unknown")
    program_reasons: Optional[str] = column(
        TEXT,
        "what is suspicious inside that file, where it is a shell script that no package owns; comma separated",
        words=command_words,
    )
    package: Optional[str] = column(TEXT, "package that owns the file at `path`")
    is_packaged: Optional[int] = column(BIGINT, "1 if a package owns the file at `path`, 0 if none does, NULL if unknown")
    mtime: int = column(BIGINT, "last change of the content of the file at `path` (unix seconds)")
    ctime: int = column(BIGINT, "last change of that file's content or status (unix seconds), which nobody can set")
    owner_uid: int = column(BIGINT, "owner of the file at `path`")
    mode: str = column(TEXT, "permission bits of the file at `path`, octal")
    file_size: int = column(BIGINT, "its length (bytes)")
    sha256: Optional[str] = column(TEXT, "its SHA-256; empty when it was not read to its end")
    reasons: Optional[str] = column(
        TEXT,
        "what is suspicious about the command, comma separated (patterns in indicators/data/command_patterns.yaml)",
        words=command_words,
    )
    alert_reasons: Optional[str] = column(
        TEXT,
        "those of `reasons` and `program_reasons` that are worth an alert alone; the others honest commands have too",
    )


CommandT = TypeVar("CommandT", bound=StartedCommand)


class CommandFacts:
    """Finds out, for the rows of one scan, what their commands start."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def columns(
        self,
        file: StartFile,
        line: int,
        command: str,
        *,
        parsed: Optional[Sequence[Command]] = None,
        reasons: Optional[Sequence[str]] = None,
        search_path: Sequence[str] = SEARCH_PATH,
        home: Optional[str] = None,
        folder: str = "/",
    ) -> dict[str, Any]:
        """The columns of StartedCommand for shell text `command`, packages left out until `complete`.

        `parsed` and `reasons` stand in for what the text alone tells, where the caller has read it with its script around
        it; `home` and `folder` are what `~`, `$HOME` and relative paths mean when it is started.
        """
        commands = parse(command).commands if parsed is None else parsed
        found, path = started_program(self.host.files, commands, search_path, home, folder)
        status = _status(self.host.files, path)
        return {
            "path": file.path,
            "line": line,
            "command": command,
            "program": found.program if found else None,
            "arguments": " ".join(found.arguments) if found else None,
            "program_path": self.host.files.real_path(path) if path and status else path,
            "program_exists": None if path is None else status is not None,
            "program_owner_uid": status.st_uid if status else None,
            "mtime": int(file.status.st_mtime),
            "ctime": int(file.status.st_ctime),
            "owner_uid": file.status.st_uid,
            "mode": f"{stat.S_IMODE(file.status.st_mode):04o}",
            "file_size": file.status.st_size,
            "sha256": file.sha256,
            "reasons": ",".join(command_reasons(command) if reasons is None else reasons),
        }

    def script(
        self, file: StartFile, query: QueryContext, home: Optional[str] = None
    ) -> Iterator[tuple[Command, dict[str, Any]]]:
        """Each simple command of a whole script with its columns; what was cut is told to `query`."""
        parsed = parse_script(file)
        if not file.is_whole:
            query.truncate(f"{file.path}: only the first {DEFAULT_LIMIT} bytes were read")
        if parsed.is_cut:
            query.truncate(f"{file.path}: only the first {len(parsed.commands)} commands were read")
        for command, reasons in zip(parsed.commands, script_reasons(parsed)):
            query.check_time()
            text = "\n".join((command.text, *command.here_docs))
            columns = self.columns(file, command.line, text, parsed=[command], reasons=reasons, home=home)
            found = command.invocation
            if found is not None and columns["program"] is None:
                columns.update(program=found.program, arguments=" ".join(found.arguments))
            yield command, columns

    def complete(self, rows: Iterable[CommandT], query: QueryContext) -> Iterator[CommandT]:
        """The rows with the packages of their files, and what is odd inside scripts that belong to none.

        All rows are asked about at once: one look through the package database answers for them.
        """
        known = list(rows)
        paths = {path for row in known for path in (row.path, row.program_path) if path}
        try:
            packages = owners(self.host, paths)
        except OwnerUnknown as error:
            query.cannot_tell(str(error))
            packages = {}
        inside: dict[str, str] = {}
        for row in known:
            query.check_time()
            program = row.program_path
            is_packaged = _is_packaged(packages, program)
            if program and row.program_exists and not is_packaged and program != row.path and program not in inside:
                inside[program] = ",".join(script_file_reasons(self.host.files, program))
            yield dataclasses.replace(
                row,
                alert_reasons=",".join(alert_reasons(row.reasons, inside.get(program) if program else None)),
                package=packages.get(row.path),
                is_packaged=_is_packaged(packages, row.path),
                program_package=packages.get(program) if program else None,
                program_is_packaged=is_packaged,
                program_reasons=inside.get(program) if program else None,
            )


def started_program(
    files: Files, commands: Sequence[Command], search_path: Sequence[str], home: Optional[str], folder: str
) -> tuple[Optional[Invocation], Optional[str]]:
    """What a line of shell commands starts, and the file that is run: an interpreter's script rather than the interpreter.

    Of several programs the first outside the system's own folders, else the first. The file is None where the command
    does not tell it: a variable, an interpreter fed through a pipe.
    """
    first: tuple[Optional[Invocation], Optional[str]] = (None, None)
    for found, inside in _invocations(commands, folder, 0):
        path = _file_of(files, found, search_path, home, inside)
        if first[0] is None:
            first = found, path
        if path is not None and not path.startswith(_SYSTEM_FOLDERS):
            return found, path
    return first


def _invocations(commands: Sequence[Command], folder: str, depth: int) -> Iterator[tuple[Invocation, str]]:
    """What each simple command starts, with the folder that it starts in; what only prepares is left out."""
    for command in commands:
        found = command.invocation
        if found is None:
            continue
        if found.name in ("cd", "pushd") and found.arguments:
            folder = os.path.join(folder, found.arguments[-1])
        elif found.is_shell_code and found.code and depth < _MAX_DEPTH:
            yield from _invocations(parse(found.code).commands, folder, depth + 1)
        elif found.name not in _STARTS_NOTHING or (found.script and found.name in (".", "source")):
            yield found, folder


def _file_of(files: Files, found: Invocation, search_path: Sequence[str], home: Optional[str], folder: str) -> Optional[str]:
    given = found.script or found.program
    if home and given.startswith(("~/", "$HOME/", "${HOME}/")):
        given = home + given[given.index("/") :]
    if not given or _VARIABLE_PARTS.search(given) or given.startswith(("~", "<(", "-")):
        return None
    if found.script is not None or "/" in given:
        return os.path.normpath(os.path.join(folder, given)) if folder.startswith("/") or given.startswith("/") else None
    places = [f"{place}/{given}" for place in search_path]
    return next((place for place in places if _status(files, place) is not None), None)


def _status(files: Files, path: Optional[str]) -> Optional[os.stat_result]:
    if path is None:
        return None
    try:
        return files.stat(path)
    except Unreadable:
        return None


def _is_packaged(packages: dict[str, Optional[str]], path: Optional[str]) -> Optional[int]:
    return None if path is None or path not in packages else int(packages[path] is not None)


def script_file_reasons(files: Files, path: str) -> list[str]:
    """What is suspicious about the file at `path` and, where it is a shell script, inside its first 256 KiB; sorted."""
    reasons = set(command_reasons(shlex.quote(path)))
    try:
        text = files.read_text(path, _SCRIPT_LIMIT)
    except Unreadable:
        text = ""
    if _SHELL_SCRIPT.match(text):
        reasons.update(*script_reasons(parse(text)))
    return sorted(reasons)
