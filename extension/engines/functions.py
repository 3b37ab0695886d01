"""osquery's own SQL functions for the embedded engine.

Follows osquery/sql/sqlite_string.cpp, sqlite_encoding.cpp, sqlite_hashing.cpp, sqlite_network.cpp and
sqlite_filesystem.cpp: what is NULL, what is "" and what is an error there is so here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import re
from collections.abc import Callable
from functools import partial
from typing import Optional

import apsw

from extension.engines.core.reading import split
from extension.engines.math_functions import MATH_FUNCTIONS
from extension.engines.regex import RegexError, compile_regex
from extension.engines.sql_values import SqlValue, number_of, text_of
from extension.engines.versions import FLAVOURS, compare_versions


def _pick(pieces: list[str], index: SqlValue) -> Optional[str]:
    """The piece at `index`, NULL when there is none; a negative index is out of range too."""
    position = number_of(index)
    return pieces[int(position)] if 0 <= position < len(pieces) else None


def split_text(text: SqlValue, delimiters: SqlValue, index: SqlValue) -> Optional[str]:
    """The piece at `index` between any of the characters in `delimiters`; empty pieces do not count."""
    if text is None or delimiters is None or index is None:
        return None
    if not text_of(delimiters):
        raise apsw.SQLError("Invalid input to split function")
    return _pick(split(text_of(text), text_of(delimiters)), index)


def _compiled(pattern: SqlValue) -> re.Pattern[str]:
    try:
        return compile_regex(text_of(pattern))
    except RegexError as error:
        raise apsw.SQLError(str(error)) from None


def regex_split(text: SqlValue, pattern: SqlValue, index: SqlValue) -> Optional[str]:
    """The piece at `index` between the matches of `pattern`, empty pieces included."""
    if text is None or pattern is None or index is None:
        return None
    if not text_of(pattern):
        raise apsw.SQLError("Invalid input to split function")
    subject = text_of(text)
    pieces, last = [], 0
    for match in _compiled(pattern).finditer(subject):
        pieces.append(subject[last : match.start()])
        last = match.end()
    if last < len(subject) or not pieces:
        pieces.append(subject[last:])
    return _pick(pieces, index)


def regex_match(text: SqlValue, pattern: SqlValue, index: SqlValue) -> Optional[str]:
    """Group `index` (0 is the whole) of the first match, NULL when there is no match or no such group."""
    if text is None or pattern is None or index is None:
        return None
    match = _compiled(pattern).search(text_of(text))
    return _pick([match[0], *(group or "" for group in match.groups())], index) if match else None


def concat(*values: SqlValue) -> Optional[str]:
    """All that is not NULL, joined."""
    return "".join(text_of(value) for value in values if value is not None) if values else None


def concat_ws(*values: SqlValue) -> Optional[str]:
    """All that is not NULL, each followed by the separator unless it is the last argument."""
    if not values:
        raise apsw.SQLError("Missing separator to concat_ws")
    separator = "" if values[0] is None else text_of(values[0])
    if len(values) == 1:
        return None
    *rest, last = values[1:]
    joined = "".join(text_of(value) + separator for value in rest if value is not None)
    return joined if last is None else joined + text_of(last)


def inet_aton(address: SqlValue) -> Optional[int]:
    """An IPv4 address as a number, NULL for anything else."""
    try:
        return None if address is None else int(ipaddress.IPv4Address(text_of(address)))
    except ValueError:
        return None


def in_cidr_block(block: SqlValue, address: SqlValue) -> int:
    """1 if the address is a host of the block, else 0; an error for anything that is no address.

    As in osquery the network and broadcast addresses of an IPv4 block are no hosts, so a /31 has none.
    """
    if not isinstance(block, str):
        raise apsw.SQLError("CIDR must be a string")
    if not isinstance(address, str):
        raise apsw.SQLError("IP address must be a string")
    try:
        found = ipaddress.ip_address(text_of(address))
    except ValueError:
        raise apsw.SQLError("IP address cannot be parsed") from None
    failure = apsw.SQLError(f"CIDR for IP address v{found.version} cannot be parsed")
    base, slash, prefix = text_of(block).partition("/")
    if not slash or not (prefix.isascii() and prefix.isdigit()):
        raise failure
    try:
        network = ipaddress.ip_network(f"{base}/{prefix}", strict=False)
    except ValueError:
        raise failure from None
    if network.version != found.version:
        raise failure
    first, end = int(network.network_address), int(network.broadcast_address)
    if network.prefixlen < 32 and network.version == 4:
        first += 1
    else:
        # The end is exclusive and wraps after the last address there is.
        end = (end + 1) % (1 << network.max_prefixlen)
    return int(first <= int(found) < end)


def parent_directory(path: SqlValue) -> Optional[str]:
    """What is before the last slash, NULL without one."""
    if not isinstance(path, str):
        raise apsw.SQLError("Invalid inputs to parent_directory, TEXT was expected")
    head, slash, _ = text_of(path).rpartition("/")
    return head if slash else None


def version_compare(*values: SqlValue) -> int:
    """-1, 0 or 1, by osquery's reading of versions (plain, or flavour ARCH, DPKG, RHEL)."""
    if len(values) < 2 or not isinstance(values[0], str) or not isinstance(values[1], str):
        raise apsw.SQLError("Must provide two version strings to compare.")
    flavour = values[2] if len(values) > 2 else ""
    if not isinstance(flavour, str):
        raise apsw.SQLError("The optional third parameter is not a string.")
    if flavour.upper() not in FLAVOURS or (len(values) > 2 and not flavour):
        raise apsw.SQLError("The optional third parameter does not match one of: (ARCH, DPKG, RHEL).")
    return compare_versions(text_of(values[0]), text_of(values[1]), FLAVOURS[flavour.upper()])


