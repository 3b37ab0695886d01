"""What several core tables read below /proc: text files, numbers, pids, descriptors, namespaces."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Optional

from tables.errors import TableError
from tables.host import Host
from tables.schema import QueryContext

_NAMESPACE = re.compile(r"([a-z]+):\[([1-9][0-9]*)\]")


def require_live(host: Host, table: str) -> None:
    """Raise TableError for a mounted disk: what `table` tells, only a running kernel knows."""
    if not host.is_live:
        raise TableError(f"{table} tells about a running system, and {host.files.root} is a mounted one")


def proc_text(host: Host, path: str, limit: int = 1 << 16) -> str:
    """The first `limit` bytes of the file at `path` below /proc as text, "" when it is gone or not ours to read."""
    return (host.procfs.try_read(path, limit) or b"").decode("utf-8", "surrogateescape")


def number(digits: str, base: int = 10) -> Optional[int]:
    """The unsigned 64-bit number written in `digits`, None when that is none."""
    try:
        value = int(digits, base) if len(digits) <= 20 and digits.isalnum() else -1
    except ValueError:
        return None
    return value if 0 <= value < 1 << 64 else None


def wanted_pids(host: Host, query: QueryContext) -> list[int]:
    """The pids that `query` names, else every listed one; in osquery's order, which is that of their text."""
    wanted = query.equal_integers("pid")
    return sorted(host.procfs.pids() if wanted is None else {pid for pid in wanted if pid > 0}, key=str)


def descriptors(host: Host, pid: int) -> Iterator[tuple[str, str]]:
    """(number, link target) of each open descriptor of a process; none when it is gone or not ours to read."""
    for name in host.procfs.descriptors(pid):
        target = host.procfs.try_readlink(f"{pid}/fd/{name}")
        if target is not None:
            yield name, target


def namespace_inode(host: Host, pid: int, kind: str) -> int:
    """Inode of the process's namespace of this kind (`net`, `mnt` …), 0 when it cannot be read (namespaces(7))."""
    found = _NAMESPACE.fullmatch(host.procfs.try_readlink(f"{pid}/ns/{kind}") or "")
    return int(found[2]) if found and found[1] == kind else 0
