"""JSON that runtimes keep: read within bounds, and taken apart without trust in its shape."""

from __future__ import annotations

import calendar
import datetime
import json
import re
from typing import Any, Optional

from tables.host.disk.files import Files, Unreadable
from tables.unseen import Unseen

# Bounds also what is in it: no member is cut off in silence.
FILE_LIMIT = 2 << 20
_MAX_DIGITS = 20
_TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]{1,9})?(?:Z|([+-])([0-9]{2}):([0-9]{2}))")


def parse_state(text: str) -> Any:
    """The value of a JSON `text`; ValueError when it is none, or nests too deeply."""
    try:
        return json.loads(text, parse_int=_number, strict=False)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _number(digits: str) -> int:
    # Turning more digits into a number takes quadratic time.
    return int(digits[:_MAX_DIGITS])


def read_state(files: Files, path: str, unseen: Unseen) -> Any:
    """The JSON in the file at `path`; None where there is none, and where it cannot be read, which `unseen` is told."""
    try:
        return parse_state(files.read_text(path, FILE_LIMIT))
    except Unreadable as error:
        if not error.is_missing:
            unseen.could_not_see(str(error))
    except ValueError as error:
        unseen.could_not_see(f"{path}: no JSON: {error}")
    return None


def mapping(value: Any) -> dict[str, Any]:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def listed(value: Any) -> list[Any]:
    """`value` if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def text(value: Any) -> str:
    """`value` if it is a text, else ""; halves of surrogate pairs, which JSON may hold, are written out."""
    if not isinstance(value, str):
        return ""
    return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()


def texts(value: Any) -> tuple[str, ...]:
    """The texts of a list; a text alone counts as one."""
    if isinstance(value, str):
        return (text(value),)
    return tuple(text(each) for each in listed(value) if isinstance(each, str))


def number(value: Any) -> Optional[int]:
    """`value` if it is a number above zero, else None."""
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1 << 63 else None


def unix_seconds(value: Any) -> Optional[int]:
    """Unix seconds of an RFC 3339 time as Go writes it; None for anything else, and for its zero time."""
    found = _TIME.fullmatch(text(value)[:64])
    if found is None or found[1].startswith("0001"):
        return None
    try:
        seconds = calendar.timegm(datetime.datetime.fromisoformat(found[1]).timetuple())
    except (ValueError, OverflowError):
        return None
    offset = int(found[3]) * 3600 + int(found[4]) * 60 if found[2] else 0
    return seconds - offset if found[2] == "+" else seconds + offset
