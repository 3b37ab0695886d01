"""What is wrong with a list: malformed, duplicate, stale, shared and private entries, each with its line."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Optional

from extension.intel.collect import unfit
from extension.intel.ranges import RangeSet
from tables.indicators.pool_lists import (
    SHARED,
    Indicator,
    ListHeader,
    PoolList,
    parse_date,
    parse_entries,
    parse_header,
)


class Problem(NamedTuple):
    """One thing to put right; line 0 is about the file as a whole."""

    path: str
    line: int
    kind: str
    text: str

    def __str__(self) -> str:
        place = f"{self.path}, line {self.line}" if self.line else self.path
        return f"{place}: {self.kind}: {self.text}"


def check_list(
    path: str, lines: Sequence[str], shared: RangeSet, max_age: int, today: datetime.date, changed: datetime.date
) -> list[Problem]:
    """The problems of one list, by line; `changed` is the day of the file's last change, for a list without a date."""
    problems: list[Problem] = []

    def malformed(line: int, text: str) -> None:
        problems.append(Problem(path, line, "malformed", text))

    header = parse_header(lines, malformed)
    problems += _stale_list(path, lines, header, max_age, today, changed)
    first_line: dict[Indicator, int] = {}
    for line, indicator, resolved in parse_entries(lines, header.kind, malformed):
        earlier = first_line.setdefault(indicator, line)
        if earlier != line:
            problems.append(Problem(path, line, "duplicate", f"{indicator} is on line {earlier} already"))
        reason = unfit(indicator, header.kind, shared)
        if reason:
            problems.append(Problem(path, line, "unfit", f"{indicator}: {reason}"))
        answered = parse_date(resolved.date) if resolved else None
        if answered and (today - answered).days > max_age:
            problems.append(Problem(path, line, "stale", f"{indicator} was resolved {(today - answered).days} days ago"))
    return sorted(problems, key=lambda problem: problem.line)


def _stale_list(
    path: str, lines: Sequence[str], header: ListHeader, max_age: int, today: datetime.date, changed: datetime.date
) -> Iterator[Problem]:
    age = PoolList(header._replace(date=header.date or changed.isoformat()), path, {}, "").age_days(today)
    if age is not None and age > max_age:
        what = f"the {'ranges' if header.kind == SHARED else 'list'} of {header.feed or 'this file'}"
        yield Problem(path, _date_line(lines, header) or 0, "stale", f"{what}: {age} days old, more than {max_age}")


def _date_line(lines: Sequence[str], header: ListHeader) -> Optional[int]:
    for number, line in enumerate(lines, 1):
        if header.date and line.startswith("#") and line.strip().endswith(header.date):
            return number
    return None
