"""Parses POSIX shell text into its simple commands, without running anything."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple, Optional

from tables.text.programs import Invocation, resolve
from tables.text.shell_words import BLANK, Variables, Word, read_word, skip_bracket

# Commands kept of one script; a longer one is marked as cut.
MAX_COMMANDS = 20_000
# Blocks within blocks that are told apart; deeper ones count as one.
_MAX_DEPTH = 1000
_MAX_FUNCTIONS = 1000

_BLANKS = re.compile(r"(?:[ \t\r]+|\\\r?\n)+")
_GAP = re.compile(r"(?:[ \t\r\n]+|\\\r?\n)+")
_EMPTY_LINES = re.compile(r"(?:[ \t\r]*(?:#[^\n]*)?\n){1,1000}")
_CASE_GAP = re.compile(r"(?:[ \t\r\n(]+|#[^\n]*\n)+")
_CASE_END = re.compile(r";?&?")
_ESAC = re.compile(r"esac(?=[ \t\r\n;&|<>()]|$)")
_COMMENT = re.compile(r"#[^\n]*")
_RESERVED = re.compile(
    r"(?:if|then|elif|else|fi|while|until|do|done|for|select|case|esac|function|coproc|\{|\}|!)(?=[ \t\r\n;&|<>()]|$)"
)
_REDIRECTION = re.compile(r"(?:\d+|\{\w+\})?(<<<|<<-?|<>|<&|>>|>&|>\||&>>|&>|<|>)")
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:\[[^\]\s]{0,100}\])?\+?=")
_FUNCTION = re.compile(r"([^\s;&|<>()'\"`$=\\]{1,256})[ \t]*\([ \t\r]*\)")
_FUNCTION_NAME = re.compile(r"[ \t]*([^\s;&|<>(){}]{1,256})(?:[ \t]*\([ \t\r]*\))?")
# `[[ … ]]` on one line; its && and < are no operators. Where `[[` is no keyword, `;` and the rest still count.
_CONDITION = re.compile(r"\[\[[ \t][^;\n]{0,1000}?[ \t]\]\](?=[ \t\r\n;&|)]|$)")
_CLOSES = {"fi": "if", "done": "loop", "esac": "case", "}": "{"}


Settings = Callable[[str], Optional[str]]


class Redirection(NamedTuple):
    """One redirection: `operator` without its descriptor (`>>`), and its target word."""

    operator: str
    target: str


@dataclass(frozen=True)
class Command:
    """One simple command of a script; `start` and `end` are offsets into the script, `line` counts from 1."""

    start: int
    end: int
    line: int
    text: str  # as written, continuations joined
    words: tuple[str, ...]  # quotes removed, variables that the script sets to a known text filled in
    assignments: tuple[tuple[str, str], ...]  # leading NAME=value
    redirections: tuple[Redirection, ...]
    here_docs: tuple[str, ...]  # bodies of here-documents and here-strings
    substitutions: tuple[str, ...]  # scripts inside $(…), `…`, <(…) and >(…)
    fed_by: tuple[int, int]  # range of earlier commands piped into this one; (0, 0) for none
    is_background: bool  # ends with & , itself or a list or block around it
    is_reachable: bool  # no unconditional `exit` or `exec PROGRAM` outside of any block comes before it
    in_function: Optional[str]  # function whose body it is in
    subshell_depth: int  # number of ( … ) around it

    @property
    def invocation(self) -> Optional[Invocation]:
        """What its words start, wrappers (nohup, env …) stepped over; None without words."""
        # functools.cached_property takes a lock for each of thousands of commands, before Python 3.12.
        kept = self.__dict__
        if "kept_invocation" not in kept:
            kept["kept_invocation"] = resolve(self.words)
        found: Optional[Invocation] = kept["kept_invocation"]
        return found


@dataclass(frozen=True)
class Script:
    """A parsed script; `is_cut` tells that it holds more than MAX_COMMANDS commands, of which the rest is missing.

    `functions` are the bodies of those that it defines, by name.
    """

    text: str
    commands: tuple[Command, ...]
    is_cut: bool
    functions: Mapping[str, str] = field(default_factory=dict)


def parse(text: str, settings: Optional[Settings] = None) -> Script:
    """The simple commands of `text` in order. Text that is no valid shell gives what can be made of it.

    `settings` gives the text of a file that the script sources by its whole path, so that variables set there are known.
    Follows POSIX.1-2024 XCU 2 with bash's additions. Never raises; takes time linear in the text.
    """
    parser = _Parser(text, settings)
    parser.run()
    functions = {name: text[start:end] for name, (start, end) in parser.functions.items()}
    return Script(text, tuple(parser.commands()), parser.is_cut, functions)


@dataclass
class _Frame:
    """An open block, and where in its current and-or list parsing stands (as indices of commands)."""

    kind: str
    inherited: tuple[int, int] = (0, 0)
    function: Optional[str] = None
    subshell_depth: int = 0
    list_first: int = 0
    stage_first: int = 0
    fed_by: tuple[int, int] = (0, 0)
    is_conditional: bool = False
    is_joined: bool = False  # an operator came last: a newline does not end the list
    after_block: bool = False
    in_pattern: bool = False
    defines: Optional[str] = None
    start: int = 0

    @property
    def input(self) -> tuple[int, int]:
        return self.fed_by if self.fed_by != (0, 0) else self.inherited


@dataclass
class _Draft:
    """A command while its background and its here-documents are not yet known."""

    start: int
    end: int
    words: list[str] = field(default_factory=list)
    assignments: list[tuple[str, str]] = field(default_factory=list)
    redirections: list[Redirection] = field(default_factory=list)
    here_docs: list[str] = field(default_factory=list)
    substitutions: list[str] = field(default_factory=list)
    fed_by: tuple[int, int] = (0, 0)
    is_reachable: bool = True
    in_function: Optional[str] = None
    subshell_depth: int = 0


class _Parser:
    """One pass over the text; every method starts at `position` and moves it on."""

    def __init__(self, text: str, settings: Optional[Settings] = None) -> None:
        self.text = text
        self.settings = settings
        self.position = 0
        self.is_cut = False
        self.drafts: list[_Draft] = []
        self.background: dict[int, int] = {}
        self.frames = [_Frame("top")]
        self.pending: list[tuple[str, bool, _Draft]] = []
        self.pending_function: Optional[str] = None
        self.functions: dict[str, tuple[int, int]] = {}
        self.is_reachable = True
        self.variables = Variables()

    def run(self) -> None:
        """Parse to the end of the text, or until there are too many commands."""
        size = len(self.text)
        while self.position < size:
            if len(self.drafts) >= MAX_COMMANDS:
                self.is_cut = True
                return
            before = self.position
            if self.frames[-1].in_pattern:
                self._case_pattern()
            else:
                self._step()
            if self.position == before:
                self.position += 1

    def commands(self) -> Iterator[Command]:
        """The finished commands."""
        lines = [0, *(match.end() for match in re.finditer("\n", self.text))]
        depths = accumulate(self.background.get(index, 0) for index in range(len(self.drafts)))
        for draft, depth in zip(self.drafts, depths):
            yield Command(
                start=draft.start,
                end=draft.end,
                line=bisect_right(lines, draft.start),
                text=_BLANKS.sub(_join, self.text[draft.start : draft.end]),
                words=tuple(draft.words),
                assignments=tuple(draft.assignments),
                redirections=tuple(draft.redirections),
                here_docs=tuple(draft.here_docs),
                substitutions=tuple(draft.substitutions),
                fed_by=draft.fed_by,
                is_background=depth > 0,
                is_reachable=draft.is_reachable,
                in_function=draft.in_function,
                subshell_depth=draft.subshell_depth,
            )

    def _step(self) -> None:
        """Take one token in command position."""
        self._skip(_BLANKS)
        text, position, frame = self.text, self.position, self.frames[-1]
        char = text[position : position + 1]
        if char == "#":
            self._skip(_COMMENT)
        elif char == "\n":
            self.position += 1
            if not frame.is_joined:
                self._end_list()
            self._read_here_docs()
            # A file padded with empty lines and comments would take as long as one full of commands.
            self._skip(_EMPTY_LINES)
        elif char == ";":
            self._end_list()
            self.position += 1
            if frame.kind == "case" and text[position + 1 : position + 2] in (";", "&"):
                self._skip(_CASE_END)
                frame.in_pattern = True
        elif char in ("&", "|") and not text.startswith("&>", position):
            self._operator(char)
        elif char == "(":
            self.position += 1
            self._push("(")
        elif char == ")":
            self.position += 1
            self._pop("(")
        else:
            reserved = _RESERVED.match(text, position)
            if reserved:
                self.position = reserved.end()
                self._reserved(reserved[0])
            elif char:
                self._simple()

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.position)
        if match:
            self.position = match.end()

    def _operator(self, char: str) -> None:
        frame, count = self.frames[-1], len(self.drafts)
        is_double = self.text.startswith(char * 2, self.position)
        if char == "&" and not is_double:
            self.position += 1
            self._mark_background(frame.list_first, count)
            self._end_list(is_background=True)
            return
        is_pipe = char == "|" and not is_double
        self.position += 2 if is_double or self.text.startswith("|&", self.position) else 1
        frame.fed_by = (frame.stage_first, count) if is_pipe else (0, 0)
        frame.is_conditional = True
        frame.stage_first = count
        frame.is_joined = True
        frame.after_block = False

    def _mark_background(self, first: int, end: int) -> None:
        self.background[first] = self.background.get(first, 0) + 1
        self.background[end] = self.background.get(end, 0) - 1

    def _end_list(self, is_background: bool = False) -> None:
        """Close the current and-or list of the innermost block."""
        frame, count = self.frames[-1], len(self.drafts)
        is_plain = frame.kind == "top" and not (frame.is_conditional or frame.after_block or is_background)
        if is_plain and count - frame.list_first == 1 and _leaves(self.drafts[-1]):
            self.is_reachable = False
        frame.list_first = frame.stage_first = count
        frame.fed_by = (0, 0)
        frame.is_conditional = frame.is_joined = frame.after_block = False

    def _push(self, kind: str) -> None:
        parent, count = self.frames[-1], len(self.drafts)
        parent.is_joined = False
        if len(self.frames) > _MAX_DEPTH:
            return
        defines, self.pending_function = self.pending_function, None
        depth = parent.subshell_depth + (kind == "(")
        frame = _Frame(kind, parent.input, defines or parent.function, depth, count, count, in_pattern=kind == "case")
        frame.defines, frame.start = defines, self.position
        self.frames.append(frame)

    def _pop(self, kind: str) -> None:
        """Close the innermost block if it is of this kind; anything else is a syntax error and changes nothing."""
        if self.frames[-1].kind == kind and kind != "top":
            frame = self.frames.pop()
            if frame.defines is not None and len(self.functions) < _MAX_FUNCTIONS:
                self.functions[frame.defines] = frame.start, self.position - 1
            self.frames[-1].after_block = True

    def _reserved(self, word: str) -> None:
        frame = self.frames[-1]
        if word in _CLOSES:
            self._pop(_CLOSES[word])
        elif word in ("then", "elif", "else", "do"):
            self._end_list()
        elif word == "if":
            self._push("if")
        elif word in ("while", "until"):
            self._push("loop")
        elif word in ("for", "select"):
            self._for_header(word)
        elif word == "case":
            self._case_header()
        elif word == "{":
            self._push("{")
        elif word == "function":
            match = _FUNCTION_NAME.match(self.text, self.position)
            if match:
                self.position = match.end()
                self.pending_function = match[1]
        elif word == "!":
            frame.is_conditional = True

    def _for_header(self, word: str) -> None:
        """Read `NAME in WORDS` or `((…))` up to its `;`, newline or `do`."""
        draft = self._draft(self.position - len(word))
        draft.words.append(word)
        self._skip(_BLANKS)
        if self.text.startswith("((", self.position):
            self.position = skip_bracket(self.text, self.position + 1, ")")
        else:
            self._words(draft)
        self._keep_header(draft)
        self._push("loop")

    def _case_header(self) -> None:
        """Read `WORD in`."""
        draft = self._draft(self.position - len("case"))
        draft.words.append("case")
        self._words(draft, limit=2)
        self._keep_header(draft)
        self._push("case")

    def _words(self, draft: _Draft, limit: Optional[int] = None) -> None:
        while limit is None or limit > 0:
            self._skip(_BLANKS)
            word = read_word(self.text, self.position, self.variables)
            if word.end == self.position:
                return
            self._take(draft, word)
            draft.words += word.fields
            if limit is not None:
                limit -= 1

    def _keep_header(self, draft: _Draft) -> None:
        """A loop's or case's header is no command, but what it substitutes runs."""
        if draft.substitutions:
            self.drafts.append(draft)

    def _case_pattern(self) -> None:
        """Read `PATTERN | PATTERN )`, or the `esac` in its place."""
        self._skip(_CASE_GAP)
        if _ESAC.match(self.text, self.position):
            self.position += len("esac")
            self._pop("case")
            return
        self.frames[-1].in_pattern = False
        while self.position < len(self.text):
            self._skip(_BLANKS)
            char = self.text[self.position : self.position + 1]
            if char in (")", "\n", ""):
                self.position += 1
                return
            word = read_word(self.text, self.position, self.variables)
            self.position = max(word.end, self.position + 1)

    def _draft(self, start: int) -> _Draft:
        frame = self.frames[-1]
        return _Draft(
            start,
            self.position,
            fed_by=frame.input,
            is_reachable=self.is_reachable,
            in_function=self.pending_function or frame.function,
            subshell_depth=frame.subshell_depth,
        )

    def _take(self, draft: _Draft, word: Word) -> None:
        draft.substitutions += word.substitutions
        self.position = draft.end = word.end

    def _simple(self) -> None:
        """Read a simple command, or the start of a function definition, or the redirections behind a block."""
        function = _FUNCTION.match(self.text, self.position)
        if function:
            self.position = function.end()
            self.pending_function = function[1]
            self._skip(_GAP)
            return
        frame = self.frames[-1]
        draft = self._draft(self.position)
        condition = _CONDITION.match(self.text, self.position)
        if condition:
            draft.words += condition[0].split()
            self.position = draft.end = condition.end()
        while self._simple_part(draft):
            self._skip(_BLANKS)
        if draft.assignments and not draft.words:
            for name, value in draft.assignments:
                self.variables.set(name, value)
        elif draft.words and draft.words[0] in ("export", "readonly", "local", "declare", "typeset"):
            for argument in draft.words[1:]:
                name, equals, value = argument.partition("=")
                if equals:
                    self.variables.set(name, value)
        elif draft.words and draft.words[0] in (".", "source") and self.settings is not None:
            self._source(self.settings, draft.words[1:2])
        is_empty = not (draft.words or draft.assignments or draft.redirections)
        if is_empty or (frame.after_block and not draft.words and not draft.substitutions):
            return
        self.drafts.append(draft)
        frame.is_joined = frame.after_block = False

    def _source(self, settings: Settings, paths: list[str]) -> None:
        """Take over the variables that a sourced file sets."""
        text = settings(paths[0]) if paths and paths[0].startswith("/") else None
        if text is not None:
            inner = _Parser(text)
            inner.variables = self.variables
            inner.run()

    def _simple_part(self, draft: _Draft) -> bool:
        """Read one assignment, word or redirection; False where the command ends."""
        text, position = self.text, self.position
        char = text[position : position + 1]
        if not char or char in "\n;)" or (char == "#" and (position == 0 or text[position - 1] in BLANK + "\n;&|(")):
            return False
        redirection = _REDIRECTION.match(text, position)
        if redirection and not (redirection[1] in ("<", ">") and text.startswith("(", redirection.end())):
            self.position = redirection.end()
            self._redirect(draft, redirection[1])
            return True
        if char in "&|(":
            return False
        assignment = None if draft.words else _ASSIGNMENT.match(text, position)
        word = read_word(text, position, self.variables)
        if word.end == position:
            return False
        self._take(draft, word)
        if assignment:
            draft.assignments.append((assignment[1], word.value.partition("=")[2]))
        else:
            draft.words += word.fields
        return True

    def _redirect(self, draft: _Draft, operator: str) -> None:
        self._skip(_BLANKS)
        start = self.position
        word = read_word(self.text, start, self.variables)
        self._take(draft, word)
        if operator == "<<<":
            draft.here_docs.append(word.value)
        elif operator.startswith("<<"):
            self.pending.append((word.value, operator == "<<-", draft))
        draft.redirections.append(Redirection(operator, word.value))

    def _read_here_docs(self) -> None:
        """Read the bodies that follow the line which announced them."""
        pending, self.pending = self.pending, []
        for delimiter, strips_tabs, draft in pending:
            lines: list[str] = []
            while self.position < len(self.text):
                end = self.text.find("\n", self.position)
                line = self.text[self.position : end if end >= 0 else len(self.text)].rstrip("\r")
                self.position = end + 1 if end >= 0 else len(self.text)
                if strips_tabs:
                    line = line.lstrip("\t")
                if line == delimiter:
                    break
                lines.append(line)
            draft.here_docs.append("\n".join(lines))


def _join(blanks: re.Match[str]) -> str:
    """A continuation becomes one blank; other blanks stay as they are."""
    return " " if "\\" in blanks[0] else blanks[0]


def _leaves(draft: _Draft) -> bool:
    """Whether the command ends the script: `exit`, or `exec` with a program."""
    return bool(draft.words) and (draft.words[0] == "exit" or (draft.words[0] == "exec" and len(draft.words) > 1))