def _raw(value: SqlValue) -> bytes:
    if isinstance(value, bytes):
        return value
    return (value if isinstance(value, str) else text_of(value)).encode("utf-8", "surrogateescape")


def to_base64(value: SqlValue) -> Optional[str]:
    """The bytes of the text in Base64."""
    return None if value is None else base64.b64encode(_raw(value)).decode("ascii")


def conditional_to_base64(value: SqlValue) -> Optional[str]:
    """Base64 unless every byte is printable ASCII."""
    if value is None or all(0x1F < byte < 0x7F for byte in _raw(value)):
        return None if value is None else _raw(value).decode("ascii")
    return to_base64(value)


def from_base64(value: SqlValue) -> Optional[str]:
    """The decoded text, "" for what is no Base64; line ends and missing padding do not matter."""
    if value is None:
        return None
    encoded = _raw(value).replace(b"\r\n", b"").replace(b"\n", b"").rstrip(b"=")
    try:
        decoded = base64.b64decode(encoded + b"=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        return ""
    return decoded.decode("utf-8", "backslashreplace")


def _digest(algorithm: str) -> Callable[[SqlValue], Optional[str]]:
    def digest(value: SqlValue) -> Optional[str]:
        if value is None:
            return None
        data = text_of(value).encode("utf-8", "surrogateescape")
        return hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()

    return digest


_FUNCTIONS: tuple[tuple[str, int, Callable[..., SqlValue]], ...] = (
    ("split", 3, split_text),
    ("regex_split", 3, regex_split),
    ("regex_match", 3, regex_match),
    ("concat", -1, concat),
    ("concat_ws", -1, concat_ws),
    ("inet_aton", 1, inet_aton),
    ("in_cidr_block", 2, in_cidr_block),
    ("parent_directory", 1, parent_directory),
    ("version_compare", -1, version_compare),
    ("to_base64", 1, to_base64),
    ("from_base64", 1, from_base64),
    ("conditional_to_base64", 1, conditional_to_base64),
    ("md5", 1, _digest("md5")),
    ("sha1", 1, _digest("sha1")),
    ("sha256", 1, _digest("sha256")),
    *MATH_FUNCTIONS,
)


def register_functions(db: apsw.Connection) -> None:
    """Add osquery's functions and version collations to `db`, over SQLite's own of the same names."""
    for name, arguments, function in _FUNCTIONS:
        db.create_scalar_function(name, function, arguments, deterministic=True)
    for flavour, rules in FLAVOURS.items():
        name = f"version_{flavour.lower()}" if flavour else "version"
        db.create_collation(name, partial(compare_versions, rules=rules))
