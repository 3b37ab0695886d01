"""systemd's unit files as they are on disk: the one reader of them."""

from __future__ import annotations

import functools
import stat
from collections.abc import Callable, Iterator
from typing import Optional

from tables.host.accounts.databases import Account, parse_passwd
from tables.host.disk.files import DEFAULT_LIMIT, Files, Unreadable
from tables.host.disk.start_files import StartFile, read_start_file
from tables.host.systemd.folders import WANTS, UnitFolder, common_user_folders, system_folders, user_folders
from tables.host.systemd.managers import Manager, UnitFile
from tables.host.systemd.syntax import UNIT_TYPES, Setting, is_unit_name, parse_unit

_MAX_ACCOUNTS = 4096
# What one manager's folders may hold; a user's own less, so that no user can blind us to the others.
_MAX_FILES = 20_000
_MAX_USER_FILES = 1000
_MAX_USER_BYTES = 2 * 1024 * 1024
_MAX_SETTINGS = 5000
# Entries that are looked at: of one folder, of all of one manager's, and of all of a user's own.
_MAX_NAMES = 20_000
_MAX_ENTRIES = 200_000
_MAX_USER_ENTRIES = 40_000
# What is short is kept as parsed: several tables read the same files, again and again.
_SHORT = 4096
_NO_HOME = ("/nonexistent", "/dev/null")


@functools.lru_cache(maxsize=512)
def _parsed(text: str) -> tuple[Setting, ...]:
    return tuple(parse_unit(text))


class SystemdUnits:
    """Reads the unit files below a root folder, as systemd.unit(5) finds them; `managers` has the system's first.

    `unread` says what could not be read, `cut` what was left out because there is too much of it. What accounts are known
    comes from /etc/passwd alone.
    """

    def __init__(self, files: Files, check_time: Callable[[], None] = lambda: None, *, with_users: bool = True) -> None:
        self.files = files
        self.check_time = check_time
        self.unread: list[str] = []
        self.cut: list[str] = []
        # The folders that were read, links resolved.
        self.folders: set[str] = set()
        system = Manager("system")
        self._read(system, system_folders(), _Budget(_MAX_FILES, _MAX_ENTRIES, None))
        self.managers = [system]
        if with_users:
            self._read_users()

    def _read_users(self) -> None:
        common = Manager("user")
        self._read(common, common_user_folders(), _Budget(_MAX_FILES, _MAX_ENTRIES, None))
        self.managers.append(common)
        for account in self._accounts():
            own = Manager("user", account, common)
            self._read(own, user_folders(account), _Budget(_MAX_USER_FILES, _MAX_USER_ENTRIES, _MAX_USER_BYTES))
            if own.fragments or own.drop_ins:
                self.managers.append(own)

    def _accounts(self) -> Iterator[Account]:
        """The accounts whose homes are looked into, one for each home."""
        try:
            accounts = parse_passwd(self.files.read("/etc/passwd"))
        except Unreadable as error:
            if not error.is_missing:
                self.unread.append(str(error))
            return
        homes: dict[str, Account] = {}
        for account in accounts:
            if account.home.startswith("/") and account.home.rstrip("/") not in _NO_HOME:
                homes.setdefault(account.home.rstrip("/"), account)
        if len(homes) > _MAX_ACCOUNTS:
            self.cut.append(f"/etc/passwd: only {_MAX_ACCOUNTS} of {len(homes)} homes were looked into")
        yield from list(homes.values())[:_MAX_ACCOUNTS]

    def _read(self, manager: Manager, folders: list[UnitFolder], left: _Budget) -> None:
        wanted: list[tuple[str, str, UnitFolder]] = []
        for folder in folders:
            for name, path, real in self._entries(folder.path, left):
                owner, kind = _belongs_to(name)
                if is_unit_name(name):
                    self._add(manager, UnitFile(name, path, folder, False, None, ()), real, left)
                elif kind == ".d" and (is_unit_name(owner) or owner in UNIT_TYPES):
                    for inside, inner, real_inner in self._entries(path, left):
                        if inside.endswith(".conf"):
                            self._add(manager, UnitFile(owner, inner, folder, True, None, ()), real_inner, left)
                elif kind in WANTS:
                    for inside, inner, _ in self._entries(path, left):
                        if is_unit_name(inside) and not left.is_spent:
                            left.files -= 1
                            manager.want(inside, owner)
                            wanted.append((inside, inner, folder))
                if left.is_spent:
                    self.cut.append(f"{folder.path}: more unit files than are read ({left.limits})")
                    return
        # Older systemd versions took the unit from where such a link leads.
        for name, path, folder in wanted:
            if not manager.unit(name).fragment:
                self._add(manager, UnitFile(name, path, folder, False, None, ()), path, left)

    def _entries(self, folder: str, left: _Budget) -> Iterator[tuple[str, str, str]]:
        """Name, path and real path but for a last link of each entry of a folder that was not read before under another path."""
        self.check_time()
        try:
            names = self.files.names(folder)
            real = self.files.real_path(folder) if names else folder
        except (Unreadable, ValueError) as error:
            self.unread.append(str(error))
            return
        if real in self.folders:
            return
        self.folders.add(real)
        if len(names) > _MAX_NAMES:
            self.cut.append(f"{folder}: only {_MAX_NAMES} of {len(names)} entries were looked at")
        left.entries -= len(names)
        for name in names[:_MAX_NAMES]:
            yield name, f"{folder}/{name}", f"{real}/{name}"

    def _add(self, manager: Manager, found: UnitFile, real: str, left: _Budget) -> None:
        """Take in the file at the place that `found` says, if there is one that systemd takes."""
        self.check_time()
        if left.is_spent:
            return
        left.files -= 1
        path = found.location
        try:
            if not stat.S_ISLNK(self.files.stat(path, follow=False).st_mode):
                manager.add(self._with_settings(found, read_start_file(self.files, path, real), left))
            elif self.files.real_path(path) == "/dev/null":
                manager.add(found)
            else:
                manager.add(self._with_settings(found, read_start_file(self.files, path), left))
        except Unreadable as error:
            # systemd takes nothing but regular files.
            if not error.is_missing and error.why != "not a regular file":
                self.unread.append(str(error))

    def _with_settings(self, found: UnitFile, file: StartFile, left: _Budget) -> UnitFile:
        if left.size is not None:
            left.size -= len(file.text)
        parsed = _parsed(file.text) if len(file.text) <= _SHORT else tuple(parse_unit(file.text))
        if not file.is_whole or len(parsed) > _MAX_SETTINGS:
            self.cut.append(f"{found.location}: only its beginning was read ({DEFAULT_LIMIT} bytes, {_MAX_SETTINGS} settings)")
        return found._replace(file=file._replace(text=""), settings=parsed[:_MAX_SETTINGS])


class _Budget:
    """What may still be read of one manager's files, and looked at in its folders."""

    def __init__(self, files: int, entries: int, size: Optional[int]) -> None:
        self.files = files
        self.entries = entries
        self.size = size
        self.limits = f"{files} files, {entries} entries" + ("" if size is None else f" or {size} bytes")

    @property
    def is_spent(self) -> bool:
        return self.files <= 0 or self.entries < 0 or (self.size is not None and self.size <= 0)


def _belongs_to(name: str) -> tuple[str, str]:
    """`name` without the ending that makes it a folder of settings or links of a unit, and that ending."""
    for ending in (".d", *WANTS):
        if name.endswith(ending):
            return name[: -len(ending)], ending
    return name, ""
