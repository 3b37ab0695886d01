"""Texts that stand encoded in another: base64, hexadecimal digits, escapes."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable

_ENCODED = re.compile(r"[A-Za-z0-9+/]{24,}={0,2}")
_ESCAPED = re.compile(r"(?:\\{1,2}x[0-9A-Fa-f]{2}){8,}")
# As long as either of them.
_SHORTEST = 24
_PRINTABLE = bytes(range(0x20, 0x7F)) + b"\t\n\r"


def encoded_texts(text: str) -> Iterable[str]:
    r"""The texts hidden in `text` as base64, hexadecimal or `\x41` escapes; what does not decode to text is left out."""
    if len(text) < _SHORTEST:
        return
    for match in _ENCODED.finditer(text):
        word = match[0].rstrip("=")
        for decode in (_from_base64, bytes.fromhex):
            try:
                decoded = decode(word)
            except (ValueError, binascii.Error):
                continue
            if _is_text(decoded):
                yield decoded.decode("utf-8", "replace")
    for match in _ESCAPED.finditer(text):
        yield bytes.fromhex(match[0].replace("\\", "").replace("x", "")).decode("utf-8", "replace")


def _from_base64(word: str) -> bytes:
    return base64.b64decode(word + "=" * (-len(word) % 4), validate=True)


def _is_text(data: bytes) -> bool:
    """Whether nearly all of it is printable ASCII."""
    return len(data.translate(None, _PRINTABLE)) * 20 <= len(data)
