"""The columns that every table of started commands has: the command, the program behind it, who owns both, what is odd."""

from __future__ import annotations

import dataclasses
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Optional, TypeVar

from tables.host import Host
from tables.host.disk.files import DEFAULT_LIMIT, Unreadable
from tables.host.disk.start_files import StartFile, parse_script, settings_of
from tables.reasons.command_patterns import alert_reasons, command_words
from tables.reasons.commands import command_reasons, handed_on, script_reasons
from tables.reasons.followed_scripts import FollowedScripts
from tables.reasons.started_files import SEARCH_PATH, Started, StartedFiles
from tables.schema import BIGINT, TEXT, QueryContext, Row, column
from tables.text.shell import Command, parse


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
    program_is_changed: Optional[int] = column(
        BIGINT,
        "1 if its content is not what that package brought, 0 if it is; NULL without one, for a configuration file, above 1 MiB",
    )
    program_reasons: Optional[str] = column(
        TEXT,
        "what is suspicious inside that file, and what it sources or runs, where it is a script that no package answers for; "
        "comma separated",
        words=command_words,
    )
    unpackaged_program: Optional[str] = column(
        TEXT,
        "a program that the command starts, itself or through scripts, and that no package owns though it lies where only "
        "packages put programs (packaged_places and data_places of indicators/data/process_names.yaml)",
    )
    package: Optional[str] = column(TEXT, "package that owns the file at `path`")
    is_packaged: Optional[int] = column(BIGINT, "1 if a package owns the file at `path`, 0 if none does, NULL if unknown")
    is_changed: Optional[int] = column(
        BIGINT, "1 if the content of the file at `path` is not what its package brought, 0 if it is, NULL as above"
    )
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
        self.started = StartedFiles(host.files)
        # By file, line and command: all files that the command starts.
        self._starts: dict[tuple[str, int, str], tuple[Started, ...]] = {}

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
        handed: Optional[Sequence[Sequence[str]]] = None,
    ) -> dict[str, Any]:
        """The columns of StartedCommand for shell text `command`, packages left out until `complete`.

        `parsed` and `reasons` stand in for what the text alone tells, where the caller has read it with its script around
        it, and `handed` for what it hands on; `home` and `folder` are what `~`, `$HOME` and relative paths mean to it.
        """
        commands = parse(command).commands if parsed is None else parsed
        found, path = self.started.program(commands, search_path, home, folder)
        real = self.started.real_path(path) if path else None
        starts = self.started.all(commands, search_path, home, folder, handed)
        # The same text may stand twice in a line, and start other things.
        key = (file.path, line, command)
        self._starts[key] = tuple(dict.fromkeys((*self._starts.get(key, ()), *starts)))
        return {
            "path": file.path,
            "line": line,
            "command": command,
            "program": found.program if found else None,
            "arguments": " ".join(found.arguments) if found else None,
            "program_path": real or path,
            "program_exists": None if path is None else real is not None,
            "program_owner_uid": self._owner(real),
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
        parsed = parse_script(file, settings_of(self.host.files))
        if not file.is_whole:
            query.truncate(f"{file.path}: only the first {DEFAULT_LIMIT} bytes were read")
        if parsed.is_cut:
            query.truncate(f"{file.path}: only the first {len(parsed.commands)} commands were read")
        for command, reasons, handed in zip(parsed.commands, script_reasons(parsed), handed_on(parsed.commands)):
            query.check_time()
            text = "\n".join((command.text, *command.here_docs))
            columns = self.columns(file, command.line, text, parsed=[command], reasons=reasons, home=home, handed=[handed])
            found = command.invocation
            if found is not None and columns["program"] is None:
                columns.update(program=found.program, arguments=" ".join(found.arguments))
            yield command, columns

    def complete(self, rows: Iterable[CommandT], query: QueryContext) -> Iterator[CommandT]:
        """The rows with the packages of their files, and what is odd about what they start.

        All rows are asked about at once: one look through the package database answers for them.
        """
        known = list(rows)
        followed = FollowedScripts(self.host, query, self.started)
        starts = {row_key(row): self._starts.get(row_key(row), ()) for row in known}
        paths = {path for row in known for path in (row.path, row.program_path) if path}
        roots: dict[bool, set[Started]] = {True: set(), False: set()}
        for (path, _, _), each in starts.items():
            for one in each:
                roots[one.path == path].add(one)
        followed.follow(roots[False], paths, known=roots[True])
        packages, changed = followed.packages, followed.changed
        for row in known:
            query.check_time()
            program = row.program_path
            inside = ",".join(sorted(followed.reasons(starts[row_key(row)], row.path)))
            yield dataclasses.replace(
                row,
                alert_reasons=",".join(alert_reasons(row.reasons, inside)),
                package=packages.get(row.path),
                is_packaged=_is_packaged(packages, row.path),
                is_changed=changed.get(row.path),
                program_package=packages.get(program) if program else None,
                program_is_packaged=_is_packaged(packages, program),
                program_is_changed=changed.get(program) if program else None,
                program_reasons=inside,
                unpackaged_program=followed.unpackaged(starts[row_key(row)], row.path),
            )

    def _owner(self, path: Optional[str]) -> Optional[int]:
        try:
            return self.host.files.stat(path).st_uid if path else None
        except Unreadable:
            return None


def row_key(row: StartedCommand) -> tuple[str, int, str]:
    """What tells the commands of one scan apart: file, line, command."""
    return row.path, row.line, row.command


def _is_packaged(packages: dict[str, Optional[str]], path: Optional[str]) -> Optional[int]:
    return None if path is None or path not in packages else int(packages[path] is not None)
