"""Reads a regular expression as osquery's regex_match and regex_split do (C++ std::regex, ECMAScript grammar)."""

from __future__ import annotations

import re
from functools import lru_cache

# osquery's flag regex_max_size.
MAX_SIZE = 256

_CLASSES = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "blank": " \\t", "cntrl": "\\x00-\\x1f\\x7f", "digit": "0-9", "d": "0-9",
    "graph": "!-~", "lower": "a-z", "print": " -~", "punct": "!-/:-@\\[-`{-~", "space": "\\s", "s": "\\s", "upper": "A-Z",
    "w": "\\w", "xdigit": "0-9A-Fa-f",
}  # fmt: skip
_TOKEN = re.compile(
    r"""
    (?P<escape>\\(?:c[A-Za-z]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.))   # \d, \x41, \.
  | (?P<group>\((?:\?[:=!])?)
  | (?P<repeat>(?:[*+?]|\{\d+(?:,\d*)?\})\??)
  | (?P<set>\[\^?(?:\[:[a-z]+:\]|\\.|[^\]\\])*\])
  | (?P<plain>[^\[\\{])
    """,
    re.VERBOSE | re.DOTALL,
)
_SET_TOKEN = re.compile(r"\[:([a-z]+):\]|(\\.)|(.)", re.DOTALL)
# Python gives these letters a meaning after a backslash that ECMAScript does not.
_KNOWN_ESCAPES = frozenset("bBdDsSwWfnrtv123456789")
_KNOWN_SET_ESCAPES = frozenset("dDsSwWfnrtvbxu")


class RegexError(ValueError):
    """osquery refuses this expression."""


@lru_cache(maxsize=256)
def compile_regex(pattern: str) -> re.Pattern[str]:
    """`pattern` as a Python expression that finds the same; RegexError for one that osquery refuses.

    What Python alone knows (look-behind, named groups, inline flags, possessive repeats) is refused too, for a pack query
    must run on both engines.
    """
    if len(pattern.encode("utf-8", "surrogatepass")) > MAX_SIZE:
        raise RegexError(f"Invalid regex: too big, max size is {MAX_SIZE} bytes")
    try:
        return re.compile(_translate(pattern), re.ASCII)
    except (re.error, OverflowError, RecursionError):
        raise RegexError("Invalid regex") from None


def _translate(pattern: str) -> str:
    parts = []
    position = 0
    is_repeated = False
    while position < len(pattern):
        token = _TOKEN.match(pattern, position)
        if token is None or (token["repeat"] and is_repeated) or (token["group"] == "(" and pattern[token.end() :][:1] == "?"):
            raise RegexError("Invalid regex")
        position = token.end()
        is_repeated = bool(token["repeat"])
        text = token[0]
        if token["escape"]:
            text = _escape(text)
        elif token["set"]:
            text = _set(text)
        elif text == ".":
            text = r"[^\n\r]"
        elif text == "$":
            text = r"\Z"
        parts.append(text)
    return "".join(parts)


def _escape(text: str) -> str:
    letter = text[1]
    if letter == "c" and len(text) > 2:
        return re.escape(chr(ord(text[2]) % 32))
    return text if len(text) > 2 or letter in _KNOWN_ESCAPES else re.escape(letter)


def _set(text: str) -> str:
    """A bracket expression, its POSIX classes spelt out and what Python might take for a set operation escaped."""
    if text in ("[]", "[^]"):
        return r"(?!)" if text == "[]" else r"[\s\S]"
    body = text[1:-1]
    negated = body.startswith("^")
    parts = []
    for token in _SET_TOKEN.finditer(body[negated:]):
        name, escape, char = token.groups()
        if name:
            if name not in _CLASSES:
                raise RegexError("Invalid regex")
            parts.append(_CLASSES[name])
        elif escape:
            parts.append(escape if escape[1] in _KNOWN_SET_ESCAPES else re.escape(escape[1]))
        else:
            parts.append(f"\\{char}" if char in "[&|~" else char)
    return f"[{'^' * negated}{''.join(parts)}]"
