"""Which processes hold a socket, by the links in /proc/PID/fd."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple, Optional

from tables.host.processes.procfs import Procfs

# A process with more descriptors than this is looked through last, and only while an owner is missing.
_MANY_DESCRIPTORS = 256
# What lasts has a low number: so many of each large process are looked at before all of any of them.
_FIRST_DESCRIPTORS = 1024


class Owners(NamedTuple):
    """`by_inode` are the pids that hold each socket; `unreadable` the pids whose descriptors we could not list."""

    by_inode: dict[int, list[int]]
    unreadable: list[int]


def find_owners(procfs: Procfs, pids: Iterable[int], inodes: Iterable[int], every_thread: bool = False) -> Owners:
    """Who holds the sockets `inodes`, found by the links in /proc/PID/fd (of every thread's own table if asked).

    Each socket's first owner is found wherever it is. Further owners are found among processes with up to 256 open
    files, and in larger ones under the same descriptor number, which is where a fork leaves them.
    """
    search = _OwnerSearch(procfs, {f"socket:[{inode}]": inode for inode in inodes})
    large = []
    for pid in pids:
        for folder in _descriptor_folders(procfs, pid, every_thread):
            count = _count_descriptors(procfs, folder)
            if count > _MANY_DESCRIPTORS:
                large.append((count, pid, folder))
            else:
                search.look(pid, folder)
    for _, pid, folder in sorted(large):
        if search.is_complete:
            break
        search.look_at_first(pid, folder)
    for _, pid, folder in sorted(large):
        # An inode may turn up in a later folder: until then every descriptor has to be looked at.
        search.look(pid, folder, sorted(search.numbers) if search.is_complete else None, stop_when_complete=True)
    return Owners({inode: sorted(owners) for inode, owners in search.found.items()}, list(search.unreadable))


def held_sockets(procfs: Procfs, pid: int) -> set[int]:
    """Inodes of the sockets that `pid` has open, of whatever kind."""
    return {int(link[8:-1]) for _, link in procfs.open_files(pid) if link.startswith("socket:[")}


def _descriptor_folders(procfs: Procfs, pid: int, every_thread: bool) -> list[str]:
    if not every_thread:
        return [f"{pid}/fd"]
    try:
        return [f"{pid}/task/{thread}/fd" for thread in procfs.thread_ids(pid)]
    except OSError:
        return []


def _count_descriptors(procfs: Procfs, folder: str) -> int:
    """How many descriptors the folder lists; 0 before Linux 6.2, which does not say."""
    try:
        return procfs.stat(folder).st_size
    except OSError:
        return 0


class _OwnerSearch:
    """What find_owners has found so far; `numbers` are the descriptors under which sockets were held."""

    def __init__(self, procfs: Procfs, wanted: dict[str, int]) -> None:
        self.procfs = procfs
        self.wanted = wanted
        self.found: dict[int, dict[int, None]] = {}
        self.numbers: set[str] = set()
        self.unreadable: dict[int, None] = {}

    @property
    def is_complete(self) -> bool:
        """Whether every socket has an owner."""
        return len(self.found) == len(self.wanted)

    def look(self, pid: int, folder: str, names: Optional[list[str]] = None, stop_when_complete: bool = False) -> None:
        """Read the links of a descriptor folder: all of them, or only `names`, or until every socket has an owner."""
        with self._opened(pid, folder) as fd:
            if fd is not None:
                self._read_links(pid, fd, os.listdir(fd) if names is None else names, stop_when_complete and names is None)

    def look_at_first(self, pid: int, folder: str) -> None:
        """Read the links of a descriptor folder's first entries, until every socket has an owner."""
        with self._opened(pid, folder) as fd:
            if fd is not None:
                with os.scandir(fd) as entries:
                    self._read_links(pid, fd, (entry.name for entry in islice(entries, _FIRST_DESCRIPTORS)), True)

    def _read_links(self, pid: int, fd: int, names: Iterable[str], stop_when_complete: bool) -> None:
        readlink = os.readlink
        for name in names:
            try:
                inode = self.wanted.get(readlink(name, dir_fd=fd))
            except FileNotFoundError:
                continue
            if inode is not None:
                self.found.setdefault(inode, {})[pid] = None
                self.numbers.add(name)
                if stop_when_complete and self.is_complete:
                    return

    @contextmanager
    def _opened(self, pid: int, folder: str) -> Iterator[Optional[int]]:
        """The folder's descriptor; None, and it is noted, where it or what is in it is not ours to read."""
        try:
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.procfs.fd)
        except OSError as error:
            self._failed(pid, error)
            yield None
            return
        try:
            yield fd
        except OSError as error:
            self._failed(pid, error)
        finally:
            os.close(fd)

    def _failed(self, pid: int, error: OSError) -> None:
        # Any other error says that the process or thread has ended.
        if isinstance(error, PermissionError):
            self.unreadable[pid] = None
