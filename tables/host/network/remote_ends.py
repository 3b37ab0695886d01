"""The sockets of a network namespace by their remote ends, in bulk: what few of them turn out to be is read of these alone.

By the kernel's own dump (sock_diag(7)), as ss(8) has it; where that cannot be had, from /proc/PID/net, as netstat(8) has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from socket import IPPROTO_TCP
from typing import Callable, NamedTuple, Optional

from tables.host.network.sock_diag import ALL_STATES, Messages, dumped_messages, parse_message
from tables.host.network.sockets import TABLES, Namespace, Socket, listening_ports, parse_line, remote_tokens, socket_lines
from tables.host.processes.procfs import Procfs


class RemoteEnds(NamedTuple):
    """Some sockets of one protocol: their remote ends as endpoint_token() gives them, b"" for a damaged one.

    `socket` reads the one at a place among `tokens`, None where it is damaged; `listening` are ports on which some of the
    TCP sockets that are no connections listen.
    """

    is_tcp: bool
    tokens: list[bytes]
    socket: Callable[[int], Optional[Socket]]
    listening: frozenset[int] = frozenset()


def remote_ends(procfs: Procfs, namespace: Namespace) -> Iterator[RemoteEnds]:
    """The sockets of all protocols of a network namespace, batch by batch.

    OSError when they are there and cannot be read; nothing where the kernel has no such table or the namespace is gone.
    """
    for table, protocol in TABLES:
        try:
            messages = dumped_messages(procfs, namespace, table, ALL_STATES)
        except OSError:
            messages = None
        if messages is None:
            yield from _listed(procfs, namespace, table, protocol)
        else:
            for part in messages:
                yield _dumped(part, table, protocol, namespace.inode)


def _dumped(part: Messages, table: str, protocol: int, net: Optional[int]) -> RemoteEnds:
    tokens = part.remotes(table)
    ports: frozenset[int] = frozenset()
    if protocol == IPPROTO_TCP:
        found = (_from_message(part, table, net, number) for number, token in enumerate(tokens) if not any(token))
        ports = frozenset(socket.local_port for socket in found if socket.state == "LISTEN")
    return RemoteEnds(protocol == IPPROTO_TCP, tokens, partial(_from_message, part, table, net), ports)


def _from_message(part: Messages, table: str, net: Optional[int], number: int) -> Socket:
    return parse_message(part.data, part.places[number], table, net).socket


def _listed(procfs: Procfs, namespace: Namespace, table: str, protocol: int) -> Iterator[RemoteEnds]:
    for lines in socket_lines(procfs, namespace, table):
        tokens = remote_tokens(lines)
        is_tcp = protocol == IPPROTO_TCP
        ports = frozenset(listening_ports(lines, tokens)) if is_tcp else frozenset()
        yield RemoteEnds(is_tcp, tokens, partial(_from_line, lines, protocol, namespace.inode), ports)


def _from_line(lines: list[bytes], protocol: int, net: Optional[int], number: int) -> Optional[Socket]:
    return parse_line(lines[number], protocol, net)
