"""What figures should not be above; for one that is missed, what was tried and where the floor is."""

from __future__ import annotations

import textwrap
from typing import NamedTuple

_WIDTH = 126


class Goal(NamedTuple):
    """A bound as the reader wants it and as a number; `floor` is said where it is missed: what was tried, what stands in the way.

    `is_ratio` tells that it bounds what the figure is as a multiple of the table's reference, rather than seconds.
    """

    text: str
    most: float
    floor: str = ""
    is_ratio: bool = False


class Judged(NamedTuple):
    """A goal of the run, of which figure it was asked, and whether it was met."""

    figure: str
    goal: Goal
    is_met: bool


# What this run has judged so far.
JUDGED: list[Judged] = []


def judge(figure: str, goal: Goal, value: float) -> str:
    """`goal: < 4 s, met` or `…, MISSED`; kept for the end of the run under the figure's name."""
    is_met = value <= goal.most
    JUDGED.append(Judged(figure, goal, is_met))
    return f"goal: {goal.text}, {'met' if is_met else 'MISSED'}"


def conclusion() -> str:
    """How many goals of the run were met, and of each that was missed what is known of it; "" where there was none."""
    missed = [judged for judged in JUDGED if not judged.is_met]
    if not JUDGED:
        return ""
    lines = [f"\n{len(JUDGED) - len(missed)} of {len(JUDGED)} goals met"]
    for figure, goal, _ in missed:
        lines.append(f"  missed: {figure}: {goal.text}")
        lines += textwrap.wrap(goal.floor or "not looked into yet", _WIDTH, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines)
