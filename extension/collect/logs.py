"""The lines of the system's logs around the times of an incident."""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Iterable
from typing import Optional

LOGS = (
    "/var/log/auth.log", "/var/log/secure", "/var/log/syslog", "/var/log/messages", "/var/log/cron", "/var/log/cron.log",
    "/var/log/daemon.log", "/var/log/kern.log", "/var/log/audit/audit.log", "/var/log/dpkg.log", "/var/log/apt/history.log",
    "/var/log/dnf.log", "/var/log/auth.log.1", "/var/log/secure.1", "/var/log/syslog.1", "/var/log/messages.1",
)  # fmt: skip
# How long before and after something happened.
AROUND_SECONDS = 600
_MONTHS = {
    name: number
    for number, name in enumerate(["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], 1)
}
_TRADITIONAL = re.compile(rb"([A-Z][a-z]{2}) ([ 0-9][0-9]) ([0-9]{2}):([0-9]{2}):([0-9]{2})")
_ISO = re.compile(
    rb"([0-9]{4})-([0-9]{2})-([0-9]{2})[T ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:[.,][0-9]{1,9})?(Z|[+-][0-9]{2}:?[0-9]{2})?"
)
_AUDIT = re.compile(rb"msg=audit\(([0-9]{1,11})[.:]")
_HEAD = 120


def lines_around(data: bytes, moments: Iterable[int], changed: float) -> bytes:
    """The lines of a log that were written within ten minutes of one of the moments (unix seconds).

    Traditional stamps have no year and no zone: they are local times of the last year before the log was `changed`. A line
    without a stamp belongs to the one before it.
    """
    spans = spans_around(moments)
    kept = []
    is_near = False
    for line in data.splitlines(keepends=True):
        when = _when(line[:_HEAD], changed)
        if when is not None:
            is_near = any(first <= when <= last for first, last in spans)
        if is_near:
            kept.append(line)
    return b"".join(kept)


def spans_around(moments: Iterable[int]) -> list[tuple[int, int]]:
    """First and last second (unix) of what lies within ten minutes of one of the moments; overlapping ones are one."""
    spans: list[tuple[int, int]] = []
    for moment in sorted(moments):
        first, last = moment - AROUND_SECONDS, moment + AROUND_SECONDS
        if spans and first <= spans[-1][1]:
            spans[-1] = (spans[-1][0], last)
        else:
            spans.append((first, last))
    return spans


def _when(head: bytes, changed: float) -> Optional[float]:
    found = _AUDIT.search(head)
    if found:
        return int(found[1])
    found = _ISO.match(head)
    if found:
        return _iso(found)
    found = _TRADITIONAL.match(head)
    if not found or found[1].decode("ascii") not in _MONTHS:
        return None
    year = time.localtime(changed).tm_year
    fields = (_MONTHS[found[1].decode("ascii")], int(found[2]), int(found[3]), int(found[4]), int(found[5]))
    when = _local(year, fields)
    return _local(year - 1, fields) if when is not None and when > changed + 86400 else when


def _local(year: int, fields: tuple[int, int, int, int, int]) -> Optional[float]:
    try:
        return time.mktime((year, *fields, 0, 0, -1))
    except (OverflowError, ValueError):
        return None


def _iso(found: re.Match[bytes]) -> Optional[float]:
    numbers = tuple(map(int, found.groups()[:6]))
    zone = found[7]
    if zone is None:
        return _local(numbers[0], (numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]))
    try:
        utc = calendar.timegm((*numbers, 0, 0, 0))
    except (OverflowError, ValueError):
        return None
    if zone == b"Z":
        return utc
    offset = int(zone[1:3]) * 3600 + int(zone[-2:]) * 60
    return utc - offset if zone[:1] == b"+" else utc + offset
