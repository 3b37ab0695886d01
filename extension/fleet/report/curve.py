"""A campaign's spread as the points of a drawing: hosts over time, one step up for each."""

from __future__ import annotations

from typing import NamedTuple

WIDTH, HEIGHT = 640, 120
_LEFT, _RIGHT, _TOP, _BOTTOM = 36, 12, 8, 22


class Curve(NamedTuple):
    """An SVG path in WIDTH by HEIGHT, its steps' dots, and (x, unix seconds) of the ends."""

    path: str
    dots: tuple[tuple[float, float], ...]
    ends: tuple[tuple[float, int], ...]
    most: int
    top: float
    base: float


def curve(spread: list[list[int]]) -> Curve:
    """The curve of [unix seconds, hosts so far] pairs in order; a straight line where all came in one moment."""
    base = HEIGHT - _BOTTOM
    if not spread:
        return Curve("", (), (), 0, _TOP, base)
    first, last, most = spread[0][0], spread[-1][0], spread[-1][1]
    span = max(last - first, 1)

    def place(time: int, count: int) -> tuple[float, float]:
        return round(_LEFT + (time - first) / span * (WIDTH - _LEFT - _RIGHT), 1), round(base - count / most * (base - _TOP), 1)

    points = [place(time, count) for time, count in spread]
    path = f"M{points[0][0]},{base}" + "".join(f"H{x}V{y}" for x, y in points)
    return Curve(path, tuple(points[:200]), ((points[0][0], first), (points[-1][0], last)), most, _TOP, base)
