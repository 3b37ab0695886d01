"""Files of code that most of the system's own programs map, which a program's own libraries never are: a preload's trace."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, Optional

from tables.host.loader.preloads import Mapping, parse_text_mappings
from tables.host.processes.executables import DELETED
from tables.host.processes.procfs import Process, Procfs
from tables.unseen import say_cut

# Newest first: a preload is in every program started since it was planted.
MAX_PROCESSES = 400
_MAPS_LIMIT = 4 << 20
_LOADERS = ("ld-linux", "ld-musl", "ld.so", "ld64.so", "libc.so", "libc-2")
_SYSTEM_FOLDERS = ("/usr/bin/", "/usr/sbin/", "/usr/lib/", "/usr/lib64/", "/usr/libexec/", "/bin/", "/sbin/", "/lib/")
# Different programs, and the part of all started since the first of them, that must map a file.
_MIN_PROGRAMS = 3
_MIN_PART = 0.5


class Mapped(NamedTuple):
    """A file that many programs map: how many of how many looked at, the first of them, and all their pids."""

    path: str
    is_deleted: bool
    first: Process
    pids: frozenset[int]
    looked_at: int


class _Looked(NamedTuple):
    process: Process
    program: str
    files: set[Mapping]


def most_mapped(procfs: Procfs, processes: Iterable[Process], check_time: Callable[[], None]) -> list[Mapped]:
    """The code files that most packaged programs started since the first mapper map, by path.

    Only programs in the system's own folders and root folder count, and only those the dynamic loader started: they
    share nothing by themselves but system libraries. At least three different programs must map a file.
    """
    looked: list[_Looked] = []
    for process in sorted(processes, key=lambda one: one.stat.start_ticks, reverse=True):
        if len(looked) >= MAX_PROCESSES:
            break
        check_time()
        program = process.exe_path or ""
        if not program.startswith(_SYSTEM_FOLDERS):
            continue
        mapped = mapped_code(procfs, process)
        if mapped is None:
            continue
        files = {file for file in mapped if file.path.removesuffix(DELETED) != program}
        if any(file.path.rpartition("/")[2].startswith(_LOADERS) for file in files):
            looked.append(_Looked(process, program, files))
    return _most_mapped(looked)


def mapped_code(procfs: Procfs, process: Process) -> Optional[list[Mapping]]:
    """The code that a process has mapped from files (proc_pid_maps(5)); None in another root folder than ours, and once ended."""
    try:
        ours, root = procfs.stat("self/root"), procfs.stat(f"{process.pid}/root")
        if (root.st_dev, root.st_ino) != (ours.st_dev, ours.st_ino):
            return None
        data = procfs.read(f"{process.pid}/maps", _MAPS_LIMIT)
    except OSError:
        return None
    if len(data) == _MAPS_LIMIT:
        say_cut(f"process {process.pid}: only the first {_MAPS_LIMIT >> 20} MiB of its mappings were looked at")
    return list(parse_text_mappings(data))


def _most_mapped(looked: list[_Looked]) -> list[Mapped]:
    mappers: dict[Mapping, list[_Looked]] = {}
    for one in looked:
        for file in one.files:
            mappers.setdefault(file, []).append(one)
    found = []
    for file, users in mappers.items():
        if len({one.program for one in users}) < _MIN_PROGRAMS:
            continue
        # `looked` runs from the newest to the oldest.
        since = looked.index(users[-1]) + 1
        if len(users) >= _MIN_PART * since:
            is_deleted = file.path.endswith(DELETED)
            pids = frozenset(one.process.pid for one in users)
            found.append(Mapped(file.path.removesuffix(DELETED), is_deleted, users[-1].process, pids, since))
    return sorted(found, key=lambda one: one.path)
