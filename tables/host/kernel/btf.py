"""Names of the kernel's functions by their number in its type information, /sys/kernel/btf/vmlinux."""

from __future__ import annotations

import struct
from collections.abc import Collection

from tables.host.disk.files import Files, Unreadable

_PATH = "/sys/kernel/btf/vmlinux"
_LIMIT = 64 << 20
# What follows a type's three numbers, by its kind: bytes, and bytes for each of its members (Documentation/bpf/btf.rst).
_FIXED = {1: 4, 3: 12, 14: 4, 17: 4}
_EACH = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}


def parse_names(data: bytes, wanted: Collection[int]) -> dict[int, str]:
    """The names of the types `wanted` by their numbers, which count from 1; those of data that is no BTF are none."""
    if len(data) < 24 or data[:2] != b"\x9f\xeb":
        return {}
    header, types, length, strings, string_length = struct.unpack_from("<IIIII", data, 4)
    at, end = header + types, min(header + types + length, len(data))
    names = data[header + strings : header + strings + string_length]
    last = max(wanted, default=0)
    found: dict[int, str] = {}
    number = 0
    while at + 12 <= end and number < last:
        number += 1
        name, info, _ = struct.unpack_from("<III", data, at)
        if number in wanted:
            found[number] = names[name : names.find(b"\0", name)].decode("utf-8", "replace")
        kind = info >> 24 & 31
        at += 12 + _FIXED.get(kind, 0) + _EACH.get(kind, 0) * (info & 0xFFFF)
    return found


def function_names(files: Files, wanted: Collection[int]) -> dict[int, str]:
    """As `parse_names`, of the running kernel; {} where it has no such file."""
    try:
        return parse_names(files.read(_PATH, _LIMIT), frozenset(wanted)) if wanted else {}
    except Unreadable:
        return {}
