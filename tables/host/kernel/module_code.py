"""The modules that the kernel names behind its symbols and functions: kallsyms and ftrace's lists of functions."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Optional

from tables.errors import BudgetExceeded
from tables.host import Host
from tables.host.disk.files import Unreadable, read_fd
from tables.host.kernel.modules import PAUSE, Look, look
from tables.host.kernel.tracefs import NO_FTRACE, open_tracing
from tables.schema import QueryContext
from tables.unseen import Unseen, say_cut

SYMBOLS, TRACED = "kallsyms", "tracefs"
# The part of a query's time that is kept for its rows.
RESERVE = 0.15
_CHUNK = 1 << 20
_MAX_SYMBOLS = 128 << 20
_READ_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_TAG = re.compile(rb"[ \t]\[([A-Za-z0-9_.-]{1,63})\]")


def tags(data: bytes) -> set[str]:
    """The modules named as `[module]` behind symbols; the kernel's marks for code that belongs to no module are left out."""
    found = {name.decode("ascii") for name in _TAG.findall(data)}
    # kernel/kallsyms.c: BPF programs, and trampolines of ftrace and kprobes.
    return {name for name in found if name != "bpf" and not name.startswith("__builtin__")}


class NamedByCode:
    """The modules that own a symbol in /proc/kallsyms or a function that ftrace knows; what was read before the time ended.

    `symbols` and `traced` are None for a list that could not be read, or that this kernel does not have.
    """

    def __init__(self, host: Host, unseen: Unseen) -> None:
        self.host = host
        self.unseen = unseen
        self.symbols: Optional[set[str]] = None
        self.traced: Optional[set[str]] = None
        self.is_cut = False

    @property
    def names(self) -> set[str]:
        """All modules named."""
        return (self.symbols or set()) | (self.traced or set())

    def lists(self, name: str) -> list[str]:
        """Which of the lists name this module."""
        return [what for what, names in ((SYMBOLS, self.symbols), (TRACED, self.traced)) if name in (names or ())]

    def read(self, check_time: Callable[[], None], wanted: frozenset[str] = frozenset()) -> None:
        """Read the lists, the short one first, until `check_time` raises BudgetExceeded; `is_cut` says that it did.

        Where modules are `wanted`, it is enough to have found all of them.
        """
        try:
            for _ in chain(self._trace("enabled_functions"), self._kallsyms(), self._trace("available_filter_functions")):
                if wanted and wanted <= self.names:
                    return
                check_time()
        except BudgetExceeded:
            self.is_cut = True

    def _kallsyms(self) -> Iterator[None]:
        try:
            fd = os.open(SYMBOLS, _READ_FLAGS, dir_fd=self.host.truth.fd)
        except FileNotFoundError:
            return
        except OSError as error:
            self.unseen.cannot_tell(f"/proc/kallsyms: {error.strerror}")
            return
        self.symbols = self.symbols or set()
        yield from _tags_in(fd, self.symbols)

    def _trace(self, name: str) -> Iterator[None]:
        try:
            fd = open_tracing(self.host, name)
        except Unreadable as error:
            if error.errno == NO_FTRACE:
                return
            if not error.is_missing:
                self.unseen.cannot_tell(str(error))
            elif self.traced is None and name == "available_filter_functions":
                self.unseen.cannot_tell("no tracefs: a module that took itself off all other lists is not seen by its functions")
            return
        self.traced = self.traced or set()
        yield from _tags_in(fd, self.traced)


def unlisted_modules(host: Host, seen: Look, query: QueryContext) -> dict[str, tuple[list[str], tuple[str, ...]]]:
    """The modules that code named twice and that `seen` and a look after it do not show: the lists with and without them.

    Reading ends while RESERVE of the query's time is left; half of what is left before that goes to the first reading.
    """
    named, again = NamedByCode(host, query), NamedByCode(host, Unseen())
    named.read(_until(query, (query.seconds_left() / query.budget_seconds + RESERVE) / 2))
    found = {name for name in named.names if name not in seen.modules and seen.missing(name)}
    modules = {}
    if found:
        time.sleep(PAUSE)
        again.read(_until(query, RESERVE), frozenset(found))
        now = look(host)
        modules = {name: (named.lists(name), missing) for name in found & again.names if (missing := now.missing(name))}
    if named.is_cut or again.is_cut:
        unsure = f"; not confirmed: {', '.join(sorted(found - again.names)[:20])}" if again.is_cut else ""
        query.truncate(f"the time ended in kallsyms or ftrace's lists of functions, which may name more hidden modules{unsure}")
    return modules


def _until(query: QueryContext, share: float) -> Callable[[], None]:
    """A check that raises BudgetExceeded once less than this share of the query's time is left."""

    def check_time() -> None:
        if query.seconds_left() < query.budget_seconds * share:
            raise BudgetExceeded

    return check_time


def _tags_in(fd: int, found: set[str]) -> Iterator[None]:
    """Add the modules named in the file to `found`, a piece at a time."""
    rest = b""
    read = 0
    try:
        while read < _MAX_SYMBOLS and (data := read_fd(fd, _CHUNK)):
            read += len(data)
            whole, newline, rest = (rest + data).rpartition(b"\n")
            if newline:
                found |= tags(whole)
            rest = rest[-4096:]
            yield
        if read >= _MAX_SYMBOLS:
            say_cut(f"/proc/kallsyms: only the first {_MAX_SYMBOLS >> 20} MiB were read")
    except OSError:
        # Names found before the failure are names all the same.
        pass
    finally:
        os.close(fd)
