"""The server's end of one process that scans: what it was asked, what it answered, and whether it still answers."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from pathlib import Path
from typing import Optional

from extension.serving.channel import Channel, Message, question
from extension.serving.scan import Scanned
from tables.schema import QueryContext, Table, WireRow

log = logging.getLogger("minehunt")


class Pending:
    """One scan that was asked for; `done` is set once there is an answer, or will never be one."""

    def __init__(self, table: str, query: QueryContext) -> None:
        self.table = table
        self.query = query
        self.done = threading.Event()
        self.rows: list[WireRow] = []
        self.answer: Optional[Scanned] = None
        # The thread that scans, once it has begun.
        self.thread: Optional[int] = None


class WorkerEnd:
    """Talks to one process, whose child-reaper it is; safe to call from many threads."""

    def __init__(self, pid: int, channel: Channel) -> None:
        self.pid = pid
        self.is_ended = False
        self.reaped = threading.Event()
        self.why_ended = "it ended by itself"
        self._channel = channel
        self._lock = threading.Lock()
        self._pending: dict[int, Pending] = {}
        self._count = 0
        self._pinged: Optional[float] = None
        self._ticks: dict[int, int] = {}
        self._answered = threading.Event()
        threading.Thread(target=self._listen, name=f"process {pid}", daemon=True).start()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is asked of it."""
        return not self._pending

    def ask(self, table: Table, query: QueryContext) -> Pending:
        """Ask for a scan."""
        pending = Pending(table.name, query)
        with self._lock:
            self._count += 1
            number = self._count
            self._pending[number] = pending
        if not self._send({"scan": number, "table": table.name, **question(query)}):
            pending.done.set()
        return pending

    def forget(self, pending: Pending) -> None:
        """Pass over the answer to a scan, which is asked for elsewhere."""
        with self._lock:
            self._pending = {number: other for number, other in self._pending.items() if other is not pending}

    def answers(self, seconds: float) -> bool:
        """Whether it answers a first ping in time."""
        self.silence()
        return self._answered.wait(seconds)

    def silence(self) -> float:
        """For how many seconds it has owed an answer to a ping; asks when it owes none."""
        with self._lock:
            if self._pinged is not None:
                return time.monotonic() - self._pinged
            self._pinged = time.monotonic()
            self._ticks = {id(pending): _ticks(self.pid, pending.thread) for pending in self._pending.values()}
        self._send({"ping": 1})
        return 0.0

    def busiest(self) -> Optional[Pending]:
        """Of the scans under way the one whose thread has used the CPU most since the ping; None where none has."""
        with self._lock:
            used = [
                (_ticks(self.pid, pending.thread) - self._ticks.get(id(pending), 0), number)
                for number, pending in self._pending.items()
                if pending.thread is not None
            ]
            most, number = max(used, default=(0, 0))
            return self._pending[number] if most > 0 else None

    def kill(self, why: str) -> None:
        """End the process; what is asked of it gets no answer."""
        with self._lock:
            if self.is_ended:
                return
            self.why_ended = why
            self.is_ended = True
            log.info("process %d: %s", self.pid, why)
            os.kill(self.pid, signal.SIGKILL)
        self._channel.close()

    def _send(self, message: Message) -> bool:
        try:
            self._channel.send(message)
        except OSError:
            return False
        return True

    def _listen(self) -> None:
        while (message := self._channel.receive()) is not None:
            if "pong" in message:
                self._pinged = None
                self._answered.set()
            elif (pending := self._pending.get(message["scan"])) is not None:
                self._take(message["scan"], pending, message)
        self._end()

    def _take(self, number: int, pending: Pending, message: Message) -> None:
        if "thread" in message:
            pending.thread = message["thread"]
        elif "rows" in message:
            pending.rows += message["rows"]
        else:
            end = message["end"]
            pending.query.could_not_see(*end["blind"])
            pending.query.cannot_tell(*end["untold"])
            pending.query.truncate(*end["cuts"])
            pending.answer = Scanned(pending.rows, end["error"], end["is_question_at_fault"])
            with self._lock:
                self._pending.pop(number, None)
            pending.done.set()

    def _end(self) -> None:
        """Let nobody wait for the process any longer, and reap it: one in a system call may take its time to end."""
        with self._lock:
            was_ended, self.is_ended = self.is_ended, True
            lost, self._pending = list(self._pending.values()), {}
        self._channel.close()
        for pending in lost:
            pending.done.set()
        _, status = os.waitpid(self.pid, 0)
        self.reaped.set()
        if not was_ended:
            self.why_ended = f"it ended by itself ({_ending(status)})"
            log.warning("process %d, which scans: %s", self.pid, self.why_ended)


def _ending(status: int) -> str:
    return f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"status {os.WEXITSTATUS(status)}"


def _ticks(pid: int, thread: Optional[int]) -> int:
    """The CPU time that a thread has used, in clock ticks (proc_pid_stat(5)); 0 when it cannot be told."""
    try:
        fields = Path(f"/proc/{pid}/task/{thread}/stat").read_bytes().rpartition(b")")[2].split()
        return int(fields[11]) + int(fields[12])
    except (OSError, IndexError, ValueError):
        return 0
