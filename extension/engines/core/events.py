"""osquery's tables of events: osqueryd alone records them, so that this engine has none."""

from __future__ import annotations

from collections.abc import Iterator

from extension.engines.core import CoreRow, core_table
from tables.host import Host
from tables.schema import QueryContext

# osquery's specs/linux/bpf_process_events.table, with the hidden column `time`, and specs/utility/osquery_events.table.
_BPF_KINDS = {
    "tid": "BIGINT", "pid": "BIGINT", "parent": "BIGINT", "uid": "BIGINT", "gid": "BIGINT", "cid": "INTEGER", "exit_code": "TEXT",
    "probe_error": "INTEGER", "syscall": "TEXT", "path": "TEXT", "cwd": "TEXT", "cmdline": "TEXT", "duration": "INTEGER",
    "ntime": "TEXT", "time": "BIGINT",
}  # fmt: skip
_OSQUERY_KINDS = {
    "name": "TEXT", "publisher": "TEXT", "type": "TEXT", "subscriptions": "INTEGER", "events": "INTEGER", "active": "INTEGER",
}  # fmt: skip


def _none(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    yield from ()


process_events = core_table("process_events")(_none)
bpf_process_events = core_table("bpf_process_events", kinds=_BPF_KINDS)(_none)
socket_events = core_table("socket_events")(_none)
file_events = core_table("file_events")(_none)
osquery_events = core_table("osquery_events", kinds=_OSQUERY_KINDS)(_none)
