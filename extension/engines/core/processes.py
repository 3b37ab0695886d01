"""osquery's processes table."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from typing import Optional

from extension.engines.core import CoreRow, core_table
from extension.engines.core.reading import split
from extension.engines.core.support import number, proc_text, wanted_pids
from tables.host import Host
from tables.host.processes.procfs import CLOCK_TICKS, parse_stat
from tables.schema import QueryContext

_DELETED = " (deleted)"
_MS_PER_TICK = 1000 // CLOCK_TICKS
_STATUS_LINE = re.compile(r"^(Name|Uid|Gid|VmRSS|VmSize):(.*)$", re.MULTILINE)
_IDS = {"Uid": ("uid", "euid", "suid"), "Gid": ("gid", "egid", "sgid")}
_SIZES = {"VmRSS": "resident_size", "VmSize": "total_size"}


@core_table("processes", needs_live=True, index=("pid",), optimized=("pid",))
def processes(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """One row per listed process; a pid asked for by number may also be that of a thread or of an unlisted process.

    Sizes are in bytes and NULL for kernel threads, user_time and system_time in milliseconds, start_time in unix seconds.
    A process whose status cannot be read has no row, as in osquery.
    """
    readers = [reader for columns, reader in _READERS.items() if query.uses(*columns)]
    for pid in wanted_pids(host, query):
        query.check_time()
        status = proc_text(host, f"{pid}/status")
        if not status:
            continue
        row: CoreRow = {"pid": pid, "wired_size": 0, **parse_status(status)}
        for reader in readers:
            row.update(reader(host, pid))
        yield row


def parse_status(text: str) -> CoreRow:
    """Name, ids and sizes (bytes) from /proc/PID/status (proc_pid_status(5)); what is not in it is left out."""
    row: CoreRow = {"name": ""}
    for key, value in _STATUS_LINE.findall(text):
        if key == "Name":
            # osquery drops the white space around, and any doubling of, colons in a name.
            row["name"] = ":".join(split(value, ":"))
        elif key in _IDS:
            ids = value.split()
            if len(ids) == 4:
                row.update(zip(_IDS[key], ids))
        else:
            kilobytes = number(value.partition("kB")[0].strip())
            if kilobytes is not None:
                row[_SIZES[key]] = kilobytes * 1024
    return row


def parse_io(text: str) -> CoreRow:
    """Bytes read from and written to disk from /proc/PID/io (proc_pid_io(5)), writes that were cancelled taken off."""
    pairs = (line.partition(":") for line in text.split("\n"))
    counters = {key: number(value.strip()) for key, _, value in pairs}
    written = (counters.get("write_bytes") or 0) - (counters.get("cancelled_write_bytes") or 0)
    return {"disk_bytes_read": counters.get("read_bytes"), "disk_bytes_written": written}


def parse_first_cgroup(text: str) -> str:
    """The path on the first line of /proc/PID/cgroup, the only one osquery reads; empty when there is none (cgroups(7))."""
    fields = text.partition("\n")[0].split(":", 2)
    return fields[2] if len(fields) == 3 else ""


def _stat(host: Host, pid: int) -> CoreRow:
    row: CoreRow = {"state": "", "user_time": 0, "system_time": 0, "start_time": -1}
    try:
        stat = parse_stat(host.procfs.read(f"{pid}/stat", 4096))
    except (OSError, ValueError):
        return row
    row["state"], row["parent"], row["pgroup"], row["nice"], row["threads"] = (
        stat.state, stat.ppid, stat.pgrp, stat.nice, stat.num_threads,
    )  # fmt: skip
    row["user_time"] = stat.utime * _MS_PER_TICK
    row["system_time"] = stat.stime * _MS_PER_TICK
    boot_time = _boot_time(host)
    if boot_time:
        row["start_time"] = boot_time + stat.start_ticks // CLOCK_TICKS
    return row


def _boot_time(host: Host) -> Optional[int]:
    try:
        return host.procfs.boot_time
    except (OSError, ValueError, IndexError):
        return None


def _exe(host: Host, pid: int) -> CoreRow:
    path = host.procfs.try_readlink(f"{pid}/exe")
    if not path:
        return {"path": "", "on_disk": -1}
    exists = _on_disk(host, path)
    if not path.endswith(_DELETED):
        return {"path": path, "on_disk": exists is not None}
    if exists is not None:
        # The file may really be called "… (deleted)"; only the inode that runs can tell.
        try:
            running = host.procfs.stat(f"{pid}/exe")
        except OSError:
            return {"path": path, "on_disk": -1}
        if os.path.samestat(running, exists):
            return {"path": path, "on_disk": True}
    return {"path": path[: -len(_DELETED)], "on_disk": False}


def _on_disk(host: Host, path: str) -> Optional[os.stat_result]:
    try:
        return host.files.stat(path)
    except OSError:
        return None


def _cmdline(host: Host, pid: int) -> CoreRow:
    data = host.procfs.try_read(f"{pid}/cmdline", 1 << 17) or b""
    return {"cmdline": data.replace(b"\0", b" ").strip()}


def _cwd(host: Host, pid: int) -> CoreRow:
    return {"cwd": host.procfs.try_readlink(f"{pid}/cwd") or ""}


def _root(host: Host, pid: int) -> CoreRow:
    return {"root": host.procfs.try_readlink(f"{pid}/root") or ""}


def _io(host: Host, pid: int) -> CoreRow:
    text = proc_text(host, f"{pid}/io")
    return parse_io(text) if text else {}


def _cgroup(host: Host, pid: int) -> CoreRow:
    return {"cgroup_path": parse_first_cgroup(proc_text(host, f"{pid}/cgroup"))}


# A JOIN asks for one process at a time, thousands of times: only what the query reads is looked up.
_READERS: dict[tuple[str, ...], Callable[[Host, int], CoreRow]] = {
    ("state", "parent", "pgroup", "nice", "threads", "user_time", "system_time", "start_time"): _stat,
    ("path", "on_disk"): _exe,
    ("cmdline",): _cmdline,
    ("cwd",): _cwd,
    ("root",): _root,
    ("disk_bytes_read", "disk_bytes_written"): _io,
    ("cgroup_path",): _cgroup,
}
