"""A stand-in for osquery core: its Thrift extension manager on a unix socket, with SQL from the embedded engine.

Checks, messages, locking and the two connections of every call follow osquery/extensions/{interface,extensions}.cpp,
osquery/registry/registry_factory.cpp and xUpdate of osquery/sql/virtual_table.cpp.
"""

from __future__ import annotations

import json
import os
import random
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import apsw
from osquery.extensions import Extension, ExtensionManager
from osquery.extensions.ttypes import ExtensionResponse, ExtensionStatus, InternalExtensionInfo, InternalOptionInfo
from thrift.protocol.TBinaryProtocol import TBinaryProtocol, TBinaryProtocolFactory
from thrift.server.TServer import TThreadedServer
from thrift.Thrift import TException
from thrift.transport.TSocket import TServerSocket, TSocket
from thrift.transport.TTransport import TBufferedTransport, TBufferedTransportFactory

import tables
from extension.engines import EngineError
from extension.engines.embedded import EmbeddedEngine
from extension.engines.vtable import VirtualTable
from tables.errors import TableError
from tables.host import Host
from tables.schema import BIGINT, BLOB, DOUBLE, INTEGER, OPTION_INDEX, OPTION_REQUIRED, TEXT, UNSIGNED_BIGINT, Column

Routes = list[dict[str, str]]

_OLDEST_SDK = (1, 7, 7)
_PING_SECONDS = 10
_CALL_SECONDS = 60
_WIRE_ERRORS = (OSError, EOFError, TException)
_SQL_TYPES = {int: (INTEGER, BIGINT, UNSIGNED_BIGINT), float: (DOUBLE,), str: (TEXT,), bytes: (BLOB,)}


class Core:
    """One osquery core at the socket `path`; `requests` records every (table, request) sent to an extension."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.extensions_by_uuid: dict[int, InternalExtensionInfo] = {}
        self.routes: dict[str, tuple[int, Routes]] = {}
        self.next_uuid: int | None = None
        self._primary = _engine_of_core()
        self._primary_lock = threading.RLock()
        self._listener = TServerSocket(unix_socket=path)

    def start(self) -> None:
        """Listen for extensions and clients."""
        self._listener.listen()
        processor = ExtensionManager.Processor(_Manager(self))
        server = _Server(processor, self._listener, TBufferedTransportFactory(), TBinaryProtocolFactory(), daemon=True)
        threading.Thread(target=server.serve, daemon=True).start()

    def stop(self) -> None:
        """Go away as a core that ended: nothing listens any more, and the socket is gone."""
        if self._listener.handle is not None:
            self._listener.handle.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            os.unlink(self.path)

    def uuid_of(self, name: str) -> int | None:
        """The uuid of the registered extension `name`."""
        return next((uuid for uuid, info in list(self.extensions_by_uuid.items()) if info.name == name), None)

    def ping_extensions(self) -> None:
        """One round of core's watcher: an extension that does not answer has gone away."""
        for uuid in list(self.extensions_by_uuid):
            if not answers(f"{self.path}.{uuid}"):
                self.forget(uuid)

    def forget(self, uuid: int) -> None:
        """Drop an extension and its tables."""
        with self._primary_lock:
            for name in [name for name, (owner, _) in self.routes.items() if owner == uuid]:
                self._primary.db.execute(f"DROP TABLE temp.{name}")
                del self.routes[name]
            del self.extensions_by_uuid[uuid]

    def register(self, info: InternalExtensionInfo, registry: Mapping[str, Mapping[str, Routes]]) -> ExtensionStatus:
        """Check and attach an extension's tables; the status core answers."""
        if self.uuid_of(info.name) is not None:
            return _failed("Duplicate extension registered")
        if tuple(int(part) for part in (info.sdk_version or "0").split(".")) < _OLDEST_SDK:
            return _failed("Incompatible extension SDK version")
        for name in registry.get("table", {}):
            if name in self.routes or name in self._primary.tables:
                return _failed(f"Failed adding registry: Registry item {name} conflicts with another item of the same name.")
        for registry_name, items in registry.items():
            if registry_name != "table":
                return _failed(f"Failed adding registry: Unknown registry: {registry_name}")
            if not all(items.values()):
                return _failed("Failed adding registry: Invalid route info")
        uuid = self.next_uuid or random.randrange(1, 1 << 16)
        with self._primary_lock:
            for name, routes in registry.get("table", {}).items():
                self.routes[name] = (uuid, routes)
                self._attach(self._primary, name, routes)
            self.extensions_by_uuid[uuid] = info
        return ExtensionStatus(code=0, message="OK", uuid=uuid)

    def query(self, sql: str) -> list[dict[str, str]]:
        """Run SQL as core does: on the primary database, or on one of its own while that is busy."""
        if self._primary_lock.acquire(blocking=False):
            try:
                return self._primary.query(sql)
            finally:
                self._primary_lock.release()
        transient = _engine_of_core()
        try:
            for name, (uuid, _) in list(self.routes.items()):
                # Once to list the table, once more in xCreate.
                self.call(uuid, name, {"action": "columns"})
                self._attach(transient, name, self.call(uuid, name, {"action": "columns"}))
            return transient.query(sql)
        finally:
            transient.close()

    def call(self, uuid: int, item: str, request: dict[str, str]) -> list[dict[str, str]]:
        """One call of an extension, as core makes it: a ping, then the call on a second connection."""
        path = f"{self.path}.{uuid}"
        if not answers(path):
            raise TableError(f"Extension socket not available: {path}")
        self.requests.append((item, request))
        try:
            with _client(path, _CALL_SECONDS) as client:
                answer = client.call("table", item, request)
        except _WIRE_ERRORS as error:
            raise TableError(f"Extension call failed: {error}") from None
        if answer.status.code != 0:
            raise TableError(answer.status.message)
        return list(answer.response)

    def _attach(self, engine: EmbeddedEngine, name: str, routes: Routes) -> None:
        uuid = self.routes[name][0]
        columns = [Column(route["name"], route["type"], "", int(route["op"])) for route in routes if route["id"] == "column"]
        _ExtensionTable(name, columns, lambda request: self.call(uuid, name, request)).attach(engine.db)


