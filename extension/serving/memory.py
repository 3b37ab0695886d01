"""Gives memory back while nobody asks: answers too old to serve again, and what the C library keeps of freed blocks."""

from __future__ import annotations

import ctypes
import gc
import threading
import time
from collections.abc import Iterable

from extension.serving.runner import TableRunner

# A collection and a trim take some ten milliseconds: seldom enough that nobody sees them in the CPU use.
_EVERY_SECONDS = 60.0
# <malloc.h> of glibc.
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8


def start(runners: Iterable[TableRunner]) -> None:
    """Give back, once a minute, what `runners` no longer need; in a thread that ends with the process."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        # One heap for all scan threads, and large reads in mappings of their own: both leave fewer holes behind.
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_THRESHOLD, 128 * 1024)
    threading.Thread(target=_work, args=(tuple(runners),), name="memory", daemon=True).start()


def _work(runners: tuple[TableRunner, ...]) -> None:
    while True:
        time.sleep(_EVERY_SECONDS)
        if sum(runner.forget_expired() for runner in runners):
            give_back()


def give_back() -> None:
    """Collect garbage, and return freed memory to the kernel where the C library can (malloc_trim(3), glibc)."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
