"""Where sshd looks for the keys that may log in, and what those files hold (sshd(8), sshd_config(5), dropbear(8))."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Optional

from tables.errors import TableError
from tables.host.accounts.databases import Account
from tables.host.disk.file_status import Statuses, file_status
from tables.host.disk.files import Files, Unreadable, read_fd
from tables.host.ssh.keys import MAX_LINE, KeyLine, parse_authorized_keys
from tables.host.ssh.sshd_config import authorized_keys_files
from tables.host.ssh.sshd_settings import Setting, SshdConfig

# git servers keep one file with a key, and a forced command, for each of thousands of users.
_FILE_LIMIT = 32 << 20
MAX_LINES = 50_000
# Looked into even where sshd is told to look elsewhere: what lies there comes into force with one change.
_USUAL = (".ssh/authorized_keys", ".ssh/authorized_keys2")
_DROPBEAR = "/etc/dropbear/authorized_keys"


class KeyPlace(NamedTuple):
    """A file of keys, and whom they let in: `account`, or everybody where that is None.

    `named_by` is the setting that names it (`path:line keyword`), default or dropbear; `is_authority` tells that the keys
    sign certificates.
    """

    path: str
    account: Optional[Account]
    named_by: str
    is_in_force: bool
    is_authority: bool = False


class KeyFile(NamedTuple):
    """What one file holds: its entries, its status, whether it can be written only after chattr (None: not known).

    `is_cut` tells that it is longer than what was read.
    """

    lines: tuple[KeyLine, ...]
    status: os.stat_result
    is_immutable: Optional[bool]
    is_cut: bool


def named_by(setting: Setting) -> str:
    """Where a setting is made."""
    return "default" if setting.path is None else f"{setting.path}:{setting.line} {setting.keyword}"


def all_values(config: SshdConfig, keyword: str) -> list[Setting]:
    """Every value of a keyword that may be in force for somebody, those in Match blocks too."""
    return [*config.values(keyword), *(setting for _, setting in config.overrides(keyword))]


def key_places(
    files: Files, config: SshdConfig, accounts: Mapping[str, Account], groups: Mapping[str, Sequence[str]]
) -> Iterator[KeyPlace]:
    """Where to look for the keys of `accounts` (by name, `groups` their groups' names); each file once an account."""
    for setting in all_values(config, "trustedusercakeys"):
        if setting.value.lower() != "none":
            yield KeyPlace(setting.value, None, named_by(setting), is_in_force=True, is_authority=True)
    if files.exists(_DROPBEAR):
        yield KeyPlace(_DROPBEAR, accounts.get("root"), "dropbear", is_in_force=True)
    for_all: set[str] = set()
    for account in accounts.values():
        seen: set[str] = set()
        for setting in config.for_user("authorizedkeysfile", account.name, groups.get(account.name, ())):
            for pattern, path in authorized_keys_files(setting, account.name, account.uid, account.home):
                if path in seen | for_all or not path.startswith("/"):
                    continue
                # In a Match block for one user a file may be named in full.
                is_for_all = path == pattern and not path.startswith(account.home.rstrip("/") + "/.ssh/")
                (for_all if is_for_all else seen).add(path)
                yield KeyPlace(path, None if is_for_all else account, named_by(setting), is_in_force=True)
        for name in _USUAL:
            path = posixpath.join(account.home, name)
            if path.startswith("/") and path not in seen | for_all:
                yield KeyPlace(path, account, "default", is_in_force=False)


def read_key_file(files: Files, path: str) -> Optional[KeyFile]:
    """The file at `path`; None when there is none, or no regular one (a link to /dev/null). Else Unreadable."""
    try:
        fd = files.open(path)
    except Unreadable as error:
        if error.is_missing or error.why == "not a regular file":
            return None
        raise
    try:
        status = os.fstat(fd)
        data = read_fd(fd, _FILE_LIMIT)
    except OSError as error:
        raise Unreadable(path, error.strerror or str(error), error.errno) from None
    finally:
        os.close(fd)
    is_cut = len(data) == _FILE_LIMIT or data.count(b"\n") > MAX_LINES or max(map(len, data.split(b"\n"))) > MAX_LINE
    return KeyFile(tuple(parse_authorized_keys(data, MAX_LINES)), status, _is_immutable(files, path), is_cut)


def _is_immutable(files: Files, path: str) -> Optional[bool]:
    try:
        marks = file_status(files, files.real_path(path), Statuses())
    except (OSError, TableError):
        return None
    return None if marks.is_immutable is None else bool(marks.is_immutable or marks.is_append_only)
