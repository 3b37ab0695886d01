"""Real connections to match on: in this process, or in a child with a command line of the test's choosing."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

from tables.host import Host
from tables.host.settings import Settings

# Connects to argv[1]:argv[2] (tcp, or udp when argv[3] says so) and then waits; further arguments are only there to be seen.
_CONNECT = (
    "import socket, sys, time; kind = socket.SOCK_DGRAM if sys.argv[3] == 'udp' else socket.SOCK_STREAM; "
    "c = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, kind); "
    "c.connect((sys.argv[1], int(sys.argv[2]))); print(c.getsockname()[1], flush=True); time.sleep(600)"
)


def connect_argv(address: str, port: int, *visible: str, protocol: str = "tcp") -> list[str]:
    """The command line of a process that connects there and stays; `visible` are words that it shows in its command line."""
    return [sys.executable, "-c", _CONNECT, address, str(port), protocol, *visible]


@contextlib.contextmanager
def listener(address: str = "127.0.0.1", port: int = 0, kind: int = socket.SOCK_STREAM) -> Iterator[socket.socket]:
    """A socket bound to the address; of a TCP one connections are taken by the kernel up to the backlog."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind) as server:
        server.bind((address, port))
        if kind == socket.SOCK_STREAM:
            server.listen()
        yield server


@contextlib.contextmanager
def connecting_process(
    address: str, port: int, *visible: str, protocol: str = "tcp", cwd: Optional[Path] = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A child process that is connected there for as long as the block runs."""
    process = subprocess.Popen(connect_argv(address, port, *visible, protocol=protocol), stdout=subprocess.PIPE, cwd=cwd)
    try:
        assert process.stdout is not None and process.stdout.readline().strip().isdigit()
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def host_with_list(folder: Path, *lines: str) -> Host:
    """The live host, with these lines as the operator's indicator list."""
    path = folder / "pools.txt"
    path.write_text("".join(f"{line}\n" for line in lines))
    path.chmod(0o600)
    return Host(settings=Settings(indicators=(str(path),)))
