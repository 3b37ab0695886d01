"""Registers the tables with osquery and serves them over Thrift until osquery, or the operator, ends it."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Mapping
from types import FrameType
from typing import Any, NoReturn, Optional

from osquery.extensions.Extension import Processor
from osquery.extensions.ttypes import ExtensionStatus
from thrift.server.TServer import TThreadedServer
from thrift.transport.TTransport import TBufferedTransportFactory

from extension.serving import memory
from extension.serving.listener import Listener, remove_dead
from extension.serving.protocol import ProtocolFactory, Response
from extension.serving.registration import Core, CoreError, extension_socket, routes
from extension.serving.runner import TableRunner
from extension.serving.workers import Workers
from tables.errors import TableError
from tables.schema import clean_text

log = logging.getLogger("minehunt")

# Leaves the answer to shutdown() time to reach core before the process ends.
_SHUTDOWN_SECONDS = 0.1
# osquery's own extensions ask no more often either (osquery/extensions/extensions.cpp).
_MIN_INTERVAL_SECONDS = 0.2
_WRITES = frozenset({"insert", "update", "delete"})


class Handler:
    """Answers osquery's calls; every failure is a status with a message, never an empty result."""

    def __init__(self, uuid: int, runners: Mapping[str, TableRunner]) -> None:
        self.uuid = uuid
        self.runners = runners
        self.cleaner = memory.Cleaner(lambda: sum(runner.forget_expired() for runner in runners.values()))

    def ping(self) -> Any:
        """Thrift: we are here."""
        return ExtensionStatus(code=0, message="OK", uuid=self.uuid)

    def call(self, registry: str, item: str, request: Optional[Mapping[str, str]]) -> Any:
        """Thrift: one action (generate, columns, insert …) on the table `item`."""
        try:
            rows = self._answer(registry, item, request or {})
        except TableError as error:
            return self._response(1, str(error), [])
        # Whatever else goes wrong must reach the user as this query's error, and must not end the connection.
        except Exception as error:
            log.exception("call of %s failed", item)
            return self._response(1, f"{item}: internal error: {type(error).__name__}: {error}", [])
        return self._response(0, "OK", rows)

    def shutdown(self) -> None:
        """Thrift: osquery is ending; end as on SIGTERM."""
        main = threading.main_thread().ident
        assert main is not None
        threading.Timer(_SHUTDOWN_SECONDS, signal.pthread_kill, (main, signal.SIGTERM)).start()

    def _answer(self, registry: str, item: str, request: Mapping[str, str]) -> list[dict[str, str]]:
        if registry != "table":
            raise TableError(f"unknown registry: {registry}")
        if item not in self.runners:
            raise TableError(f"unknown table: {item}")
        action = request.get("action", "")
        if action == "generate":
            rows = self.runners[item].generate(request.get("context"))
            self.cleaner.note(len(rows))
            return rows
        if action == "columns":
            return routes(self.runners[item].table)
        if action in _WRITES:
            return [{"status": "readonly"}]
        raise TableError(f"{item}: unknown action: {action}")

    def _response(self, code: int, message: str, rows: list[dict[str, str]]) -> Any:
        status = ExtensionStatus(code=code, message=clean_text(message), uuid=self.uuid)
        return Response(status=status, response=rows)


class _StopRequested(BaseException):
    """SIGTERM or SIGINT arrived."""


def serve(
    workers: Workers,
    socket_path: str,
    timeout: float = 3.0,
    interval: float = 3.0,
) -> int:
    """Serve the tables of `workers` to the osquery at `socket_path`; return the exit status.

    Waits up to `timeout` seconds for osquery's socket, and asks every `interval` seconds whether osquery still knows us.
    0: asked to stop, by a signal or by osquery. 1: osquery is not there, refused us, went away or forgot us; the reason is
    on stderr. Must be called in the main thread; scans may still be running when it returns.
    """
    interval = max(interval, _MIN_INTERVAL_SECONDS)
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _request_stop)
        _serve(Core(socket_path), timeout, interval, workers)
    except _StopRequested:
        return 0
    except CoreError as error:
        log.error("%s", error)
        return 1
    except Exception:
        log.exception("the extension failed")
        return 1
    finally:
        workers.end()


def _serve(core: Core, timeout: float, interval: float, workers: Workers) -> NoReturn:
    core.wait(timeout)
    uuid, names = core.register(workers.tables, interval)
    handler = Handler(uuid, {name: TableRunner(workers.tables[name], workers.host, workers) for name in names})
    listener = Listener(extension_socket(core.path, uuid))
    try:
        listener.listen()
        remove_dead(core.path)
        server = TThreadedServer(Processor(handler), listener, TBufferedTransportFactory(), ProtocolFactory(), daemon=True)
        threading.Thread(target=server.serve, name="accept", daemon=True).start()
        memory.tune()
        handler.cleaner.start()
        log.info("registered %d tables, listening at %s", len(names), listener.path)
        core.watch(uuid, interval)
    finally:
        listener.remove()


def _request_stop(_number: int, _frame: Optional[FrameType]) -> None:
    # A second signal must not interrupt the clean-up that the first one began.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    raise _StopRequested
