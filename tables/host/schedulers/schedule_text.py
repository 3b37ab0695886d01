"""Says in English when a scheduled job runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, Optional

_WORDS = {
    "@reboot": "at boot",
    "@yearly": "at 00:00 on day 1 of the month in January",
    "@annually": "at 00:00 on day 1 of the month in January",
    "@monthly": "at 00:00 on day 1 of the month",
    "@weekly": "at 00:00 on Sunday",
    "@daily": "at 00:00 every day",
    "@midnight": "at 00:00 every day",
    "@hourly": "every hour at minute 0",
    "@every_minute": "every minute",
    "@every_second": "every second",
}
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_PART = re.compile(r"(\*|\?|\w*)(?:([-~])(\w*))?(?:/(\d{1,4}))?")
_MAX_TIMES = 6


class _Part(NamedTuple):
    """One part of a field between its commas: first to last, or a random value among them, in steps."""

    first: int
    last: int
    step: int
    is_random: bool
    is_all: bool


def cron_text(schedule: str) -> Optional[str]:
    """A crontab(5) schedule in words, such as "at 03:30 every day"; None for what cron would refuse."""
    schedule = schedule.strip().lower()
    if schedule.startswith("@"):
        seconds = schedule[1:]
        return f"every {seconds} seconds" if seconds.isdecimal() else _WORDS.get(schedule)
    fields = schedule.lstrip("-").split()
    if len(fields) != 5:
        return None
    parsed = [
        _parse(fields[0], 0, 59),
        _parse(fields[1], 0, 23),
        _parse(fields[2], 1, 31),
        _parse(fields[3], 1, 12, _MONTHS, 1),
        _parse(fields[4], 0, 7, _DAYS, 0),
    ]
    if not all(parsed):
        return None
    minutes, hours, days, months, weekdays = parsed
    text, is_clock = _time(minutes, hours)
    days_text = _days(days, weekdays, fields[2].startswith("*") or fields[4].startswith("*"))
    if days_text:
        text += f" {days_text}"
    elif is_clock:
        text += " every day"
    if not _is_all(months):
        text += " in " + _values(months, _MONTHS, 1)
    return text


def anacron_text(schedule: str) -> Optional[str]:
    """An anacrontab(5) period and delay in words."""
    period, _, delay = schedule.partition(" ")
    names = {"@daily": "every day", "@weekly": "every 7 days", "@monthly": "every month", "@yearly": "every year"}
    every = names.get(period) or ("every day" if period == "1" else f"every {period} days" if period.isdecimal() else None)
    return f"{every}, {delay} minutes after anacron starts" if every else None


def _parse(text: str, low: int, high: int, names: Sequence[str] = (), base: int = 0) -> list[_Part]:
    """The parts of a field; [] when it is not valid."""
    numbers = {name[:3].lower(): index + base for index, name in reversed(list(enumerate(names)))}
    parts = []
    for piece in text.split(",")[:64]:
        match = _PART.fullmatch(piece)
        if match is None:
            return []
        first, joined, last, step = match.groups()
        is_all = first in ("*", "?")
        ends = [low, high]
        if not is_all:
            given = [first, first if joined is None else last]
            for index, word in enumerate(given):
                value = numbers.get(word, int(word) if word.isascii() and word.isdecimal() and len(word) < 5 else -1)
                if word or joined != "~":
                    ends[index] = value
            if joined is None and step:
                ends[1] = high
        if not low <= ends[0] <= ends[1] <= high or step == "0":
            return []
        is_all |= bool(step) and ends == [low, high]
        parts.append(_Part(ends[0], ends[1], int(step or 1), joined == "~", is_all))
    return parts


def _is_all(parts: list[_Part]) -> bool:
    return any(part.is_all and part.step == 1 for part in parts)


def _single(parts: list[_Part]) -> Optional[list[int]]:
    """The values where each part is a single one."""
    return [part.first for part in parts] if all(part.first == part.last for part in parts) else None


def _time(minutes: list[_Part], hours: list[_Part]) -> tuple[str, bool]:
    """The time of day, and whether it is one or several clock times."""
    at, of = _single(minutes), _single(hours)
    if at and of and len(at) * len(of) <= _MAX_TIMES:
        return "at " + _join([f"{hour:02d}:{minute:02d}" for hour in sorted(of) for minute in sorted(at)]), True
    text = "every minute" if _is_all(minutes) else _every(minutes, "minute")
    if text is None:
        text = _minutes(minutes, at)
        every = _every(hours, "hour")
        if every:
            return f"{every} {text}", False
    if _is_all(hours):
        return text, False
    if len(hours) == 1 and hours[0].step == 1 and not hours[0].is_random and not of:
        return f"{text} from {hours[0].first:02d}:00 to {hours[0].last:02d}:59", False
    every = _every(hours, "hour")
    if every:
        return f"{text} of {every}", False
    return f"{text} of {'hour' if of and len(of) == 1 else 'the hours'} {_values(hours, (), 0)}", False


def _minutes(parts: list[_Part], singles: Optional[list[int]]) -> str:
    if len(parts) == 1 and parts[0].is_random and (parts[0].first, parts[0].last) == (0, 59):
        return "at a random minute"
    return f"at {'minute' if singles and len(singles) == 1 else 'minutes'} {_values(parts, (), 0)}"


def _every(parts: list[_Part], unit: str) -> Optional[str]:
    """For `*/5`, "every 5 minutes"."""
    if len(parts) == 1 and parts[0].is_all:
        return f"every {parts[0].step} {unit}s" if parts[0].step > 1 else f"every {unit}"
    return None


def _days(days: list[_Part], weekdays: list[_Part], is_both: bool) -> str:
    """Days of the month and of the week; where neither field starts with `*`, either is enough."""
    texts = []
    if not _is_all(days):
        every = _every(days, "day")
        one = "day" if _single(days) and len(days) == 1 else "days"
        texts.append(f"{every} of the month" if every else f"on {one} {_values(days, (), 0)} of the month")
    if not _is_all(weekdays):
        texts.append("on " + _values(weekdays, _DAYS, 0))
    return (" and only " if is_both else " or ").join(texts)


def _values(parts: list[_Part], names: Sequence[str], base: int) -> str:
    def word(value: int) -> str:
        return names[value - base] if names else str(value)

    texts = []
    for part in parts:
        text = word(part.first) if part.first == part.last else f"{word(part.first)} to {word(part.last)}"
        if part.is_random:
            text = f"a random one of {text}"
        elif part.step > 1:
            text = f"{text} in steps of {part.step}"
        texts.append(text)
    return _join(texts)


def _join(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
