"""Points in time as people write them: unix seconds, a date with or without time, or how long ago."""

from __future__ import annotations

import re
from datetime import datetime, timezone

_NANO = 1_000_000_000
_SECONDS = re.compile(r"(\d{1,12})(?:\.(\d{1,9})\d*)?", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_AGO = re.compile(
    r"(-?)\s*(\d{1,9})\s*(s|sec|second|m|min|minute|h|hour|d|day|w|week)s?(\s+ago)?", re.ASCII | re.IGNORECASE
)  # fmt: skip
_DATE = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ]+(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9})\d*)?)?)?\s*(Z|UTC|[+-]\d\d:?\d\d)?",
    re.ASCII | re.IGNORECASE,
)


def parse_moment(text: str, now: float) -> int:
    """The moment that `text` names, in nanoseconds since 1970; ValueError when it names none.

    `1795436000`, `2026-11-20`, `2026-11-20 10:00:00` (local time, as find(1) reads it, unless `Z` or an offset such as
    `+01:00` follows), `-2 days`, `24 hours ago`, `now`.
    """
    text = text.strip()
    if text.lower() == "now":
        return int(now * _NANO)
    seconds = _SECONDS.fullmatch(text)
    if seconds:
        return int(seconds[1]) * _NANO + _fraction(seconds[2])
    ago = _AGO.fullmatch(text)
    if ago and bool(ago[1]) != bool(ago[4]):
        return int(now * _NANO) - int(ago[2]) * _UNITS[ago[3][0].lower()] * _NANO
    date = _DATE.fullmatch(text)
    if date is None:
        raise ValueError(f"{text[:80]!r} is no point in time")
    *numbers, fraction, zone = date.groups()
    try:
        moment = datetime(*(int(number or 0) for number in numbers), tzinfo=_zone(zone))  # type: ignore[misc,arg-type]
        return int(moment.timestamp()) * _NANO + _fraction(fraction)
    except (OverflowError, OSError, ValueError) as error:
        raise ValueError(f"{text[:80]!r} is no point in time: {error}") from None


def _fraction(digits: object) -> int:
    return int(str(digits or 0).ljust(9, "0"))


def _zone(text: object) -> object:
    if not text:
        return None
    if str(text).upper() in ("Z", "UTC"):
        return timezone.utc
    return datetime.strptime(str(text).replace(":", ""), "%z").tzinfo
