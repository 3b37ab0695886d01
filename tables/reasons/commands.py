"""Judges command lines and scripts by the patterns in command_patterns.yaml: the `reasons` of every persistence table."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Optional

from tables.reasons.command_patterns import code_matches, matches, named_files, text_reasons
from tables.reasons.fetched_folders import REPOSITORY_PROGRAMS, FetchedFolders
from tables.reasons.given_scripts import given_code, given_scripts, run_by_variables, without_schedules
from tables.reasons.mining.started_miners import starts_miner
from tables.text.archives import UNPACKERS, unpacked
from tables.text.code_calls import started_by
from tables.text.encoded_texts import encoded_texts
from tables.text.programs import CARRIERS, SHELLS, Invocation, is_interpreter
from tables.text.shell import Command, Script, parse

# Scripts within scripts (sh -c, $(…), here-documents) that are looked into.
_MAX_DEPTH = 4
_MAX_LINE = 4096
# No path is as long (PATH_MAX, limits.h), quoted or not.
_LONGEST_PLACE = 32 * 1024
# Who only reads what was hidden, as a responder does.
_ENCODED_WORD = r"[\"']?[A-Za-z0-9+/=]+[\"']?"
_ONLY_DECODES = re.compile(
    rf"(?:(?:echo|printf)(?:[ \t]+-n)?[ \t]+{_ENCODED_WORD}[ \t]*\|[ \t]*)?base64[ \t]+(?:-d|-D|--decode)"
    rf"(?:[ \t]*<<<[ \t]*{_ENCODED_WORD})?(?:[ \t]*\|[ \t]*(?:less|more|cat|xxd|hexdump|head|strings|file|jq)(?:[ \t]+-\w+)?)?"
)
# Calls of a script's own functions: so much of their bodies is read with the arguments filled in, and so much of these.
_MAX_CALLED = 32 * 1024
_MAX_ARGUMENTS = 64
_LONGEST_ARGUMENT = 512

_STARTS_WITH_SCRIPT = ("$(", "`", "<(")
_PARAMETER = re.compile(r"\"\$\{?@\}?\"|\$(?:\{([1-9@*])\}|([1-9@*]))")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_URL = re.compile(r"[a-z]+://|[\w-]+(?:\.[\w-]+)+(?::\d+)?/")
_ODD_PLACES = frozenset({"temp_path", "hidden_path"})
_BEGINS = frozenset({"start", "restart", "try-restart"})
_STOPS = frozenset({"stop"})
# Of a pipeline so many commands before the one at hand are looked at.
_MAX_STAGES = 16
_FETCHES = frozenset({"download_and_run", "encoded_payload"})
_COPIES = frozenset({"cp", "mv", "install", "ln"})
_TAKES_IN = REPOSITORY_PROGRAMS | UNPACKERS | _COPIES
_INTO = frozenset({">", ">>", ">|"})
_REMOVERS = frozenset({"rm", "unlink", "shred"})


def command_reasons(command: str) -> list[str]:
    """The sorted names of the patterns that the command line `command` matches, [] when it is unsuspicious.

    The line may hold several commands; scripts inside it (`sh -c`, `$(…)`, base64) count. Never raises; linear time.
    """
    return sorted(text_reasons(command) | _Judge(0).union(command, is_run=False))


def place_reasons(text: str) -> frozenset[str]:
    """Whether the program or file that `text` begins with lies in an odd place: temp_path, hidden_path."""
    return _ODD_PLACES.intersection(command_reasons(text[:_LONGEST_PLACE]))


def script_reasons(script: Script) -> Iterator[list[str]]:
    """Like `command_reasons`, for each command of a whole script, so that one may run what another has fetched."""
    lines = _SourceLines(script.text)
    for command, reasons in zip(script.commands, _Judge(0).judge(script, is_run=False)):
        yield sorted(reasons | lines.reasons(command))


def handed_on(commands: Sequence[Command]) -> list[list[str]]:
    """For each command of a whole script, the shell text that it hands to something which will run it, now or later."""
    invocations = [command.invocation for command in commands]
    return [
        []
        if found is None and not command.assignments
        else [*map(without_schedules, given_scripts(command, found, is_fed)), *run_by_variables(command, found)]
        for command, found, is_fed in zip(commands, invocations, _fed(commands, invocations))
    ]


class _SourceLines:
    """Judges the source lines of commands; many commands may share one long line, which is then read once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._span = (-1, -1)
        self._found: set[str] = set()

    def reasons(self, command: Command) -> set[str]:
        """The reasons that the lines of `command` give, with the empty lines before them."""
        if not self._span[0] <= command.start <= command.end <= self._span[1]:
            start = self._text.rfind("\n", 0, command.start) + 1
            while start >= 2 and self._text[start - 2] == "\n":
                start -= 1
            end = self._text.find("\n", command.end)
            self._span = (start, end if end >= 0 else len(self._text))
            self._found = text_reasons(self._text[self._span[0] : self._span[1]])
        return self._found


