"""The extension's view of osquery core: registers the tables there, and asks whether core still knows them."""

from __future__ import annotations

import logging
import os
import re
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

import osquery
from osquery.extensions import ExtensionManager
from osquery.extensions.ttypes import InternalExtensionInfo
from thrift.Thrift import TException
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TBufferedTransport, TTransportException

from extension import __version__
from extension.serving.protocol import Protocol
from tables.schema import Table, clean_text

log = logging.getLogger("minehunt")

EXTENSION_NAME = "minehunt"
# sockaddr_un holds 108 bytes with the closing NUL, and a uuid is a 16-bit number (osquery/extensions/interface.cpp).
MAX_SOCKET_PATH = 107
_UUID_SUFFIX = len(".65535")
# Core attaches tables under the lock that a running scheduled query holds, so registering may wait for that query.
_REGISTER_SECONDS = 120.0
# osquery's own limit for a call (--thrift_timeout).
_QUERY_SECONDS = 300.0
_CONNECT_RETRY_SECONDS = 0.1
# Core notices a dead predecessor of ours at its next ping round; a few rounds are enough.
_DUPLICATE_ROUNDS = 4

_DUPLICATE = "Duplicate extension registered"
_CLASH = re.compile(r"Registry item (\S+) conflicts")


class CoreError(Exception):
    """Core cannot be reached, refused us, or forgot us; the message is what the operator is told."""


class CoreBusyError(CoreError):
    """Core did not answer in time, which says nothing about whether it still knows us."""


def routes(table: Table) -> list[dict[str, str]]:
    """The table's columns as osquery's registry wants them, in order."""
    return [{"id": "column", "name": found.name, "type": found.type, "op": str(found.options)} for found in table.columns]


def extension_socket(core_socket: str, uuid: int) -> str:
    """Where osquery expects the extension `uuid` to listen."""
    return f"{core_socket}.{uuid}"


class Core:
    """osquery core behind its extension socket; every request makes a connection of its own, with a time limit."""

    def __init__(self, path: str, answer_seconds: float = 10.0) -> None:
        if len(os.fsencode(path)) + _UUID_SUFFIX > MAX_SOCKET_PATH:
            raise CoreError(f"socket path {path} is too long: at most {MAX_SOCKET_PATH - _UUID_SUFFIX} bytes fit")
        self.path = path
        self.answer_seconds = answer_seconds

    def wait(self, seconds: float) -> None:
        """Return once core answers, which may start after us; CoreError with the last reason after `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                with self._client(self.answer_seconds) as client:
                    client.ping()
                return
            except CoreError:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(_CONNECT_RETRY_SECONDS)

    def register(self, tables: Mapping[str, Table], interval: float) -> tuple[int, list[str]]:
        """Register the tables; return the uuid core gave us and the names of the tables it took.

        A table whose name is taken is left out with a warning. While an extension of our name is still registered,
        tries again every `interval` seconds for a few rounds. Raises CoreError when core takes none of the tables.
        """
        info = InternalExtensionInfo(
            name=EXTENSION_NAME, version=__version__, sdk_version=osquery.__version__, min_sdk_version="1.8.0"
        )
        wanted = {name: routes(table) for name, table in tables.items()}
        rounds = _DUPLICATE_ROUNDS
        while wanted:
            with self._client(_REGISTER_SECONDS) as client:
                status = client.registerExtension(info, {"table": wanted})
            message = str(status.message)
            if status.code == 0:
                return int(status.uuid), list(wanted)
            clash = _CLASH.search(message)
            if clash and clash[1] in wanted:
                log.warning("table %s is left out: osquery already has a table of this name", clash[1])
                del wanted[clash[1]]
            elif message == _DUPLICATE and rounds:
                log.warning("an extension named %s is still registered, trying again in %g s", EXTENSION_NAME, interval)
                rounds -= 1
                time.sleep(interval)
            elif message == _DUPLICATE:
                raise CoreError(f"another extension named {EXTENSION_NAME} is registered at {self.path}: {message}")
            else:
                raise CoreError(f"osquery refused to register {EXTENSION_NAME}: {message}")
        raise CoreError("osquery already has a table of the same name for every table of this extension")

    def knows(self, uuid: int) -> bool:
        """Whether core still lists the extension that it gave this uuid."""
        with self._client(self.answer_seconds) as client:
            info = client.extensions().get(uuid)
        return info is not None and info.name == EXTENSION_NAME

    def is_registered(self) -> bool:
        """Whether an extension of our name is registered, whoever started it."""
        with self._client(self.answer_seconds) as client:
            return any(info.name == EXTENSION_NAME for info in client.extensions().values())

    def query(self, sql: str) -> list[dict[str, str]]:
        """The rows of `sql`, run by core, as clean text; CoreError with core's message when it fails."""
        with self._client(_QUERY_SECONDS) as client:
            answer = client.query(sql)
        if answer.status.code != 0:
            raise CoreError(str(answer.status.message))
        return [{name: clean_text(value) for name, value in row.items()} for row in answer.response or ()]

    def watch(self, uuid: int, interval: float) -> NoReturn:
        """Ask every `interval` seconds whether core still knows us; raise CoreError once it is gone or does not."""
        is_slow = False
        while True:
            time.sleep(interval)
            try:
                if not self.knows(uuid):
                    raise CoreError(f"osquery at {self.path} no longer lists this extension (uuid {uuid})")
                is_slow = False
            except CoreBusyError as error:
                if not is_slow:
                    log.warning("%s", error)
                is_slow = True

    @contextmanager
    def _client(self, timeout: float) -> Iterator[Any]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            try:
                connection.connect(self.path)
                transport = TSocket()
                transport.setHandle(connection)
                yield ExtensionManager.Client(Protocol(TBufferedTransport(transport)))
            except (OSError, EOFError, TException) as error:
                raise _as_core_error(self.path, error, timeout) from None


def _as_core_error(path: str, error: Exception, timeout: float) -> CoreError:
    """The error of a request to core in the operator's terms."""
    cause = error.inner if isinstance(error, TTransportException) and error.inner is not None else error
    # socket.timeout and TimeoutError are two classes before Python 3.10.
    if isinstance(cause, (socket.timeout, BlockingIOError, TimeoutError)):
        return CoreBusyError(f"osquery at {path} did not answer within {timeout:g} s")
    if isinstance(cause, PermissionError):
        return CoreError(f"no permission to connect to osquery at {path}: the extension must run as osquery's user (root)")
    if isinstance(cause, FileNotFoundError):
        return CoreError(f"osquery is not running: there is no socket at {path}")
    if isinstance(cause, ConnectionRefusedError):
        return CoreError(f"osquery is not running: nothing listens at {path}")
    return CoreError(f"lost the connection to osquery at {path}: {cause}")
