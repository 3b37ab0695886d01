"""The columns in which tables say which process a row is about: one wording, one reading, in whatever order a table has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Optional

from tables.host.processes.procfs import Process
from tables.schema import BIGINT, TEXT, column


class _Fact(NamedTuple):
    type: str
    description: str
    read: Callable[[Process], object]


_FACTS = {
    "pid": _Fact(BIGINT, "process id", lambda process: process.pid),
    "process_name": _Fact(TEXT, "comm of the process, at most 15 bytes, chosen by itself", lambda process: process.name),
    "exe_path": _Fact(
        TEXT,
        "path of the running file as the kernel gives it, without ` (deleted)`; empty for kernel threads, zombies and what we "
        "may not read",
        lambda process: process.exe_path,
    ),
    "cmdline": _Fact(TEXT, "command line of the process, arguments joined by spaces", lambda process: process.cmdline or None),
    "cwd": _Fact(TEXT, "working folder of the process", lambda process: process.cwd),
    "owner_uid": _Fact(BIGINT, "real user id of the process", lambda process: process.uid),
    "parent": _Fact(
        BIGINT,
        "pid of the process's parent, 0 when that is the kernel or outside of our pid namespace",
        lambda process: process.stat.ppid,
    ),
    "parent_name": _Fact(TEXT, "comm of the process's parent", lambda process: process.parent_name),
    "start_time": _Fact(BIGINT, "start of the process in unix seconds", lambda process: process.start_time),
    "cgroup_path": _Fact(
        TEXT,
        "cgroup of the process, which names its unit or container, and which it keeps when it detaches from its parent",
        lambda process: process.cgroup_path or None,
    ),
    "container_id": _Fact(
        TEXT, "id of the container that the process runs in, from its cgroup", lambda process: process.container_id
    ),
}


def process_column(name: str, note: str = "", *, index: bool = False) -> Any:
    """The field of a Row for this fact of a process; `note` adds what is special in that table."""
    fact = _FACTS[name]
    return column(fact.type, f"{fact.description}; {note}" if note else fact.description, index=index)


def process_facts(process: Optional[Process], names: str) -> dict[str, Any]:
    """The values of these columns, named with blanks between; None each without a process, and where a fact is unreadable."""
    return {name: _FACTS[name].read(process) if process else None for name in names.split()}


def is_hidden_column(note: str = "") -> Any:
    """The field of a Row for what `Visibility` says of the process; `note` adds what is special in that table."""
    said = "1 if /proc does not list the process, or shows another in its place (hidden_processes says how)"
    return column(BIGINT, f"{said}; {note}" if note else said)
