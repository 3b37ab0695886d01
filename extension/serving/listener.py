"""The extension's own socket, and the ones that earlier extensions of ours left behind when they were killed."""

from __future__ import annotations

import logging
import os
import re
import socket
import stat
import time
from typing import Optional

from thrift.transport.TSocket import TServerSocket, TSocket

from extension.serving.registration import CoreError

log = logging.getLogger("minehunt")

# Core makes a new connection for every call, so a peer that stays silent this long has gone.
_PEER_TIMEOUT_MS = 60_000
_ACCEPT_RETRY_SECONDS = 1.0
# The sticky bit means nothing on a socket; it tells our sockets from those of other extensions.
_OURS = 0o1700
_CONNECT_SECONDS = 1.0


class Listener(TServerSocket):  # type: ignore[misc]  # thrift has no types
    """The extension's own socket, open to its owner only; `remove` deletes it."""

    handle: Optional[socket.socket]

    def __init__(self, path: str) -> None:
        super().__init__(unix_socket=path)
        self.path = path

    def listen(self) -> None:
        """Bind and listen; does nothing the second time, when TServer calls it."""
        if self.handle is not None:
            return
        # Core gave this uuid to nobody else, so a file in its place was left behind by a killed extension.
        self.remove()
        handle = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o077)
        try:
            handle.bind(self.path)
        except OSError as error:
            raise CoreError(f"cannot listen at {self.path}: {error.strerror}") from None
        finally:
            os.umask(before)
        handle.listen(128)
        # Marked only once it listens: whoever finds a marked socket that refuses connections knows that its owner is dead.
        os.chmod(self.path, _OURS)
        self.handle = handle

    def accept(self) -> TSocket:
        """The next connection."""
        try:
            client: TSocket = super().accept()
        except OSError as error:
            # Out of file descriptors, most likely: TServer would try again at once and burn the CPU.
            log.warning("cannot accept a connection: %s", error)
            time.sleep(_ACCEPT_RETRY_SECONDS)
            raise
        client.setTimeout(_PEER_TIMEOUT_MS)
        return client

    def remove(self) -> None:
        """Delete the socket file, if there is one."""
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass
        except OSError as error:
            log.warning("cannot remove %s: %s", self.path, error.strerror)


def remove_dead(core_socket: str) -> list[str]:
    """Delete the sockets beside `core_socket` that are ours and at which nobody listens any more; their paths.

    osquery itself removes them only when it starts (removeStalePaths in osquery/extensions/interface.cpp).
    """
    folder, base = os.path.split(core_socket)
    named = re.compile(rf"{re.escape(base)}\.\d{{1,5}}")
    removed = []
    try:
        paths = [os.path.join(folder, name) for name in sorted(os.listdir(folder or ".")) if named.fullmatch(name)]
        for path in paths:
            if _is_ours(path) and _is_dead(path):
                os.unlink(path)
                removed.append(path)
    except OSError as error:
        log.warning("sockets left beside %s are not removed: %s", core_socket, error)
    return removed


def _is_ours(path: str) -> bool:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return False
    return stat.S_ISSOCK(status.st_mode) and stat.S_IMODE(status.st_mode) == _OURS and status.st_uid == os.geteuid()


def _is_dead(path: str) -> bool:
    """Whether nobody listens at the socket; a listener that is stopped, or busy, still takes or delays connections."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_CONNECT_SECONDS)
        try:
            connection.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
        return False
