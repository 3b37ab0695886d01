"""What the reports do with a host's strings: clean them, cut them, and tell times from other numbers."""

from __future__ import annotations

import re
from typing import Optional

from extension.incidents.steps import VALUE_SHOWN
from extension.triage import iso_time
from tables.schema import clean_text

_TIME_COLUMN = re.compile(
    r"(^|_)(time|mtime|ctime|atime|btime|entered_at|logged_in_at|(first|last)_(failure|success)|success_after_failures|last_change)$"
)
# Unix seconds of this age have ten digits; eleven reach into the year 5138.
_TIME_DIGITS = re.compile(r"[0-9]{1,11}")


def moment(name: str, value: str) -> Optional[int]:
    """The unix seconds in a column that holds a time, None for other columns, no time, and 0 (unknown)."""
    if _TIME_COLUMN.search(name) and _TIME_DIGITS.fullmatch(value):
        return int(value) or None
    return None


def shown(value: str, characters: str) -> str:
    """`value` on one line, without anything that steers a terminal or a reader, cut with a note of its length."""
    text = clean_text(value)
    return text if len(text) <= VALUE_SHOWN else f"{text[:VALUE_SHOWN]}… ({len(value)} {characters})"


def shown_column(name: str, value: str, characters: str) -> str:
    """The value of a column as `shown` gives it; of a time the date as well."""
    seconds = moment(name, value)
    return shown(value, characters) if seconds is None else f"{value} ({iso_time(seconds)})"
