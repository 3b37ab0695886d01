"""The accounts of /etc/passwd: read once, and again when the file was changed."""

from __future__ import annotations

import re
import weakref
from dataclasses import dataclass
from functools import cached_property
from typing import Optional

from tables.host.accounts.databases import Account, parse_passwd
from tables.host.disk.files import DEFAULT_LIMIT, Files, Unreadable
from tables.host.disk.footprint import FileKey, file_key
from tables.unseen import Unseen

_FILE = "/etc/passwd"


@dataclass(frozen=True)
class Accounts:
    """The accounts of one state of /etc/passwd, in the file's order; none where it could not be read.

    A directory service (LDAP, sssd, systemd-homed) is not asked. Of a longer file the first 4 MiB are read.
    """

    all: tuple[Account, ...] = ()
    # Why the file could not be read, "no such file" included.
    error: Optional[Unreadable] = None
    is_cut: bool = False

    def say_gap(self, unseen: Unseen) -> None:
        """Say what of the file could not be read, and that it was cut."""
        if self.error is not None:
            unseen.could_not_see(str(self.error))
        if self.is_cut:
            unseen.truncate(f"{_FILE}: only the first {DEFAULT_LIMIT} bytes were read")

    @cached_property
    def by_name(self) -> dict[str, Account]:
        """The account of each name: the first, as for getpwnam(3); in the file's order."""
        found: dict[str, Account] = {}
        for account in self.all:
            found.setdefault(account.name, account)
        return found

    @cached_property
    def by_home(self) -> dict[str, Account]:
        """The first account of each home folder, in the file's order; homes that are no absolute path are left out.

        The keys, and the homes of these accounts, have no slash too many: `/home/a`, `/`. A `..` stays, for only the
        kernel knows where it leads behind a link.
        """
        found: dict[str, Account] = {}
        for account in self.all:
            if account.home.startswith("/"):
                home = re.sub("/+", "/", account.home).rstrip("/") or "/"
                found.setdefault(home, account._replace(home=home))
        return found

    def needed(self) -> Accounts:
        """These accounts, for an answer that is nothing without them; raises Unreadable when the file is there, unread."""
        if self.error is not None and not self.error.is_missing:
            raise self.error
        return self


class _Reading:
    """The accounts below one root folder, and the state of the file in which they were read."""

    def __init__(self) -> None:
        self._state: Optional[FileKey] = None
        self._accounts = Accounts()

    def get(self, files: Files) -> Accounts:
        """The accounts as they are now."""
        try:
            # Before the content: a change in between then shows at the next look.
            state = file_key(files.stat(_FILE))
            if state != self._state:
                data = files.read(_FILE, DEFAULT_LIMIT + 1)
                self._accounts = Accounts(parse_passwd(data[:DEFAULT_LIMIT]), None, len(data) > DEFAULT_LIMIT)
                self._state = state
        except Unreadable as error:
            self._state = None
            self._accounts = Accounts(error=error)
        return self._accounts


_readings: weakref.WeakKeyDictionary[Files, _Reading] = weakref.WeakKeyDictionary()


def accounts_of(files: Files) -> Accounts:
    """The accounts of /etc/passwd below the root of `files`, as they are now; what could not be read `say_gap` tells."""
    return _readings.setdefault(files, _Reading()).get(files)
