"""Starts extensions from a process that has already imported all of it: a room takes a new one for each case."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Mapping
from typing import Any, NoReturn

import tables
from extension.serving import server, workers
from extension.serving.start import serve
from tables.host.forked import end_with, receive_message, send_message

# What a private osquery of the engine's gives its extension.
_OPTIONS = ("--timeout", "10", "--interval", "3")
# What an extension imports when it serves, so that each of them has it already.
_PRELOADED = (server, workers)


class ExtensionStarter:
    """A process that forks extensions; to be made before this one has threads, and gone with it."""

    def __init__(self) -> None:
        tables.discover()
        parent = os.getpid()
        self._connection, theirs = socket.socketpair()
        if os.fork() == 0:
            self._connection.close()
            _serve_parent(theirs, parent)
        theirs.close()

    def start(self, core: str, environment: Mapping[str, str]) -> int:
        """Start an extension of the core at that socket; its pid."""
        return self._ask({"start": core, "environment": dict(environment)})

    def end(self, pid: int) -> None:
        """End an extension as its core would, and wait for that."""
        self._ask({"end": pid})

    def _ask(self, request: Mapping[str, Any]) -> int:
        send_message(self._connection, json.dumps(request).encode())
        answer = receive_message(self._connection)
        if answer is None:
            raise RuntimeError("the process that starts extensions has ended")
        return int(answer)


def _serve_parent(connection: socket.socket, parent: int) -> NoReturn:
    status = 1
    try:
        end_with(parent)
        while (message := receive_message(connection)) is not None:
            request = json.loads(message)
            pid = _fork(connection, **request) if "start" in request else _end(request["end"])
            send_message(connection, b"%d" % pid)
        status = 0
    finally:
        os._exit(status)


def _fork(connection: socket.socket, start: str, environment: Mapping[str, str]) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        connection.close()
        os.setsid()
        end_with(parent)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.environ.update(environment)
        serve(["--socket", start, *_OPTIONS])
    return pid


def _end(pid: int) -> int:
    os.kill(pid, signal.SIGTERM)
    return os.waitpid(pid, 0)[0]
