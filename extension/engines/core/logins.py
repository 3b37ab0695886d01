"""osquery's tables of login records: last (wtmp), logged_in_users (utmp)."""

from __future__ import annotations

from collections.abc import Iterator

from extension.engines.core import CoreRow, core_table
from extension.engines.core.reading import Reader
from tables.host import Host
from tables.host.logins.utmp import DEAD_PROCESS, USER_PROCESS, parse_logins
from tables.schema import QueryContext

_LAST_TYPES = {USER_PROCESS: "user-process", DEAD_PROCESS: "dead-process"}
_UTMP_TYPES = ("empty", "runlevel", "boot_time", "new_time", "old_time", "init", "login", "user", "dead", "accounting")


@core_table("last")
def last(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """The logins and logouts in /var/log/wtmp, oldest first."""
    for login in parse_logins(Reader(host, "last", query).read("/var/log/wtmp") or b""):
        if login.kind in _LAST_TYPES:
            yield {
                "username": login.user, "tty": login.tty, "pid": login.pid, "type": login.kind,
                "type_name": _LAST_TYPES[login.kind], "time": login.time, "host": login.host,
            }  # fmt: skip


@core_table("logged_in_users", needs_live=True)
def logged_in_users(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """Every record in /var/run/utmp but those of pid 1: sessions, and also boot, login prompts and ended sessions."""
    for login in parse_logins(Reader(host, "logged_in_users", query).read("/var/run/utmp") or b""):
        if login.pid != 1:
            yield {
                "type": _UTMP_TYPES[login.kind] if 0 <= login.kind < len(_UTMP_TYPES) else "unknown",
                "user": login.user, "tty": login.tty, "host": login.host, "time": login.time, "pid": login.pid,
            }  # fmt: skip
