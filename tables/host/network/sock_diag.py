"""Internet sockets as the kernel's own dump tells them (sock_diag(7)), by code that /proc/net's does not share."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple, Optional

from tables.host.network.sockets import STATES, Namespace, Socket, address_text
from tables.host.processes.procfs import Procfs

_NETLINK_SOCK_DIAG = 4
_CLONE_NEWNET = 0x40000000
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST, _DUMP = 0x1, 0x300
_ERROR, _DONE = 2, 3
_ALL_STATES = 0xFFF
_HEADER = struct.Struct("=IHHII")
# struct inet_diag_req_v2: family, protocol, extensions, pad, states, and an id that a dump leaves empty.
_QUESTION = struct.Struct("=BBBxI48x")
# struct inet_diag_msg: family, state, timer, retransmits; ports (big-endian) and addresses; then behind interface and
# cookie: expires, queues, uid, inode (include/uapi/linux/inet_diag.h).
_ANSWER = struct.Struct("=BBBB2s2s16s16sIIIIIIII")
_FAMILIES = {"tcp": (socket.AF_INET, socket.IPPROTO_TCP), "tcp6": (socket.AF_INET6, socket.IPPROTO_TCP),
             "udp": (socket.AF_INET, socket.IPPROTO_UDP), "udp6": (socket.AF_INET6, socket.IPPROTO_UDP)}  # fmt: skip
_MAPPED = bytes(10) + b"\xff\xff"
_RECEIVE = 256 * 1024
_TIMEOUT_SECONDS = 10.0
_libc = ctypes.CDLL(None, use_errno=True)


class Dumped(NamedTuple):
    """A socket of a dump, with the user that made it."""

    socket: Socket
    owner_uid: int


def dump(procfs: Procfs, namespace: Namespace, table: str) -> list[Dumped]:
    """All sockets of one table (tcp, tcp6, udp or udp6) of a network namespace.

    Raises OSError where the kernel offers no dump, or the namespace cannot be entered (needs CAP_SYS_ADMIN for others than our
    own); [] when the namespace is gone. The kernel may load its own module for the dump (tcp_diag), as ss(8) has it do.
    """
    return [found for data in _messages(procfs, namespace, table) for found in parse_messages(data, table, namespace.inode)]


def parse_messages(data: bytes, table: str, net_namespace: Optional[int]) -> Iterator[Dumped]:
    """The sockets of one or more netlink messages; OSError for an error message."""
    position = 0
    while position + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, position)
        body = position + _HEADER.size
        if length < _HEADER.size or position + length > len(data):
            return
        if kind == _ERROR and length >= _HEADER.size + 4:
            (code,) = struct.unpack_from("=i", data, body)
            raise OSError(-code, f"sock_diag, {table}: {os.strerror(-code)}")
        if kind == _SOCK_DIAG_BY_FAMILY and length >= _HEADER.size + _ANSWER.size:
            yield _dumped(_ANSWER.unpack_from(data, body), _FAMILIES[table][1], net_namespace)
        position += (length + 3) & ~3


def _dumped(fields: tuple[Any, ...], protocol: int, net: Optional[int]) -> Dumped:
    family, state, _, _, local_port, remote_port, local, remote, *_, uid, inode = fields
    return Dumped(
        Socket(
            protocol,
            _address(family, local),
            int.from_bytes(local_port, "big"),
            _address(family, remote),
            int.from_bytes(remote_port, "big"),
            STATES.get(state),
            inode,
            net,
        ),
        uid,
    )


def _address(family: int, raw: bytes) -> str:
    if family == socket.AF_INET:
        return address_text(raw[:4])
    return address_text(raw[12:] if raw.startswith(_MAPPED) else raw)


def _messages(procfs: Procfs, namespace: Namespace, table: str) -> list[bytes]:
    """The answers to one dump, asked for in a thread that has entered the namespace and ends with it."""
    for pid in namespace.members:
        try:
            fd = os.open(f"{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC, dir_fd=procfs.fd)
        except (FileNotFoundError, ProcessLookupError):
            continue
        try:
            if namespace.inode not in (None, os.fstat(fd).st_ino):
                continue
            is_own = os.fstat(fd).st_ino == procfs.stat("self/ns/net").st_ino
            return _Dump(None if is_own else fd, table).answer()
        finally:
            os.close(fd)
    return []


class _Dump(threading.Thread):
    """One dump; a thread of its own, since entering a network namespace is for a thread and cannot always be undone."""

    def __init__(self, namespace_fd: Optional[int], table: str) -> None:
        super().__init__(name=f"sock_diag {table}", daemon=True)
        self._namespace_fd = namespace_fd
        self._table = table
        self._messages: list[bytes] = []
        self._error: Optional[OSError] = None

    def answer(self) -> list[bytes]:
        """Run, and return what was received."""
        self.start()
        self.join()
        if self._error is not None:
            raise self._error
        return self._messages

    def run(self) -> None:
        try:
            if self._namespace_fd is not None and _libc.setns(self._namespace_fd, _CLONE_NEWNET):
                code = ctypes.get_errno()
                raise OSError(code, f"setns: {os.strerror(code)}")
            with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as netlink:
                netlink.settimeout(_TIMEOUT_SECONDS)
                question = _QUESTION.pack(*_FAMILIES[self._table], 0, _ALL_STATES)
                netlink.send(_HEADER.pack(_HEADER.size + len(question), _SOCK_DIAG_BY_FAMILY, _REQUEST | _DUMP, 1, 0) + question)
                while not self._messages or not _is_last(self._messages[-1]):
                    self._messages.append(netlink.recv(_RECEIVE))
        except OSError as error:
            self._error = error


def _is_last(data: bytes) -> bool:
    """Whether the messages end the dump: its end, or an error, comes in a message of its own kind."""
    position = 0
    while position + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, position)
        if kind in (_ERROR, _DONE) or length < _HEADER.size:
            return True
        position += (length + 3) & ~3
    return not data
