"""Text files, plain or compressed, read in blocks of whole lines."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from tables.host.disk import lz4
from tables.host.disk.files import Files, Unreadable

_BLOCK = 1 << 20
_ZSTD = b"\x28\xb5\x2f\xfd"
_MAX_LINE = 64 * 1024
# An .xz file says itself how much memory it takes to unpack, up to 4 GiB; xz -9 needs 65 MiB.
_XZ_MEMORY = 80 * 1024 * 1024


class LineReader:
    """One pass over a text file: blocks of whole lines, of at most `limit` bytes unpacked, gzip, xz, bzip2 and lz4 undone.

    Of a plain file the last `limit` bytes are read, of a compressed one the first; `is_cut` tells afterwards that more is
    there, `bytes_read` how much was read. Raises Unreadable for a file that cannot be read or unpacked.
    """

    def __init__(self, files: Files, path: str, limit: int) -> None:
        self.files = files
        self.path = path
        self.limit = limit
        self.bytes_read = 0
        self.is_cut = False
        self.is_compressed = False

    def blocks(self) -> Iterator[bytes]:
        """Yield the blocks; a line longer than 64 KiB is cut."""
        with os.fdopen(self.files.open(self.path), "rb") as file:
            try:
                yield from _whole_lines(self._pieces(file))
            except Exception as error:
                # zlib, bz2 and lzma each have errors of their own for a damaged or unfinished file.
                if isinstance(error, Unreadable):
                    raise
                raise Unreadable(self.path, str(error) or type(error).__name__, errno.EIO) from None

    def _pieces(self, file: BinaryIO) -> Iterator[bytes]:
        unpacked = self._unpacked(file)
        self.is_compressed = unpacked is not None
        if unpacked is None:
            size = os.fstat(file.fileno()).st_size
            self.is_cut = size > self.limit
            file.seek(max(0, size - self.limit))
            if self.is_cut:
                file.readline(_MAX_LINE)
            unpacked = iter(lambda: file.read(_BLOCK), b"")
        for piece in unpacked:
            piece = piece[: self.limit - self.bytes_read]
            self.bytes_read += len(piece)
            yield piece
            if self.bytes_read >= self.limit:
                self.is_cut = self.is_cut or self.is_compressed
                return

    def _unpacked(self, file: BinaryIO) -> Any:
        """The unpacked content of a compressed file, None for a plain one; told apart by their first bytes."""
        magic = file.read(6)
        file.seek(0)
        if magic.startswith(b"\x1f\x8b"):
            import gzip

            unzipped = gzip.GzipFile(fileobj=file)
            return iter(lambda: unzipped.read(_BLOCK), b"")
        if magic.startswith(b"\xfd7zXZ\0"):
            import lzma  # A Python may be built without it.

            return _unpack(file, lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY))
        if magic.startswith(b"BZh"):
            import bz2

            return _unpack(file, bz2.BZ2Decompressor)
        if magic.startswith(lz4.MAGIC):
            return lz4.unpack_frame(file)
        if magic.startswith(_ZSTD):
            raise Unreadable(self.path, "compressed with zstd, which Python cannot read", errno.ENOTSUP)
        return None


def _unpack(file: BinaryIO, make: Callable[[], Any]) -> Iterator[bytes]:
    """The content of a file of one or more compressed streams, in pieces of at most _BLOCK bytes."""
    unpacker = make()
    packed = b""
    while True:
        if unpacker.eof:
            packed, unpacker = unpacker.unused_data, make()
        if unpacker.needs_input and not packed:
            packed = file.read(1 << 16)
            if not packed:
                return
        piece = unpacker.decompress(packed, _BLOCK)
        packed = b""
        if piece:
            yield piece


def _whole_lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        lines, newline, rest_of_piece = piece.rpartition(b"\n")
        if not newline:
            rest = (rest + piece)[:_MAX_LINE]
            continue
        yield rest + lines
        rest = rest_of_piece[:_MAX_LINE]
    if rest:
        yield rest
