"""The places in the kernel's code that lead out of it: system call table and dispatcher, first bytes of functions."""

from __future__ import annotations

import platform
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import NamedTuple

from tables.host import Host
from tables.host.kernel.memory import KernelMemory, Symbol, Symbols, symbols
from tables.host.kernel.x86_code import dispatched, first_leaps
from tables.unseen import Unseen

TABLES = ("sys_call_table", "ia32_sys_call_table", "compat_sys_call_table")
DISPATCHERS = ("x64_sys_call", "ia32_sys_call", "x32_sys_call")
_TEXT = ("_stext", "_etext")
_HEAD = 32
# A dispatcher that is understood has a call for most of the 300 and more system calls.
_LEAST_CALLS = 100
_MACHINES = {"x86_64", "aarch64"}


class Detour(NamedTuple):
    """A place that leads out of the kernel's text: the function or table it is in, which entry, where to (-1: through memory)."""

    function: str
    place: str
    target: int
    is_entry: bool


class CodeLook(NamedTuple):
    """What one look found, and which pages hold code that the kernel makes itself."""

    detours: frozenset[Detour]
    builtin: frozenset[int]


def look_at_code(host: Host, functions: Iterable[str], unseen: Unseen, check_time: Callable[[], None]) -> CodeLook:
    """The detours in the system call tables, their dispatchers and the beginnings of `functions`."""
    nothing = CodeLook(frozenset(), frozenset())
    if platform.machine() not in _MACHINES:
        unseen.cannot_tell(f"the kernel's code is not looked at on {platform.machine()}")
        return nothing
    is_x86 = platform.machine() == "x86_64"
    wanted = {*_TEXT, *TABLES, *((*DISPATCHERS, *functions) if is_x86 else ())}
    try:
        known = symbols(host, wanted, check_time)
    except OSError as error:
        unseen.cannot_tell(f"/proc/kallsyms: {error.strerror}: the kernel's code is not looked at")
        return nothing
    start, end = (known.named.get(name, [Symbol(0, 0)])[0].address for name in _TEXT)
    if not 0 < start < end:
        unseen.cannot_tell("/proc/kallsyms tells no addresses: the kernel's code is not looked at")
        return nothing
    try:
        with closing(KernelMemory(host)) as memory:
            found = frozenset(
                detour for detour in _detours(memory, known, is_x86, unseen, check_time) if not start <= detour.target < end
            )
    except OSError as error:
        unseen.cannot_tell(f"/proc/kcore: {error.strerror}: the kernel's code is not looked at")
        return CodeLook(frozenset(), known.builtin)
    return CodeLook(found, known.builtin)


def _detours(
    memory: KernelMemory, known: Symbols, is_x86: bool, unseen: Unseen, check_time: Callable[[], None]
) -> Iterator[Detour]:
    for name, places in known.named.items():
        for symbol in places if name not in _TEXT else ():
            check_time()
            length = symbol.length if name in (*TABLES, *DISPATCHERS) else min(symbol.length or _HEAD, _HEAD)
            code = memory.read(symbol.address, length)
            if code is None:
                unseen.cannot_tell(f"/proc/kcore has no memory for {name}")
            elif name in TABLES:
                yield from _entries(name, code)
            elif is_x86:
                yield from _leaps(name, code, symbol.address, unseen)


def _entries(name: str, table: bytes) -> Iterator[Detour]:
    """The entries of a system call table; what follows the last one up to the next symbol is 0."""
    for number, (target,) in enumerate(struct.iter_unpack("<Q", table[: len(table) // 8 * 8])):
        if target:
            yield Detour(name, f"entry {number}", target, False)


def _leaps(name: str, code: bytes, address: int, unseen: Unseen) -> Iterator[Detour]:
    yield from (Detour(name, "its first bytes", leap.target, leap.is_entry) for leap in first_leaps(code[:_HEAD], address))
    if name in DISPATCHERS:
        calls = dispatched(code, address)
        if len(calls) < _LEAST_CALLS:
            unseen.cannot_tell(f"the calls of {name} could not be read from its code")
        # Of an entry that ftrace changed, the call there is no system call's.
        first = {leap.offset for leap in first_leaps(code[:_HEAD], address)}
        yield from (Detour(name, f"its call at +{leap.offset}", leap.target, False) for leap in calls if leap.offset not in first)
