"""Whether a process is shown to everybody: by the listing of /proc, and by the folder that stands there under its number."""

from __future__ import annotations

import weakref
from typing import Optional

from tables.host import Host
from tables.host.processes.procfs import Process, Procfs


class Visibility:
    """Compares processes, read where nothing can cover them, with /proc as every other program sees it.

    Made after the processes were listed, so that what has started since is not missing here.
    """

    def __init__(self, host: Host) -> None:
        # Opened anew each time: a folder opened earlier would not show what has been mounted over /proc since.
        self._public = Procfs.open(host.proc_path)
        weakref.finalize(self, self._public.close)
        self._listed = frozenset(self._public.listed())

    def shows(self, pid: int, start_ticks: Optional[int] = None) -> bool:
        """Whether /proc lists `pid` and shows a process of that number there, started then if that is given; in two looks."""
        return self._shows(pid, start_ticks, self._listed) or self._shows(pid, start_ticks, frozenset(self._public.listed()))

    def is_hidden(self, process: Process) -> bool:
        """Whether `process` lives, and /proc does not show it."""
        return not self.shows(*process.identity) and process.is_same_process()

    def _shows(self, pid: int, start_ticks: Optional[int], listed: frozenset[int]) -> bool:
        found = self._public.process(pid) if pid in listed else None
        return found is not None and found.stat.pid == pid and start_ticks in (None, found.stat.start_ticks)
