"""Which loaded module an address of the kernel lies in."""

from __future__ import annotations

import re
from typing import NamedTuple, Optional

from tables.host import Host

# NAME SIZE USERS BY STATE ADDRESS (kernel/module/procfs.c, m_show).
_LINE = re.compile(rb"^([A-Za-z0-9_.-]{1,63}) (\d{1,15}) \S+ \S+ \w+ 0x([0-9a-f]{8,16})", re.MULTILINE)


class ModuleRanges(NamedTuple):
    """The modules of /proc/modules as (first address, address after the last, name); since Linux 6.4 of their code only."""

    ranges: tuple[tuple[int, int, str], ...]

    def module(self, address: int) -> Optional[str]:
        """The module that has this address."""
        return next((name for start, end, name in self.ranges if start <= address < end), None)


def parse_ranges(data: bytes) -> ModuleRanges:
    """The ranges in /proc/modules; none where the kernel does not tell addresses."""
    found = [(int(address, 16), int(size), name.decode("ascii")) for name, size, address in _LINE.findall(data)]
    starts = sorted(address for address, _, _ in found)
    following = dict(zip(starts, starts[1:]))
    # A module of several areas is longer than its first: it ends where the next begins at the latest.
    ends = [(start, min(start + size, following.get(start) or start + size), name) for start, size, name in found if start]
    return ModuleRanges(tuple(ends))


def module_ranges(host: Host) -> ModuleRanges:
    """The ranges of the modules loaded now."""
    return parse_ranges(host.truth.try_read("modules", 8 << 20) or b"")