class _Judge:
    """Judges one script; `depth` counts the scripts around it."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.folders: list[tuple[int, str]] = []
        self.written: dict[str, set[str]] = {}
        # What files that it made are suspected of once they have been run and removed, and which were run.
        self.fleeting: dict[str, set[str]] = {}
        self.has_run: set[str] = set()
        self.filled = FetchedFolders()
        self.commands: Sequence[Command] = ()
        # The functions that the script defines, and how much of their text may still be read with a call's arguments in it.
        self.functions: Mapping[str, str] = {}
        self.text = ""
        self.call_budget = [_MAX_CALLED]

    def union(self, text: str, is_run: bool) -> set[str]:
        """All reasons of a script given as text."""
        found: set[str] = set()
        return found.union(*self.judge(parse(text), is_run))

    def judge(self, script: Script, is_run: bool) -> Iterator[set[str]]:
        """The reasons of each command; `is_run` tells that an interpreter runs what the script prints."""
        invocations = [command.invocation for command in script.commands]
        fed = _fed(script.commands, invocations)
        self.text, self.commands = script.text, script.commands
        self.functions = {**self.functions, **script.functions}
        for command, invocation, is_fed in zip(script.commands, invocations, fed):
            reasons = self._command(command, invocation, is_fed or is_run)
            if invocation is not None and "disables_security" in reasons and _are_begun_again(invocation, invocations):
                # Only for as long as it, or what it reads, is renewed.
                reasons.discard("disables_security")
            yield reasons

    def _command(self, command: Command, found: Optional[Invocation], is_fed: bool) -> set[str]:
        line = _render(command, found)
        called = self._called(found) if found is not None and self.functions and self.depth < _MAX_DEPTH else ()
        # What is said to the script's own function, that one says on or does.
        reasons = set() if called else set(matches("command", line))
        if is_fed:
            reasons |= matches("fed", line)
        if found is not None:
            if starts_miner(found):
                reasons.add("known_miner")
            reasons |= self._paths(command, found) | self._removed(found)
            name = found.name
            if name in _TAKES_IN or command.fed_by != (0, 0):
                self._take_in(command, name, found.arguments, line)
        for name, file in named_files("written", line):
            self._write(self._absolute(posixpath.basename(file) if _URL.match(file) else file), {name})
        for name, file in named_files("fleeting", line):
            self.fleeting.setdefault(self._absolute(file), set()).add(name)
        codes = given_code(command, found) if found is not None else ()
        for code in codes:
            reasons |= code_matches(code)
        if self.depth < _MAX_DEPTH:
            reasons |= self._inner(command, found, is_fed, called, codes)
        if self.depth == 0:
            reasons |= self._decoded(command)
        return reasons

    def _paths(self, command: Command, found: Invocation) -> set[str]:
        """Reasons for the files that the command runs; follows the script's changes of folder."""
        while self.folders and self.folders[-1][0] > command.subshell_depth:
            self.folders.pop()
        reasons = set(self.written.get(found.program, ()))
        for path in _run_files(command, found):
            full = self._absolute(path)
            reasons |= self.written.get(full, set())
            if self.filled.names:
                reasons |= self.filled.reasons(path, full)
            if full in self.fleeting:
                self.has_run.add(full)
            reasons |= matches("program", f"source {full}" if found.name in (".", "source") else full)
        if found.name in ("cd", "pushd") and found.arguments:
            folder = self._absolute(found.arguments[-1])
            self.folders = [entry for entry in self.folders if entry[0] < command.subshell_depth]
            self.folders.append((command.subshell_depth, folder))
        elif self.filled.names:
            reasons |= self.filled.run_whole(found.name, self.folders[-1][1] if self.folders else ".")
        return reasons

    def _take_in(self, command: Command, name: str, arguments: Sequence[str], line: str) -> None:
        """Remember what the command `name` unpacks of what was fetched, and the repository that it fetches."""
        if name in REPOSITORY_PROGRAMS:
            self.filled.clone(line, self._absolute)
        if name in _COPIES:
            self._copy(arguments)
            return
        is_fed = command.fed_by != (0, 0)
        into = [redirection.target for redirection in command.redirections if redirection.operator in _INTO] if is_fed else ()
        archive = unpacked(name, arguments)
        if archive is None and not into:
            return
        if archive is not None and archive.archive is not None:
            names = self.written.get(self._absolute(archive.archive), set())
        else:
            names = self._fetched(command)
        if not names:
            return
        if archive is not None:
            # Backups are kept encrypted.
            self.filled.unpack(archive, names - {"encoded_payload"}, self._absolute)
            into = [*into, *([archive.file] if archive.file else ())]
        for file in into:
            self._write(self._absolute(file), names)

    def _copy(self, arguments: Sequence[str]) -> None:
        """A file that was fetched stays so under another name, and in another folder."""
        *sources, target = [word for word in arguments if not word.startswith("-")] or [""]
        for source in sources:
            names = self.written.get(self._absolute(source)) if self.written else None
            if names:
                for path in (target, posixpath.join(target, posixpath.basename(source))):
                    self._write(self._absolute(path), names)

    def _write(self, path: str, names: set[str]) -> None:
        """Remember what running the file at `path`, or a program of its name, is suspected of."""
        self.written.setdefault(path, set()).update(names)
        if posixpath.dirname(path).endswith("bin"):
            self.written.setdefault(posixpath.basename(path), set()).update(names)

    def _fetched(self, command: Command) -> set[str]:
        """What those say that are piped into the command, were it an interpreter."""
        first, end = command.fed_by
        found: set[str] = set()
        for each in self.commands[max(first, end - _MAX_STAGES) : end]:
            found |= matches("fed", _render(each, each.invocation)) & _FETCHES
        return found

    def _removed(self, found: Invocation) -> set[str]:
        """Reasons for a file that the command removes after the script made and ran it."""
        if not self.has_run or found.name not in _REMOVERS:
            return set()
        paths = map(self._absolute, found.arguments)
        return set().union(*(self.fleeting[path] for path in paths if path in self.has_run))

    def _absolute(self, path: str) -> str:
        """`path` normalised, below the folder that the script last changed to."""
        if self.folders and not path.startswith(("/", "~", "$", "`", "<(")):
            path = posixpath.join(self.folders[-1][1], path)
        normal = posixpath.normpath(path)
        return "/" + normal.lstrip("/") if normal.startswith("/") else normal

    def _inner(
        self, command: Command, found: Optional[Invocation], is_fed: bool, called: Sequence[str], codes: Sequence[str]
    ) -> set[str]:
        """Reasons of the scripts inside the command; `called` are bodies of functions, `codes` texts of other languages."""
        scripts = [(text, False) for text in run_by_variables(command, found)]
        if command.substitutions:
            runs_output = found is not None and any(
                text.lstrip().startswith(_STARTS_WITH_SCRIPT) for text in (found.program, found.script, found.code) if text
            )
            scripts += [(text, runs_output or is_fed) for text in command.substitutions]
        if found is not None:
            if found.code is not None and found.is_shell_code:
                scripts.append((found.code, False))
            scripts += [(without_schedules(text), False) for text in given_scripts(command, found, is_fed)]
            scripts += [(text, False) for code in codes for text in started_by(code)]
            scripts += [(text, is_fed) for text in called]
        if not scripts:
            return set()
        inner = _Judge(self.depth + 1)
        inner.written, inner.fleeting, inner.has_run = self.written, self.fleeting, self.has_run
        inner.filled = self.filled
        inner.functions, inner.call_budget = self.functions, self.call_budget
        inner.folders = [(0, folder) for _, folder in self.folders[-1:]]
        return set().union(*(inner.union(text, is_run) for text, is_run in scripts))

    def _line(self, command: Command) -> str:
        """The source line of a command, where it is a short one."""
        start = self.text.rfind("\n", 0, command.start) + 1
        end = self.text.find("\n", command.end)
        line = self.text[start : end if end >= 0 else len(self.text)] if command.end - command.start < _MAX_LINE else ""
        return line.strip() if len(line) < _MAX_LINE else ""

    def _called(self, found: Invocation) -> tuple[str, ...]:
        """The body of the function that a command with arguments calls, these filled in for $1 to $9, $@ and $*."""
        body = self.functions.get(found.program)
        if body is None or not found.arguments or "$" not in body or len(body) > self.call_budget[0]:
            return ()
        filled = _PARAMETER.sub(lambda match: _parameter(match, found.arguments), body)[: self.call_budget[0]]
        self.call_budget[0] -= len(filled)
        return (filled,)

    def _decoded(self, command: Command) -> set[str]:
        """Reasons of text that the command carries encoded, decoded once."""
        reasons: set[str] = set()
        for text in (command.text, *command.here_docs):
            for literal in encoded_texts(text):
                found = _Judge(1).union(literal, is_run=False)
                if found:
                    reasons |= found | {"encoded_payload"}
        return set() if reasons and _ONLY_DECODES.fullmatch(self._line(command)) else reasons


