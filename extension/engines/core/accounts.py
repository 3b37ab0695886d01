"""osquery's tables of local accounts: users, groups, user_groups, shadow."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from extension.engines.core import CoreRow, core_table
from extension.engines.core.reading import Reader
from tables.host import Host
from tables.host.accounts.databases import Account, Group, parse_group, parse_passwd, parse_shadow
from tables.schema import QueryContext

_SHADOW_DAYS = ("last_change", "min", "max", "warning", "inactive", "expire")
_HASH_ALGORITHM = re.compile(r"\$([A-Za-z0-9_]+)\$")


def signed(number: int) -> int:
    """A 32-bit id as a signed number."""
    return number - (1 << 32) if number >= 1 << 31 else number


def accounts(reader: Reader) -> tuple[Account, ...]:
    """The accounts in /etc/passwd, which is where osquery looks: no directory service is asked."""
    return parse_passwd(reader.read("/etc/passwd", expected=True) or b"")


def accounts_in_question(reader: Reader, query: QueryContext) -> list[Account]:
    """The accounts a per-user table reports: those with the uids asked for, else only the one that minehunt runs as.

    This is osquery's usersFromContext (osquery/tables/system/system_utils.cpp). Accounts without a home are left out.
    """
    uids = set(query.equal_integers("uid") or [os.getuid()])
    return [account for account in accounts(reader) if account.uid in uids and account.home.startswith("/")]


def groups_of(reader: Reader) -> tuple[Group, ...]:
    """The groups in /etc/group."""
    return parse_group(reader.read("/etc/group", expected=True) or b"")


@core_table("users", index=["uid", "uuid"], additional=["username"])
def users(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """The accounts in /etc/passwd."""
    names, uids = query.equals("username"), query.equal_integers("uid")
    for account in accounts(Reader(host, "users", query)):
        if (names and account.name not in names) or (uids and account.uid not in uids):
            continue
        yield {
            "uid": account.uid, "gid": account.gid, "uid_signed": signed(account.uid), "gid_signed": signed(account.gid),
            "username": account.name, "description": account.gecos, "directory": account.home, "shell": account.shell,
        }  # fmt: skip


@core_table("groups", index=["gid"])
def groups(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """The groups in /etc/group, the first of each id (osquery asks NSS, which may name more)."""
    seen = set()
    for group in groups_of(Reader(host, "groups", query)):
        if group.gid not in seen:
            seen.add(group.gid)
            yield {"gid": group.gid, "gid_signed": signed(group.gid), "groupname": group.name}


@core_table("user_groups", index=["uid", "gid"], optimized=["uid"])
def user_groups(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """Each account's own group and then those that list it as a member; one account a uid, the first in /etc/passwd."""
    reader = Reader(host, "user_groups", query)
    memberships: dict[str, list[int]] = {}
    for group in groups_of(reader):
        for member in group.members:
            memberships.setdefault(member, []).append(group.gid)
    seen = set()
    for account in accounts(reader):
        if account.uid in seen:
            continue
        seen.add(account.uid)
        for gid in dict.fromkeys([account.gid, *memberships.get(account.name, [])]):
            # osquery carries the uid in a C int here.
            yield {"uid": signed(account.uid), "gid": gid}


def password_status(password: str) -> str:
    """What osquery calls the state of a password field: not_set, locked, empty or active."""
    markers = {"!!": "not_set", "": "empty"}
    return markers.get(password) or ("locked" if password[0] in "!*x" else "active")


@core_table("shadow", index=["username"], optimized=["username"])
def shadow(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """The state of each password in /etc/shadow, never the hash itself; no rows where we may not read it."""
    for entry in parse_shadow(Reader(host, "shadow", query).read("/etc/shadow", expected=True) or b""):
        algorithm = _HASH_ALGORITHM.match(entry.password)
        numbers = dict(zip(_SHADOW_DAYS, (-1 if day is None else day for day in entry.days)))
        yield {
            "password_status": password_status(entry.password), "hash_alg": algorithm[1] if algorithm else None,
            **numbers, "flag": entry.days[-1], "username": entry.name,
        }  # fmt: skip
