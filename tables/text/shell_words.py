"""Reads one word of shell text: quotes, escapes, substitutions and the variables that the script itself has set."""

from __future__ import annotations

import re
from typing import NamedTuple, Optional

# POSIX knows two blanks; a carriage return counts too, so that a script with CRLF line ends reads as it was meant.
BLANK = " \t\r"
_PLAIN = re.compile(r"[^\\'\"`$ \t\r\n;&|<>()\x00]+")
_IN_DOUBLE = re.compile(r"[^\\\"`$\x00]+")
# Brace expansion of a whole word, `{curl,-s,URL}`: a way to write a command without blanks.
_BRACES = re.compile(r"\{[^{}]*,[^{}]*\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ANSI_C = re.compile(r"(?:[^'\\]|\\.)*", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{1,4})|U([0-9A-Fa-f]{1,8})|([0-7]{1,3})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "v": "\v"}
# What may open or close something while looking for the end of each kind of bracket.
_JUMP = {
    ")": re.compile(r"\\|'|\"|`|\$\{|\(|\)|(?<=[\s;(])#"),
    "}": re.compile(r"\\|'|\"|`|\$\(|\$\{|\}"),
    '"': re.compile(r"\\|\"|`|\$\(|\$\{"),
    "`": re.compile(r"\\|`"),
}
_OPENS = {"(": ")", "$(": ")", "${": "}", '"': '"', "`": "`"}
# A file name that doubles itself (A=$A$A) must not fill the memory.
_MAX_VALUE = 4096
_MAX_EXPANSION = 1 << 20


class Word(NamedTuple):
    """One word: where it ends, the fields it yields once quotes are removed, and the scripts inside `$(…)`, `…`, `<(…)`."""

    end: int
    fields: tuple[str, ...]
    substitutions: tuple[str, ...]

    @property
    def value(self) -> str:
        """The word as one string."""
        return " ".join(self.fields)


class Variables:
    """Variables that a script sets to text known without running it."""

    def __init__(self) -> None:
        self._values = {"IFS": " "}
        self._left = _MAX_EXPANSION

    def set(self, name: str, value: str) -> None:
        """Remember an assignment; one too long to keep makes the variable unknown."""
        if len(value) <= _MAX_VALUE:
            self._values[name] = value
        else:
            self._values.pop(name, None)

    def expand(self, name: str) -> Optional[str]:
        """The value of `$name`; None when it is not known, or when the script has used up its expansions."""
        value = self._values.get(name)
        if value is not None:
            self._left -= len(value)
        return value if self._left > 0 else None


def skip_bracket(text: str, position: int, closer: str, *, in_double: bool = False) -> int:
    """The position after the `closer` of a bracket (`)`, `}` or a backquote) whose inside starts at `position`.

    Quotes, comments and brackets inside are respected; the end of the text when it is never closed. Linear in the text.
    `in_double`: the bracket itself stands in double quotes.
    """
    stack = ['"', closer] if in_double else ["", closer]
    while len(stack) > 1:
        top = stack[-1]
        match = _JUMP[top].search(text, position)
        if match is None:
            return len(text)
        found = match[0]
        position = match.end()
        if found == "\\":
            position += 1
        elif found == top:
            stack.pop()
        elif found == "'":
            # Inside "${…}" an apostrophe is an ordinary character.
            if top == "}" and stack[-2] == '"':
                continue
            position = (text.find("'", position) + 1) or len(text)
        elif found == "#":
            position = text.find("\n", position)
            if position < 0:
                return len(text)
        else:
            stack.append(_OPENS[found])
    return min(position, len(text))


def read_word(text: str, start: int, variables: Variables) -> Word:
    """Read the word at `start`; `end` equals `start` when no word begins there. Never raises, linear in its length."""
    return _WordReader(text, variables).read(start)


class _WordReader:
    """The state of reading one word."""

    def __init__(self, text: str, variables: Variables) -> None:
        self.text = text
        self.variables = variables
        # A NUL in a part separates fields: shells drop NULs from scripts, so no text can hold one.
        self.parts: list[str] = []
        self.substitutions: list[str] = []
        self.is_quoted = False

    def read(self, start: int) -> Word:
        text, position, size = self.text, start, len(self.text)
        while position < size:
            match = _PLAIN.match(text, position)
            if match:
                self.parts.append(match[0])
                position = match.end()
                continue
            char = text[position]
            if char == "\\":
                position = self._escape(position + 1)
            elif char == "'":
                end = _or_end(text.find("'", position + 1), size)
                self._quoted(text[position + 1 : end])
                position = end + 1
            elif char == '"':
                position = self._double(position + 1)
            elif char == "$":
                position = self._dollar(position, is_quoted=False)
            elif char == "`":
                position = self._substitution(position, 1, "`")
            elif char in "<>" and text.startswith("(", position + 1):
                position = self._substitution(position, 2, ")")
            elif char == "(" and self.parts and self.parts[-1][-1:] in ("=", "?", "*", "+", "@", "!"):
                # An array's values, or an extended glob.
                end = skip_bracket(text, position + 1, ")")
                self.parts.append(text[position:end])
                position = end
            elif char == "\0":
                position += 1
            else:
                break
        fields = [field for field in "".join(self.parts).split("\0") if field]
        if not fields and self.is_quoted:
            fields = [""]
        elif len(fields) == 1 and not self.is_quoted and _BRACES.fullmatch(fields[0]):
            fields = fields[0][1:-1].split(",")
        return Word(min(position, size), tuple(fields), tuple(self.substitutions))

    def _quoted(self, value: str) -> None:
        self.is_quoted = True
        self.parts.append(value.replace("\0", ""))

    def _escape(self, position: int) -> int:
        """Read what follows an unquoted backslash."""
        if self.text.startswith("\r\n", position):
            return position + 2
        if not self.text.startswith("\n", position):
            self._quoted(self.text[position : position + 1])
        return position + 1

    def _double(self, position: int) -> int:
        """Read a double-quoted string from behind its opening quote."""
        text = self.text
        self.is_quoted = True
        while position < len(text):
            match = _IN_DOUBLE.match(text, position)
            if match:
                self.parts.append(match[0])
                position = match.end()
                continue
            char = text[position]
            if char == '"':
                return position + 1
            if char == "$":
                position = self._dollar(position, is_quoted=True)
            elif char == "`":
                position = self._substitution(position, 1, "`")
            elif char == "\\":
                follower = text[position + 1 : position + 2]
                if follower != "\n":
                    self.parts.append(follower if follower in ("$", "`", '"', "\\") else "\\" + follower.replace("\0", ""))
                position += 2
            else:
                position += 1
        return len(text)

    def _substitution(self, position: int, opener: int, closer: str) -> int:
        """Read `$(…)`, `<(…)` or a backquoted script; the word keeps its source text."""
        inside = position + opener
        end = skip_bracket(self.text, inside, closer)
        body = self.text[inside : end - self.text.endswith(closer, inside, end)]
        self.substitutions.append(body.replace("\\`", "`") if closer == "`" else body)
        self.parts.append(self.text[position:end].replace("\0", ""))
        return end

    def _dollar(self, position: int, is_quoted: bool) -> int:
        """Read what a dollar sign introduces."""
        text = self.text
        follower = text[position + 1 : position + 2]
        if follower == "(":
            return self._substitution(position, 2, ")")
        if follower == "{":
            return self._parameter(position, is_quoted)
        if follower == "'" and not is_quoted:
            match = _ANSI_C.match(text, position + 2)
            end = match.end() if match else position + 2
            self._quoted(_ESCAPE.sub(_unescape, text[position + 2 : end]))
            return end + 1
        if follower == '"' and not is_quoted:
            return self._double(position + 2)
        name = _NAME.match(text, position + 1)
        if name:
            self._expand(name[0], f"${name[0]}", is_quoted)
            return name.end()
        # `$1`, `$@`, `$$` … stay as they are; a lone dollar sign is itself.
        width = 2 if follower and follower in "0123456789@*#?$!-" else 1
        self.parts.append(text[position : position + width])
        return position + width

    def _parameter(self, position: int, is_quoted: bool) -> int:
        """Read `${…}`."""
        end = skip_bracket(self.text, position + 2, "}", in_double=is_quoted)
        source = self.text[position:end].replace("\0", "")
        inside = source[2:-1] if source.endswith("}") else source[2:]
        if "$(" in inside or "`" in inside:
            self.substitutions.append(inside)
        self._expand(inside, source, is_quoted)
        return end

    def _expand(self, name: str, source: str, is_quoted: bool) -> None:
        value = self.variables.expand(name)
        if value is None:
            self.parts.append(source)
        elif is_quoted:
            self.parts.append(value)
        else:
            # Unquoted, a value with blanks becomes several fields; one that substitutes stays whole.
            is_script = "$(" in value or "`" in value
            self.parts.append(value if is_script else re.sub(r"[ \t\n]+", "\0", value))


def _or_end(found: int, size: int) -> int:
    return found if found >= 0 else size


def _unescape(match: re.Match[str]) -> str:
    """One escape of `$'…'` as bash reads it."""
    hexadecimal = match[1] or match[2] or match[3]
    if hexadecimal or match[4]:
        code = int(hexadecimal, 16) if hexadecimal else int(match[4], 8)
        return chr(code) if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000 else ""
    return _ESCAPED.get(match[5], match[5])
