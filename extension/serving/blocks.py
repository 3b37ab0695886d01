"""Which tables are not asked for a while, because their scans had to be ended again and again, or cannot even be ended."""

from __future__ import annotations

import threading
import time
from collections import deque

from extension.serving.worker_end import WorkerEnd
from tables.errors import TableError

# So many scans within the time cost a table its turn for the pause.
_STRIKES = 3
_WITHIN_SECONDS = 3600.0
_PAUSE_SECONDS = 900.0
_ENDING_SECONDS = 1.0


class Blocks:
    """Counts the scans of each table that had to be ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._strikes: dict[str, deque[float]] = {}
        self._ending: dict[str, WorkerEnd] = {}

    def strike(self, table: str, end: WorkerEnd) -> None:
        """Note that a scan of the table had to be ended, with its process."""
        with self._lock:
            self._strikes.setdefault(table, deque(maxlen=_STRIKES)).append(time.monotonic())
            self._ending[table] = end

    def check(self, table: str) -> None:
        """Raise TableError while the table is blocked; the message says why, and for how long."""
        end = self._ending.get(table)
        # Each further one would hold its memory for as long as the system call lasts.
        if end is not None and not end.reaped.wait(_ENDING_SECONDS):
            raise TableError(f"{table}: an earlier scan is in a system call that does not end, and keeps process {end.pid}")
        with self._lock:
            strikes = self._strikes.get(table)
            if strikes is None or len(strikes) < _STRIKES or strikes[-1] - strikes[0] > _WITHIN_SECONDS:
                return
            left = strikes[-1] + _PAUSE_SECONDS - time.monotonic()
        if left > 0:
            raise TableError(f"{table}: its last {_STRIKES} scans had to be ended; not asked again for {left:.0f} s")
