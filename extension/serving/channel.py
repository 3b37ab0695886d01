"""Messages between the process that answers osquery and the one that scans: JSON objects, each after its length."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from typing import Any, Optional

from tables.host.forked import receive_message, send_message
from tables.schema import Constraint, QueryContext, WireRow

# Rows go in parts, so that neither side holds a large answer twice.
_PART_BYTES = 512 * 1024

Message = dict[str, Any]


class Channel:
    """One end of a connected stream socket; any thread may send, one receives."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._sending = threading.Lock()

    def send(self, message: Message) -> None:
        """Send one message; raises OSError when the other side is gone."""
        self._send(json.dumps(message, separators=(",", ":")).encode())

    def send_rows(self, number: int, rows: list[WireRow]) -> None:
        """Send the rows of scan `number` as messages {"rows": [...], "scan": number}."""
        parts: list[str] = []
        size = 0
        for row in rows:
            parts.append(json.dumps(row, separators=(",", ":")))
            size += len(parts[-1])
            if size > _PART_BYTES:
                self._send_part(number, parts)
                parts, size = [], 0
        if parts:
            self._send_part(number, parts)

    def receive(self) -> Optional[Message]:
        """The next message; None when the other side is gone."""
        try:
            body = receive_message(self._connection)
        except OSError:
            return None
        return None if body is None else json.loads(body)

    def close(self) -> None:
        """Close this end, which wakes a thread that waits in `receive`."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def _send_part(self, number: int, rows: list[str]) -> None:
        self._send(f'{{"scan":{number},"rows":[{",".join(rows)}]}}'.encode())

    def _send(self, body: bytes) -> None:
        with self._sending:
            send_message(self._connection, body)


def question(query: QueryContext) -> Message:
    """What a scan has to know of a query; its deadline is one on CLOCK_MONOTONIC, which all processes share."""
    return {
        "constraints": {name: [list(term) for term in terms] for name, terms in query.constraints.items()},
        "columns": None if query.columns_used is None else sorted(query.columns_used),
        "budget": query.budget_seconds,
        "deadline": query.deadline,
    }


def asked(message: Message) -> QueryContext:
    """The query that `question` made the message of."""
    constraints = {name: [Constraint(*term) for term in terms] for name, terms in message["constraints"].items()}
    columns = message["columns"]
    query = QueryContext(constraints, None if columns is None else frozenset(columns), message["budget"])
    query.deadline = message["deadline"]
    return query


def lacks(query: QueryContext) -> dict[str, tuple[str, ...]]:
    """What the scan said that it lacks, as parts of its last message."""
    return {"blind": query.blind, "untold": query.untold, "cuts": query.cuts}
