"""Connections to mining pools, in every network namespace, with the processes that hold them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from socket import IPPROTO_TCP
from typing import NamedTuple, Optional

from tables.host import Host
from tables.host.containers.columns import container_column, names_containers
from tables.host.network.columns import socket_column, socket_facts
from tables.host.network.remote_ends import remote_ends
from tables.host.network.socket_owners import Owners, find_owners, held_sockets
from tables.host.network.sockets import (
    PORT_BYTES,
    TABLES,
    Namespace,
    Socket,
    endpoint_token,
    network_namespaces,
    socket_lines,
)
from tables.host.processes.columns import process_column, process_facts
from tables.host.processes.procfs import Process
from tables.indicators.networks import parse_address
from tables.indicators.pools import LOW, RANK, Match, PoolIndicators, pool_indicators
from tables.reasons.mining.named_pools import named_pools
from tables.reasons.mining.references import Reference
from tables.schema import BIGINT, TEXT, QueryContext, Row, column, table

_NAME = "miner_pool_connections"
_EXACTNESS = {kind: rank for rank, kind in enumerate(("port", "cidr", "ip", "config", "cmdline", "ip_port"))}


@dataclass(frozen=True)
class MinerPoolConnection(Row):
    """One socket that is connected to a mining pool, and one process that holds it."""

    pid: Optional[int] = column(BIGINT, "process that holds the socket; NULL when no process shows it", index=True)
    owner_visible: Optional[int] = column(
        BIGINT,
        "1 if `pid` holds the socket, 0 if a process must hold it but none shows it (a hidden process), NULL if that cannot be "
        "told: the connection is closing, or not all processes are ours to look into",
    )
    process_name: Optional[str] = process_column("process_name")
    exe_path: Optional[str] = process_column("exe_path")
    cmdline: Optional[str] = process_column("cmdline")
    owner_uid: Optional[int] = process_column("owner_uid")
    parent: Optional[int] = process_column("parent")
    parent_name: Optional[str] = process_column("parent_name")
    start_time: Optional[int] = process_column("start_time")
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
    matched: str = column(TEXT, "indicator that matched, or the pool as the process itself names it")
    match_type: str = column(
        TEXT,
        "ip_port, ip, cidr (of a list); cmdline, config (the process itself names the pool); port (only the port is a pool's)",
    )
    pool: Optional[str] = column(TEXT, "pool, where the list names it")
    coin: Optional[str] = column(TEXT, "coin mined there; `any` for pools of several")
    confidence: str = column(TEXT, "high, medium or low")
    feed: Optional[str] = column(TEXT, "list that the indicator is in")
    feed_date: Optional[str] = column(TEXT, "date of that list, YYYY-MM-DD")
    shared_infra: Optional[str] = column(TEXT, "CDN or cloud whose address range the remote address is in")
    evidence: str = column(TEXT, "why this is a row, in words")


class _Hit(NamedTuple):
    """A socket with its match; `notes` explain the match."""

    socket: Socket
    match: Match
    notes: tuple[str, ...]


@table(
    _NAME,
    MinerPoolConnection,
    needs_live=True,
    description="TCP and UDP connections to mining pools in every network namespace, with their processes, hidden ones included.",
    sop_steps=(3, 8),
    examples=[
        "SELECT pid, process_name, exe_path, remote_address, remote_port, pool, matched, evidence FROM miner_pool_connections "
        "WHERE confidence <> 'low'"
    ],
)
@names_containers
def miner_pool_connections(host: Host, query: QueryContext) -> Iterator[MinerPoolConnection]:
    """One row per matching socket and process that holds it.

    Sockets come from the kernel's own dump in each network namespace (sock_diag(7)), where that cannot be had from
    /proc/PID/net/{tcp,tcp6,udp,udp6} of a process in it. They are matched with the indicators of `miner_pools` and with the
    pools that a process names in its command line or miner configuration; only for those that match is an owner looked for.
    Nothing is resolved by DNS, so that a pool known by name only is found by what the process says, or by its port.

    Confidence: ip:port and IP as their list has it, but at most medium (ip:port) and low (IP, CIDR) inside a range that a
    CDN or cloud shares between its customers; a port alone, a connection that came in, and one that is already closing (no
    process can hold it: owner_visible NULL) are low. A process behind a mount over its /proc folder gives a row with pid
    NULL and owner_visible 0; `evidence` names it when it can be seen behind the mount.
    """
    if not host.is_live:
        query.cannot_tell("a mounted disk has no connections")
        return
    yield from _Scan(host, query).rows()


class _Scan:
    """One scan, in the procfs that no mount can cover where we may have one."""

    def __init__(self, host: Host, query: QueryContext) -> None:
        self.host = host
        self.query = query
        self.truth = truth = host.truth
        self._processes: dict[int, Process] = {}
        self.indicators: PoolIndicators = pool_indicators(host)
        pids = truth.pids()
        self.namespaces = network_namespaces(truth, pids)
        own = {pid for pid, _ in host.own_processes()}
        named = named_pools(truth, (pid for pid in pids if pid not in own), self.indicators, query)
        self.named: dict[int, list[Reference]] = {}
        for pid, references in named.items():
            for inode in held_sockets(truth, pid):
                self.named.setdefault(inode, []).extend(references)
        references = [reference for group in self.named.values() for reference in group]
        self.named_ports = {port.to_bytes(PORT_BYTES, "big") for reference in references for port in reference.ports}
        self.named_addresses = {endpoint_token(reference.address) for reference in references if reference.address}

    def rows(self) -> Iterator[MinerPoolConnection]:
        """The table's rows."""
        hits = [hit for namespace in self.namespaces for hit in self._hits(namespace)]
        inodes = {hit.socket.inode for hit in hits} - {0}
        visible = self._visible_owners(inodes, every_thread=False)
        missing = inodes - visible.by_inode.keys()
        behind: dict[int, list[int]] = {}
        unreadable: list[int] = []
        if missing:
            # Second look: at the tables of single threads too, and at what was started or handed over since the first.
            again = self._visible_owners(missing, every_thread=True)
            visible.by_inode.update(again.by_inode)
            missing -= again.by_inode.keys()
            unreadable = again.unreadable
            if missing:
                behind = find_owners(self.truth, self.truth.pids(), missing, every_thread=True).by_inode
            missing &= self._still_open(hits, missing)
        self._say_unseen(bool(missing) and not missing <= behind.keys(), unreadable)
        for hit in hits:
            inode = hit.socket.inode
            if inode in missing:
                yield self._unowned(hit, behind.get(inode, []), unreadable)
            elif inode == 0:
                yield _row(hit, None, None, "no process can hold it any more, or none has accepted it yet")
            for pid in visible.by_inode.get(inode, ()):
                yield _row(hit, self._processes[pid], True)

    def _hits(self, namespace: Namespace) -> list[_Hit]:
        # A table that changes while it is read can show a socket twice.
        found: dict[Socket, Optional[Match]] = {}
        listening: set[int] = set()
        for ends in remote_ends(self.truth, namespace):
            self.query.check_time()
            listening |= ends.listening
            wanted = self._wanted(set(ends.tokens), ends.is_tcp)
            if not wanted:
                continue
            for number, token in enumerate(ends.tokens):
                socket = ends.socket(number) if token in wanted else None
                if socket is not None:
                    found[socket] = self.indicators.match(token, ends.is_tcp)
        hits = (
            self._judge(socket, match, socket.protocol == IPPROTO_TCP and socket.local_port in listening)
            for socket, match in found.items()
        )
        return [hit for hit in hits if hit is not None]

    def _wanted(self, tokens: set[bytes], is_tcp: bool) -> set[bytes]:
        wanted = self.indicators.candidates(tokens, is_tcp)
        if self.named:
            ports, addresses = self.named_ports, self.named_addresses
            wanted |= {token for token in tokens if token[-PORT_BYTES:] in ports or token[:-PORT_BYTES] in addresses}
        return wanted

    def _judge(self, socket: Socket, match: Optional[Match], is_incoming: bool) -> Optional[_Hit]:
        """The strongest match of a socket, with what weakens it."""
        notes = []
        if match is not None and is_incoming and match.match_type != "ip_port":
            if match.match_type == "port":
                match = None
            else:
                match = match._replace(confidence=LOW)
                notes.append("it came in from there")
        matches = [match] if match is not None else []
        matches += self._named_matches(socket)
        if not matches:
            return None
        best = max(matches, key=lambda each: (RANK[each.confidence], _EXACTNESS[each.match_type]))
        notes += [f"also matched by {other.match_type} {other.matched}" for other in matches if other is not best]
        if socket.inode == 0:
            if best.match_type == "port":
                return None
            best = best._replace(confidence=LOW)
        return _Hit(socket, best, tuple(notes))

    def _named_matches(self, socket: Socket) -> list[Match]:
        references = self.named.get(socket.inode)
        if not references:
            return []
        packed = parse_address(socket.remote_address)
        shared = self.indicators.shared_network(packed)
        return [
            Match(
                reference.match_type,
                reference.endpoint,
                reference.listed,
                reference.confidence,
                shared,
                reference.where,
            )
            for reference in references
            if socket.remote_port in reference.ports or reference.address == packed
        ]

    def _visible_owners(self, inodes: set[int], every_thread: bool) -> Owners:
        """The owners that every program sees; a folder that shows another process's data is no proof of its own."""
        procfs = self.host.procfs
        if not inodes:
            return Owners({}, [])
        owners = find_owners(procfs, procfs.pids(), inodes, every_thread)
        for pid in {pid for pids in owners.by_inode.values() for pid in pids}:
            process = procfs.process(pid)
            if process is not None and process.pid == pid:
                self._processes[pid] = process
        genuine = {inode: [pid for pid in pids if pid in self._processes] for inode, pids in owners.by_inode.items()}
        return Owners({inode: pids for inode, pids in genuine.items() if pids}, owners.unreadable)

    def _still_open(self, hits: list[_Hit], inodes: set[int]) -> set[int]:
        """Those of the inodes that their namespaces still list: the others were closed while we looked for owners."""
        concerned = {hit.socket.net_namespace for hit in hits if hit.socket.inode in inodes}
        wanted = {b"%d" % inode for inode in inodes}
        found: set[int] = set()
        for namespace in self.namespaces:
            if namespace.inode not in concerned:
                continue
            for name, _ in TABLES:
                for lines in socket_lines(self.truth, namespace, name):
                    self.query.check_time()
                    fields = (line.split(None, 10) for line in lines)
                    found.update(int(field[9]) for field in fields if len(field) > 9 and field[9] in wanted)
        return found

    def _unowned(self, hit: _Hit, behind: list[int], unreadable: list[int]) -> MinerPoolConnection:
        inode = hit.socket.inode
        if behind:
            hidden = self.truth.process(behind[0])
            seen = f"pid {behind[0]}"
            if hidden is not None:
                seen += f" ({hidden.exe_link or hidden.name}: {hidden.cmdline[:512]})"
            row = _row(
                hit, None, False, f"no process shows socket {inode}, but behind a mount over its /proc folder {seen} holds it"
            )
            return replace(row, container_id=hidden.container_id if hidden else None)
        if not self.truth.is_initial_pid_namespace or (unreadable and not self.host.is_root):
            return _row(hit, None, None, f"no process that we may look into shows socket {inode}")
        note = f"no process shows socket {inode}"
        if unreadable:
            note += f"; the open files of {_pids(unreadable)} could not be read"
        return _row(hit, None, False, note)

    def _say_unseen(self, is_owner_missing: bool, unreadable: list[int]) -> None:
        if not self.host.is_root:
            self.query.could_not_see(
                "not root: the open files of other users' processes cannot be read, their connections show without owner"
            )
        elif unreadable and is_owner_missing:
            self.query.could_not_see(f"the open files of {_pids(unreadable)} cannot be read")
        if not self.truth.is_initial_pid_namespace:
            self.query.could_not_see(
                "not in the initial pid namespace: processes outside it, and their network namespaces, are not seen"
            )


