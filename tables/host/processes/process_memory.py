"""What /proc/PID/maps says of a process's anonymous memory."""

from __future__ import annotations

import re
from typing import NamedTuple

_LINE = re.compile(rb"^([0-9a-f]+)-([0-9a-f]+) ([r-][w-][x-][ps]) [0-9a-f]+ [0-9a-f]+:[0-9a-f]+ (\d+) *(.*)$", re.MULTILINE)
# How the kernel names private mappings of MAP_ANONYMOUS | MAP_HUGETLB (hugetlb_file_setup in fs/hugetlbfs/inode.c).
_HUGE = b"/anon_hugepage (deleted)"


class AnonymousMemory(NamedTuple):
    """Sizes in bytes: of each private writable anonymous mapping, and of all private huge-page mappings together."""

    mappings: tuple[int, ...]
    huge: int


def parse_maps(data: bytes, at_least: int) -> AnonymousMemory:
    """Read proc_pid_maps(5), leaving out ordinary mappings smaller than `at_least`; what is no mapping is skipped."""
    sizes = []
    huge = 0
    for start, end, mode, inode, name in _LINE.findall(data):
        size = int(end, 16) - int(start, 16)
        if mode[1:2] != b"w" or mode[3:] != b"p":
            continue
        if name == _HUGE:
            huge += size
        elif inode == b"0" and size >= at_least and not name.startswith((b"[heap", b"[stack")):
            sizes.append(size)
    return AnonymousMemory(tuple(sizes), huge)
