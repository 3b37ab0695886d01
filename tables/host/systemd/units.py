"""systemd's unit files as they are on disk: the one reader of them."""

from __future__ import annotations

import functools
import stat
from collections.abc import Iterator
from typing import NamedTuple, Optional

from tables.host.accounts.databases import Account
from tables.host.accounts.passwd import accounts_of
from tables.host.disk.files import DEFAULT_LIMIT, Files, Unreadable
from tables.host.disk.start_files import StartFile, read_start_file
from tables.host.systemd.folders import WANTS, UnitFolder, common_user_folders, system_folders, user_folders
from tables.host.systemd.managers import Manager, UnitFile
from tables.host.systemd.syntax import UNIT_TYPES, Setting, is_unit_name, parse_unit
from tables.schema import QueryContext

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
_NO_HOME = ("/", "/nonexistent", "/dev/null")


@functools.lru_cache(maxsize=512)
def _parsed(text: str) -> tuple[Setting, ...]:
    return tuple(parse_unit(text))


class _Entry(NamedTuple):
    """An entry of a folder: its name, the path where it was found, and the real one but for a link that it is itself."""

    name: str
    path: str
    real: str


class SystemdUnits:
    """Reads the unit files below a root folder, as systemd.unit(5) finds them; `managers` has the system's first.

    What could not be read, and what was left out because there is too much of it, is said to `query`. What accounts are
    known comes from /etc/passwd alone.
    """

    def __init__(self, files: Files, query: QueryContext, *, with_users: bool = True) -> None:
        self.files = files
        self.query = query
        # The folders that were read, links resolved.
        self.folders: set[str] = set()
        system = Manager("system")
        self._read(system, system_folders(), _Budget(_MAX_FILES, _MAX_ENTRIES, None, self.folders))
        self.managers = [system]
        if with_users:
            self._read_users()

    def _read_users(self) -> None:
        common = Manager("user")
        self._read(common, common_user_folders(), _Budget(_MAX_FILES, _MAX_ENTRIES, None, self.folders))
        self.managers.append(common)
        shared = frozenset(self.folders)
        for account in self._accounts():
            # No user's link to another's folder takes the units in it from the other.
            left = _Budget(_MAX_USER_FILES, _MAX_USER_ENTRIES, _MAX_USER_BYTES, set(shared))
            own = Manager("user", account, common)
            self._read(own, user_folders(account), left)
            if own.fragments or own.drop_ins:
                self.managers.append(own)

    def _accounts(self) -> Iterator[Account]:
        """The accounts whose homes are looked into, one for each home."""
        accounts = accounts_of(self.files)
        accounts.say_gap(self.query)
        homes = [account for home, account in accounts.by_home.items() if home not in _NO_HOME]
        if len(homes) > _MAX_ACCOUNTS:
            self.query.truncate(f"/etc/passwd: only {_MAX_ACCOUNTS} of {len(homes)} homes were looked into")
        yield from homes[:_MAX_ACCOUNTS]

    def _read(self, manager: Manager, folders: list[UnitFolder], left: _Budget) -> None:
        wanted: list[tuple[str, str, UnitFolder]] = []
        for folder in folders:
            for entry in self._entries(folder.path, left):
                self._read_entry(manager, folder, entry, wanted, left)
                if left.is_spent:
                    self.query.truncate(f"{folder.path}: more unit files than are read ({left.limits})")
                    break
            if left.is_spent:
                break
        if left.links < 0:
            self.query.truncate(f"{folders[0].path} and the like: only {len(wanted)} links to wanted units were looked at")
        # Older systemd versions took the unit from where such a link leads.
        for name, path, folder in wanted:
            if not manager.unit(name).fragment:
                self._add(manager, UnitFile(name, path, folder, False, None, ()), None, left)

    def _read_entry(
        self, manager: Manager, folder: UnitFolder, entry: _Entry, wanted: list[tuple[str, str, UnitFolder]], left: _Budget
    ) -> None:
        """Take in an entry of `folder`: a unit file, or what lies in a folder of drop-ins or of links to wanted units."""
        owner, kind = _belongs_to(entry.name)
        if is_unit_name(entry.name):
            self._add(manager, UnitFile(entry.name, entry.path, folder, False, None, ()), entry.real, left)
        elif kind == ".d" and (is_unit_name(owner) or owner in UNIT_TYPES):
            for inside in self._entries(entry.path, left):
                if inside.name.endswith(".conf"):
                    self._add(manager, UnitFile(owner, inside.path, folder, True, None, ()), inside.real, left)
        elif kind in WANTS:
            for inside in self._entries(entry.path, left):
                if is_unit_name(inside.name) and left.take_link():
                    manager.want(inside.name, owner)
                    wanted.append((inside.name, inside.path, folder))

    def _entries(self, folder: str, left: _Budget) -> Iterator[_Entry]:
        """The entries of a folder that was not read before under another path."""
        self.query.check_time()
        try:
            names = self.files.names(folder)
            real = self.files.real_path(folder) if names else folder
        except (Unreadable, ValueError) as error:
            self.query.could_not_see(str(error))
            return
        if real in left.seen:
            return
        left.seen.add(real)
        self.folders.add(real)
        if len(names) > _MAX_NAMES:
            self.query.truncate(f"{folder}: only {_MAX_NAMES} of {len(names)} entries were looked at")
        left.entries -= min(len(names), _MAX_NAMES)
        for name in names[:_MAX_NAMES]:
            yield _Entry(name, f"{folder}/{name}", f"{real}/{name}")

    def _add(self, manager: Manager, found: UnitFile, real: Optional[str], left: _Budget) -> None:
        """Take in the file at the place that `found` says, if there is one that systemd takes."""
        self.query.check_time()
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
                self.query.could_not_see(str(error))

    def _with_settings(self, found: UnitFile, file: StartFile, left: _Budget) -> UnitFile:
        if left.size is not None:
            left.size -= len(file.text)
        parsed = _parsed(file.text) if len(file.text) <= _SHORT else tuple(parse_unit(file.text))
        if not file.is_whole or len(parsed) > _MAX_SETTINGS:
            self.query.truncate(
                f"{found.location}: only its beginning was read ({DEFAULT_LIMIT} bytes, {_MAX_SETTINGS} settings)"
            )
        return found._replace(file=file._replace(text=""), settings=parsed[:_MAX_SETTINGS])


class _Budget:
    """What may still be read of one manager's files, and looked at in its folders."""

    def __init__(self, files: int, entries: int, size: Optional[int], seen: set[str]) -> None:
        self.files = self.links = files
        self.entries = entries
        self.size = size
        # The folders that were read, links resolved.
        self.seen = seen
        self.limits = f"{files} files, {entries} entries" + ("" if size is None else f" or {size} bytes")

    def take_link(self) -> bool:
        """Whether one more link may be looked at: so many as files, and not in their place."""
        self.links = max(self.links - 1, -1)
        return self.links >= 0

    @property
    def is_spent(self) -> bool:
        return self.files <= 0 or self.entries < 0 or (self.size is not None and self.size <= 0)


def _belongs_to(name: str) -> tuple[str, str]:
    """`name` without the ending that makes it a folder of settings or links of a unit, and that ending."""
    for ending in (".d", *WANTS):
        if name.endswith(ending):
            return name[: -len(ending)], ending
    return name, ""
