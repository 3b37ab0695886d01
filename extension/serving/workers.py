"""Has tables scanned by a process of their own, which can be killed: no scan delays what osquery asks of this one.

All tables share one process, for what they remember is in it. While one table's scan keeps that process from answering, the
others' scans begin anew in a second one; a scan over its time ends with its process.
"""

from __future__ import annotations

import logging
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Optional, Union

from extension.serving import worker as process
from extension.serving.blocks import Blocks
from extension.serving.channel import Channel
from extension.serving.scan import GRACE_SECONDS, Scanned, scan
from extension.serving.worker_end import Pending, WorkerEnd
from tables.errors import TableError
from tables.host import Host
from tables.schema import QueryContext, Table

log = logging.getLogger("minehunt")

# How often a waiting query looks after the process that scans for it, and after what silence others pass that process over.
_LOOK_SECONDS = 0.25
_SILENCE_SECONDS = 1.5
# A new process answers within milliseconds, unless it inherited a lock that nobody is left to open.
_START_SECONDS = 5.0
_TRIES = 3
_END_SECONDS = 1.0


class Workers:
    """Scans for all tables; safe to call from many threads."""

    def __init__(self, tables: Mapping[str, Table], host: Host) -> None:
        self.tables = tables
        self.host = host
        self.blocks = Blocks()
        self._osqueryd = os.getppid() if "OSQUERY_EXTENSION" in os.environ else 0
        self._lock = threading.Lock()
        self._current: Optional[WorkerEnd] = None
        self._passed_over: list[WorkerEnd] = []
        # Which process scanned a table last, and why that process ended.
        self._scanned_by: dict[str, WorkerEnd] = {}
        self._keeper: Optional[_Keeper] = None
        self._is_over = False

    def start(self) -> int:
        """Fork the first process; called before there are threads, it shares most of this one's memory. Returns its pid."""
        self._current = self._fork()
        return self._current.pid

    def end(self) -> None:
        """End all processes, and wait until they are gone, but for ones that a system call keeps; no scan begins any more."""
        with self._lock:
            self._is_over = True
            ends = [end for end in (self._current, *self._passed_over) if end is not None]
        for end in ends:
            end.kill("the extension ends")
        for end in ends:
            end.reaped.wait(_END_SECONDS)

    def scan(self, table: Table, query: QueryContext) -> Scanned:
        """Scan `table` in a process of its own; raises TableError while the table is blocked."""
        if table.of_extension:
            return scan(table, self.host, query)
        self.blocks.check(table.name)
        grace = GRACE_SECONDS * self.host.settings.budget_factor
        for _ in range(_TRIES):
            end = self._ready(table)
            pending = end.ask(table, query)
            answer = self._wait(end, pending, query.deadline + grace)
            if answer is not None:
                if table.remembers:
                    self._say_loss(table, query, end)
                return answer
            if time.monotonic() > query.deadline:
                break
        self.blocks.strike(table.name, end)
        return Scanned([], "the process that scans for it ended again and again")

    def _wait(self, end: WorkerEnd, pending: Pending, deadline: float) -> Optional[Scanned]:
        """The answer; None when it will not come from there, and the scan must begin anew elsewhere."""
        while not pending.done.wait(_LOOK_SECONDS):
            if time.monotonic() > deadline:
                self.blocks.strike(pending.table, end)
                end.kill(f"the scan of {pending.table} was over its time")
                return Scanned([], f"no answer within {pending.query.budget_seconds:g} s; the process that scanned was ended")
            if end.silence() > _SILENCE_SECONDS and end.busiest() is not pending:
                self._pass_over(end)
                end.forget(pending)
                return None
        self._settle(end)
        return pending.answer

    def _ready(self, table: Table) -> WorkerEnd:
        """A process that takes scans."""
        with self._lock:
            for _ in range(_TRIES):
                if self._current is not None and not self._current.is_ended:
                    return self._current
                self._current = None
                if self._is_over:
                    raise TableError(f"{table.name}: the extension ends")
                if self._keeper is None:
                    self._keeper = _Keeper(self._fork)
                    self._keeper.start()
                try:
                    found = self._keeper.new()
                except OSError as error:
                    raise TableError(f"{table.name}: no process can be started that scans: {error.strerror}") from None
                if found.answers(_START_SECONDS):
                    self._current = found
                else:
                    found.kill("it did not start")
        raise TableError(f"{table.name}: no process can be started that scans")

    def _pass_over(self, end: WorkerEnd) -> None:
        with self._lock:
            if end is self._current:
                log.info("process %d does not answer: new scans begin in another", end.pid)
                self._passed_over.append(end)
                self._current = None
        self._retire()

    def _settle(self, end: WorkerEnd) -> None:
        """A process that was passed over and answers again is the one that remembers: it goes on."""
        if end.is_ended or not self._passed_over:
            return
        with self._lock:
            if end in self._passed_over:
                self._passed_over.remove(end)
                if self._current is not None:
                    self._passed_over.append(self._current)
                self._current = end
        self._retire()

    def _retire(self) -> None:
        """End the processes that were passed over and have nothing left to do."""
        with self._lock:
            idle = [end for end in self._passed_over if end.is_ended or end.is_idle]
            self._passed_over = [end for end in self._passed_over if end not in idle]
        for end in idle:
            end.kill("another took over")

    def _say_loss(self, table: Table, query: QueryContext, end: WorkerEnd) -> None:
        earlier = self._scanned_by.get(table.name)
        self._scanned_by[table.name] = end
        if earlier is not None and earlier is not end:
            query.could_not_see(f"what earlier scans remembered was lost with their process: {earlier.why_ended}")

    def _fork(self) -> WorkerEnd:
        """Fork; in the thread that keeps the process alive, for it is killed when that thread ends (PR_SET_PDEATHSIG)."""
        ours, theirs = socket.socketpair()
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            theirs.close()
            raise
        if pid == 0:
            ours.close()
            process.run(theirs, self.tables, self.host.settings, parent, self._osqueryd)
        theirs.close()
        return WorkerEnd(pid, Channel(ours))


class _Keeper(threading.Thread):
    """Forks on behalf of threads that end before the process does."""

    def __init__(self, fork: Callable[[], WorkerEnd]) -> None:
        super().__init__(name="keeper", daemon=True)
        self._fork = fork
        self._wanted: queue.SimpleQueue[queue.SimpleQueue[Union[WorkerEnd, OSError]]] = queue.SimpleQueue()

    def new(self) -> WorkerEnd:
        """A new process; OSError where there can be none."""
        reply: queue.SimpleQueue[Union[WorkerEnd, OSError]] = queue.SimpleQueue()
        self._wanted.put(reply)
        found = reply.get()
        if isinstance(found, OSError):
            raise found
        return found

    def run(self) -> None:
        while True:
            reply = self._wanted.get()
            try:
                reply.put(self._fork())
            except OSError as error:
                reply.put(error)