class _ExtensionTable(VirtualTable):
    """A table of an extension: like core's, and written to by asking the extension."""

    def __init__(self, name: str, columns: Sequence[Column], call: Any) -> None:
        super().__init__(name, columns, lambda context: call({"action": "generate", "context": context}), is_extension=True)
        self.call = call

    def attach(self, db: apsw.Connection) -> None:
        module: Any = self
        db.create_module(self.name, module, use_bestindex_object=True)
        db.execute(f"CREATE VIRTUAL TABLE temp.{self.name} USING {self.name}")

    def UpdateInsertRow(self, rowid: int | None, fields: Sequence[Any]) -> int:
        self._write({"action": "insert", "auto_rowid": "false" if rowid is None else "true"}, fields)
        return rowid or 0

    def UpdateChangeRow(self, rowid: int, _new: int, fields: Sequence[Any]) -> None:
        self._write({"action": "update", "id": str(rowid)}, fields)

    def UpdateDeleteRow(self, rowid: int) -> None:
        self._write({"action": "delete", "id": str(rowid)}, [])

    def _write(self, request: dict[str, str], fields: Sequence[Any]) -> None:
        for value, column in zip(fields, self.columns):
            is_key = column.options in (OPTION_INDEX, OPTION_REQUIRED)
            if is_key if value is None else column.type not in _SQL_TYPES[type(value)]:
                raise apsw.MismatchError("datatype mismatch")
        (answer,) = self.call({**request, "json_value_array": json.dumps(fields), "context": "{}"})
        if answer["status"] == "readonly":
            raise apsw.ReadOnlyError(f"table {self.name} may not be modified")


class _Manager:
    """The Thrift service of core."""

    def __init__(self, core: Core) -> None:
        self.core = core

    def ping(self) -> ExtensionStatus:
        return ExtensionStatus(code=0, message="pong", uuid=0)

    def call(self, registry: str, item: str, request: dict[str, str]) -> ExtensionResponse:
        if registry != "table" or item not in self.core.routes:
            return ExtensionResponse(status=_failed(f"Cannot call registry item: {item}"), response=[])
        return _respond(lambda: self.core.call(self.core.routes[item][0], item, request))

    def shutdown(self) -> None:
        pass

    def extensions(self) -> dict[int, InternalExtensionInfo]:
        return dict(self.core.extensions_by_uuid)

    def options(self) -> dict[str, InternalOptionInfo]:
        return {"extensions_socket": InternalOptionInfo(value=self.core.path, default_value="", type="string")}

    def registerExtension(self, info: InternalExtensionInfo, registry: dict[str, dict[str, Routes]]) -> ExtensionStatus:
        return self.core.register(info, registry)

    def deregisterExtension(self, uuid: int) -> ExtensionStatus:
        if uuid not in self.core.extensions_by_uuid:
            return _failed("No extension UUID found")
        self.core.forget(uuid)
        return ExtensionStatus(code=0, message="OK", uuid=0)

    def query(self, sql: str) -> ExtensionResponse:
        return _respond(lambda: self.core.query(sql))

    def getQueryColumns(self, sql: str) -> ExtensionResponse:
        return _respond(lambda: [{name: "TEXT"} for name in self.core._primary.column_names(sql)])


class _Server(TThreadedServer):
    """Thrift's threaded server, which ends when its socket is closed."""

    def serve(self) -> None:
        while True:
            try:
                client = self.serverTransport.accept()
            except (OSError, AttributeError):
                return
            threading.Thread(target=self.handle, args=(client,), daemon=True).start()


def _engine_of_core() -> EmbeddedEngine:
    """SQLite with core's tables and functions, and none of minehunt's tables."""
    engine = EmbeddedEngine(Host())
    names = tables.discover()
    for name in names:
        engine.db.execute(f"DROP TABLE temp.{name}")
    engine.tables = {name: table for name, table in engine.tables.items() if name not in names}
    return engine


def answers(path: str) -> bool:
    """Whether the extension at this socket answers a ping."""
    try:
        with _client(path, _PING_SECONDS) as client:
            client.ping()
    except _WIRE_ERRORS:
        return False
    return True


def _failed(message: str) -> ExtensionStatus:
    return ExtensionStatus(code=1, message=message, uuid=0)


def _respond(answer: Any) -> ExtensionResponse:
    try:
        return ExtensionResponse(status=ExtensionStatus(code=0, message="OK", uuid=0), response=answer())
    except (EngineError, TableError) as error:
        return ExtensionResponse(status=_failed(str(error)), response=[])


@contextmanager
def _client(path: str, seconds: float) -> Iterator[Extension.Client]:
    transport = TSocket(unix_socket=path)
    transport.setTimeout(seconds * 1000)
    buffered = TBufferedTransport(transport)
    buffered.open()
    try:
        yield Extension.Client(TBinaryProtocol(buffered))
    finally:
        buffered.close()
