"""osquery's tables about one process's insides: environment, memory map, namespaces, open files."""

from __future__ import annotations

from collections.abc import Iterator

from extension.engines.core import CoreRow, core_table
from extension.engines.core.reading import split
from extension.engines.core.support import descriptors, namespace_inode, number, proc_text, wanted_pids
from tables.host import Host
from tables.schema import QueryContext

_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
_NO_FILE = ("socket:", "anon_inode:", "pipe:")
_ENVIRON_LIMIT = 1 << 20
_MAPS_LIMIT = 32 << 20


@core_table("process_envs", needs_live=True, index=("pid",), optimized=("pid",))
def process_envs(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """One row per variable of a process's initial environment."""
    for pid in wanted_pids(host, query):
        query.check_time()
        for key, value in parse_environ(host.procfs.try_read(f"{pid}/environ", _ENVIRON_LIMIT) or b""):
            yield {"pid": pid, "key": key, "value": value}


def parse_environ(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (key, value) from /proc/PID/environ, as far as osquery on x86-64 reads it.

    That ends at the first empty string or the first one that begins with a byte above 0x7F; one without `=` is key and value.
    """
    for variable in data.split(b"\0"):
        if not variable or variable[0] > 0x7F:
            return
        key, separator, value = variable.partition(b"=")
        yield key, value if separator else variable


@core_table("process_memory_map", needs_live=True, index=("pid",), optimized=("pid",))
def process_memory_map(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """One row per mapped region of a process; a path ends at its first space, as in osquery."""
    for pid in wanted_pids(host, query):
        query.check_time()
        for row in parse_maps(proc_text(host, f"{pid}/maps", _MAPS_LIMIT)):
            row["pid"] = pid
            yield row


def parse_maps(text: str) -> Iterator[CoreRow]:
    """Yield the regions in a /proc/PID/maps file (proc_pid_maps(5)); lines that are none are passed over."""
    for line in text.split("\n"):
        fields = split(line, " ")
        if len(fields) < 5:
            continue
        addresses = split(fields[0], "-")
        if len(addresses) < 2:
            continue
        offset = number(fields[2], 16)
        row: CoreRow = {
            "start": f"0x{addresses[0]}",
            "end": f"0x{addresses[1]}",
            "permissions": fields[1],
            "offset": -1 if offset is None else offset,
            "device": fields[3],
            "inode": fields[4],
            "pseudo": fields[4] == "0" and len(fields) > 5,
        }
        if len(fields) > 5:
            row["path"] = fields[5]
        yield row


@core_table("process_namespaces", needs_live=True, index=("pid",), optimized=("pid",))
def process_namespaces(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """One row per process: the inodes of the namespaces it is in; NULL where they cannot be read."""
    asked = query.equal_integers("pid") is not None
    for pid in wanted_pids(host, query):
        query.check_time()
        if asked and not _is_there(host, pid):
            continue
        inodes = {f"{kind}_namespace": namespace_inode(host, pid, kind) or None for kind in _NAMESPACES}
        yield {"pid": pid, **inodes}


def _is_there(host: Host, pid: int) -> bool:
    try:
        host.procfs.stat(str(pid))
    except OSError:
        return False
    return True


@core_table("process_open_files", needs_live=True, index=("pid",))
def process_open_files(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """One row per open file; like osquery without any whose target contains `socket:`, `anon_inode:` or `pipe:`."""
    for pid in wanted_pids(host, query):
        query.check_time()
        for fd, target in sorted(descriptors(host, pid)):
            if not any(mark in target for mark in _NO_FILE):
                yield {"pid": pid, "fd": fd, "path": target}
