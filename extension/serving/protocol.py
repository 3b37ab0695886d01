"""Thrift's binary protocol, tolerant of text that is no UTF-8 and bounded in size."""

from __future__ import annotations

from typing import Any

from thrift.protocol.TBinaryProtocol import TBinaryProtocol, TBinaryProtocolFactory

# An IN list of a hundred thousand paths stays well below this.
_MAX_BYTES = 64 << 20


class Protocol(TBinaryProtocol):  # type: ignore[misc]  # thrift has no types
    """Reads every string; bytes that are no UTF-8 arrive as surrogates, as in os.fsdecode.

    osquery hands on what processes and files are called, byte for byte, and a query may compare a column with it.
    """

    def __init__(self, transport: Any) -> None:
        super().__init__(transport, string_length_limit=_MAX_BYTES, container_length_limit=_MAX_BYTES)

    def readString(self) -> str:  # noqa: N802  # the method of TProtocol that decodes
        """The next string."""
        raw: bytes = self.readBinary()
        return raw.decode("utf-8", "surrogateescape")


class ProtocolFactory(TBinaryProtocolFactory):  # type: ignore[misc]  # thrift has no types
    """Makes a server's protocol for each connection."""

    def getProtocol(self, trans: Any) -> Protocol:  # noqa: N802  # the name that TServer calls
        """The protocol of one connection."""
        return Protocol(trans)
