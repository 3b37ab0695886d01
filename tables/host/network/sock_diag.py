"""Internet sockets as the kernel's own dump tells them (sock_diag(7)), by code that /proc/net's does not share."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Optional

from tables.host.network.sockets import MAPPED, STATES, Namespace, Socket, address_text, decode_address
from tables.host.processes.procfs import Procfs

_NETLINK_SOCK_DIAG = 4
_CLONE_NEWNET = 0x40000000
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST, _DUMP = 0x1, 0x300
_ERROR, _DONE = 2, 3
# Bits by the numbers of STATES (include/net/tcp_states.h): what lasts, and with connections that are not yet accepted.
_LASTING_STATES, ALL_STATES = 0xFFF, 0x1FFF
_HEADER = struct.Struct("=IHHII")
# struct inet_diag_req_v2: family, protocol, extensions, pad, states, and an id that a dump leaves empty.
_QUESTION = struct.Struct("=BBBxI48x")
# struct inet_diag_msg: family, state, timer, retransmits; ports (big-endian) and addresses; then behind interface and
# cookie: expires, queues, uid, inode (include/uapi/linux/inet_diag.h).
_ANSWER = struct.Struct("=BBBB2s2s16s16sIIIIIIII")
_SMALLEST = _HEADER.size + _ANSWER.size
_LENGTH_AND_KIND = struct.Struct("=IH")
# From the beginning of a message.
_REMOTE_PORT, _REMOTE = _HEADER.size + 6, _HEADER.size + 24
_FAMILIES = {"tcp": (socket.AF_INET, socket.IPPROTO_TCP), "tcp6": (socket.AF_INET6, socket.IPPROTO_TCP),
             "udp": (socket.AF_INET, socket.IPPROTO_UDP), "udp6": (socket.AF_INET6, socket.IPPROTO_UDP)}  # fmt: skip
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
    messages = dumped_messages(procfs, namespace, table, _LASTING_STATES) or []
    return [found for part in messages for found in parse_messages(part.data, table, namespace.inode)]


def parse_messages(data: bytes, table: str, net_namespace: Optional[int]) -> Iterator[Dumped]:
    """The sockets of one or more netlink messages; OSError for an error message."""
    for position in message_places(data, table)[0]:
        yield parse_message(data, position, table, net_namespace)


def parse_message(data: bytes, position: int, table: str, net: Optional[int]) -> Dumped:
    """The socket of the message at `position`, which message_places() gave."""
    fields = _ANSWER.unpack_from(data, position + _HEADER.size)
    family, state, _, _, local_port, remote_port, local, remote, *_, uid, inode = fields
    return Dumped(
        Socket(
            _FAMILIES[table][1],
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


def message_places(data: bytes, table: str) -> tuple[Sequence[int], bool]:
    """Where in the data the messages of sockets begin, and whether they are the last of a dump; OSError for an error message."""
    size = len(data)
    if size >= _SMALLEST:
        # Nearly all messages of a dump are of one length, so that one look at each length settles it.
        length, kind = _LENGTH_AND_KIND.unpack_from(data)
        if kind == _SOCK_DIAG_BY_FAMILY and length >= _SMALLEST and length % 4 == 0 and size % length == 0:
            words = memoryview(data).cast("I")[:: length // 4].tolist()
            kinds = memoryview(data).cast("H")[2 :: length // 2].tolist()
            if words.count(length) == kinds.count(kind) == size // length:
                return range(0, size, length), False
    return _places_one_by_one(data, table)


def _places_one_by_one(data: bytes, table: str) -> tuple[Sequence[int], bool]:
    places: list[int] = []
    position = 0
    while position + _HEADER.size <= len(data):
        length, kind = _LENGTH_AND_KIND.unpack_from(data, position)
        if length < _HEADER.size or position + length > len(data):
            return places, True
        if kind == _ERROR and length >= _HEADER.size + 4:
            (code,) = struct.unpack_from("=i", data, position + _HEADER.size)
            raise OSError(-code, f"sock_diag, {table}: {os.strerror(-code)}")
        if kind in (_ERROR, _DONE):
            return places, True
        if kind == _SOCK_DIAG_BY_FAMILY and length >= _SMALLEST:
            places.append(position)
        position += (length + 3) & ~3
    return places, not data


class Messages(NamedTuple):
    """Some of a dump's messages, and where in them those of sockets begin."""

    data: bytes
    places: Sequence[int]

    def remotes(self, table: str) -> list[bytes]:
        """The remote end of each socket as endpoint_token() gives it, IPv4-mapped addresses as IPv4."""
        data, first = self.data, _REMOTE_PORT
        if not table.endswith("6"):
            return [data[at + _REMOTE : at + _REMOTE + 4] + data[at + first : at + first + 2] for at in self.places]
        tokens = (data[at + _REMOTE : at + _REMOTE + 16] + data[at + first : at + first + 2] for at in self.places)
        return [token[12:] if token.startswith(MAPPED) else token for token in tokens]


def _address(family: int, raw: bytes) -> str:
    if family == socket.AF_INET:
        return address_text(raw[:4])
    return address_text(decode_address(raw))


def dumped_messages(procfs: Procfs, namespace: Namespace, table: str, states: int) -> Optional[list[Messages]]:
    """The answers to one dump of the sockets in these states (bits by the numbers of STATES), as `dump`; None where it is gone.

    Asked for in a thread that has entered the namespace and ends with it, unless it is our own.
    """
    for pid in namespace.members:
        try:
            fd = os.open(f"{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC, dir_fd=procfs.fd)
        except (FileNotFoundError, ProcessLookupError):
            continue
        try:
            inode = os.fstat(fd).st_ino
            if namespace.inode not in (None, inode):
                continue
            dump = _Dump(fd, table, states)
            return dump.asked() if inode == procfs.stat("self/ns/net").st_ino else dump.answer()
        finally:
            os.close(fd)
    return None


class _Dump(threading.Thread):
    """One dump; a thread of its own, since entering a network namespace is for a thread and cannot always be undone."""

    def __init__(self, namespace_fd: int, table: str, states: int) -> None:
        super().__init__(name=f"sock_diag {table}", daemon=True)
        self._namespace_fd = namespace_fd
        self._table = table
        self._states = states
        self._messages: list[Messages] = []
        self._error: Optional[OSError] = None

    def answer(self) -> list[Messages]:
        """Run, and return what was received."""
        self.start()
        self.join()
        if self._error is not None:
            raise self._error
        return self._messages

    def run(self) -> None:
        try:
            if _libc.setns(self._namespace_fd, _CLONE_NEWNET):
                code = ctypes.get_errno()
                raise OSError(code, f"setns: {os.strerror(code)}")
            self._messages = self.asked()
        except OSError as error:
            self._error = error

    def asked(self) -> list[Messages]:
        """What the kernel answers in this thread's network namespace."""
        messages = []
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as netlink:
            netlink.settimeout(_TIMEOUT_SECONDS)
            question = _QUESTION.pack(*_FAMILIES[self._table], 0, self._states)
            netlink.send(_HEADER.pack(_HEADER.size + len(question), _SOCK_DIAG_BY_FAMILY, _REQUEST | _DUMP, 1, 0) + question)
            is_last = False
            while not is_last:
                data = netlink.recv(_RECEIVE)
                places, is_last = message_places(data, self._table)
                messages.append(Messages(data, places))
        return messages
