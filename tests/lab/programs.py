"""Programs to plant: the smallest ELF files that wait or that keep a core busy, under any name and with any text in them."""

from __future__ import annotations

import platform
import struct

_BASE = 0x400000
_HEADERS = 64 + 56
_WORD = struct.Struct("<I")


def _arm(*words: int) -> bytes:
    return b"".join(map(_WORD.pack, words))


# Machine number of the ELF header, code that sleeps for ever, code that computes for ever.
_CODE = {
    # mov $34 (pause), %eax; syscall; jmp back.
    "x86_64": (62, b"\xb8\x22\x00\x00\x00\x0f\x05\xeb\xf7", b"\xeb\xfe"),
    # ppoll(NULL, 0, NULL, NULL); b back.
    "aarch64": (
        183,
        _arm(0xD2800000, 0xD2800001, 0xD2800002, 0xD2800003, 0xD2800928, 0xD4000001, 0x17FFFFFA),
        _arm(0x14000000),
    ),
}


def _map(size: int) -> bytes:
    """Code for mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)."""
    if platform.machine() == "x86_64":
        # In %rdi, %rsi, %rdx, %r10, %r8 and %r9; the number of the call in %rax.
        address, length, rights = b"\x31\xff", b"\x48\xbe" + struct.pack("<Q", size), b"\xba\x03\x00\x00\x00"
        flags, descriptor, offset = b"\x41\xba\x22\x40\x00\x00", b"\x41\xb8\xff\xff\xff\xff", b"\x45\x31\xc9"
        return address + length + rights + flags + descriptor + offset + b"\xb8\x09\x00\x00\x00\x0f\x05"
    low, high = size & 0xFFFF, size >> 16
    # In x0 to x5; the number of the call in x8.
    length_words = 0xD2800001 | low << 5, 0xF2A00001 | high << 5
    return _arm(0xD2800000, *length_words, 0xD2800062, 0xD2880443, 0x92800004, 0xD2800005, 0xD2801BC8, 0xD4000001)


IS_SUPPORTED = platform.machine() in _CODE


def elf(text: bytes = b"", is_busy: bool = False, memory: int = 0) -> bytes:
    """A static program that needs no other file: it waits (or computes) until it is killed; `text` is carried along.

    `memory` bytes are mapped for it and never touched, so that they cost nothing.
    """
    machine, idle, busy = _CODE[platform.machine()]
    code = (_map(memory) if memory else b"") + (busy if is_busy else idle)
    size = _HEADERS + len(code)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, machine, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 64, 0, 0
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return header + segment + code + text
