"""Starts extension processes at a stand-in core and queries them with the official osquery-python client."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import osquery

from tests.support.core import Core, answers

REPOSITORY = Path(__file__).resolve().parents[2]
EXTENSION = (sys.executable, "-m", "extension")
TEST_TABLES = (sys.executable, str(REPOSITORY / "tests" / "support" / "serve_tables.py"))
# How long anything may take before a test gives up; nothing here is expected to come near it.
PATIENCE_SECONDS = 30.0


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    """Return the first true value of `condition`, or fail."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"waited in vain: {what}")


def children(pid: int) -> list[int]:
    """The processes that a process has started and that have not ended."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        # A thread may end meanwhile.
        with suppress(OSError):
            found += map(int, (task / "children").read_text().split())
    return found


class Process:
    """One extension process; its output goes to files, so that it can be read while it runs."""

    def __init__(self, folder: Path, number: int, arguments: Sequence[str]) -> None:
        self._stdout = folder / f"stdout.{number}"
        self._stderr = folder / f"stderr.{number}"
        with self._stdout.open("wb") as out, self._stderr.open("wb") as err:
            self.popen = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=REPOSITORY)

    @property
    def stdout(self) -> str:
        return self._stdout.read_text()

    @property
    def stderr(self) -> str:
        return self._stderr.read_text()

    def wait(self) -> int:
        """The exit status, once the process has ended."""
        try:
            return self.popen.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the extension did not end; stderr: {self.stderr}") from None

    def end(self) -> None:
        """Kill the process, whatever it does."""
        self.popen.kill()
        self.popen.wait()


class Wire:
    """A folder with core's socket, the stand-in core, and the processes a test started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = str(folder / "osquery.em")
        self.core = Core(self.socket)
        self.processes: list[Process] = []

    def spawn(self, *arguments: str, program: Sequence[str] = EXTENSION, interval: float = 0.2) -> Process:
        """Start an extension as osquery does, without waiting for it."""
        command = [*program, "--socket", self.socket, "--timeout", "10", "--interval", str(interval), *arguments]
        process = Process(self.folder, len(self.processes), command)
        self.processes.append(process)
        return process

    def start(self, *arguments: str, program: Sequence[str] = EXTENSION, interval: float = 0.2) -> Process:
        """Start an extension and wait until it serves its tables."""
        process = self.spawn(*arguments, program=program, interval=interval)
        self.wait_served(process)
        return process

    def wait_served(self, process: Process) -> int:
        """Wait until the extension listens; its uuid."""

        def is_served() -> bool:
            if process.popen.poll() is not None:
                raise AssertionError(f"the extension ended with status {process.popen.returncode}: {process.stderr}")
            uuid = self.core.uuid_of("minehunt")
            return uuid is not None and answers(f"{self.socket}.{uuid}")

        wait_until(is_served, "the extension registers and listens")
        return self.uuid

    @property
    def uuid(self) -> int:
        """The uuid core gave to minehunt."""
        uuid = self.core.uuid_of("minehunt")
        assert uuid is not None, "not registered"
        return uuid

    @property
    def extension_socket(self) -> str:
        """Where the extension listens."""
        return f"{self.socket}.{self.uuid}"

    def ask(self, sql: str) -> Any:
        """The ExtensionResponse of core to an SQL query, by the official client."""
        with client(self.socket) as connection:
            return connection.query(sql)

    def query(self, sql: str) -> list[dict[str, str]]:
        """The rows of an SQL query."""
        answer = self.ask(sql)
        assert answer.status.code == 0, answer.status.message
        return list(answer.response)

    def error(self, sql: str) -> str:
        """The message with which an SQL query fails."""
        answer = self.ask(sql)
        assert answer.status.code != 0, answer.response
        assert answer.response == []
        return str(answer.status.message)

    def generate_requests(self, table: str) -> int:
        """How many generate requests core has made for a table."""
        return sum(name == table and request["action"] == "generate" for name, request in self.core.requests)


@contextmanager
def client(path: str) -> Iterator[Any]:
    """The official client, connected to core or, with its own socket, to an extension."""
    connection = osquery.ExtensionClient(path)
    assert connection.open(timeout=5), f"cannot connect to {path}"
    try:
        yield connection.extension_manager_client()
    finally:
        connection.close()


@contextmanager
def wire_in_folder() -> Iterator[Wire]:
    """A stand-in core, stopped at the end together with every process started for it; none may write to stdout."""
    # pytest's own folders can be too deep for a socket path.
    folder = Path(tempfile.mkdtemp(prefix="minehunt-wire-"))
    wire = Wire(folder)
    try:
        wire.core.start()
        yield wire
    finally:
        for process in wire.processes:
            process.end()
        wire.core.stop()
        written = [process.stdout for process in wire.processes]
        shutil.rmtree(folder)
    assert not any(written), "standard output must stay empty"
