"""Internet sockets of every network namespace, read in bulk from /proc/PID/net/{tcp,tcp6,udp,udp6}."""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Optional

from tables.host.processes.procfs import Procfs

# File below /proc/PID/net, and the protocol number that osquery's process_open_sockets shows for it.
TABLES = (("tcp", socket.IPPROTO_TCP), ("tcp6", socket.IPPROTO_TCP), ("udp", socket.IPPROTO_UDP), ("udp6", socket.IPPROTO_UDP))

# include/net/tcp_states.h; a connected UDP socket says ESTABLISHED, any other one CLOSE.
STATES = {
    1: "ESTABLISHED", 2: "SYN_SENT", 3: "SYN_RECV", 4: "FIN_WAIT1", 5: "FIN_WAIT2", 6: "TIME_WAIT", 7: "CLOSE",
    8: "CLOSE_WAIT", 9: "LAST_ACK", 10: "LISTEN", 11: "CLOSING", 12: "SYN_RECV",
}  # fmt: skip

_BATCH = 256 * 1024
_READ = 64 * 1024
PORT_BYTES = 2
# What comes before the IPv4 address in an IPv4-mapped IPv6 address.
MAPPED = bytes(10) + b"\xff\xff"
_ENDPOINT = re.compile(rb"([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4})")
_LINE = re.compile(
    rb" *\d+: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) ([0-9A-F]{2}) "
    rb"\S+ \S+ \S+ +\d+ +\d+ (\d+)(?: .*)?"
)
_NO_REMOTES = frozenset({bytes(6), bytes(18)})


class Namespace(NamedTuple):
    """A network namespace: its inode as in /proc/PID/ns/net, and pids in it, any of which serves to read it."""

    inode: Optional[int]
    members: list[int]


class Socket(NamedTuple):
    """One socket; addresses are plain text, IPv4-mapped ones as IPv4; `inode` is 0 once no process can hold it."""

    protocol: int
    local_address: str
    local_port: int
    remote_address: str
    remote_port: int
    state: Optional[str]
    inode: int
    net_namespace: Optional[int]


def endpoint_token(packed: bytes, port: Optional[int] = None) -> bytes:
    """An address of 4 or 16 bytes, and its port's two bytes if given, in network order: what sockets are matched by."""
    return packed if port is None else packed + port.to_bytes(PORT_BYTES, "big")


def decode_address(token: bytes) -> bytes:
    """The 4 or 16 address bytes behind a token without port; an IPv4-mapped address comes out as IPv4."""
    return token[12:] if len(token) == 16 and token.startswith(MAPPED) else token


def _bytes_of(spelled: bytes) -> bytes:
    """The bytes of an address as the kernel spells it in /proc/net: words of this machine's byte order (`0100007F`)."""
    return struct.pack(f"={len(spelled) // 8}I", *(int(spelled[at : at + 8], 16) for at in range(0, len(spelled), 8)))


def address_text(packed: bytes) -> str:
    """The usual spelling of a packed address."""
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def network_namespaces(procfs: Procfs, pids: Iterable[int]) -> list[Namespace]:
    """The network namespaces that the processes `pids` are in.

    Processes whose namespace link is not ours to read are told apart by the inode of their /proc/PID/net/tcp, of which
    each namespace has its own; `Namespace.inode` is None where that leaves it unnamed.
    """
    found: dict[int, list[int]] = {}
    by_table: dict[int, list[int]] = {}
    for pid in pids:
        namespace = procfs.network_namespace(pid)
        if namespace is not None:
            found.setdefault(namespace, []).append(pid)
        elif (table := _table_inode(procfs, pid)) is not None:
            by_table.setdefault(table, []).append(pid)
    namespaces = [Namespace(inode, members) for inode, members in found.items()]
    if by_table:
        named = {_table_inode(procfs, members[0]): members for members in found.values()}
        for table, members in by_table.items():
            if table in named:
                named[table] += members
            else:
                namespaces.append(Namespace(None, members))
    return namespaces


def _table_inode(procfs: Procfs, pid: int) -> Optional[int]:
    try:
        return procfs.stat(f"{pid}/net/tcp").st_ino
    except OSError:
        return None


def socket_lines(procfs: Procfs, namespace: Namespace, table: str) -> Iterator[list[bytes]]:
    """Yield one table of a network namespace as batches of raw lines, without the heading.

    OSError when the table is there and cannot be read; nothing where the kernel has no such table or the namespace is gone.
    """
    for pid in namespace.members:
        try:
            fd = os.open(f"{pid}/net/{table}", os.O_RDONLY | os.O_CLOEXEC, dir_fd=procfs.fd)
        except (FileNotFoundError, ProcessLookupError, NotADirectoryError):
            continue
        try:
            # The open file stays on its namespace; the pid may have moved on between the listing and now.
            if procfs.network_namespace(pid) in (namespace.inode, None):
                yield from _batches(fd)
                return
        except OSError as error:
            raise OSError(error.errno, f"/proc/{pid}/net/{table}: {error.strerror}") from None
        finally:
            os.close(fd)


def _batches(fd: int) -> Iterator[list[bytes]]:
    rest = b""
    is_heading = True
    while True:
        chunks = [rest]
        size = len(rest)
        # The kernel fills one page a read, however much is asked for.
        while size < _BATCH and (chunk := os.read(fd, _READ)):
            chunks.append(chunk)
            size += len(chunk)
        is_last = size < _BATCH
        body, _, rest = b"".join(chunks).rpartition(b"\n")
        lines = body.split(b"\n") if body else []
        yield lines[1:] if is_heading else lines
        is_heading = False
        if is_last:
            return


def remote_tokens(lines: list[bytes]) -> list[bytes]:
    """The remote end of each line as endpoint_token() gives it, IPv4-mapped addresses as IPv4; b"" for a damaged line."""
    fields = [line.split(None, 3) for line in lines]
    spelled = [field[2] if len(field) > 3 else b"" for field in fields]
    tokens = {each: _token(each) for each in set(spelled)}
    return [tokens[each] for each in spelled]


def _token(spelled: bytes) -> bytes:
    match = _ENDPOINT.fullmatch(spelled)
    return endpoint_token(decode_address(_bytes_of(match[1])), int(match[2], 16)) if match else b""


def parse_line(line: bytes, protocol: int, net_namespace: Optional[int]) -> Optional[Socket]:
    """One line of a table as a Socket; None when it is none."""
    match = _LINE.fullmatch(line)
    if not match or len(match[1]) != len(match[3]):
        return None
    return Socket(
        protocol,
        address_text(decode_address(_bytes_of(match[1]))),
        int(match[2], 16),
        address_text(decode_address(_bytes_of(match[3]))),
        int(match[4], 16),
        STATES.get(int(match[5], 16)),
        int(match[6]),
        net_namespace,
    )


def listening_ports(lines: list[bytes], tokens: Iterable[bytes]) -> set[int]:
    """The local ports of the listening TCP sockets among `lines`, whose remote tokens are `tokens`."""
    # Only the first lines of a table are of listening sockets, so that one look at the tokens settles nearly every batch.
    if _NO_REMOTES.isdisjoint(tokens):
        return set()
    return {int(line.split(None, 2)[1][-4:], 16) for line in lines if b":0000 0A " in line}
