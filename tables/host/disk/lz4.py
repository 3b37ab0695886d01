"""LZ4 frames, as apt keeps package lists on some hosts, unpacked without the lz4 library.

Formats: lz4_Frame_format.md and lz4_Block_format.md of the lz4 project. Checksums are not verified.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

MAGIC = b"\x04\x22\x4d\x18"
_WINDOW = 64 * 1024
_MAX_BLOCK = 4 * 1024 * 1024


def unpack_frame(file: BinaryIO) -> Iterator[bytes]:
    """The content of the frame that `file` begins with, block by block, each of at most 4 MiB.

    Raises ValueError where it is damaged and EOFError where it ends early.
    """
    if _exactly(file, 4) != MAGIC:
        raise ValueError("not an lz4 frame")
    flags, _ = _exactly(file, 2)
    if flags >> 6 != 1 or flags & 1:
        raise ValueError("an lz4 frame of another version, or with a dictionary")
    _exactly(file, 9 if flags & 8 else 1)
    window = b""
    while True:
        size = int.from_bytes(_exactly(file, 4), "little")
        if size == 0:
            return
        is_plain, size = bool(size >> 31), size & 0x7FFFFFFF
        if size > _MAX_BLOCK + 1024:
            raise ValueError("an lz4 block of more than 4 MiB")
        data = _exactly(file, size)
        if flags & 16:
            _exactly(file, 4)
        block = data if is_plain else unpack_block(data, window)
        yield block
        # A block may refer back into those before it, unless the frame says that they are independent.
        window = b"" if flags & 32 else (window + block)[-_WINDOW:]


def unpack_block(data: bytes, before: bytes = b"", limit: int = _MAX_BLOCK) -> bytes:
    """The content of one block, at most `limit` bytes; `before` is what it may refer back to. ValueError where it is damaged."""
    out = bytearray(before)
    start, end = len(before), len(data)
    at = 0
    try:
        while True:
            token = data[at]
            at += 1
            literals = token >> 4
            if literals:
                if literals == 15:
                    while data[at] == 255:
                        literals += 255
                        at += 1
                    literals += data[at]
                    at += 1
                out += data[at : at + literals]
                at += literals
            if at >= end:
                break
            offset = data[at] | data[at + 1] << 8
            at += 2
            length = (token & 15) + 4
            if length == 19:
                while data[at] == 255:
                    length += 255
                    at += 1
                length += data[at]
                at += 1
            source = len(out) - offset
            if source < 0 or offset == 0 or len(out) - start + length > limit:
                raise ValueError("a damaged lz4 block")
            if offset >= length:
                out += out[source : source + length]
            else:
                # What it copies overlaps what it writes: a pattern of `offset` bytes over and over.
                out += (out[source:] * (length // offset + 1))[:length]
    except IndexError:
        raise ValueError("an lz4 block that ends early") from None
    if at > end or len(out) - start > limit:
        raise ValueError("a damaged lz4 block")
    return bytes(out[start:])


def _exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise EOFError("the lz4 frame ends early")
    return data
