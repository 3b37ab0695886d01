"""Holds connected pairs of TCP sockets over loopback: as a context manager, whose processes run this file as a program."""

from __future__ import annotations

import contextlib
import resource
import socket
import struct
import sys
from collections.abc import Iterator

from tests.benchmarks.measure import helper

# Addresses to which a small process has one and a hundred connections, and a process with thousands of others a hundred.
ONE_OF_SMALL = ("127.9.0.1", 40001)
HUNDRED_OF_SMALL = ("127.9.0.2", 40002)
HUNDRED_OF_LARGE = ("127.9.0.3", 40003)
_SMALL = 101
_NAMED = {0: [ONE_OF_SMALL, *[HUNDRED_OF_SMALL] * 100], 1: [HUNDRED_OF_LARGE] * 100}
_LISTENERS = 16
_SPARE_DESCRIPTORS = 100
# Linux's socket option: the source port is chosen at connect, so that a port may serve several destinations.
_IP_BIND_ADDRESS_NO_PORT = 24
# A connection with this option ends by a reset, and so leaves no TIME_WAIT behind.
_NO_LINGER = struct.pack("ii", 1, 0)


@contextlib.contextmanager
def socket_pairs(pairs: int) -> Iterator[int]:
    """So many pairs of connected sockets, held by a small process and as few large ones as the limit of open files allows.

    Yields the number of the processes.
    """
    limit = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 1 << 20)
    share = (limit - _SPARE_DESCRIPTORS) // 2
    parts = [_SMALL, *(min(share, pairs - first) for first in range(_SMALL, pairs, share))]
    with contextlib.ExitStack() as stack:
        for part, count in enumerate(parts):
            stack.enter_context(helper([sys.executable, "-m", "tests.benchmarks.socket_pairs", str(part), str(count)]))
        yield len(parts)


def hold_pairs(part: int, count: int) -> list[socket.socket]:
    """Both ends of `count` connections, and the sockets that listen for them, on addresses of this part's own."""
    others = [(f"127.9.{1 + part}.{number}", 40100 + number) for number in range(1, _LISTENERS + 1)]
    destinations = list(_NAMED.get(part, ()))
    destinations += [others[number % _LISTENERS] for number in range(count - len(destinations))]
    listeners = {address: socket.create_server(address, backlog=16) for address in set(destinations)}
    held = list(listeners.values())
    for number, address in enumerate(destinations):
        client = socket.socket()
        client.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        client.bind((f"127.10.{part}.{1 + number // 2000}", 0))
        client.connect(address)
        server, _ = listeners[address].accept()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        held += [client, server]
    return held


def main() -> None:
    """Open the pairs of one part (PART PAIRS), say "ready", wait until standard input ends, close."""
    part, count = map(int, sys.argv[1:])
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    held = hold_pairs(part, count)
    print("ready", flush=True)
    sys.stdin.read()
    for one in held:
        one.close()


if __name__ == "__main__":
    main()
