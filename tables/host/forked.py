"""What processes that we fork have in common: they end with their parent, and talk with it in messages over a socketpair."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import socket
import struct
from collections.abc import Callable
from typing import NoReturn, Optional

# <sys/prctl.h>
_PR_SET_PDEATHSIG = 1
_LENGTH = struct.Struct(">I")
_libc = ctypes.CDLL(None)


def end_with(parent: int) -> None:
    """For a child that a thread of `parent` has just forked: be killed when that thread ends (prctl(2)), and not by Ctrl-C."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # Ctrl-C reaches the whole group; the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class Forked:
    """A process that runs `serve` with its end of a connection, and then ends; OSError where no process can be had.

    It is forked, so that nothing has to be loaded again, and ends with the thread that forked it, or by `end`.
    """

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        parent = os.getpid()
        self.connection, theirs = socket.socketpair()
        try:
            self.pid = os.fork()
        except OSError:
            self.connection.close()
            raise
        else:
            if self.pid == 0:
                _run(serve, theirs, parent)
        finally:
            theirs.close()

    def end(self) -> str:
        """End and reap the process; how it ended, in words: by our signal unless it was faster."""
        self.connection.close()
        os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        return f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"status {os.WEXITSTATUS(status)}"


def _run(serve: Callable[[socket.socket], None], connection: socket.socket, parent: int) -> NoReturn:
    status = 1
    try:
        end_with(parent)
        # Counting references over the parent's objects would copy its memory.
        gc.disable()
        serve(connection)
        status = 0
    finally:
        os._exit(status)


def send_message(connection: socket.socket, body: bytes) -> None:
    """Send a message after its length; raises OSError when the other side is gone."""
    connection.sendall(_LENGTH.pack(len(body)) + body)


def receive_message(connection: socket.socket) -> Optional[bytearray]:
    """The next message; None when the other side has ended; raises OSError when the connection is broken."""
    head = _read(connection, _LENGTH.size)
    return None if head is None else _read(connection, *_LENGTH.unpack(head))


def _read(connection: socket.socket, size: int) -> Optional[bytearray]:
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = connection.recv_into(view)
        if not count:
            return None
        view = view[count:]
    return data
