"""Follows what starts by itself through the scripts that it runs, down to the programs that these start in turn."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Optional

from tables.fair_shares import Shares
from tables.host import Host
from tables.host.disk.file_heads import ELF
from tables.host.disk.files import Files, Unreadable
from tables.host.disk.padded_scripts import PaddedScript
from tables.host.disk.start_files import SHELL_SCRIPTS, interpreter_of, read_start_file, settings_of
from tables.host.packages.contents import changed_files
from tables.host.packages.owners import OwnerUnknown, owners
from tables.indicators.process_names import process_names
from tables.reasons.code_strings import code_reasons
from tables.reasons.commands import command_reasons, script_reasons
from tables.reasons.given_scripts import without_schedules
from tables.reasons.started_files import CODE, CRONTAB, PROJECT, SHELL_TEXT, SOURCED, Started, StartedFiles
from tables.schema import QueryContext
from tables.text.code_calls import MAX_COMMANDS, started_by
from tables.text.launchers import is_launcher
from tables.text.package_scripts import project_scripts
from tables.text.programs import is_interpreter
from tables.text.shell import parse

_SCRIPT_LIMIT = 256 * 1024
_HEAD = 512
# No script is longer; of programs changed_package_files tells.
_LONGEST_COMPARED = 1 << 20
# Scripts that start scripts: so far they are followed, and so many of them in one scan.
_MAX_DEPTH = 3
_MAX_SCRIPTS = 512


class Script(NamedTuple):
    """What a started file is: reasons for what is inside, what it starts in turn, and whether it is machine code."""

    reasons: tuple[str, ...] = ()
    starts: tuple[Started, ...] = ()
    is_machine_code: bool = False
    is_launcher: bool = False
    language: Optional[str] = None


class FollowedScripts:
    """What is known of the files that the commands of one scan start, directly or through scripts."""

    def __init__(self, host: Host, query: QueryContext, started: StartedFiles) -> None:
        self.host = host
        self.query = query
        self.started = started
        self.packages: dict[str, Optional[str]] = {}
        self.changed: dict[str, bool] = {}
        self._scripts: dict[Started, Script] = {}
        self._known: frozenset[Started] = frozenset()
        self._shares = Shares(query)
        self._knows_owners = True

    def follow(self, roots: Iterable[Started], others: Iterable[str] = (), known: Iterable[Started] = ()) -> None:
        """Read all that the `roots` start; the packages of `others` are asked for with theirs, in one look.

        Those in `known` are judged by the caller where they are shell scripts.
        """
        level = set(roots)
        self._known = frozenset(known) - level
        level |= self._known
        paths = set(others)
        for depth in range(_MAX_DEPTH):
            level -= self._scripts.keys()
            self._ask(paths | {one.path for one in level})
            paths = set()
            for one in sorted(level, key=lambda started: started.path):
                self.query.check_time()
                self._scripts[one] = self._read(one, depth == 0)
            level = {inner for one in level for inner in self._scripts[one].starts}
            if not level or not self._knows_owners:
                return
        self._ask({one.path for one in level})

    def _ask(self, paths: set[str]) -> None:
        new = paths - self.packages.keys()
        if not new or not self._knows_owners:
            return
        try:
            self.packages.update(owners(self.host, new))
        except OwnerUnknown as error:
            self.query.cannot_tell(str(error))
            self._knows_owners = False
            return
        packaged = [path for path in new if self.packages.get(path)]
        self.changed.update(changed_files(self.host, packaged, self.query, _LONGEST_COMPARED))

    def is_trusted(self, path: str) -> bool:
        """Whether a package owns the file and its content is the package's; below /etc anybody's may be."""
        return self.packages.get(path) is not None and not self.changed.get(path) and not path.startswith("/etc/")

    def reached(self, root: Started) -> list[Started]:
        """`root` and all that it starts, each once, the nearest first."""
        found: dict[Started, None] = {root: None}
        level = [root]
        for _ in range(_MAX_DEPTH):
            level = [inner for one in level if one in self._scripts for inner in self._scripts[one].starts if inner not in found]
            found.update(dict.fromkeys(level))
        return list(found)

    def reasons(self, roots: Sequence[Started], own: str) -> set[str]:
        """What is suspicious inside the `roots` and the scripts that they start, where no package answers for them.

        The commands of the file at `own` are judged elsewhere, but for code of another language than the shell's.
        """
        found: set[str] = set()
        for root in roots:
            for one in self.reached(root):
                script = self._scripts.get(one)
                if script is not None and (one.path != own or script.language == CODE):
                    found.update(script.reasons)
        return found

    def unpackaged(self, roots: Sequence[Started], own: str) -> Optional[str]:
        """The first program reached that no package owns though it lies where only packages put programs.

        The file at `own`, which names the command or is run whole, counts only as machine code.
        """
        names = process_names()
        for root in roots:
            for one in self.reached(root):
                if one.path not in self.packages or self.packages[one.path] is not None:
                    continue
                script = self._scripts.get(one) or Script(is_machine_code=_is_machine_code(self.host.files, one.path))
                is_plain = not script.is_machine_code
                if (is_plain and (one.path == own or script.is_launcher)) or one.language in (CRONTAB, PROJECT):
                    continue
                if names.is_out_of_place(one.path, script.is_machine_code):
                    return one.path
        return None

    def _read(self, one: Started, is_root: bool) -> Script:
        if self.is_trusted(one.path):
            return Script()
        if len(self._scripts) >= _MAX_SCRIPTS:
            self.query.truncate(f"{one.path}: more than {_MAX_SCRIPTS} scripts are started; not looked into")
            return Script()
        try:
            owner = self.host.files.stat(one.path).st_uid
        except Unreadable:
            return Script()
        # What one account's scripts source must not take the time of all others.
        return next(self._shares.of(owner, one.path, self._looked_into(one, is_root)), Script())

    def _looked_into(self, one: Started, is_root: bool) -> Iterator[Script]:
        try:
            data = self.host.files.head(one.path, _SCRIPT_LIMIT)
            is_program = bool(self.host.files.stat(one.path).st_mode & 0o111)
            is_binary = data.startswith(ELF) or b"\0" in data[:_HEAD]
            if len(data) == _SCRIPT_LIMIT and not is_binary:
                data = self._without_padding(one)
        except Unreadable:
            return
        yield self._judged(one, data.decode("utf-8", "surrogateescape"), is_program, is_root)

    def _without_padding(self, one: Started) -> bytes:
        """As much of a long script as is looked into, of what it holds beside blank lines and comments."""
        file, script = read_start_file(self.host.files, one.path, one.path), PaddedScript()
        data = script.feed(file.text.encode("utf-8", "surrogateescape")) + script.rest()
        if len(data) > _SCRIPT_LIMIT or not file.is_whole:
            self.query.truncate(f"{one.path}: only the first {_SCRIPT_LIMIT} bytes beside comments were looked into")
        return data[:_SCRIPT_LIMIT]

    def _judged(self, one: Started, text: str, is_program: bool, is_root: bool) -> Script:
        # Where a script names the file, the place is among that script's reasons, and settings are sourced from dot files.
        place = set(command_reasons(shlex.quote(one.path))) if is_root and one.language != SOURCED else set()
        is_elf = text.startswith(ELF.decode())
        if is_elf or "\0" in text[:_HEAD]:
            return Script(tuple(sorted(place)), is_machine_code=is_elf)
        language = one.language or _language(text, is_program)
        if language == CODE:
            return self._code(one, text, place)
        if language == PROJECT:
            return self._project(one, text)
        if language is None or (language == SHELL_TEXT and one in self._known):
            return Script(tuple(sorted(place)))
        parsed = parse(without_schedules(text) if language == CRONTAB else text, settings_of(self.host.files))
        starts = self.started.all(parsed.commands, home=one.home)
        return Script(tuple(sorted(place.union(*script_reasons(parsed)))), _others(starts, one), language=language)

    def _project(self, one: Started, text: str) -> Script:
        parsed = parse(project_scripts(text, one.scripts))
        starts = self.started.all(parsed.commands, home=one.home, folder=posixpath.dirname(one.path))
        return Script(tuple(sorted(set().union(*script_reasons(parsed)))), _others(starts, one), language=PROJECT)

    def _code(self, one: Started, text: str, place: set[str]) -> Script:
        starts: dict[Started, None] = {}
        for count, command in enumerate(started_by(text), 1):
            if count == MAX_COMMANDS:
                self.query.truncate(f"{one.path}: only the first {MAX_COMMANDS} commands that it starts were looked at")
            starts.update(dict.fromkeys(self.started.all(parse(command).commands, home=one.home)))
        reasons = tuple(sorted(place.union(code_reasons(text))))
        return Script(reasons, _others(tuple(starts), one), is_launcher=is_launcher(text), language=CODE)


def script_file_reasons(host: Host, path: str, query: QueryContext) -> list[str]:
    """What is suspicious about the place of the file at `path`, inside it and inside the scripts that it starts; sorted."""
    followed, root = FollowedScripts(host, query, StartedFiles(host.files)), Started(path)
    followed.follow([root])
    return sorted(followed.reasons([root], ""))


def _others(starts: tuple[Started, ...], one: Started) -> tuple[Started, ...]:
    return tuple(inner for inner in starts if inner.path != one.path)


def _language(text: str, is_program: bool) -> Optional[str]:
    """What a file that is run directly holds: by its first line; a shell runs a program without one itself (execvp(3))."""
    interpreter = interpreter_of(text)
    if interpreter is None:
        return SHELL_TEXT if is_program else None
    if interpreter.name in SHELL_SCRIPTS:
        return SHELL_TEXT
    return CODE if is_interpreter(interpreter.name) else None


def _is_machine_code(files: Files, path: str) -> bool:
    try:
        return files.head(path, len(ELF)) == ELF
    except Unreadable:
        return False
