"""Docker's own HTTP API over its Unix socket: questions only."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any

_MAX_ANSWER = 64 * 1024 * 1024


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over the Unix socket at `path`."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def get(path: str, resource: str, seconds: float) -> Any:
    """The decoded JSON of one GET from the socket at `path`; OSError or ValueError when Docker does not answer in time."""
    connection = _UnixConnection(path, seconds)
    try:
        connection.request("GET", resource)
        answer = connection.getresponse()
        body = answer.read(_MAX_ANSWER)
        if answer.status != http.client.OK:
            raise ValueError(f"GET {resource}: {answer.status} {answer.reason}")
        return json.loads(body)
    except RecursionError:
        raise ValueError(f"GET {resource}: nested too deeply") from None
    except http.client.HTTPException as error:
        raise ValueError(f"GET {resource}: {error}") from None
    finally:
        connection.close()
