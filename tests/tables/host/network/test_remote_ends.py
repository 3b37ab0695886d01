from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tables.host.network import remote_ends as module
from tables.host.network.remote_ends import remote_ends
from tables.host.network.sock_diag import dump, message_places
from tables.host.network.sockets import Namespace, Socket, endpoint_token
from tables.host.processes.procfs import Procfs


def own() -> tuple[Procfs, Namespace]:
    return Procfs.open(), Namespace(os.stat("/proc/self/ns/net").st_ino, [os.getpid()])


@pytest.fixture
def held() -> Iterator[tuple[set[int], int]]:
    """Sockets of each kind: their inodes, and the port that one of them listens on."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=512))
        sockets = [listening]
        sockets += [stack.enter_context(socket.create_connection(listening.getsockname())) for _ in range(300)]
        both = stack.enter_context(socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True))
        sockets += [both, stack.enter_context(socket.create_connection(("127.0.0.1", both.getsockname()[1])))]
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            udp = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            udp.connect((address, 9))
            sockets.append(udp)
        yield {os.fstat(one.fileno()).st_ino for one in sockets}, listening.getsockname()[1]


def seen(inodes: set[int]) -> tuple[set[tuple[bytes, Socket]], set[int]]:
    """What is told of the sockets with these inodes, and the ports that are listened on."""
    found, listening = set(), set()
    for ends in remote_ends(*own()):
        listening |= ends.listening
        for number, token in enumerate(ends.tokens):
            one = ends.socket(number)
            assert one is not None
            if one.inode in inodes:
                found.add((token, one))
    return found, listening


def test_the_dump_and_the_text_tell_the_same(held: tuple[set[int], int], monkeypatch: pytest.MonkeyPatch) -> None:
    inodes, port = held
    dumped, dumped_ports = seen(inodes)

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(module, "dumped_messages", refuse)
    listed, listed_ports = seen(inodes)
    assert dumped == listed
    assert {one.inode for _, one in dumped} == inodes
    assert port in dumped_ports & listed_ports
    for token, one in dumped:
        family = socket.AF_INET6 if ":" in one.remote_address else socket.AF_INET
        assert token == endpoint_token(socket.inet_pton(family, one.remote_address), one.remote_port)


def test_a_namespace_that_is_gone_has_no_sockets() -> None:
    procfs, _ = own()
    gone = Namespace(1, [os.getpid()])
    assert dump(procfs, gone, "tcp") == []
    assert [token for ends in remote_ends(procfs, gone) for token in ends.tokens] == []


def test_messages_of_one_length_and_of_several_are_found() -> None:
    def message(length: int, kind: int = 20) -> bytes:
        return length.to_bytes(4, "little") + kind.to_bytes(2, "little") + bytes(length - 6)

    assert message_places(message(96) * 5, "tcp") == (range(0, 480, 96), False)
    assert message_places(message(96) + message(100) + message(96), "tcp") == ([0, 96, 196], False)
    assert message_places(message(96) * 2 + message(20, 3), "tcp") == ([0, 96], True)
    # A length that only the first message has, and one that its data does not hold.
    assert message_places(message(96) + message(48) * 2, "tcp") == ([0], False)
    assert message_places(message(96)[:-1], "tcp") == ([], True)
