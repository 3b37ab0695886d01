"""The commands that code of other languages than the shell's starts, as far as they stand in it as text."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import chain, islice

CODE_LIMIT = 256 * 1024
MAX_COMMANDS = 1000
_MAX_LENGTH = 4096
_MAX_ARGUMENTS = 64

# Python's os, subprocess and pty, Perl's and Ruby's system and exec, PHP's functions, Node's child_process, Lua's os and io.
_CALL = re.compile(
    r"\b(system|popen[23]?|exec\w{0,8}|spawn\w{0,8}|run|call|check_call|check_output|Popen|getoutput|getstatusoutput"
    r"|shell_exec|passthru|proc_open|pcntl_exec)\b[ \t]*(?:\([ \t\r\n]*|(?=[\"'\[]))"
)
_LITERAL = re.compile(r"[rbfuRBFU]{0,2}(?:\"((?:\\.|[^\"\\\n])*)\"|'((?:\\.|[^'\\\n])*)')", re.DOTALL)
_BETWEEN = re.compile(r"[\s,\[\](]{0,64}")
# Perl's, Ruby's and PHP's.
_BACKTICKS = re.compile(r"`([^`\n]+)`|(?:\bqx|%x)[ \t]?(?:\{([^{}\n]+)\}|\(([^()\n]+)\)|/([^/\n]+)/|\|([^|\n]+)\||!([^!\n]+)!)")
_ESCAPED = re.compile(r"\\([\"'\\$`])")
# execl(path, argv[0], …) and its like name the program twice.
_NAMES_TWICE = re.compile(r"(?:exec|spawn)(?:l|v)\w*")
_COMMENT = re.compile(r"(?m)^[ \t]*(?:#|//)[^\n]*")


def started_by(code: str) -> Iterator[str]:
    """Yield, as shell text, each command that a call in `code` starts or that stands in backticks; lines of comments apart.

    Of a call what counts are the texts that begin its arguments, a list's elements too; what is put together from variables
    is not seen. Reads 256 KiB, yields at most 1,000 commands; linear in the text.
    """
    code = _COMMENT.sub("", code[:CODE_LIMIT])
    yield from islice(chain(_calls(code), _backticks(code)), MAX_COMMANDS)


def _calls(code: str) -> Iterator[str]:
    for call in _CALL.finditer(code):
        words = list(_literals(code, call.end()))
        if len(words) > 1 and _NAMES_TWICE.fullmatch(call[1]):
            del words[1]
        if words:
            yield words[0] if len(words) == 1 else shlex.join(words)


def _backticks(code: str) -> Iterator[str]:
    for match in _BACKTICKS.finditer(code):
        yield next(group for group in match.groups() if group)[:_MAX_LENGTH]


def _literals(code: str, position: int) -> Iterator[str]:
    """The texts that stand one behind the other from `position` on."""
    length = 0
    for _ in range(_MAX_ARGUMENTS):
        gap = _BETWEEN.match(code, position)
        position = gap.end() if gap else position
        literal = _LITERAL.match(code, position, position + _MAX_LENGTH)
        if literal is None or length > _MAX_LENGTH:
            return
        text = literal[1] if literal[1] is not None else literal[2]
        length += len(text)
        yield _ESCAPED.sub(r"\1", text)
        position = literal.end()
