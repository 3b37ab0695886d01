"""Public keys as sshd reads them from authorized_keys files (sshd(8), AUTHORIZED_KEYS FILE FORMAT)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from typing import NamedTuple, Optional

# No key of any algorithm comes near this (16,384 bits RSA take about 3,000 letters, a certificate some more).
_MAX_KEY = 64 * 1024

_CERTIFICATE = "-cert-v01@openssh.com"
# The fields that make up a public key, after the name of its type (RFC 4253 6.6, RFC 5656, RFC 8709, PROTOCOL.u2f).
_FIELDS = {
    "ssh-rsa": 2,
    "ssh-dss": 4,
    "ssh-ed25519": 1,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "sk-ssh-ed25519@openssh.com": 2,
    "sk-ecdsa-sha2-nistp256@openssh.com": 3,
}
_BITS = {"nistp256": 256, "nistp384": 384, "nistp521": 521, "ed25519": 256}
_CERTIFIED = {f"{name.partition('@')[0]}{_CERTIFICATE}": name for name in _FIELDS}
MAX_LINE = 256 * 1024
_TYPE = re.compile(r"(?:ssh|ecdsa|sk|webauthn|rsa|x509v3)-[A-Za-z0-9@.-]{2,80}")
_KEY = re.compile(r"(\S+)[ \t]+(\S+)(?:[ \t]+(.*))?", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# One option: its name and, quoted or not, its value; a quote within quotes has a backslash before it.
_OPTION = re.compile(r'([A-Za-z0-9-]+)(?:=(?:"((?:[^"\\]|\\.)*)"|([^",\s]*)))?(?:,|(?=[ \t])|$)', re.DOTALL)


class PublicKey(NamedTuple):
    """A decoded key: its type, its bits, and the fingerprint that `ssh-keygen -l` prints."""

    key_type: str
    bits: Optional[int]
    fingerprint: str


class KeyLine(NamedTuple):
    """One line, from 1, that is neither blank nor a comment; `key` is None where sshd finds none in it."""

    line: int
    key: Optional[PublicKey]
    options: tuple[tuple[str, Optional[str]], ...]
    comment: str
    has_control_characters: bool

    def option(self, name: str) -> Optional[str]:
        """The value of an option, "" where it has none; None when it is not given."""
        return next((value or "" for given, value in self.options if given == name), None)


def parse_authorized_keys(data: bytes, limit: int) -> Iterator[KeyLine]:
    """The entries among the first `limit` lines of an authorized_keys file; of a line over 256 KiB the middle is left out."""
    for number, raw in enumerate(data.split(b"\n", limit)[:limit], 1):
        # Reading options takes a hundred bytes for each of a line; the key is at the end of it.
        if len(raw) > MAX_LINE:
            raw = raw[: MAX_LINE // 2] + raw[-MAX_LINE // 2 :]
        line = raw.decode("utf-8", "surrogateescape").strip(" \t\r")
        if line and not line.startswith("#"):
            yield _parse_line(number, line)


def _parse_line(number: int, line: str) -> KeyLine:
    options: tuple[tuple[str, Optional[str]], ...] = ()
    rest = line
    if not _TYPE.match(line):
        options, rest = parse_options(line)
    found = _KEY.match(rest)
    key = decode_key(found[1], found[2]) if found else None
    comment = (found[3] or "") if found and key else ""
    return KeyLine(number, key, options, comment, _CONTROL.search(line) is not None)


def parse_options(line: str) -> tuple[tuple[tuple[str, Optional[str]], ...], str]:
    """(options by name in small letters, what follows them) of a line that begins with options."""
    options: list[tuple[str, Optional[str]]] = []
    position = 0
    while position < len(line) and line[position] not in " \t":
        found = _OPTION.match(line, position)
        if found is None or found.end() == position:
            break
        quoted = found[2].replace('\\"', '"') if found[2] is not None else None
        options.append((found[1].lower(), found[3] if quoted is None else quoted))
        position = found.end()
    return tuple(options), line[position:].lstrip(" \t")


def decode_key(key_type: str, text: str) -> Optional[PublicKey]:
    """The key whose type and base64 text these are; None when they do not make a key that OpenSSH knows."""
    plain_type = _CERTIFIED.get(key_type, key_type)
    if plain_type not in _FIELDS or len(text) > _MAX_KEY:
        return None
    try:
        fields = _strings(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error):
        return None
    # A certificate has a nonce before the key (PROTOCOL.certkeys).
    start = 2 if plain_type != key_type else 1
    own = fields[start : start + _FIELDS[plain_type]]
    if fields[:1] != [key_type.encode()] or len(own) < _FIELDS[plain_type]:
        return None
    bits = _bits(plain_type, own)
    plain = b"".join(len(field).to_bytes(4, "big") + field for field in [plain_type.encode(), *own])
    digest = base64.b64encode(hashlib.sha256(plain).digest()).decode().rstrip("=")
    return PublicKey(key_type, bits, f"SHA256:{digest}")


def _strings(blob: bytes) -> list[bytes]:
    """The length-prefixed fields of a key, as far as they go (RFC 4251 5)."""
    fields = []
    position = 0
    while position + 4 <= len(blob):
        length = int.from_bytes(blob[position : position + 4], "big")
        position += 4
        if position + length > len(blob):
            break
        fields.append(blob[position : position + length])
        position += length
    return fields


def _bits(plain_type: str, fields: list[bytes]) -> Optional[int]:
    if plain_type == "ssh-rsa":
        return int.from_bytes(fields[1], "big").bit_length()
    if plain_type == "ssh-dss":
        return int.from_bytes(fields[0], "big").bit_length()
    return next((bits for name, bits in _BITS.items() if name in plain_type), None)
