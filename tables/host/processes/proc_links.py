"""What the link count of procfs's root says of the number of processes, whichever of the kernel's two conventions holds.

st_nlink of procfs's root is its own links plus the number of processes (proc_root_getattr in fs/proc/root.c). Its own links
are 2 and one for each folder; older kernels (5.10 and 6.1, say) count every entry that is registered, files and links
included (proc_register in fs/proc/generic.c). `self` and `thread-self` are registered by neither.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple, Optional

from tables.host import syscalls
from tables.host.processes.procfs import Procfs

# Folders of procfs that hold files, on one kernel or another; each tells the convention.
_WITNESSES = ("sysvipc", "tty", "driver", "fs", "bus")
_UNREGISTERED = frozenset({b"self", b"thread-self"})
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NONBLOCK


class Entries(NamedTuple):
    """How many folders, and how many other entries, a folder of procfs holds."""

    folders: int
    others: int


def counts_files(links: int, entries: Entries) -> Optional[bool]:
    """Whether the kernel counts files among the links of a folder with these entries; None when it does not tell."""
    if entries.others and links == 2 + entries.folders + entries.others:
        return True
    return False if entries.others and links == 2 + entries.folders else None


def convention(procfs: Procfs) -> Optional[bool]:
    """Whether this kernel counts files as links of a procfs folder; None when no folder tells, or two contradict."""
    answers = set()
    for name in _WITNESSES:
        try:
            fd = os.open(name, _FOLDER, dir_fd=procfs.fd)
        except OSError:
            continue
        try:
            answers.add(counts_files(os.fstat(fd).st_nlink, count(dict(syscalls.getdents64(fd)))))
        finally:
            os.close(fd)
    found = answers - {None}
    return found.pop() if len(found) == 1 else None


def count(names: Mapping[bytes, int]) -> Entries:
    """The entries of a procfs folder, by name and d_type, that are registered there: no pids, no `self`, no dots."""
    kinds = [kind for name, kind in names.items() if not (name.isdigit() or name in _UNREGISTERED or name in (b".", b".."))]
    folders = sum(kind == syscalls.DT_DIR for kind in kinds)
    return Entries(folders, len(kinds) - folders)


def processes(links: int, root: Entries, files_count: bool) -> int:
    """How many processes the kernel counts, by the link count and the entries of procfs's root."""
    return links - 2 - root.folders - (root.others if files_count else 0)
