"""SQL values as SQLite hands them to a function's C code."""

from __future__ import annotations

import re
from typing import Union

from extension.engines.core.reading import SPACE

SqlValue = Union[None, int, float, str, bytes]

_NUMBER = re.compile(rf"[{SPACE}]*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)", re.ASCII)


def text_of(value: SqlValue) -> str:
    """A value that is not NULL as the C string that sqlite3_value_text gives."""
    if isinstance(value, float):
        text = f"{value:.15g}"
        return text if any(char in text for char in ".en") else f"{text}.0"
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    return text.partition("\0")[0]


def number_of(value: SqlValue) -> float:
    """A value that is not NULL as sqlite3_value_double gives it: 0 for text that begins with no number."""
    if isinstance(value, (int, float)):
        return float(value)
    match = _NUMBER.match(text_of(value))
    return float(match[1]) if match else 0.0
