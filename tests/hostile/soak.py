"""Kills, stops and restarts either side of the wire while queries run: they are answered rightly or fail; nothing is left."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from thrift.Thrift import TException

from tests.support.core import Core
from tests.support.osquery_wire import EXTENSION, PATIENCE_SECONDS, Process, Wire, children, wire_in_folder

# Tables that answer the same as long as nobody changes the host's files.
QUERIES = (
    "SELECT * FROM account_findings",
    "SELECT * FROM boot_modules",
    "SELECT path, kind, mode, flags FROM file_attributes",
    "SELECT path, flags FROM file_attributes WHERE path IN ('/etc/passwd', '/etc/hosts')",
    "SELECT check_id, passed FROM hardening_checks WHERE category = 'files'",
    "SELECT * FROM known_good",
    "SELECT * FROM miner_feeds",
    "SELECT count(*) AS pools FROM miner_pools",
    "SELECT * FROM rc_local_commands",
    "SELECT path, line, command, reasons FROM scheduled_jobs",
    "SELECT scheduler, count(*) AS jobs FROM scheduled_jobs GROUP BY scheduler",
    "SELECT path, line, reasons FROM shell_history_findings",
    "SELECT * FROM ssh_key_findings",
    "SELECT mechanism, path, line, command FROM startup_commands",
    "SELECT mechanism, count(*) AS commands FROM startup_commands GROUP BY mechanism",
    "SELECT unit, path, line, directive, command FROM systemd_unit_commands",
    "SELECT unit, is_enabled FROM systemd_unit_commands WHERE directive LIKE 'Exec%'",
    "SELECT path, kind, mode FROM recent_files WHERE root = '/etc' AND since = '2001-01-01'",
    "SELECT path FROM recent_files WHERE root = '/etc' AND since = '2001-01-01' AND kind = 'directory'",
    "SELECT j.path, f.flags FROM scheduled_jobs j JOIN file_attributes f ON f.path = j.path",
)
_PAUSE_SECONDS = 0.5
_STOPPED_SECONDS = 1.0


class Soak:
    """One soak; `faults` says what went wrong, `outcomes` counts answers, refusals and disturbances."""

    def __init__(self, wire: Wire, queries: Sequence[str], seed: int) -> None:
        self.wire = wire
        self.queries = queries
        self.random = random.Random(seed)
        self.faults: list[str] = []
        self.outcomes: Counter[str] = Counter()
        self.is_over = threading.Event()
        self.process: Process = wire.start(program=EXTENSION)
        self.ended: list[int] = []
        self.expected = {sql: _sorted(wire.query(sql)) for sql in queries}

    def run(self, disturbances: int) -> None:
        """Disturb so many times while every query is asked again and again, and compare the answers once more at the end."""
        askers = [threading.Thread(target=self._ask_on, args=(sql,)) for sql in self.queries]
        for asker in askers:
            asker.start()
        actions: list[Callable[[], None]] = [
            self._kill_scanner,
            self._stop_scanner,
            self._stop_server,
            self._kill_server,
            self._restart_core,
        ]
        for _ in range(disturbances):
            time.sleep(self.random.random() * _PAUSE_SECONDS)
            action = self.random.choice(actions)
            self.outcomes[action.__name__] += 1
            action()
        self.is_over.set()
        for asker in askers:
            asker.join(4 * PATIENCE_SECONDS)
            if asker.is_alive():
                self.faults.append("a query never came to an end")
        for sql, rows in self.expected.items():
            if _sorted(self.wire.query(sql)) != rows:
                self.faults.append(f"another answer at the end: {sql}")
        self.process.popen.terminate()
        self.process.wait()
        left = [pid for pid in self.ended if Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes()]
        if left:
            self.faults.append(f"processes left behind: {left}")

    def _ask_on(self, sql: str) -> None:
        while not self.is_over.is_set():
            try:
                answer = self.wire.ask(sql)
            except (OSError, EOFError, TException, AssertionError):
                self.outcomes["no core"] += 1
                time.sleep(0.05)
                continue
            if answer.status.code:
                self.outcomes["refused"] += 1
            elif _sorted(answer.response) == self.expected[sql]:
                self.outcomes["answered"] += 1
            else:
                self.faults.append(f"another answer: {sql}")

    def _scanners(self) -> list[int]:
        with contextlib.suppress(OSError):
            return children(self.process.popen.pid)
        return []

    def _kill_scanner(self) -> None:
        for pid in self._scanners():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _stop_scanner(self) -> None:
        self._stop_for_a_while(self._scanners())

    def _stop_server(self) -> None:
        self._stop_for_a_while([self.process.popen.pid])

    def _stop_for_a_while(self, pids: list[int]) -> None:
        for number, pause in ((signal.SIGSTOP, self.random.random() * _STOPPED_SECONDS), (signal.SIGCONT, 0.0)):
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            time.sleep(pause)

    def _kill_server(self) -> None:
        self.ended += [self.process.popen.pid, *self._scanners()]
        self.process.end()
        self.wire.core.ping_extensions()
        self.process = self.wire.start(program=EXTENSION)

    def _restart_core(self) -> None:
        self.ended += [self.process.popen.pid, *self._scanners()]
        self.wire.core.stop()
        self.wire.core = Core(self.wire.socket)
        self.wire.core.start()
        # An extension whose core went away ends; osqueryd starts it again.
        self.process.wait()
        self.process = self.wire.start(program=EXTENSION)


def _sorted(rows: list[dict[str, str]]) -> list[list[tuple[str, str]]]:
    return sorted(sorted(row.items()) for row in rows)


def soak(disturbances: int, queries: Sequence[str] = QUERIES, seed: int = 0) -> Soak:
    """A soak of so many disturbances, after its end."""
    with wire_in_folder() as wire:
        found = Soak(wire, queries, seed)
        found.run(disturbances)
        return found