def _pids(pids: list[int]) -> str:
    return f"pid {pids[0]}" if len(pids) == 1 else f"{len(pids)} processes"


def _row(hit: _Hit, process: Optional[Process], owner_visible: Optional[bool], *notes: str) -> MinerPoolConnection:
    socket, match = hit.socket, hit.match
    return MinerPoolConnection(
        **process_facts(process, "pid process_name exe_path cmdline owner_uid parent parent_name start_time container_id"),
        owner_visible=owner_visible,
        **socket_facts(socket),
        matched=match.matched,
        match_type=match.match_type,
        pool=match.listed.pool if match.listed else None,
        coin=match.listed.coin if match.listed else None,
        confidence=match.confidence,
        feed=match.listed.source if match.listed else None,
        feed_date=match.listed.updated if match.listed else None,
        shared_infra=match.shared_infra,
        evidence="; ".join((_reason(match, socket), *hit.notes, *notes)),
    )


def _reason(match: Match, socket: Socket) -> str:
    end = f"{socket.remote_address} port {socket.remote_port}"
    if match.match_type == "port":
        return f"port {socket.remote_port} of public address {socket.remote_address} is one that mining pools use"
    if match.where is not None:
        return f"{match.where} names the pool {match.matched}, and it is connected to {end}"
    shared = f", an address that {match.shared_infra} shares between its customers" if match.shared_infra else ""
    return f"{match.matched} is listed as a mining pool{shared}"
