"""Listening TCP sockets of every network namespace that other hosts or namespaces can reach, with the processes behind them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from socket import IPPROTO_TCP
from typing import NamedTuple, Optional

from tables.host.network.socket_owners import find_owners
from tables.host.network.sockets import Socket, network_namespaces, parse_line, socket_lines
from tables.host.processes.procfs import Procfs

_LOCAL_ADDRESS = re.compile(rb"\|-- ([0-9.]+)\n\s*/32 host LOCAL")
_LISTEN = b" 0A "
WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104


class Listener(NamedTuple):
    """A listening socket and the pids that hold it, in ascending order."""

    socket: Socket
    pids: tuple[int, ...]

    @property
    def is_wildcard(self) -> bool:
        """Whether it listens on every address."""
        return self.socket.local_address in WILDCARDS


class Listeners(NamedTuple):
    """`found` are the listeners on other than loopback addresses; `unreadable` the pids that might hold more of them."""

    found: list[Listener]
    unreadable: list[int]


def is_loopback(address: str) -> bool:
    """Whether only the host itself (its own network namespace) reaches the address."""
    return address.startswith("127.") or address == "::1"


def outside_listeners(procfs: Procfs, pids: Iterable[int], check_time: Callable[[], None]) -> Listeners:
    """Every TCP socket that listens on an address other than loopback, in every network namespace of `pids`.

    OSError when a namespace's table cannot be read.
    """
    pids = list(pids)
    sockets: dict[int, Socket] = {}
    for namespace in network_namespaces(procfs, pids):
        for table in ("tcp", "tcp6"):
            for lines in socket_lines(procfs, namespace, table):
                check_time()
                for line in lines:
                    found = parse_line(line, IPPROTO_TCP, namespace.inode) if _LISTEN in line else None
                    if found and found.state == "LISTEN" and not is_loopback(found.local_address):
                        sockets[found.inode] = found
    owners = find_owners(procfs, pids, sockets)
    listeners = [Listener(found, tuple(owners.by_inode.get(inode, ()))) for inode, found in sockets.items()]
    listeners.sort(key=lambda item: (item.socket.local_port, item.socket.local_address, item.socket.inode))
    return Listeners(listeners, owners.unreadable)


def namespace_addresses(procfs: Procfs, pid: int) -> frozenset[str]:
    """The IPv4 addresses of the network namespace that `pid` is in (its /proc/PID/net/fib_trie), loopback's left out."""
    data = procfs.try_read(f"{pid}/net/fib_trie") or b""
    return frozenset(address for token in _LOCAL_ADDRESS.findall(data) if not is_loopback(address := token.decode("ascii")))


class Forward(NamedTuple):
    """A port of the host that docker-proxy hands on to a container."""

    host_address: str
    host_port: int
    container_address: str
    container_port: int


def parse_docker_proxy(argv: list[str]) -> Optional[Forward]:
    """What a docker-proxy process forwards, by its options; None for another protocol than TCP and for damaged ones."""
    options = {name.lstrip("-"): value for name, value in zip(argv[1:], argv[2:]) if name.startswith("-")}
    host_port, container_port = options.get("host-port", ""), options.get("container-port", "")
    if options.get("proto") != "tcp" or not (host_port.isdecimal() and container_port.isdecimal()):
        return None
    if max(len(host_port), len(container_port)) > 5:
        return None
    return Forward(options.get("host-ip", ""), int(host_port), options.get("container-ip", ""), int(container_port))
