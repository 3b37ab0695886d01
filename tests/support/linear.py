"""Tells linear work from what grows faster, on slow machines as on fast ones."""

from __future__ import annotations

import contextlib
import gc
import signal
import time
from collections.abc import Callable, Iterator
from typing import Optional

# Three sizes, each four times the one before it.
SIZES = (4 << 10, 16 << 10, 64 << 10)
_MAX_SECONDS = 0.5
_MAX_GROWTH = 6
# Shorter times say nothing on a machine that others use too; work that grows by the square is far above at 64 K.
_FLOOR_SECONDS = 0.05
# Work that grows by the cube would otherwise never end.
_END_SECONDS = 4


def assert_linear(work: Callable[[int], object], size: int) -> None:
    """`work` on four times `size` takes less than ten times as long as on `size`: the square would take sixteen times."""
    work(size)
    once, four_times = (min(seconds(work, amount) for _ in range(2)) for amount in (size, 4 * size))
    assert four_times < 10 * once + 0.05, f"{size}: {once:.3f} s, {4 * size}: {four_times:.3f} s"


def growth_problem(work: Callable[[int], object]) -> Optional[str]:
    """How `work` grows too fast from 4 K over 16 K to 64 K, or takes too long for 64 K; None when it is quick and linear.

    Must be called in the main thread; work that takes far too long is broken off.
    """
    before = None
    for size in SIZES:
        took = seconds(work, size)
        limit = _MAX_SECONDS if before is None else min(_MAX_SECONDS, max(_MAX_GROWTH * before, _FLOOR_SECONDS))
        if limit < took < _END_SECONDS:
            # Whatever else the machine did made it slower, never faster.
            took = min(took, seconds(work, size), seconds(work, size))
        if took > limit:
            return f"{size} characters: {took:.2f} s" + (f", {size // 4}: {before:.3f} s" if before is not None else "")
        before = took
    return None


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
