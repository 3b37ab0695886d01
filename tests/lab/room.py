"""A room of the lab: a throwaway root folder, process list and network in which to plant things and ask the pack."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional, Union

from extension.engines.embedded import EmbeddedEngine
from extension.engines.osquery import OsqueryEngine, find_osquery
from extension.serving.registration import EXTENSION_NAME
from tables.host import Host
from tables.host.processes.pidspace import SweepProgress
from tables.host.settings import Settings
from tests.lab.extension_starter import ExtensionStarter
from tests.lab.namespaces import MS_BIND, end_with_parent, mount, unmount
from tests.lab.programs import elf
from tests.support.core import Core
from tests.support.osquery_wire import wait_until
from tests.support.stand_in_osqueryd import write_program

# Values that identify what was planted, by column: each of them must be reported; () where a row has nothing that names it.
Planted = Mapping[str, Union[str, int, tuple[Union[str, int], ...]]]
ANY: tuple[int, ...] = ()

POOLS = "/etc/lab-pools.txt"
_SETTINGS = Settings(indicators=(POOLS,))
_STAND_IN = "/usr/lib/lab/osqueryd"
_SYSTEM_FOLDERS = ("/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/usr/lib/", "/usr/libexec/")
# Addresses for documentation (RFC 5737) stand for the world outside; they lead to this room's own loopback device.
POOL = ("198.51.100.7", 3333)
# An address of Cloudflare's, and a Monero endpoint of Nanopool's in pools.yaml; in here both are lo's as well.
CDN_POOL = ("104.16.1.1", 9001)
LISTED_POOL = ("51.15.65.182", 10300)
CONTROL_SERVER = ("203.0.113.9", 443)


def osquery_program() -> str:
    """The osquery of this machine, else the stand-in core."""
    return find_osquery() or (_STAND_IN if os.path.exists(_STAND_IN) else write_program(_STAND_IN))


class Room:
    """What the plants work with; all that they do through it is undone by `clear`."""

    def __init__(self) -> None:
        self._undo = contextlib.ExitStack()
        self._started: list[subprocess.Popen[bytes]] = []
        self._programs: list[str] = []
        self.environment: dict[str, str] = {}
        self._engines = contextlib.ExitStack()
        self._starter = ExtensionStarter()
        self.renew()

    def renew(self, is_triage: bool = False) -> None:
        """Take new engines, which remember nothing of earlier calls; in a triage all is planted before the first question."""
        self._engines.close()
        settings = replace(_SETTINGS, is_triage=is_triage)
        self.osquery = self._engines.enter_context(contextlib.closing(self._osquery(settings)))
        self.host = Host(settings=settings)
        # The sweep over all pids is another test's business, and takes more than a second.
        self.host.state("pid_sweep", SweepProgress).finished = time.time()
        self.engine = EmbeddedEngine(self.host)

    def _osquery(self, settings: Settings) -> OsqueryEngine:
        """A new osquery; where this machine has none, the stand-in core in this process, which has already imported it."""
        program = find_osquery()
        if program is not None:
            return OsqueryEngine.start(program, settings)
        folder = self._engines.enter_context(tempfile.TemporaryDirectory(prefix="minehunt-lab-core-"))
        core = Core(os.path.join(folder, "osquery.em"))
        core.start()
        self._engines.callback(core.stop)
        pid = self._starter.start(core.path, settings.to_environment())
        self._engines.callback(self._starter.end, pid)
        wait_until(lambda: core.uuid_of(EXTENSION_NAME) is not None, "the extension registers")
        return OsqueryEngine.attach(core.path, settings)

    def look_again(self) -> None:
        """Drop what the engine has cached; what tables remember between calls stays."""
        self.engine = EmbeddedEngine(self.host)

    def ask(self, sql: str) -> list[dict[str, str]]:
        """The rows of a query, asked under the environment that a plant has set, if any."""
        if not self.environment:
            return self.engine.query(sql)
        command = [sys.executable, "-m", "extension", "query", "--engine", "embedded", "--format", "json", sql]
        done = subprocess.run(command, env={**os.environ, **self.environment}, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr)
        rows: list[dict[str, str]] = json.loads(done.stdout)
        return rows

    def ask_osquery(self, sql: str) -> list[dict[str, str]]:
        """The rows that osquery, or where there is none the stand-in core, gives for the same query."""
        if not self.environment:
            return self.osquery.query(sql)
        before = dict(os.environ)
        os.environ.update(self.environment)
        try:
            with contextlib.closing(OsqueryEngine.start(osquery_program(), _SETTINGS)) as engine:
                return engine.query(sql)
        finally:
            os.environ.clear()
            os.environ.update(before)

    def write(self, path: str, content: Union[str, bytes] = b"", mode: int = 0o644, owner: int = 0) -> str:
        """Write a file, its folders made."""
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        os.chown(path, owner, owner)
        os.chmod(path, mode)
        self._undo.callback(_remove, path)
        return path

    def append(self, path: str, line: str) -> None:
        """Add a line to a file that exists."""
        with open(path, "rb+") as file:
            before = file.read()
            file.write(line.encode() + b"\n")
        self._undo.callback(self._restore, path, before)

    def afterwards(self, action: Callable[..., object], *arguments: object) -> None:
        """Undo something by calling `action` at the end, before what was planted earlier is undone."""
        self._undo.callback(action, *arguments)

    @staticmethod
    def _restore(path: str, content: bytes) -> None:
        with open(path, "wb") as file:
            file.write(content)

    def copy(self, program: str, path: str) -> str:
        """A copy of one of the host's programs, by its name."""
        found = shutil.which(program)
        if found is None:
            raise FileNotFoundError(program)
        with open(found, "rb") as file:
            return self.write(path, file.read(), 0o755)

    def program(self, path: str, text: bytes = b"", is_busy: bool = False, memory: int = 0, mode: int = 0o755) -> str:
        """Write a program that waits (or computes) for ever."""
        self._programs.append(path)
        return self.write(path, elf(text, is_busy, memory), mode)

    def package(self, name: str, *paths: str) -> None:
        """Tell dpkg's database that these files are a package's, as they are now where they exist."""
        for path, text in package_texts(name, *paths):
            self.write(path, text)

    def package_programs(self) -> None:
        """Make every program planted in a system folder a package's, as honest ones there are."""
        self.package("lab-programs", *(path for path in self._programs if path.startswith(_SYSTEM_FOLDERS)))

    def link(self, target: str, path: str) -> str:
        """Make a symbolic link at `path`, its folders made."""
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink(target, path)
        self._undo.callback(_remove, path)
        return path

    def mount(self, source: str, target: str, kind: Optional[str] = None, flags: int = MS_BIND) -> None:
        """Mount something, and take it off again at the end."""
        mount(source, target, kind, flags)
        self._undo.callback(unmount, target)

    def start(self, *argv: str, before: Optional[Callable[[], Any]] = None, script: str = "", **options: Any) -> int:
        """Start a program and return its pid, once it is that program; `before` runs in the child, `script` is its input."""

        def prepare() -> None:
            end_with_parent()
            if before is not None:
                before()

        options.setdefault("stdout", subprocess.DEVNULL)
        options.setdefault("stderr", subprocess.DEVNULL)
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, start_new_session=True, preexec_fn=prepare, **options)
        if script:
            assert process.stdin is not None
            process.stdin.write(script.encode())
            process.stdin.flush()
        self._started.append(process)
        self._undo.callback(_end, process)
        return process.pid

    def run(self, path: str, *arguments: str, **options: Any) -> int:
        """Plant a program at `path` and start it with these arguments."""
        return self.start(self.program(path), *arguments, **options)

    def orphan(self, *argv: str) -> int:
        """Start a program whose starter is gone, so that init is its parent; its pid."""
        reader, writer = os.pipe()
        keep_input, _ = pipe = os.pipe()
        starter = os.fork()
        if starter == 0:
            try:
                orphan = os.fork()
                if orphan:
                    os.write(writer, b"%d" % orphan)
                else:
                    os.setsid()
                    os.dup2(keep_input, 0)
                    os.execvp(argv[0], argv)
            finally:
                os._exit(0)
        os.waitpid(starter, 0)
        pid = int(os.read(reader, 16))
        self._undo.callback(_end_session, pid)
        for fd in (reader, writer):
            os.close(fd)
        for fd in pipe:
            self._undo.callback(os.close, fd)
        while _comm(pid) == _comm(os.getpid()):
            time.sleep(0.01)
        return pid

    def connect(self, remote: tuple[str, int], *argv: str, **options: Any) -> int:
        """Start a program that holds a connection to a listener in this room; its pid."""
        with socket.create_server(remote) as server:
            client = socket.create_connection(remote)
            accepted, _ = server.accept()
        self._undo.callback(accepted.close)
        # The program alone may hold it, or it would not be the owner.
        with client:
            return self.start(*argv, pass_fds=[client.fileno()], **options)

    def listen(self, address: str, port: int, *argv: str, **options: Any) -> int:
        """Start a program that listens there; its pid."""
        with socket.create_server((address, port)) as server:
            return self.start(*argv, pass_fds=[server.fileno()], **options)

    @staticmethod
    def wait_for(path: str) -> None:
        """Wait until a process runs the program at `path`; RuntimeError when none does within seconds."""
        for _ in range(200):
            for name in os.listdir("/proc"):
                with contextlib.suppress(OSError):
                    if name.isdigit() and os.readlink(f"/proc/{name}/exe") == path:
                        return
            time.sleep(0.02)
        raise RuntimeError(f"{path} was not started")

    @staticmethod
    def child_of(pid: int, *argv: str) -> int:
        """The child of a process that runs this command line by now; until then all its children look like itself."""
        wanted = b"".join(word.encode() + b"\0" for word in argv)
        for _ in range(500):
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split():
                with contextlib.suppress(OSError):
                    if Path(f"/proc/{child}/cmdline").read_bytes() == wanted:
                        return int(child)
            time.sleep(0.02)
        raise RuntimeError(f"{pid} has started no {argv}")

    def check_alive(self) -> None:
        """Raise when a planted process has ended: it would then be silent for no merit of the pack."""
        ended = [process.args for process in self._started if process.poll() is not None]
        if ended:
            raise RuntimeError(f"planted, but ended before it was looked at: {ended}")

    def clear(self) -> None:
        """Undo all that was planted, last things first."""
        self._undo.close()
        self._undo = contextlib.ExitStack()
        self._started.clear()
        self._programs.clear()
        self.environment = {}


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    # What it started may outlive it, and start more meanwhile.
    while _end_session(process.pid):
        time.sleep(0.01)
    process.communicate()


