"""Texts of any length that are slow to read: the ten usual shapes, and those that a pattern's own structure gives away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

try:
    from re import _parser as sre_parse  # type: ignore[attr-defined]
except ImportError:  # Python < 3.11
    import sre_parse

# A repetition that ends before is no matter of size.
_MANY = 64
_BRANCHES = 3
_REPEATS = ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT")


class Pump(NamedTuple):
    """A text of a wanted size: `head`, `piece` again and again, `tail`."""

    piece: str
    head: str = ""
    tail: str = ""

    def text(self, size: int) -> str:
        """The text, of about `size` characters."""
        return self.head + self.piece * max(1, size // len(self.piece)) + self.tail


PUMPS = (
    Pump("7"),
    Pump("7", tail="x"),
    Pump(" ", "a", "\x01"),
    Pump(">"),
    Pump("a."),
    Pump("([{"),
    Pump("\"'`"),
    Pump("\\"),
    Pump("\n#\n"),
    Pump("a = b, --c /d:1;\n"),
)


def pumps_of(pattern: str) -> Iterator[Pump]:
    """Texts made of what `pattern` itself looks for: matches and near matches again and again, and each long repetition."""
    parsed = sre_parse.parse(pattern)
    for branch in range(_BRANCHES):
        match = _sample(parsed, branch)
        if match:
            yield Pump(match, tail="\x01")
            yield Pump(match + "\n")
        if len(match) > 1:
            yield Pump(match[:-1])
            yield Pump(match[:-1], tail="\x01")
            yield Pump(match[: len(match) // 2])
    yield from _repetitions(parsed, "")


def _repetitions(nodes: Any, before: str) -> Iterator[Pump]:
    """Of each repetition that has no near end: it after what must come before it, alone and again and again."""
    for operator, argument in nodes:
        kind = str(operator)
        if kind in _REPEATS and argument[1] >= _MANY and (piece := _sample(argument[2], 0)):
            yield Pump(piece, before, "\x01")
            yield Pump(before + piece * 3)
        for inner in _inside(kind, argument):
            yield from _repetitions(inner, before)
        before += _one(kind, argument, 0)


def _inside(kind: str, argument: Any) -> list[Any]:
    if kind in _REPEATS:
        return [argument[2]]
    if kind == "BRANCH":
        return list(argument[1])
    if kind == "SUBPATTERN":
        return [argument[-1]]
    return [argument] if kind == "ATOMIC_GROUP" else []


def _sample(nodes: Any, branch: int) -> str:
    """A text that the nodes match, as far as that can be told without looking around."""
    return "".join(_one(str(operator), argument, branch) for operator, argument in nodes)


def _one(kind: str, argument: Any, branch: int) -> str:
    if kind == "LITERAL":
        return chr(argument)
    if kind == "NOT_LITERAL":
        return "y" if argument == ord("x") else "x"
    if kind == "ANY":
        return "x"
    if kind == "IN":
        return _member(argument, branch)
    if kind == "BRANCH":
        return _sample(argument[1][branch % len(argument[1])], branch)
    if kind in _REPEATS:
        least, most, body = argument
        return _sample(body, branch) * max(least, min(int(most), branch))
    if kind == "SUBPATTERN":
        return _sample(argument[-1], branch)
    return _sample(argument, branch) if kind == "ATOMIC_GROUP" else ""


def _member(argument: Any, branch: int) -> str:
    """A character of a class; of a negated one, a character that it lacks."""
    chosen = [char for char in "x7 -/._A=,:;'\"\n\t\\" if _is_in(argument, char)]
    return chosen[branch % len(chosen)] if chosen else next((chr(code) for code in range(256) if _is_in(argument, chr(code))), "")


def _is_in(argument: Any, char: str) -> bool:
    categories = {
        "CATEGORY_DIGIT": r"\d", "CATEGORY_NOT_DIGIT": r"\D", "CATEGORY_SPACE": r"\s",
        "CATEGORY_NOT_SPACE": r"\S", "CATEGORY_WORD": r"\w", "CATEGORY_NOT_WORD": r"\W",
    }  # fmt: skip
    negated = found = False
    for operator, value in argument:
        kind = str(operator)
        negated |= kind == "NEGATE"
        found |= kind == "LITERAL" and value == ord(char)
        found |= kind == "RANGE" and value[0] <= ord(char) <= value[1]
        found |= kind == "CATEGORY" and re.match(categories[str(value)], char) is not None
    return found != negated
