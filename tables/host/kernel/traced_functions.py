"""The functions of the kernel that ftrace changes while they run: tracefs's enabled_functions."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from tables.host import Host
from tables.host.disk.files import Unreadable, read_fd
from tables.host.kernel.tracefs import NO_FTRACE, open_tracing

_FILE = "enabled_functions"
_LIMIT = 16 << 20
# FUNCTION [MODULE] (USERS) FLAGS … and, on lines of their own behind a tab, more about it (kernel/trace/ftrace.c, t_show).
_LINE = re.compile(r"([^\s()]{1,512})(?: \[([^\]\s]{1,63})\])? \((\d{1,10})\)([ A-Z]*)(.*)")
# (CALLBACK+0x0/0x60 [MODULE]), ->CALLBACK+0x0/0x100 and direct-->CALLBACK+0x0/0x100.
_CALLBACK = re.compile(r"(?:\(|->)([^\s()+]{1,512})(?:\+0x[0-9a-f]{1,16}/0x[0-9a-f]{1,16})?(?: \[([^\]\s]{1,63})\])?")
# What runs the callbacks of several users, or checks before one.
_IN_BETWEEN = frozenset({"ftrace_ops_assist_func", "ftrace_ops_list_func", "arch_ftrace_ops_list_func"})


class Callback(NamedTuple):
    """A function that is called instead: its name ("" where the kernel has none for the code), and its module ("": its own)."""

    name: str
    module: str


class Traced(NamedTuple):
    """One traced function: its module, the letters of its flags, and the callbacks that are named."""

    function: str
    module: str
    flags: str
    callbacks: tuple[Callback, ...]

    @property
    def may_be_replaced(self) -> bool:
        """Whether a callback may return elsewhere than into the function (I, IPMODIFY)."""
        return "I" in self.flags

    @property
    def is_direct(self) -> bool:
        """Whether it calls a trampoline of its own instead of ftrace's (D)."""
        return "D" in self.flags


def parse_enabled_functions(text: str) -> list[Traced]:
    """The functions in enabled_functions; lines that are none are passed over."""
    found: list[tuple[Traced, dict[Callback, None]]] = []
    for line in text.split("\n"):
        match = None if line.startswith("\t") else _LINE.match(line)
        if match:
            traced = Traced(match[1], match[2] or "", match[4].replace(" ", ""), ())
            found.append((traced, dict.fromkeys(_callbacks(match[5]))))
        elif found and line.startswith("\t"):
            found[-1][1].update(dict.fromkeys(_callbacks(line)))
    return [traced._replace(callbacks=tuple(callbacks)) for traced, callbacks in found]


def _callbacks(text: str) -> list[Callback]:
    named = [(name, module) for name, module in _CALLBACK.findall(text) if name not in _IN_BETWEEN]
    # Code without a symbol is shown by its address.
    return [Callback("" if name.startswith("0x") else name, module) for name, module in named]


def traced_functions(host: Host) -> list[Traced]:
    """What ftrace changes now, [] on a kernel whose functions cannot be traced; Unreadable where tracefs cannot be had."""
    try:
        fd = open_tracing(host, _FILE)
    except Unreadable as error:
        if error.errno == NO_FTRACE:
            return []
        raise
    try:
        return parse_enabled_functions(read_fd(fd, _LIMIT).decode("utf-8", "replace"))
    finally:
        os.close(fd)
