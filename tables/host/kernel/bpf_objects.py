"""The BPF programs that are loaded, and the links that attach them: bpf(2), as root."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple, Optional

from tables.host import syscalls
from tables.unseen import say_cut

# enum bpf_cmd, struct bpf_prog_info and struct bpf_link_info of include/uapi/linux/bpf.h.
_PROG_GET_NEXT_ID, _PROG_GET_FD_BY_ID, _OBJ_GET_INFO_BY_FD, _TASK_FD_QUERY = 11, 13, 15, 20
_LINK_GET_FD_BY_ID, _LINK_GET_NEXT_ID = 30, 31
_PROG_INFO_LENGTH = 232
_LINK_INFO_LENGTH = 64
_ATTRIBUTE_LENGTH = 72
_MAX_OBJECTS = 20_000
_MAX_ADDRESSES = 4096
_NAME_LENGTH = 256
PROGRAM_TYPES = {
    2: "kprobe", 5: "tracepoint", 7: "perf_event", 17: "raw_tracepoint", 24: "raw_tracepoint",
    26: "tracing", 28: "extension", 29: "lsm",
}  # fmt: skip
_RAW_TRACEPOINT, _PERF_EVENT, _KPROBE_MULTI = 1, 7, 8
_PERF_KPROBE, _PERF_TRACEPOINT = (3, 4), 5


class Program(NamedTuple):
    """A loaded program: its number, kind, name, nanoseconds since boot, uid, hash of its code, BTF number of its target."""

    number: int
    kind: str
    name: str
    load_nanoseconds: int
    creator_uid: int
    tag: str
    target: int


class Link(NamedTuple):
    """What attaches a program: to a name (a tracepoint, a function), or to functions at addresses."""

    number: int
    program: int
    target: str
    addresses: tuple[int, ...]


def parse_program(info: bytes) -> Program:
    """The program in a struct bpf_prog_info, of which an older kernel fills less; ValueError when it is too short."""
    if len(info) < 80:
        raise ValueError("no bpf_prog_info")
    info = info.ljust(_PROG_INFO_LENGTH, b"\0")
    kind, number = struct.unpack_from("=II", info, 0)
    load_time, uid = struct.unpack_from("=QI", info, 40)
    (target,) = struct.unpack_from("=I", info, 224)
    name = info[64:80].split(b"\0")[0].decode("utf-8", "replace")
    return Program(number, PROGRAM_TYPES.get(kind, f"type {kind}"), name, load_time, uid, info[8:16].hex(), target)


def programs() -> Iterator[Program]:
    """Every loaded program of a kind that sees or changes what others do (PROGRAM_TYPES). OSError when they may not be listed."""
    for number in _numbers(_PROG_GET_NEXT_ID):
        info = _info(_PROG_GET_FD_BY_ID, number, bytearray(_PROG_INFO_LENGTH))
        if info is not None and int.from_bytes(info[:4], "little") in PROGRAM_TYPES:
            yield parse_program(bytes(info))


def links() -> Iterator[Link]:
    """Every link (Linux 5.8), with the target that the kernel tells: since 6.6 for kprobes and tracepoints of perf, too."""
    for number in _numbers(_LINK_GET_NEXT_ID):
        name = ctypes.create_string_buffer(_NAME_LENGTH)
        head = _info(_LINK_GET_FD_BY_ID, number, bytearray(_LINK_INFO_LENGTH))
        if head is None:
            continue
        kind, _, program = struct.unpack_from("=III", head, 0)
        target, addresses = "", (ctypes.c_uint64 * _MAX_ADDRESSES)()
        asked = bytearray(_LINK_INFO_LENGTH)
        if kind == _RAW_TRACEPOINT:
            struct.pack_into("=QI", asked, 16, ctypes.addressof(name), _NAME_LENGTH)
        elif kind == _PERF_EVENT:
            struct.pack_into("=QI", asked, 24, ctypes.addressof(name), _NAME_LENGTH)
        elif kind == _KPROBE_MULTI:
            struct.pack_into("=QI", asked, 16, ctypes.addressof(addresses), _MAX_ADDRESSES)
        else:
            yield Link(number, program, "", ())
            continue
        told = _info(_LINK_GET_FD_BY_ID, number, asked)
        target = os.fsdecode(name.value)
        yield Link(number, program, target, tuple(filter(None, addresses)) if told else ())


def perf_target(pid: int, fd: int) -> tuple[int, str]:
    """The number of the program that runs on the perf event behind another process's `fd`, and its target; OSError without."""
    name = ctypes.create_string_buffer(_NAME_LENGTH)
    attribute = ctypes.create_string_buffer(_ATTRIBUTE_LENGTH)
    struct.pack_into("=IIIIQ", attribute, 0, pid, fd, 0, _NAME_LENGTH, ctypes.addressof(name))
    syscalls.bpf(_TASK_FD_QUERY, attribute)
    (program,) = struct.unpack_from("=I", attribute, 24)
    return program, os.fsdecode(name.value)


def _numbers(command: int) -> Iterator[int]:
    number = 0
    for _ in range(_MAX_OBJECTS):
        attribute = ctypes.create_string_buffer(_ATTRIBUTE_LENGTH)
        struct.pack_into("=I", attribute, 0, number)
        try:
            syscalls.bpf(command, attribute)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return
            raise
        (number,) = struct.unpack_from("=I", attribute, 4)
        yield number
    say_cut(f"only the first {_MAX_OBJECTS} BPF objects were looked at")


def _info(command: int, number: int, info: bytearray) -> Optional[bytearray]:
    """What the kernel tells of an object by its number, in `info`; None for one that is gone."""
    attribute = ctypes.create_string_buffer(_ATTRIBUTE_LENGTH)
    struct.pack_into("=I", attribute, 0, number)
    try:
        fd = syscalls.bpf(command, attribute)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    try:
        buffer = (ctypes.c_char * len(info)).from_buffer(info)
        attribute = ctypes.create_string_buffer(_ATTRIBUTE_LENGTH)
        struct.pack_into("=IIQ", attribute, 0, fd, len(info), ctypes.addressof(buffer))
        syscalls.bpf(_OBJ_GET_INFO_BY_FD, attribute)
    except OSError:
        return None
    finally:
        os.close(fd)
    return info
