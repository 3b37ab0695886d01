"""Sockets that one of the kernel's two lists shows and the other does not."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from socket import IPPROTO_TCP
from typing import NamedTuple, Optional

from tables.host import Host
from tables.host.containers.columns import container_column, names_containers
from tables.host.network.columns import socket_column, socket_facts
from tables.host.network.sock_diag import dump
from tables.host.network.socket_owners import find_owners
from tables.host.network.sockets import TABLES, Namespace, Socket, endpoint_token, network_namespaces, parse_line, socket_lines
from tables.host.processes.columns import is_hidden_column, process_column, process_facts
from tables.host.processes.procfs import Process
from tables.host.processes.visibility import Visibility
from tables.indicators.networks import parse_address
from tables.indicators.pools import Match, pool_indicators
from tables.schema import BIGINT, TEXT, QueryContext, Row, column, table

_TABLE = "hidden_connections"
_LOOKS = 3
_PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class HiddenConnection(Row):
    """One socket that is missing in /proc/net, or in the kernel's own dump, and one process that holds it."""

    pid: Optional[int] = column(BIGINT, "process that holds the socket; NULL when none shows it")
    process_name: Optional[str] = process_column("process_name")
    exe_path: Optional[str] = process_column("exe_path")
    cmdline: Optional[str] = process_column("cmdline")
    parent: Optional[int] = process_column("parent")
    parent_name: Optional[str] = process_column("parent_name")
    start_time: Optional[int] = process_column("start_time")
    is_hidden: Optional[int] = is_hidden_column("NULL without one")
    owner_uid: Optional[int] = column(BIGINT, "user that made the socket; NULL where the dump lacks it")
    how_hidden: str = column(
        TEXT, "proc_net (missing in /proc/net, as rootkits have it) or sock_diag (missing in the dump that ss uses)"
    )
    protocol: int = socket_column("protocol")
    local_address: str = socket_column("local_address")
    local_port: int = socket_column("local_port")
    remote_address: str = socket_column("remote_address")
    remote_port: int = socket_column("remote_port")
    state: Optional[str] = socket_column("state")
    net_namespace: Optional[str] = socket_column("net_namespace")
    container_id: Optional[str] = process_column("container_id")
    container_name: Optional[str] = container_column("container_name")
    image: Optional[str] = container_column("image")
    pod: Optional[str] = container_column("pod")
    matched: Optional[str] = column(TEXT, "indicator of a mining pool that the remote end matches")
    pool: Optional[str] = column(TEXT, "pool, where the list names it")
    confidence: Optional[str] = column(TEXT, "confidence of that match: high, medium or low")
    evidence: str = column(TEXT, "what was compared, in words")


class Hidden(NamedTuple):
    """A socket that only one of the lists shows; `owner_uid` is None where that is /proc/net."""

    socket: Socket
    how: str
    owner_uid: Optional[int]

    @property
    def key(self) -> tuple[object, ...]:
        """What stays the same while the socket lives."""
        found = self.socket
        return self.how, found.net_namespace, found.protocol, found.inode, found.local_port, found.remote_port


@table(
    _TABLE,
    HiddenConnection,
    needs_live=True,
    description="Connections hidden from /proc/net (netstat, osquery) or from the kernel's socket dump (ss), with their holders.",
    sop_steps=(3, 8),
    examples=["SELECT pid, process_name, exe_path, remote_address, remote_port, how_hidden, pool FROM hidden_connections"],
    cache_seconds=10.0,
)
@names_containers
def hidden_connections(host: Host, query: QueryContext) -> Iterator[HiddenConnection]:
    """One row per socket and holder, seen in three looks; nothing on an honest host.

    Compares /proc/PID/net/{tcp,tcp6,udp,udp6} with a dump by sock_diag(7), in every network namespace that a process is in.
    Sockets that no process can hold any more (TIME_WAIT) are left out, as the lists differ on them for moments.

    Cannot see: what is hidden from both, or in a namespace that no process is in; where the kernel offers no dump,
    minehunt_status says so. The kernel may load its own module tcp_diag or udp_diag for it, as it does for ss(8).
    """
    procfs = host.truth
    found: dict[tuple[object, ...], Hidden] = {}
    for look in range(_LOOKS):
        namespaces = network_namespaces(procfs, procfs.pids())
        now = {one.key: one for namespace in namespaces for one in _differences(host, namespace, query)}
        found = {key: one for key, one in now.items() if not look or key in found}
        if not found:
            return
        time.sleep(_PAUSE_SECONDS if look < _LOOKS - 1 else 0)
    yield from _rows(host, list(found.values()))


def _differences(host: Host, namespace: Namespace, query: QueryContext) -> Iterator[Hidden]:
    for name, protocol in TABLES:
        query.check_time()
        try:
            dumped = {found.socket: found.owner_uid for found in dump(host.truth, namespace, name)}
            lines = (line for batch in socket_lines(host.truth, namespace, name) for line in batch)
            listed = [found for line in lines if (found := parse_line(line, protocol, namespace.inode)) is not None]
        except OSError as error:
            query.could_not_see(f"network namespace {namespace.inode or 'unnamed'}: {error.strerror or error}")
            continue
        yield from differences(listed, dumped)


def differences(listed: Iterable[Socket], dumped: dict[Socket, int]) -> Iterator[Hidden]:
    """The sockets that a process can hold and that only one of the two lists shows, whatever their state."""
    shown = {_identity(found) for found in listed}
    told = {_identity(found) for found in dumped}
    for found, uid in dumped.items():
        if found.inode and _identity(found) not in shown:
            yield Hidden(found, "proc_net", uid)
    for found in listed:
        if found.inode and _identity(found) not in told:
            yield Hidden(found, "sock_diag", None)


def _identity(found: Socket) -> tuple[int, int, int]:
    # The dump has 32 bits for an inode.
    return found.inode & 0xFFFF_FFFF, found.local_port, found.remote_port


def _rows(host: Host, hidden: list[Hidden]) -> Iterator[HiddenConnection]:
    procfs = host.truth
    owners = find_owners(procfs, procfs.pids(), {one.socket.inode for one in hidden}, every_thread=True).by_inode
    visibility = Visibility(host)
    indicators = pool_indicators(host)
    for one in hidden:
        remote = endpoint_token(parse_address(one.socket.remote_address), one.socket.remote_port)
        match = indicators.match(remote, one.socket.protocol == IPPROTO_TCP)
        holders = [procfs.process(pid) for pid in owners.get(one.socket.inode, [])] or [None]
        for process in holders:
            yield _row(one, process, match, None if process is None else visibility.is_hidden(process))


def _row(one: Hidden, process: Optional[Process], match: Optional[Match], is_hidden: Optional[bool]) -> HiddenConnection:
    found = one.socket
    where = "/proc/net lacks it, and the kernel's own dump shows it" if one.how == "proc_net" else (
        "/proc/net shows it, and the kernel's own dump lacks it"
    )  # fmt: skip
    pool = f"; its remote end is listed as a mining pool ({match.matched})" if match else ""
    holder = "" if process else "; no process shows it"
    return HiddenConnection(
        **process_facts(process, "pid process_name exe_path cmdline parent parent_name start_time container_id"),
        is_hidden=is_hidden,
        owner_uid=one.owner_uid,
        how_hidden=one.how,
        **socket_facts(found),
        matched=match.matched if match else None,
        pool=match.listed.pool if match and match.listed else None,
        confidence=match.confidence if match else None,
        evidence=f"socket {found.inode}: {where}{pool}{holder}",
    )
