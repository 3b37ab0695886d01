"""The few forms of x86-64 code that tell where a function of the kernel leads: pure functions on bytes."""

from __future__ import annotations

from typing import NamedTuple, Optional

_MASK = (1 << 64) - 1
# What may stand before the first instruction that does something: endbr64, and the kernel's no-operations in its place.
_BEFORE = (b"\xf3\x0f\x1e\xfa", b"\x66\x0f\x1f\x00", b"\x0f\x1f\x40\xd6", b"\x0f\x1f\x40\x00")
# no-operations in the place of a call to ftrace.
_NOPS = (b"\x0f\x1f\x44\x00\x00", b"\x66\x66\x66\x66\x90")
_TWO_BYTES = frozenset({0x31, 0x39, 0x85, 0x89})


class Leap(NamedTuple):
    """A call or jump: offset in the code, the address it leads to; at the start of a function also whether ftrace's place."""

    offset: int
    target: int
    is_entry: bool


def first_leaps(code: bytes, address: int) -> list[Leap]:
    """Where the first two instructions of the function at `address` lead, if they are jumps or calls to a fixed place."""
    at = 4 if code[:4] in _BEFORE else 0
    found = []
    for is_entry in (True, False):
        leap = _leap(code, at, address)
        if leap is not None:
            found.append(Leap(at, leap, is_entry))
            break
        if code[at : at + 5] not in _NOPS:
            break
        at += 5
    return found


def _leap(code: bytes, at: int, address: int) -> Optional[int]:
    """The place to which the instruction at `at` calls or jumps; -1 for one that is read from memory; None for another."""
    piece = code[at : at + 16]
    if piece[:1] in (b"\xe8", b"\xe9") and len(piece) >= 5:
        return (address + at + 5 + _number(piece, 1)) & _MASK
    if piece[:1] == b"\x68" and piece[5:6] == b"\xc3":  # push place; ret
        return _number(piece, 1) & _MASK
    if piece[:2] in (b"\xff\x25", b"\xff\x15") and len(piece) >= 6:  # through memory: no function of the kernel begins so
        return -1
    # mov register, place; jmp or call register, or push register; ret
    if len(piece) >= 12 and piece[0] in (0x48, 0x49) and 0xB8 <= piece[1] <= 0xBF:
        after = piece[10:14].lstrip(b"\x41")
        register = piece[1] & 7
        if after[:2] in (bytes((0xFF, 0xE0 | register)), bytes((0xFF, 0xD0 | register)), bytes((0x50 | register, 0xC3))):
            return int.from_bytes(piece[2:10], "little")
    return None


def dispatched(code: bytes, address: int) -> list[Leap]:
    """Where a dispatcher of system calls leads: all calls and jumps out of `code`, the function at `address`.

    Such a function compares a number and jumps (arch/x86/entry/syscall_64.c). A branch of it that has another instruction
    ends there. Every byte is looked at once.
    """
    found: list[Leap] = []
    seen = bytearray(len(code))
    pending = [0]
    while pending:
        at = pending.pop()
        while 0 <= at < len(code) and not seen[at]:
            seen[at] = 1
            at = _step(code, at, address, found, pending)
    return sorted(set(found))


def _step(code: bytes, at: int, address: int, found: list[Leap], pending: list[int]) -> int:
    """Where the instruction after the one at `at` is; -1 where this branch ends."""
    first, piece = code[at], code[at : at + 16]
    second = piece[1] if len(piece) > 1 else 0
    if piece[:4] in _BEFORE:
        return at + 4
    if piece[:5] in _NOPS:
        return at + 5
    if second >= 0xC0 and first in (0x81, 0x83, *_TWO_BYTES):
        return at + {0x81: 6, 0x83: 3}.get(first, 2)
    if first == 0x3D:
        return at + 5
    if piece[:3] == b"\x48\xc7\xc0":
        return at + 7
    if first == 0xEB or 0x70 <= first <= 0x7F:
        target = at + 2 + (second - 256 if second > 127 else second)
        return target if first == 0xEB else _branch(target, at + 2, pending)
    is_near = first == 0x0F and 0x80 <= second <= 0x8F
    length = 6 if is_near else 5
    if (is_near or first in (0xE8, 0xE9)) and len(piece) >= length:
        target = at + length + _number(piece, length - 4)
        if not 0 <= target < len(code):
            found.append(Leap(at, (address + target) & _MASK, False))
            return -1 if first == 0xE9 else at + length
        return target if first == 0xE9 else _branch(target, at + length, pending)
    return -1


def _number(piece: bytes, at: int) -> int:
    """The signed 32-bit number at `at`."""
    return int.from_bytes(piece[at : at + 4], "little", signed=True)


def _branch(target: int, after: int, pending: list[int]) -> int:
    pending.append(target)
    return after
