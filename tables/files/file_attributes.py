"""How files are marked: immutable and append-only (chattr), file capabilities, set-user-ID and set-group-ID."""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Optional

from tables.host import Host
from tables.host.disk.file_capabilities import ATTRIBUTE, capability_text
from tables.host.disk.file_status import FileStatus, Statuses, file_status
from tables.host.disk.files import Unreadable
from tables.host.disk.inode_flags import APPEND, IMMUTABLE, flags_text, inode_flags
from tables.host.packages.owners import OwnerUnknown, owners
from tables.host.startup.guarded_places import guarded_folders
from tables.indicators.process_names import is_below, process_names
from tables.schema import BIGINT, TEXT, QueryContext, Row, column, table

_TABLE = "file_attributes"
_MAX_ENTRIES = 50_000
# In the folders below one place, and how deep these are looked into.
_MAX_BELOW = 5_000
_MAX_DEPTH = 3
_NANO = 1_000_000_000
_NO_ATTRIBUTE = frozenset({errno.ENODATA, errno.ENOTSUP, errno.EINVAL})


@dataclass(frozen=True)
class FileAttributes(Row):
    """One file or folder."""

    path: str = column(TEXT, "file or folder; without a condition on it, only marked ones in the default places", index=True)
    kind: str = column(TEXT, "regular, directory, symlink, fifo, socket, block or character")
    is_immutable: Optional[int] = column(BIGINT, "1 if not even root can change it (chattr +i); NULL where there is no such mark")
    is_append_only: Optional[int] = column(BIGINT, "1 if it can only grow (chattr +a); NULL where there is no such mark")
    flags: Optional[str] = column(TEXT, "the inode's flags as lsattr's letters; empty where there are none, or not readable")
    capabilities: Optional[str] = column(TEXT, "file capabilities as getcap shows them (cap_net_raw=ep); `malformed` if they are")
    is_setuid: int = column(BIGINT, "1 for a regular file that runs with its owner's rights")
    is_setgid: int = column(BIGINT, "1 for a regular file that runs with its group's rights")
    mode: str = column(TEXT, "permission bits, octal")
    owner_uid: int = column(BIGINT, "owner")
    owner_gid: int = column(BIGINT, "group")
    mtime: int = column(BIGINT, "last change of content (unix seconds)")
    ctime: int = column(BIGINT, "last change of content or status, such as a mark (unix seconds), which nobody can set")
    package: Optional[str] = column(TEXT, "package that owns it; looked up for marked files only")
    is_packaged: Optional[int] = column(BIGINT, "1 if a package owns it, 0 if none does, NULL if not looked up or not known")


@table(
    _TABLE,
    FileAttributes,
    description="Immutable and append-only marks, capabilities, setuid and setgid bits, of files named or in the usual places.",
    sop_steps=(10, 12),
    examples=[
        "SELECT path, is_immutable, is_append_only, flags FROM file_attributes WHERE is_immutable = 1 OR is_append_only = 1",
        "SELECT path, flags, capabilities FROM file_attributes WHERE path IN ('/etc/crontab', '/etc/ld.so.preload')",
    ],
    uses_constraints=True,
)
def file_attributes(host: Host, query: QueryContext) -> Iterator[FileAttributes]:
    """One row for each file that `path = …` names, marked or not; without such a condition, for marked ones only.

    Those are looked for directly in the folders of start-up files, crontabs, units, accounts' homes and SSH keys, programs
    and libraries, data and temporary files, and among these folders themselves; below them, three folders deep, in hidden
    ones, those of homes left out, and in all of temporary folders. Nothing is opened for the marks (statx(2)); `flags` needs
    the file to be readable (FS_IOC_GETFLAGS). Links are not followed. A mark is NULL, not 0, on file systems without marks.
    At most 50,000 entries are looked at, and 5,000 in the folders below one place.
    """
    scan = _Scan(host, query)
    named = query.equals("path")
    found = list(scan.named(named) if named else scan.marked())
    packages: dict[str, Optional[str]] = {}
    try:
        packages = owners(host, [one.path for one in found if one.is_marked])
    except OwnerUnknown as error:
        query.cannot_tell(str(error))
    for one in found:
        yield _row(one, packages)


class _Found(NamedTuple):
    path: str
    status: FileStatus
    flags: Optional[int]
    capabilities: Optional[str]

    @property
    def is_immutable(self) -> Optional[bool]:
        return _mark(self.status.is_immutable, self.flags, IMMUTABLE)

    @property
    def is_append_only(self) -> Optional[bool]:
        return _mark(self.status.is_append_only, self.flags, APPEND)

    @property
    def is_marked(self) -> bool:
        return bool(self.is_immutable or self.is_append_only or self.capabilities or _runs_as_other(self.status))


def _mark(by_statx: Optional[bool], flags: Optional[int], bit: int) -> Optional[bool]:
    """A mark by statx, or by the flags on file systems that do not tell statx of it."""
    return bool(flags & bit) if by_statx is None and flags is not None else by_statx


