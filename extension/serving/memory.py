"""Gives memory back while nobody asks: answers too old to serve again, and what the C library keeps of freed blocks."""

from __future__ import annotations

import ctypes
import gc
import threading
import time
from collections.abc import Callable

# A collection and a trim take some ten milliseconds: seldom enough that nobody sees them in the CPU use.
_EVERY_SECONDS = 60.0
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
    """Once a minute calls `forget`, which says how much it let go of, and gives memory back when there is some."""

    def __init__(self, forget: Callable[[], int] = lambda: 0) -> None:
        super().__init__(name="memory", daemon=True)
        self._forget = forget
        self._has_worked = False

    def note_work(self) -> None:
        """Say that there may be something to give back."""
        self._has_worked = True

    def run(self) -> None:
        """Go on until the process ends."""
        while True:
            time.sleep(_EVERY_SECONDS)
            freed, has_worked, self._has_worked = self._forget(), self._has_worked, False
            if freed or has_worked:
                give_back()


def give_back() -> None:
    """Collect garbage, and return freed memory to the kernel where the C library can (malloc_trim(3), glibc)."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
