"""Tells linear work from what grows faster, on slow machines as on fast ones."""

from __future__ import annotations

import contextlib
import functools
import gc
import re
import signal
import time
from collections.abc import Callable, Iterator
from typing import Optional

# Three sizes, each four times the one before it.
SIZES = (4 << 10, 16 << 10, 64 << 10)
# In units: half a second on a machine that takes 7 ms for one.
_MAX_UNITS = 70
_MAX_GROWTH = 6
# Less says nothing on a machine that others use too; work that grows by the square is far above at 64 K.
_FLOOR_UNITS = 10
# Work that grows by the cube would otherwise never end.
_END_SECONDS = 4
_WORDS = re.compile(r"\w+|[^\w\s]")
_TEXT = 'while read line; do echo "$line" | tr a-z A-Z >> /var/log/app.log; done\n' * 1500


def assert_linear(work: Callable[[int], object], size: int) -> None:
    """`work` on four times `size` takes less than ten times as long as on `size`: the square would take sixteen times."""
    work(size)
    once, four_times = (min(seconds(work, amount) for _ in range(2)) for amount in (size, 4 * size))
    assert four_times < 10 * once + 0.05, f"{size}: {once:.3f} s, {4 * size}: {four_times:.3f} s"


def growth_problem(work: Callable[[int], object]) -> Optional[str]:
    """How `work` grows too fast from 4 K over 16 K to 64 K, or takes too long for 64 K; None when it is quick and linear.

    Must be called in the main thread; work that takes far too long is broken off.
    """
    if seconds(work, SIZES[-1]) < _FLOOR_UNITS * _first_unit():
        return None
    before = None
    for size in SIZES:
        took = seconds(work, size)
        if _limit(before, _first_unit()) < took < _END_SECONDS:
            # Whatever else the machine did made it slower, never faster.
            took = min(took, seconds(work, size), seconds(work, size))
        if took > _limit(before, _first_unit()) and took > _limit(before, _unit()):
            return f"{size} characters: {took:.2f} s" + (f", {size // 4}: {before:.3f} s" if before is not None else "")
        before = took
    return None


def _limit(before: Optional[float], unit: float) -> float:
    """How many seconds work may take that took `before` for a quarter of the size; None where it is the smallest."""
    most = _MAX_UNITS * unit
    return most if before is None else min(most, max(_MAX_GROWTH * before, _FLOOR_UNITS * unit))


def _unit() -> float:
    """How many seconds this machine, as busy as it is now, takes for something known."""
    return min(seconds(lambda _: _WORDS.findall(_TEXT), 0) for _ in range(5))


@functools.cache
def _first_unit() -> float:
    return _unit()


def seconds(work: Callable[[int], object], size: int) -> float:
    """CPU seconds of this thread, as far as it came within _END_SECONDS."""
    # Looking for garbage takes longer the more objects there are.
    gc.disable()
    start = time.thread_time()
    try:
        with _ended():
            work(size)
        return time.thread_time() - start
    finally:
        gc.enable()


class _EndedError(BaseException):
    """The work took too long; no parser's own `except` may stop it."""


@contextlib.contextmanager
def _ended() -> Iterator[None]:
    def end(*_: object) -> None:
        raise _EndedError

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, _END_SECONDS)
    try:
        with contextlib.suppress(_EndedError):
            yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
