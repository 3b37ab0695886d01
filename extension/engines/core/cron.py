"""osquery's crontab table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

from extension.engines.core import CoreRow, core_table
from extension.engines.core.reading import Reader, split
from tables.host import Host
from tables.schema import QueryContext

_SYSTEM_CRONTAB = "/etc/crontab"
_FOLDERS = ("/etc/cron.d/", "/var/at/tabs/", "/var/spool/cron/", "/var/spool/cron/crontabs/")
_FIELDS = ("minute", "hour", "day_of_month", "month", "day_of_week")


def parse_cron_line(line: str) -> Optional[CoreRow]:
    """The columns of one trimmed crontab line, None for a line that is too short to have a command.

    The command of a system crontab begins with the user; runs of blanks in it become one space; a variable with enough
    words in it reads as a job. All three are osquery's reading.
    """
    words = split(line, " \t")
    if words and words[0].startswith("@"):
        row: CoreRow = {"event": words[0]}
        command = words[1:]
    else:
        row = dict(zip(_FIELDS, words))
        command = words[len(_FIELDS) :]
    joined = " ".join(command)
    return {**row, "command": joined} if joined else None


@core_table("crontab")
def crontab(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """The jobs in /etc/crontab, /etc/cron.d and the users' crontabs; files whose name starts with a dot are not read."""
    reader = Reader(host, "crontab", query)
    for path in [_SYSTEM_CRONTAB, *(path for folder in _FOLDERS for path in reader.listing(folder))]:
        for line in split(reader.text(path), "\n"):
            job = parse_cron_line(line) if line and not line.startswith("#") else None
            if job is not None:
                yield {**job, "path": path}
