"""What processes that we fork have in common: they end with their parent, and talk with it in messages over a socketpair."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import struct
from typing import Optional

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
