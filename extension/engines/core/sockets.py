"""osquery's tables about sockets, from /proc/PID/net of one process per network namespace and /proc/PID/fd of all."""

from __future__ import annotations

import socket
import struct
from collections.abc import Container, Iterator
from functools import lru_cache
from typing import Optional

from extension.engines.core import CoreRow, core_table
from extension.engines.core.reading import split
from extension.engines.core.support import descriptors, namespace_inode, number
from tables.host import Host
from tables.schema import QueryContext

# IPPROTO_* and the file that lists the protocol's sockets, in osquery's order.
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 136: "udplite", 255: "raw"}
_TCP = 6
# include/net/tcp_states.h
_TCP_STATES = (
    "UNKNOWN", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSED", "CLOSE_WAIT",
    "LAST_ACK", "LISTEN", "CLOSING",
)  # fmt: skip
# About 850,000 TCP sockets.
_NET_LIMIT = 128 << 20


@core_table("process_open_sockets", needs_live=True, additional=("pid",))
def process_open_sockets(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """One row per socket; pid and fd are -1 where no process we can look into has it open.

    That is so for sockets in TIME_WAIT, and for those of hidden or unreadable processes. Such rows are left out when the query
    names pids, unless -1 is among them. A socket that several processes share belongs to the last of them in osquery's
    order. net_namespace 0 stands for the namespace of the first process that does not say in which it is.
    """
    return _socket_rows(host, query, query.equal_integers("pid") or [])


@core_table("listening_ports", needs_live=True)
def listening_ports(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """The open sockets that have no remote port, whatever their state, and the named Unix sockets."""
    for row in _socket_rows(host, query, []):
        is_unix = row["family"] == socket.AF_UNIX
        if is_unix and not row["path"]:
            continue
        if row["family"] in (socket.AF_INET, socket.AF_INET6) and row["remote_port"] != 0:
            continue
        found: CoreRow = {name: row[name] for name in ("pid", "fd", "protocol", "family", "net_namespace")}
        if is_unix:
            found.update(port=0, path=row["path"], socket=0)
        else:
            found.update(address=row["local_address"], port=row["local_port"], socket=row["socket"])
        yield found


def _socket_rows(host: Host, query: QueryContext, asked: list[int]) -> Iterator[CoreRow]:
    is_filtered = bool(asked) and -1 not in asked
    owners: dict[str, tuple[int, str]] = {}
    namespaces: dict[int, int] = {}
    for pid in sorted(set(asked) if is_filtered else host.procfs.pids(), key=str):
        query.check_time()
        for fd, target in descriptors(host, pid):
            if target.startswith("socket:["):
                owners[target[8:-1]] = pid, fd
        namespaces.setdefault(namespace_inode(host, pid, "net"), pid)
    if is_filtered and not owners:
        return
    for inode, pid in namespaces.items():
        for row in _namespace_sockets(host, query, pid, owners if is_filtered else None):
            row["pid"], row["fd"] = owners.get(str(row["socket"]), (-1, "-1"))
            row["net_namespace"] = str(inode)
            yield row


def _namespace_sockets(host: Host, query: QueryContext, pid: int, only: Optional[Container[str]]) -> Iterator[CoreRow]:
    """The sockets of the network namespace that process `pid` is in; of these inodes where `only` is given."""

    def read(name: str) -> str:
        data = host.procfs.try_read(f"{pid}/net/{name}", _NET_LIMIT) or b""
        if len(data) == _NET_LIMIT:
            query.truncate(f"/proc/{pid}/net/{name} is longer than {_NET_LIMIT} bytes")
        return data.decode("utf-8", "surrogateescape")

    for protocol, name in _PROTOCOLS.items():
        yield from parse_inet(read(name), socket.AF_INET, protocol, only)
        yield from parse_inet(read(f"{name}6"), socket.AF_INET6, protocol, only)
    for row in (*parse_unix(read("unix")), *parse_packet(read("packet"))):
        if only is None or row["socket"] in only:
            yield row


def parse_inet(text: str, family: int, protocol: int, only: Optional[Container[str]] = None) -> Iterator[CoreRow]:
    """Yield the sockets in a /proc/net/{tcp,udp,raw,…} file (proc_pid_net(5)); nothing when its header is not one."""
    header, _, body = text.partition("\n")
    if not header.lstrip().startswith(("sl", "sk")):
        return
    for line in body.split("\n"):
        fields = line.split()
        if len(fields) < 10 or (only is not None and fields[9] not in only):
            continue
        local_address, local_colon, local_port = fields[1].partition(":")
        remote_address, remote_colon, remote_port = fields[2].partition(":")
        if local_colon and remote_colon:
            row = _row(fields[9], family, protocol)
            row["local_address"] = decode_address(local_address, family)
            row["local_port"] = _hexadecimal(local_port)
            row["remote_address"] = decode_address(remote_address, family)
            row["remote_port"] = _hexadecimal(remote_port)
            row["state"] = _tcp_state(fields[3]) if protocol == _TCP else ""
            yield row


def parse_unix(text: str) -> Iterator[CoreRow]:
    """Yield the sockets in a /proc/net/unix file; a path ends at its first space, as in osquery."""
    header, _, body = text.partition("\n")
    if not header.lstrip().startswith("Num"):
        return
    for line in body.split("\n"):
        fields = split(line, " ")
        if len(fields) >= 7:
            row = _row(fields[6], socket.AF_UNIX, number(fields[2]) or 0)
            row["path"] = fields[7] if len(fields) > 7 else ""
            yield row


def parse_packet(text: str) -> Iterator[CoreRow]:
    """Yield the sockets in a /proc/net/packet file; their protocol is the Ethernet protocol (packet(7))."""
    header, _, body = text.partition("\n")
    if not header.lstrip().startswith(("sl", "sk")):
        return
    for line in body.split("\n"):
        fields = line.split()
        if len(fields) >= 9:
            row = _row(fields[8], socket.AF_PACKET, _hexadecimal(fields[3]))
            row["state"] = "NONE"
            yield row


@lru_cache(maxsize=1 << 14)
def decode_address(digits: str, family: int) -> str:
    """The address written as 32-bit words in host byte order, as text; empty when it is none of this family."""
    if len(digits) != (8 if family == socket.AF_INET else 32):
        return ""
    try:
        words = [int(digits[start : start + 8], 16) for start in range(0, len(digits), 8)]
        return socket.inet_ntop(family, struct.pack(f"={len(words)}I", *words))
    except (ValueError, struct.error):
        return ""


def _row(inode: str, family: int, protocol: int) -> CoreRow:
    return {
        "socket": inode, "family": int(family), "protocol": protocol, "local_address": "", "local_port": 0,
        "remote_address": "", "remote_port": 0, "path": "", "state": "",
    }  # fmt: skip


def _tcp_state(digits: str) -> str:
    number = _hexadecimal(digits, 2)
    return _TCP_STATES[number] if number < len(_TCP_STATES) else "UNKNOWN"


def _hexadecimal(digits: str, length: int = 4) -> int:
    return (number(digits, 16) or 0) if len(digits) == length else 0
