"""The osquery engine: a private osquery with the extension loaded, or the one behind a given socket."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Optional

from extension.engines import EngineError, ResultRow
from extension.engines.facts import host_facts
from extension.serving.registration import Core, CoreError
from tables.host import Host
from tables.host.settings import Settings

_START_SECONDS = 20.0
_STOP_SECONDS = 5.0
_RETRY_SECONDS = 0.05
# osqueryi is the same program; a packaged osqueryd is preferred because it needs no terminal.
_PROGRAMS = ("osqueryd", "osqueryi")
# Where osquery's packages and Fleet's orbit put it when it is not on PATH.
_PLACES = ("/opt/osquery/bin", "/opt/orbit/bin/osqueryd/linux/stable", "/opt/orbit/bin/osqueryd/linux-arm64/stable")


def find_osquery() -> Optional[str]:
    """Path of the osquery program on this machine, or None."""
    search = os.pathsep.join([os.environ.get("PATH", os.defpath), *_PLACES])
    return next((found for name in _PROGRAMS if (found := shutil.which(name, path=search))), None)


class OsqueryEngine:
    """Runs pack SQL in osquery. Start it with `attach` (a running osqueryd) or `start` (a private one); close it after."""

    name = "osquery"

    def __init__(self, core: Core, settings: Settings) -> None:
        self._core = core
        self._settings = settings
        self._processes: list[subprocess.Popen[bytes]] = []
        self._folder: Optional[str] = None
        self.version = "unknown"

    @classmethod
    def attach(cls, socket: str, settings: Settings) -> OsqueryEngine:
        """Use the osquery that listens at `socket`, with minehunt's extension added to it where it is not loaded yet."""
        try:
            engine = cls(Core(socket), settings)
        except CoreError as error:
            raise EngineError(str(error)) from None
        with ExitStack() as undo:
            undo.callback(engine.close)
            try:
                engine._connect(1.0)
            except (CoreError, OSError) as error:
                raise EngineError(str(error)) from None
            undo.pop_all()
        return engine

    @classmethod
    def start(cls, program: str, settings: Settings) -> OsqueryEngine:
        """Start `program` (osqueryd or osqueryi) for ourselves, with no configuration, schedule, logs or database."""
        folder = tempfile.mkdtemp(prefix="minehunt-")
        socket = os.path.join(folder, "osquery.em")
        engine = cls(Core(socket), settings)
        engine._folder = folder
        Path(folder, "osquery.conf").write_text("{}")
        Path(folder, "osquery.flags").touch()
        Path(folder, "none.load").touch()
        flags = [
            "--ephemeral", "--disable_database", "--disable_logging", "--disable_events", "--disable_watchdog",
            "--disable_extensions=false", f"--extensions_socket={socket}", f"--extensions_autoload={folder}/none.load",
            f"--config_path={folder}/osquery.conf", f"--pidfile={folder}/osquery.pid", f"--flagfile={folder}/osquery.flags",
        ]  # fmt: skip
        with ExitStack() as undo:
            undo.callback(engine.close)
            try:
                # A shell reads statements from its input until that is closed, and serves the socket meanwhile.
                engine._spawn([program, *flags], stdin=subprocess.PIPE)
                engine._connect(_START_SECONDS)
            except (CoreError, EngineError, OSError) as error:
                raise EngineError(f"{program} could not be started: {error}") from None
            undo.pop_all()
        return engine

    def expect(self, _tables: Collection[str]) -> None:
        """Nothing: osquery scans when it is asked."""

    def query(self, sql: str) -> list[ResultRow]:
        """The rows of `sql`; EngineError with osquery's message when it fails."""
        try:
            return self._core.query(sql)
        except CoreError as error:
            raise EngineError(str(error)) from None

    def inapplicable(self, _sql: str) -> Optional[str]:
        """None: osquery examines the running system, to which every query applies."""
        return None

    def host_facts(self) -> dict[str, str]:
        """What identifies this host."""
        return host_facts(Host(settings=self._settings))

    def close(self) -> None:
        """End what was started here, the extension first."""
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdin:
                process.stdin.close()
        self._processes = []
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _connect(self, seconds: float) -> None:
        self._retry(lambda: self._core.wait(0), seconds)
        if not self._core.is_registered():
            self._spawn([*_extension_command(), "--socket", self._core.path, "--timeout", "10", "--interval", "3"])
        # Core lists an extension shortly before that listens, so only an answer shows that it is ready.
        self._retry(lambda: self._core.query("SELECT 1 FROM minehunt_status LIMIT 1"), _START_SECONDS)
        version = self.query("SELECT version FROM osquery_info")
        self.version = (version[0]["version"] if version else "") or self.version

    def _retry(self, attempt: Callable[[], object], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                attempt()
                return
            except CoreError:
                self._check_alive()
                if time.monotonic() > deadline:
                    raise
            time.sleep(_RETRY_SECONDS)

    def _check_alive(self) -> None:
        for process in self._processes:
            if process.poll() is not None:
                raise EngineError(f"it ended with status {process.returncode}")

    def _spawn(self, command: Sequence[str], stdin: int = subprocess.DEVNULL) -> None:
        environment = {**os.environ, **self._settings.to_environment()}
        # In a session of their own: Ctrl-C ends the triage, which then ends them.
        none = subprocess.DEVNULL
        process = subprocess.Popen(command, stdin=stdin, stdout=none, stderr=none, env=environment, start_new_session=True)
        self._processes.append(process)


def _extension_command() -> list[str]:
    """What starts the extension that this program is part of: the one file, or the package."""
    home = Path(__file__).resolve().parents[2]
    if home.is_file():
        return [sys.executable, "-IS", str(home)]
    # Not by -m: that would import from whatever folder the caller stands in.
    isolated = ["-IS"] if sys.flags.no_site else []
    start = "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); runpy.run_module('extension', run_name='__main__')"
    return [sys.executable, *isolated, "-c", start, str(home)]
