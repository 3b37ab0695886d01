"""What starts a program by itself, as the readers of start-up files hand it on, and how they read those files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import NamedTuple, Optional, TypeVar

from tables.host import Host
from tables.host.accounts.databases import Account
from tables.host.disk.files import Unreadable
from tables.host.disk.start_files import StartFile, read_start_file
from tables.host.packages.contents import changed_files
from tables.host.packages.owners import OwnerUnknown, owners
from tables.schema import QueryContext

# What an entry's command is.
SHELL = "shell"  # a command line, or shell text
SCRIPT = "script"  # the path of the file itself: a script or program that is run, or sourced, whole
NAME = "name"  # something that is loaded, not run: a library, a module, Python code

_MAX_ENTRIES = 20_000
_MAX_IN_FILE = 1000
_T = TypeVar("_T")


class StartupEntry(NamedTuple):
    """One command that a file has started: `line` is 0 where the file itself is what is run."""

    mechanism: str
    trigger: str
    file: StartFile
    line: int
    command: str
    kind: str = SHELL
    run_as: Optional[str] = None
    disabled_why: Optional[str] = None
    home: Optional[str] = None
    # Where a bare name of a program is looked for, if not in PATH.
    search_path: tuple[str, ...] = ()
    # The program, where `command` is not shell text.
    program: Optional[str] = None
    # Shell text that comes to the same as the command, where that is in a language of its own.
    judged: Optional[str] = None


class HomeFile(NamedTuple):
    """A file below an account's home, at `path` there."""

    account: Account
    path: str
    file: StartFile


class StartupFiles:
    """Reads start-up files below a host's root folder; what it may not read, or does not look at, it says to the query."""

    def __init__(self, host: Host, query: QueryContext) -> None:
        self.files = host.files
        self._host = host
        self.query = query
        self._listed: dict[str, list[str]] = {}

    @cached_property
    def accounts(self) -> tuple[Account, ...]:
        """The accounts of /etc/passwd, the first of those that share a home folder, the root folder's among them."""
        found = self._host.accounts
        found.say_gap(self.query)
        return tuple(found.by_home.values())

    def state(self, key: str, make: Callable[[], _T]) -> _T:
        """What the host keeps under `key` between scans."""
        return self._host.state(key, make)

    def read(self, path: str) -> Optional[StartFile]:
        """The file, None where there is no regular file or it may not be read; the latter is said."""
        self.query.check_time()
        try:
            return read_start_file(self.files, path)
        except Unreadable as error:
            # What starts programs reads regular files; a link to /dev/null is how a file is masked.
            if not error.is_missing and error.why != "not a regular file":
                self.query.could_not_see(str(error))
            return None

    def names(self, folder: str) -> list[str]:
        """The sorted names in `folder`, [] where there is none or it may not be listed; the latter is said."""
        self.query.check_time()
        if folder not in self._listed:
            try:
                self._listed[folder] = self.files.names(folder)[:_MAX_ENTRIES]
            except Unreadable as error:
                self.query.could_not_see(str(error))
                self._listed[folder] = []
            if len(self._listed[folder]) == _MAX_ENTRIES:
                self.query.truncate(f"{folder}: only the first {_MAX_ENTRIES} entries were looked at")
        return self._listed[folder]

    def exists(self, path: str) -> bool:
        """Whether anything is at `path`, which may be any text."""
        return self.files.exists(path)

    def real_path(self, path: str) -> str:
        """`path` with its links resolved; as it is where they go round in a circle."""
        try:
            return self.files.real_path(path)
        except OSError:
            return path

    def paths(self, folder: str) -> list[str]:
        """The paths of what `names` finds in `folder`."""
        return [f"{folder}/{name}" for name in self.names(folder)]

    def read_each(self, paths: Iterable[str]) -> Iterator[StartFile]:
        """The files among `paths`, none twice though several names lead to it (/lib is mostly a link to /usr/lib)."""
        seen: set[str] = set()
        for path in paths:
            file = self.read(path)
            if file is not None and file.path not in seen:
                seen.add(file.path)
                yield file

    def in_folders(self, folders: Iterable[str], *endings: str) -> Iterator[StartFile]:
        """The files in `folders` whose names end so, sorted within each folder."""
        return self.read_each(f"{folder}/{name}" for folder in folders for name in self.names(folder) if name.endswith(endings))

    def below_homes(self, paths: Iterable[str] = (), folders: Iterable[str] = ()) -> Iterator[HomeFile]:
        """The files at these `paths`, and all those in these `folders`, in the home of each account, none twice."""
        files, listed = tuple(paths), tuple(folders)
        seen: set[str] = set()
        for account in self.accounts:
            present = set(self.names(account.home))
            # Few homes have most of them, and many accounts have none.
            wanted = [path for path in files if path.partition("/")[0] in present]
            for folder in listed:
                if folder.partition("/")[0] in present:
                    wanted += [f"{folder}/{name}" for name in self.names(f"{account.home}/{folder}")]
            for path in wanted:
                file = self.read(os.path.join(account.home, path))
                if file is not None and file.path not in seen:
                    seen.add(file.path)
                    yield HomeFile(account, path, file)

    def first(self, found: Iterable[_T], file: StartFile) -> Iterator[_T]:
        """The first thousand of what was found in a file that any account may have padded."""
        for count, one in enumerate(found):
            if count == _MAX_IN_FILE:
                self.query.truncate(f"{file.path}: only the first {_MAX_IN_FILE} commands were looked at")
                return
            yield one

    def winners(self, folders: Iterable[str], ending: str) -> list[str]:
        """The paths in `folders` with this ending, of those with one name only that in the first folder."""
        chosen: dict[str, str] = {}
        for folder in folders:
            for name in self.names(folder):
                if name.endswith(ending):
                    chosen.setdefault(name, f"{folder}/{name}")
        return list(chosen.values())

    def unpackaged(self, paths: Iterable[str]) -> list[str]:
        """Those of `paths` that no package owns, or whose content is not the package's, in their order.

        All of them where no package database is to be had.
        """
        listed = list(paths)
        real = {path: self.real_path(path) for path in listed}
        try:
            known = owners(self._host, [*real, *real.values()])
        except OwnerUnknown:
            # The table says so for all its rows.
            return listed
        changed = changed_files(self._host, real.values(), self.query)
        return [path for path in listed if changed.get(real[path]) or not (known.get(path) or known.get(real[path]))]