def _end_session(leader: int) -> int:
    """Kill what is left of a session that a planted process began; how many there were that had not ended yet."""
    count = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.getsid(int(name)) == leader and not _is_zombie(int(name)):
                os.kill(int(name), signal.SIGKILL)
                count += 1
    return count


def _is_zombie(pid: int) -> bool:
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()[0] in (b"Z", b"X")


def _comm(pid: int) -> str:
    with open(f"/proc/{pid}/comm") as file:
        return file.read()


def compile_library(source: str, target: str) -> str:
    """A shared library from C source, by the host's C compiler."""
    return _compile(source, target, "-shared", "-fPIC")


def package_texts(name: str, *paths: str) -> Iterator[tuple[str, str]]:
    """Yield (path, text) of what dpkg's database has of a package with these files, as they are now where they exist."""
    yield f"/var/lib/dpkg/info/{name}.list", "\n".join([*paths, ""])
    sums = [f"{hashlib.md5(Path(path).read_bytes()).hexdigest()}  {path[1:]}\n" for path in paths if os.path.exists(path)]
    yield f"/var/lib/dpkg/info/{name}.md5sums", "".join(sums)


def compile_program(source: str, target: str) -> str:
    """A program from C source, by the host's C compiler."""
    return _compile(source, target)


def _compile(source: str, target: str, *flags: str) -> str:
    os.makedirs(os.path.dirname(target), exist_ok=True)
    command = [shutil.which("cc") or "gcc", *flags, "-x", "c", "-o", target, "-", "-ldl"]
    subprocess.run(command, input=source, text=True, check=True, capture_output=True)
    return target
