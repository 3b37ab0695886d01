"""Loads harmless BPF programs, which do nothing but return 0, and attaches them; the test is skipped where the kernel refuses."""

from __future__ import annotations

import ctypes
import os
import struct

import pytest

from tables.host import syscalls

_PROG_LOAD, _RAW_TRACEPOINT_OPEN = 5, 17
# r0 = 0; exit
_CODE = struct.pack("=BBhi", 0xB7, 0, 0, 0) + struct.pack("=BBhi", 0x95, 0, 0, 0)
RAW_TRACEPOINT, SOCKET_FILTER = 17, 1


def load_program(kind: int, name: str) -> int:
    """A descriptor of a loaded program."""
    code, licence = ctypes.create_string_buffer(_CODE), ctypes.create_string_buffer(b"GPL")
    attribute = ctypes.create_string_buffer(128)
    struct.pack_into("=IIQQ", attribute, 0, kind, len(_CODE) // 8, ctypes.addressof(code), ctypes.addressof(licence))
    struct.pack_into("=16s", attribute, 48, name.encode("ascii")[:15])
    return _called(_PROG_LOAD, attribute)


def attach_raw_tracepoint(program: int, tracepoint: str) -> int:
    """A descriptor that keeps the program on a raw tracepoint."""
    name = ctypes.create_string_buffer(tracepoint.encode("ascii"))
    attribute = ctypes.create_string_buffer(16)
    struct.pack_into("=QI", attribute, 0, ctypes.addressof(name), program)
    return _called(_RAW_TRACEPOINT_OPEN, attribute)


def _called(command: int, attribute: ctypes.Array[ctypes.c_char]) -> int:
    try:
        return syscalls.bpf(command, attribute)
    except OSError as error:
        pytest.skip(f"this kernel loads or attaches no such BPF program: {os.strerror(error.errno or 0)}")
