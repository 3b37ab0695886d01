"""What /proc/PID/maps says of a process's anonymous memory."""

from __future__ import annotations

import re
from typing import NamedTuple

_LINE = re.compile(rb"^([0-9a-f]+)-([0-9a-f]+) ([r-][w-][x-][ps]) [0-9a-f]+ [0-9a-f]+:[0-9a-f]+ (\d+) *(.*)$", re.MULTILINE)
# How the kernel names private mappings of MAP_ANONYMOUS | MAP_HUGETLB (hugetlb_file_setup in fs/hugetlbfs/inode.c).
_HUGE = b"/anon_hugepage (deleted)"


class AnonymousMemory(NamedTuple):
    """Sizes in bytes: of each stretch of readable private anonymous memory, and of all private huge-page mappings together."""

    mappings: tuple[int, ...]
    huge: int


def parse_maps(data: bytes, at_least: int) -> AnonymousMemory:
    """Read proc_pid_maps(5), leaving out ordinary memory of less than `at_least`; what is no mapping is skipped.

    Mappings without a gap are added up, whatever their other rights and names: mprotect(2) of one page, or naming one
    (PR_SET_VMA), splits a mapping. What nobody can read, such as reserved addresses and guard pages, is a gap.
    """
    sizes = []
    huge = size = end_before = 0
    for start, end, mode, inode, name in _LINE.findall(data):
        if mode[:1] != b"r" or mode[3:] != b"p":
            continue
        if name == _HUGE:
            huge += int(end, 16) - int(start, 16)
        elif inode == b"0" and (not name or name.startswith(b"[anon:")):
            first, last = int(start, 16), int(end, 16)
            if first != end_before:
                sizes.append(size)
                size = 0
            size += last - first
            end_before = last
    sizes.append(size)
    return AnonymousMemory(tuple(found for found in sizes if found >= max(1, at_least)), huge)