def _parameter(match: re.Match[str], arguments: Sequence[str]) -> str:
    """What a positional parameter stands for; of long arguments the beginning, as one text may be named many times."""
    number = match[1] or match[2] or "@"
    if number in ("@", "*"):
        return " ".join(arguments[:_MAX_ARGUMENTS])[:_LONGEST_ARGUMENT]
    return arguments[int(number) - 1][:_LONGEST_ARGUMENT] if int(number) <= len(arguments) else ""


def _are_begun_again(stop: Invocation, script: Sequence[Optional[Invocation]]) -> bool:
    """Whether all services that a command stops are started by another of the script."""
    stopped = _services(stop, _STOPS)
    begun = {unit for found in script if stopped and found is not None for unit in _services(found, _BEGINS)}
    return bool(stopped) and stopped <= begun


def _services(found: Invocation, verbs: frozenset[str]) -> set[str]:
    """The services that systemctl or service is told to begin or to stop, if that is all that it is told."""
    words = [word for word in found.arguments if not word.startswith("-")]
    if found.name == "service" and len(words) == 2:
        words.reverse()
    if found.name not in ("systemctl", "service") or not words or words[0] not in verbs or "--now" in found.arguments:
        return set()
    return {word.removesuffix(".service") for word in words[1:]}


def _fed(commands: Sequence[Command], invocations: Sequence[Optional[Invocation]]) -> list[bool]:
    """Which commands' output reaches, through pipes, an interpreter that runs its input."""
    opened = [0] * len(commands)
    closed = [0] * len(commands)
    fed = [False] * len(commands)
    depth = 0
    # Backwards: a pipe's readers come after its writers, and each marks a range of earlier commands.
    for index in range(len(commands) - 1, -1, -1):
        depth += opened[index]
        fed[index] = depth > 0
        depth -= closed[index]
        first, end = commands[index].fed_by
        found = invocations[index]
        if end and (fed[index] or (found is not None and _runs_input(found))):
            opened[end - 1] += 1
            closed[first] += 1
    return fed


