"""The columns in which tables describe a socket: one wording, one reading."""

from __future__ import annotations

from typing import Any

from tables.host.network.sockets import Socket
from tables.schema import BIGINT, TEXT, column

_COLUMNS = {
    "protocol": (BIGINT, "6 for TCP, 17 for UDP"),
    "local_address": (TEXT, "local address, IPv4-mapped ones as IPv4"),
    "local_port": (BIGINT, "local port"),
    "remote_address": (TEXT, "remote address, IPv4-mapped ones as IPv4"),
    "remote_port": (BIGINT, "remote port"),
    "state": (TEXT, "TCP state; ESTABLISHED for a connected UDP socket"),
    "net_namespace": (TEXT, "inode of the network namespace"),
}


def socket_column(name: str) -> Any:
    """The field of a Row for this fact of a socket."""
    return column(*_COLUMNS[name])


def socket_facts(socket: Socket) -> dict[str, Any]:
    """The values of all these columns."""
    facts = {name: getattr(socket, name) for name in _COLUMNS}
    return {**facts, "net_namespace": None if socket.net_namespace is None else str(socket.net_namespace)}
