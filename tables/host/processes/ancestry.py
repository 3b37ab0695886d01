"""Who started whom, from one snapshot of the processes: parents, depth, and the line of ancestors as text."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from typing import Optional

from tables.host.processes.procfs import Procfs, ProcStat
from tables.schema import clean_text

# So many generations are written out, which keeps a row short however deep a chain somebody forks.
_SHOWN = 32
_SEPARATOR = " > "
# A process may call itself ` > sshd(1)` or `?`; neither may look like our own marks.
_MARKS = str.maketrans({">": r"\x3E", "?": r"\x3F"})


def label(stat: ProcStat) -> str:
    r"""`name(pid)`; unsafe characters, `>` and `?` in the name become `\xNN`."""
    return f"{clean_text(os.fsdecode(stat.comm)).translate(_MARKS)}({stat.pid})"


class ProcessTree:
    """Parents of processes, each process read once: when first asked for, or all at once by `take`."""

    def __init__(self, procfs: Procfs) -> None:
        self.procfs = procfs
        self._stats: dict[int, Optional[ProcStat]] = {}
        self._tops: dict[int, tuple[int, ProcStat]] = {}
        self._lines: dict[int, str] = {}

    @classmethod
    def take(cls, procfs: Procfs) -> ProcessTree:
        """The tree of every process that `procfs` lists, as they are now."""
        tree = cls(procfs)
        tree._stats = {process.pid: process.stat for process in procfs.processes()}
        return tree

    def __iter__(self) -> Iterator[ProcStat]:
        """The processes read so far."""
        return iter([stat for stat in self._stats.values() if stat is not None])

    def get(self, pid: int) -> Optional[ProcStat]:
        """The process `pid`, listed or not; None when it cannot be read."""
        if pid not in self._stats:
            process = self.procfs.process(pid) if pid > 0 else None
            # Another pid inside means that some other process's folder is mounted there.
            self._stats[pid] = process.stat if process is not None and process.stat.pid == pid else None
        return self._stats[pid]

    def parent(self, stat: ProcStat) -> Optional[ProcStat]:
        """The parent of `stat`; None without one, or when its number belongs to a later process by now."""
        parent = self.get(stat.ppid) if stat.ppid != stat.pid else None
        return None if parent is None or parent.start_ticks > stat.start_ticks else parent

    def ancestors(self, stat: ProcStat) -> Iterator[ProcStat]:
        """The parent of `stat`, its parent, and so on; ends where the chain does or comes back to itself."""
        seen = {stat.pid}
        parent = self.parent(stat)
        while parent is not None and parent.pid not in seen:
            yield parent
            seen.add(parent.pid)
            parent = self.parent(parent)

    def is_ancestor(self, pid: int, of: ProcStat) -> bool:
        """Whether `pid` is among the ancestors of the process `of`."""
        return any(ancestor.pid == pid for ancestor in self.ancestors(of))

    def depth(self, stat: ProcStat) -> int:
        """How many ancestors of `stat` are known."""
        return self._top(stat)[0]

    def ancestry(self, stat: ProcStat) -> str:
        """`systemd(1) > cron(812) > sh(900)`, the process itself last.

        A parent that cannot be read begins it as `?(pid)`. Of more than 32 generations those after the first are `…`.
        """
        depth, top = self._top(stat)
        if depth < _SHOWN:
            return self._line(stat)
        shown = [stat, *itertools.islice(self.ancestors(stat), _SHOWN - 1)]
        parts = [label(each) for each in reversed(shown)]
        return _SEPARATOR.join([self._line(top), *(["…"] if depth > _SHOWN else []), *parts])

    def _line(self, stat: ProcStat) -> str:
        """The whole line of a process with few ancestors; that of each of them is remembered for its other children."""
        line = self._lines.get(stat.pid)
        if line is None:
            parent = self.parent(stat)
            if parent is None:
                before = f"?({stat.ppid})" if 0 < stat.ppid != stat.pid else ""
            else:
                # A chain that comes back to itself ends somewhere, too.
                before = self._line(parent) if self._top(stat)[0] else ""
            line = self._lines[stat.pid] = f"{before}{_SEPARATOR if before else ''}{label(stat)}"
        return line

    def _top(self, stat: ProcStat) -> tuple[int, ProcStat]:
        """(number of known ancestors, the oldest of them or `stat` itself), remembered for the whole way up."""
        way: list[ProcStat] = []
        found: tuple[int, ProcStat] = (-1, stat)
        for each in self._upwards(stat):
            if each.pid in self._tops:
                found = self._tops[each.pid]
                break
            way.append(each)
        else:
            found = (-1, way[-1])
        depth, top = found
        for each in reversed(way):
            depth += 1
            self._tops[each.pid] = (depth, top)
        return depth, top

    def _upwards(self, stat: ProcStat) -> Iterator[ProcStat]:
        yield stat
        yield from self.ancestors(stat)
