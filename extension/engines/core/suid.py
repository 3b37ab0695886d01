"""osquery's suid_bin table."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from extension.engines.core import CoreRow, core_table
from extension.engines.core.accounts import accounts, groups_of
from extension.engines.core.reading import Reader
from tables.host import Host
from tables.schema import QueryContext

_FOLDERS = ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/tmp")  # noqa: S108  # looked into


def _files_below(reader: Reader, folder: str, query: QueryContext) -> Iterator[tuple[str, os.stat_result]]:
    """Every regular file below `folder`, links to files followed but not links to folders."""
    pending = [folder]
    while pending:
        query.check_time()
        here = pending.pop()
        for name in reader.names(here):
            path = os.path.join(here, name)
            try:
                found = reader.host.files.stat(path, follow=False)
                if stat.S_ISDIR(found.st_mode):
                    pending.append(path)
                    continue
                if stat.S_ISLNK(found.st_mode):
                    found = reader.host.files.stat(path)
            except OSError:
                continue
            if stat.S_ISREG(found.st_mode):
                yield path, found


@core_table("suid_bin")
def suid_bin(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """Files with the set-user-id (S) or set-group-id (G) bit below the folders that osquery looks into.

    Where /bin is a link to /usr/bin the same file shows under both paths. Ids without a name in /etc/passwd or /etc/group
    are shown as numbers.
    """
    reader = Reader(host, "suid_bin", query)
    users: dict[int, str] = {}
    groups: dict[int, str] = {}
    for account in accounts(reader):
        users.setdefault(account.uid, account.name)
    for group in groups_of(reader):
        groups.setdefault(group.gid, group.name)
    for folder in _FOLDERS:
        for path, found in _files_below(reader, folder, query):
            letters = "S" * bool(found.st_mode & stat.S_ISUID) + "G" * bool(found.st_mode & stat.S_ISGID)
            if letters:
                yield {
                    "path": path, "username": users.get(found.st_uid, str(found.st_uid)),
                    "groupname": groups.get(found.st_gid, str(found.st_gid)), "permissions": letters,
                }  # fmt: skip
