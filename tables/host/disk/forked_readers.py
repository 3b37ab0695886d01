"""Processes that read folders side by side: folders are handed out to them, and what they find comes back in parts."""

from __future__ import annotations

import marshal
import select
import socket
from collections.abc import Iterator
from typing import Any, Optional

from tables.host.disk.folder_reader import FolderReader, Part, Plan
from tables.host.forked import Forked, receive_message, send_message

# Handed out at once, in number and in bytes: two such messages fit into a socket's buffer, so that handing out never waits.
_MAX_FOLDERS = 32
_MAX_BYTES = 16 * 1024
# One batch is read while the next one lies ready.
_AHEAD = 2
_POLL_MILLISECONDS = 200


class ForkedReaders:
    """So many processes that read folders, or as many as can be had; to be closed after use."""

    def __init__(self, plan: Plan, count: int) -> None:
        # What readers that ended before their time leave unread, in words.
        self.losses: list[str] = []
        self._readers: dict[int, _Reader] = {}
        for _ in range(count):
            try:
                reader = _Reader(plan)
            except OSError:
                break
            self._readers[reader.connection.fileno()] = reader

    def close(self) -> None:
        """End the processes."""
        for reader in self._readers.values():
            reader.end()
        self._readers.clear()

    @property
    def pids(self) -> list[int]:
        """The processes that are left."""
        return [reader.pid for reader in self._readers.values()]

    def hand_out(self, pending: list[str], programs_only: bool) -> None:
        """Give those that have little to do some of the folders, taken from the end of the list."""
        for ahead in range(_AHEAD):
            for reader in list(self._readers.values()):
                if pending and len(reader.batches) == ahead:
                    self._give(reader, _taken(pending, len(self._readers)), programs_only)

    @property
    def is_busy(self) -> bool:
        """Whether anything that was handed out has not come back yet."""
        return any(reader.batches for reader in self._readers.values())

    def parts(self) -> Iterator[Part]:
        """What has come in by now; waits a moment for something to come."""
        # Not select(2), which knows no descriptor above 1023.
        poll = select.poll()
        for fd, reader in self._readers.items():
            if reader.batches:
                poll.register(fd, select.POLLIN)
        for fd, _ in poll.poll(_POLL_MILLISECONDS):
            reader = self._readers[fd]
            try:
                part = reader.receive()
            except (OSError, EOFError, ValueError):
                self._lose(fd)
                continue
            if part.is_last:
                reader.batches.pop(0)
            yield part

    def _give(self, reader: _Reader, folders: list[str], programs_only: bool) -> None:
        reader.batches.append(folders)
        try:
            _send(reader.connection, (folders, programs_only))
        except OSError:
            self._lose(reader.connection.fileno())

    def _lose(self, fd: int) -> None:
        reader = self._readers.pop(fd)
        lost = [folder for batch in reader.batches for folder in batch]
        self.losses.append(f"a process that reads the disk ended ({reader.end()}); not all was read below {_some(lost)}")


class _Reader(Forked):
    """One process and the connection to it; `batches` are the folders that it has not said to have read."""

    def __init__(self, plan: Plan) -> None:
        self.batches: list[list[str]] = []
        super().__init__(lambda connection: _serve(connection, plan))

    def receive(self) -> Part:
        """The next part; waits for it."""
        message = _receive(self.connection)
        if message is None:
            raise EOFError
        return Part(*message)


def _taken(pending: list[str], readers: int) -> list[str]:
    """Folders from the end of the list, few enough that the other readers get some too."""
    most = min(_MAX_FOLDERS, max(1, len(pending) // (_AHEAD * readers)))
    size = count = 0
    while count < most and size < _MAX_BYTES:
        count += 1
        size += 4 * len(pending[-count])
    taken = pending[-count:]
    del pending[-count:]
    return taken


def _some(folders: list[str]) -> str:
    return folders[0] + (f" and {len(folders) - 1} other folders" if len(folders) > 1 else "")


def _serve(connection: socket.socket, plan: Plan) -> None:
    """Read what is handed out until the connection ends."""
    reader = FolderReader(plan)
    while (message := _receive(connection)) is not None:
        for part in reader.read(*message):
            # marshal knows plain tuples only.
            _send(connection, tuple(part))


def _send(connection: socket.socket, message: tuple[Any, ...]) -> None:
    send_message(connection, marshal.dumps(message))


def _receive(connection: socket.socket) -> Optional[tuple[Any, ...]]:
    """The next message; None where the connection ends."""
    body = receive_message(connection)
    # What the other half of this program has sent: nobody else has the other end of a socketpair.
    message: Optional[tuple[Any, ...]] = None if body is None else marshal.loads(body)  # noqa: S302
    return message
