"""Tells linear work from what grows faster, on slow machines as on fast ones."""

from __future__ import annotations

import time
from collections.abc import Callable


def assert_linear(work: Callable[[int], object], size: int) -> None:
    """`work` on four times `size` takes less than ten times as long as on `size`: the square would take sixteen times."""
    work(size)
    once, four_times = (min(_seconds(work, amount) for _ in range(2)) for amount in (size, 4 * size))
    assert four_times < 10 * once + 0.05, f"{size}: {once:.3f} s, {4 * size}: {four_times:.3f} s"


def _seconds(work: Callable[[int], object], size: int) -> float:
    start = time.process_time()
    work(size)
    return time.process_time() - start