def _runs_as_other(status: FileStatus) -> bool:
    return stat.S_ISREG(status.mode) and bool(status.mode & (stat.S_ISUID | stat.S_ISGID))


class _Scan:
    """Looks at files; what it could not look at, it says to the query."""

    def __init__(self, host: Host, query: QueryContext) -> None:
        self.files = host.files
        self.query = query
        self.accounts = host.accounts
        self._statuses = Statuses()
        self._temporary = process_names().writable_folders

    def named(self, paths: list[str]) -> Iterator[_Found]:
        """The files at these paths, as far as there are any."""
        for path in dict.fromkeys(paths):
            self.query.check_time()
            if path.startswith("/") and "\0" not in path and (found := self._look(path, with_flags=True)) is not None:
                yield found

    def marked(self) -> Iterator[_Found]:
        """What is marked in the default places."""
        left = _MAX_ENTRIES
        seen: set[tuple[int, int]] = set()
        self.accounts.say_gap(self.query)
        for folder in guarded_folders(self.accounts):
            listed = self._folder_and_entries(folder, seen)
            # Homes are full of hidden folders, other places are not.
            if folder not in self.accounts.by_home:
                listed += self._in_folders_below(folder, listed[1:])
            for path in listed:
                self.query.check_time()
                left -= 1
                if left < 0:
                    self.query.truncate(f"more than {_MAX_ENTRIES} entries; stopped at {path}")
                    return
                found = self._look(path, with_flags=False)
                if found is not None and found.is_marked:
                    yield found

    def _in_folders_below(self, folder: str, paths: list[str]) -> list[str]:
        """What lies some folders deep in those of `paths` that are hidden, in a temporary folder in all; links left out."""
        is_temporary = is_below(f"{folder}/", self._temporary) is not None
        found: list[str] = []
        pending = deque((path, 1) for path in paths if is_temporary or path.rpartition("/")[2].startswith("."))
        for _ in range(_MAX_ENTRIES):
            self.query.check_time()
            if not pending:
                return found
            path, depth = pending.popleft()
            try:
                if not stat.S_ISDIR(self.files.stat(path, follow=False).st_mode):
                    continue
                entries = list(self.files.paths(path))
            except Unreadable as error:
                if not error.is_missing:
                    self.query.could_not_see(str(error))
                continue
            found += entries
            if len(found) > _MAX_BELOW:
                self.query.truncate(f"{path}: only the first {_MAX_BELOW} files in folders below {folder} were looked at")
                return found[:_MAX_BELOW]
            if depth < _MAX_DEPTH:
                pending.extend((entry, depth + 1) for entry in entries)
        self.query.truncate(f"{folder}: only the first {_MAX_ENTRIES} entries below it were looked into")
        return found

    def _folder_and_entries(self, folder: str, seen: set[tuple[int, int]]) -> list[str]:
        try:
            status = self.files.stat(folder)
            key = (status.st_dev, status.st_ino)
            if key in seen or not stat.S_ISDIR(status.st_mode):
                return []
            seen.add(key)
            return [folder, *self.files.paths(folder)]
        except Unreadable as error:
            if not error.is_missing:
                self.query.could_not_see(str(error))
            return []

    def _look(self, path: str, with_flags: bool) -> Optional[_Found]:
        try:
            status = file_status(self.files, path, self._statuses)
            located = self.files.locate(path, follow=False)
        except Unreadable as error:
            if not error.is_missing:
                self.query.could_not_see(str(error))
            return None
        found = _Found(path, status, None, self._capabilities(path, located) if stat.S_ISREG(status.mode) else None)
        # Opening devices and FIFOs is not harmless, and asking for the flags of each program not cheap.
        if (with_flags or found.is_marked or status.is_immutable is None) and status.kind in ("regular", "directory"):
            found = found._replace(flags=inode_flags(located))
        return found

    def _capabilities(self, path: str, located: str) -> Optional[str]:
        try:
            value = os.getxattr(located, ATTRIBUTE, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_ATTRIBUTE:
                self.query.could_not_see(f"{path}: {error.strerror}")
            return None
        return capability_text(value) or "malformed"


def _row(found: _Found, packages: dict[str, Optional[str]]) -> FileAttributes:
    status = found.status
    is_regular = stat.S_ISREG(status.mode)
    return FileAttributes(
        path=found.path,
        kind=status.kind,
        is_immutable=found.is_immutable,
        is_append_only=found.is_append_only,
        flags=None if found.flags is None else flags_text(found.flags),
        capabilities=found.capabilities,
        is_setuid=is_regular and bool(status.mode & stat.S_ISUID),
        is_setgid=is_regular and bool(status.mode & stat.S_ISGID),
        mode=status.permissions,
        owner_uid=status.owner_uid,
        owner_gid=status.owner_gid,
        mtime=status.mtime_ns // _NANO,
        ctime=status.ctime_ns // _NANO,
        package=packages.get(found.path),
        is_packaged=packages[found.path] is not None if found.path in packages else None,
    )