def _runs_input(found: Invocation) -> bool:
    """Whether it runs its standard input: as a script, or line by line through a variable."""
    is_given_code = found.code is not None and found.code.startswith(("$", "{}")) and found.name not in CARRIERS
    return found.reads_input or is_given_code


def _render(command: Command, found: Optional[Invocation]) -> str:
    """The command as the patterns read it (head comment of command_patterns.yaml)."""
    parts = [found.name, *found.arguments] if found else []
    if found and len(parts) == len(command.words) and not (command.redirections or command.assignments or command.here_docs):
        return " ".join(parts)
    parts += [f"{redirection.operator} {redirection.target}" for redirection in command.redirections]
    parts += [f"{name}={value}" for name, value in command.assignments]
    if found:
        skipped = command.words[: len(command.words) - len(found.arguments) - 1]
        parts += [word for word in skipped if _ASSIGNMENT.match(word)]
        if found.reads_input and is_interpreter(found.name) and found.name not in SHELLS:
            parts += command.here_docs
    return " ".join(parts)


def _run_files(command: Command, found: Invocation) -> list[str]:
    """The files that the command runs, as far as they are given by path."""
    files = [found.program] if "/" in found.program else []
    if found.script:
        files.append(found.script)
    if found.reads_input:
        files += [redirection.target for redirection in command.redirections if redirection.operator == "<"]
    return files
