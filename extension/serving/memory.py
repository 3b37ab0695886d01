"""Gives memory back while nobody asks: answers too old to serve again, and what the C library keeps of freed blocks."""

from __future__ import annotations

import ctypes
import gc
import threading
import time
from collections.abc import Callable

# A collection and a trim take some ten milliseconds: seldom enough that nobody sees them in the CPU use.
_EVERY_SECONDS = 60.0
_LARGE_ROWS = 500
# Until the answer has gone to whoever asked.
_SOON_SECONDS = 1.0
# <malloc.h> of glibc.
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8


def tune() -> None:
    """Have the C library keep little: one heap for all threads, and large reads in mappings of their own leave few holes."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_THRESHOLD, 128 * 1024)


class Cleaner(threading.Thread):
    """Once a minute, and soon after a large answer, calls `forget` (which says how much it let go of) and gives memory back."""

    def __init__(self, forget: Callable[[], int] = lambda: 0) -> None:
        super().__init__(name="memory", daemon=True)
        self._forget = forget
        self._answers = 0
        self._large = threading.Event()

    def note(self, rows: int) -> None:
        """Say that an answer of so many rows was made."""
        self._answers += 1
        if rows > _LARGE_ROWS:
            self._large.set()

    def run(self) -> None:
        """Go on until the process ends."""
        while True:
            if self._large.wait(_EVERY_SECONDS):
                time.sleep(_SOON_SECONDS)
            self._large.clear()
            answers, self._answers = self._answers, 0
            if self._forget() or answers:
                give_back()


def give_back() -> None:
    """Collect garbage, and return freed memory to the kernel where the C library can (malloc_trim(3), glibc)."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
