"""Where each event of the timeline stands in its drawing.

Age is on a logarithmic scale, since files of years ago and processes of seconds ago belong to one story.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from extension.report.timeline import LANES, Event, gravity

WIDTH = 1000
LEFT = 132
RIGHT = WIDTH
_TOP = 8
_ROW = 24
_GAP = 23
_MAX_ROWS = 4
_TICKS = (
    (10, "second", 10), (60, "minute", 1), (600, "minute", 10), (3600, "hour", 1), (6 * 3600, "hour", 6), (86400, "day", 1),
    (7 * 86400, "day", 7), (30 * 86400, "month", 1), (182 * 86400, "month", 6), (365 * 86400, "year", 1),
    (3 * 365 * 86400, "year", 3), (10 * 365 * 86400, "year", 10), (30 * 365 * 86400, "year", 30),
)  # fmt: skip


@dataclass(frozen=True)
class Mark:
    """The drawn sign of one event, or of several that lie too close together; `numbers` are those of the list, from 1."""

    x: float
    y: float
    numbers: tuple[int, ...]
    severity: str


@dataclass(frozen=True)
class Lane:
    """One band of the drawing."""

    name: str
    y: float
    height: float
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Drawing:
    """Where all things go, in the units of an SVG of WIDTH by `height`; ticks as (x, word for the unit, how many)."""

    height: float
    lanes: tuple[Lane, ...]
    ticks: tuple[tuple[float, str, int], ...]


def draw(listed: list[Event], now: float) -> Drawing:
    """Place the events of a list, those after `now` (a clock was changed) at the right edge."""
    ages = [max(1.0, now - event.time) for event in listed] or [1.0]
    nearest = min(10.0, min(ages))
    farthest = max(max(ages) * 1.3, nearest * 100)

    def place(age: float) -> float:
        share = math.log(max(age, nearest) / nearest) / math.log(farthest / nearest)
        return round(RIGHT - 24 - share * (RIGHT - LEFT - 36), 1)

    lanes = []
    y = float(_TOP)
    for name in LANES:
        members = [(place(age), number, event) for number, (age, event) in enumerate(zip(ages, listed), 1) if event.lane == name]
        if members:
            marks, rows = _stack(members, y)
            lanes.append(Lane(name, y, rows * _ROW + 10, tuple(marks)))
            y += rows * _ROW + 10
    ticks: list[tuple[float, str, int]] = []
    for age, unit, count in _TICKS:
        x = place(age)
        if nearest <= age <= farthest and (not ticks or ticks[-1][0] - x >= 60):
            ticks.append((x, unit, count))
    return Drawing(y + 26, tuple(lanes), tuple(ticks))


def _stack(members: list[tuple[float, int, Event]], top: float) -> tuple[list[Mark], int]:
    """Marks that do not overlap: what finds no free row at its place joins the mark that it would hide."""
    last: list[tuple[float, list[tuple[int, Event]]]] = []
    placed: list[tuple[float, int, list[tuple[int, Event]]]] = []
    for x, number, event in sorted(members, key=lambda member: member[:2]):
        row = next((row for row, (before, _) in enumerate(last) if x - before >= _GAP), len(last))
        if row == _MAX_ROWS:
            last[-1][1].append((number, event))
            continue
        one = (x, [(number, event)])
        last[row : row + 1] = [one]
        placed.append((x, row, one[1]))
    marks = [
        Mark(
            x,
            top + 17 + row * _ROW,
            tuple(number for number, _ in inside),
            min((event.severity for _, event in inside), key=gravity),
        )
        for x, row, inside in placed
    ]
    return marks, max(1, len(last))
