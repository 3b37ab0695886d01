"""Thrift's binary protocol, tolerant of text that is no UTF-8 and bounded in size."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from osquery.extensions.ttypes import ExtensionResponse
from thrift.protocol.TBinaryProtocol import TBinaryProtocol, TBinaryProtocolFactory
from thrift.protocol.TProtocol import TProtocolException
from thrift.Thrift import TType

from tables.schema import WireRow

# What core sends as a request: two entries, of which one holds an IN list, perhaps of ten thousand paths.
_MAX_REQUEST = 4 << 20
_MAX_REQUEST_STRING = 1 << 20
_MAX_REQUEST_ENTRIES = 1000
# What core answers to a query of ours.
_MAX_ANSWER = 1 << 30
_MAX_ANSWER_STRING = 64 << 20


class Protocol(TBinaryProtocol):  # type: ignore[misc]  # thrift has no types
    """Reads every string; bytes that are no UTF-8 arrive as surrogates, as in os.fsdecode.

    osquery hands on what processes and files are called, byte for byte, and a query may compare a column with it. What is
    over a limit is a TProtocolException before it is read, at which a server closes the connection.
    """

    def __init__(
        self, transport: Any, message: int = _MAX_ANSWER, string: int = _MAX_ANSWER_STRING, entries: int = _MAX_ANSWER_STRING
    ) -> None:
        # A message that does not begin with the version would bring a name of any length.
        super().__init__(transport, strictRead=True, string_length_limit=string, container_length_limit=entries)
        self._limit = self._left = message

    def readMessageBegin(self) -> Any:  # noqa: N802  # the method of TProtocol that begins a message
        """Name, type and sequence number of the next message."""
        self._left = self._limit
        return super().readMessageBegin()

    def readString(self) -> str:  # noqa: N802  # the method of TProtocol that decodes
        """The next string."""
        raw: bytes = self.readBinary()
        return raw.decode("utf-8", "surrogateescape")

    def _check_string_length(self, length: int) -> None:
        super()._check_string_length(length)
        self._left -= length
        if self._left < 0:
            raise TProtocolException(TProtocolException.SIZE_LIMIT, f"a message of more than {self._limit} bytes")


class ProtocolFactory(TBinaryProtocolFactory):  # type: ignore[misc]  # thrift has no types
    """Makes a server's protocol for each connection."""

    def getProtocol(self, trans: Any) -> Protocol:  # noqa: N802  # the name that TServer calls
        """The protocol of one connection, for requests of at most 4 MiB with strings of at most 1 MiB."""
        return Protocol(trans, _MAX_REQUEST, _MAX_REQUEST_STRING, _MAX_REQUEST_ENTRIES)


class Response(ExtensionResponse):  # type: ignore[misc]  # osquery has no types
    """osquery's answer, its rows written as whole pieces: thrift calls five functions for each text, ten times the work."""

    def write(self, oprot: Any) -> None:
        """Thrift: write the answer, in the binary protocol."""
        oprot.writeStructBegin("ExtensionResponse")
        oprot.writeFieldBegin("status", TType.STRUCT, 1)
        self.status.write(oprot)
        oprot.writeFieldEnd()
        oprot.writeFieldBegin("response", TType.LIST, 2)
        oprot.writeListBegin(TType.MAP, len(self.response))
        for piece in encoded(self.response):
            oprot.trans.write(piece)
        oprot.writeListEnd()
        oprot.writeFieldEnd()
        oprot.writeFieldStop()
        oprot.writeStructEnd()


def encoded(rows: list[WireRow]) -> Iterator[bytes]:
    """Each row as a map of strings to strings in Thrift's binary protocol (thrift-binary-protocol.md)."""
    names: dict[str, bytes] = {}
    for row in rows:
        parts = [struct.pack(">BBI", TType.STRING, TType.STRING, len(row))]
        for name, text in row.items():
            if name not in names:
                names[name] = _counted(name)
            parts += (names[name], _counted(text))
        yield b"".join(parts)


def _counted(text: str) -> bytes:
    raw = text.encode()
    return len(raw).to_bytes(4, "big") + raw
