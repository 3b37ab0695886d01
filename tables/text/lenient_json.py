"""JSON as miners read it: with comments, trailing commas, and without the outer braces (RapidJSON's options)."""

from __future__ import annotations

import json
import re
from typing import Union

# Values nest in lists and objects; type checkers cannot be told so under Python 3.9.
Json = Union[None, bool, int, float, str, "list[Json]", "dict[str, Json]"]

# What is never closed ends with the text: looking for the end again from each beginning would take quadratic time.
_STRING = r'("(?:\\.|[^"\\])*"?)'
_COMMENT = re.compile(_STRING + r"|//[^\n]*|/\*(?:.*?\*/|.*)", re.DOTALL)
_TRAILING_COMMA = re.compile(_STRING + r"|,(?=\s*[}\]])", re.DOTALL)
# Turning more digits into a number takes quadratic time.
_MAX_DIGITS = 32


def parse_json(text: str) -> Json:
    """The value of a JSON `text`; ValueError when it is none, or nests too deeply."""
    text = text.lstrip("\ufeff \t\r\n")
    if '"' not in text:
        raise ValueError("no JSON with names in it")
    bare = _strip(text)
    # xmr-stak's files are the members of an object, with a comma at the end.
    if bare.startswith('"'):
        bare = _strip("{" + bare + "}")
    try:
        found: Json = json.loads(bare, parse_int=_number, strict=False)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return found


def _strip(text: str) -> str:
    for pattern in (_COMMENT, _TRAILING_COMMA):
        text = pattern.sub(lambda found: found[1] or " ", text)
    return text.strip()


def _number(digits: str) -> int:
    return int(digits[:_MAX_DIGITS])
