"""Which open sockets are connected to listed mining pools, in every network namespace."""

from __future__ import annotations

from collections.abc import Iterable

from tables.host.network.remote_ends import remote_ends
from tables.host.network.sockets import Socket, network_namespaces
from tables.host.processes.procfs import Procfs
from tables.indicators.pools import LOW, PoolIndicators
from tables.schema import QueryContext


def pool_sockets(procfs: Procfs, pids: Iterable[int], indicators: PoolIndicators, query: QueryContext) -> dict[int, str]:
    """The `address:port` of the pool that a socket is connected to, by the socket's inode.

    Left out is what proves nothing by itself: a port alone, an address of a CDN, and a connection that came in from there.
    OSError when the sockets of a namespace cannot be read.
    """
    found: dict[int, str] = {}
    for namespace in network_namespaces(procfs, pids):
        listening: set[int] = set()
        hits: list[tuple[Socket, bool]] = []
        for ends in remote_ends(procfs, namespace):
            query.check_time()
            listening |= ends.listening
            wanted = indicators.candidates(set(ends.tokens), ends.is_tcp)
            for number, token in enumerate(ends.tokens) if wanted else ():
                match = indicators.match(token, ends.is_tcp) if token in wanted else None
                socket = ends.socket(number) if match and match.confidence != LOW else None
                if match is not None and socket is not None and socket.inode:
                    hits.append((socket, match.match_type == "ip_port"))
        for socket, is_exact in hits:
            if is_exact or socket.local_port not in listening:
                address = f"[{socket.remote_address}]" if ":" in socket.remote_address else socket.remote_address
                found[socket.inode] = f"{address}:{socket.remote_port}"
    return found
