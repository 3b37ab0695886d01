"""osquery's shell_history table."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from extension.engines.core import CoreRow, core_table
from extension.engines.core.accounts import accounts_in_question
from extension.engines.core.reading import Reader
from tables.host import Host
from tables.schema import QueryContext

_FILES = (".bash_history", ".zsh_history", ".zhistory", ".history", ".sh_history", ".ash_history")
_SESSIONS = ".bash_sessions"
_BASH_TIME = re.compile(rb"#([0-9]+)")
_ZSH_LINE = re.compile(rb": {0,10}([0-9]{1,11}):[0-9]+;([^\r\n]*)")
# More digits than a 64-bit number has: osquery gives no time for such a line.
_MAX_DIGITS = 18


class HistoryLine(NamedTuple):
    """One command; `time` in unix seconds as written, "0" where the file has none, "" where it is no number."""

    time: str
    command: str


def parse_history(data: bytes) -> Iterator[HistoryLine]:
    """Yield the commands of a history file; a bash `#time` line belongs to the line after it, zsh has `: time:0;command`."""
    pending = b""
    for raw in io.BytesIO(data):
        line = raw[:-1] if raw.endswith(b"\n") else raw
        bash = None if pending else _BASH_TIME.fullmatch(line)
        if bash:
            pending = bash[1]
            continue
        time = pending or b"0"
        if not pending and (zsh := _ZSH_LINE.fullmatch(line)):
            time, line = zsh[1], zsh[2]
        pending = b""
        yield HistoryLine(
            time.decode("ascii") if len(time) <= _MAX_DIGITS else "",
            line.decode("utf-8", "surrogateescape"),
        )


@core_table("shell_history", additional=["uid"], optimized=["uid"], max_rows=200_000)
def shell_history(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """The lines of the history files of the users asked for by uid, else of the running user."""
    reader = Reader(host, "shell_history", query)
    for account in accounts_in_question(reader, query):
        paths = [os.path.join(account.home, name) for name in _FILES]
        sessions = os.path.join(account.home, _SESSIONS)
        paths += [path for path in reader.listing(sessions) if path.endswith(".history")]
        for path in paths:
            for line in parse_history(reader.read(path) or b""):
                yield {"uid": account.uid, "time": line.time, "command": line.command, "history_file": path}
