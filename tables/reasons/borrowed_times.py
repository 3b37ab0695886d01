"""Whether a file borrows the time of a well-known system file, as `touch -r /bin/ls` does, or has it by right."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Optional

from tables.host.disk.file_status import FileStatus
from tables.host.disk.files import Files, Unreadable
from tables.host.packages.owners import OwnerUnknown, PackageFiles

# Files whose times `touch -r` is seen to borrow.
_REFERENCES = (
    "/bin/sh", "/bin/bash", "/bin/ls", "/bin/cat", "/bin/ps", "/bin/login", "/bin/netstat", "/bin/ss", "/bin/rm", "/bin/kill",
    "/usr/bin/top", "/usr/bin/passwd", "/usr/bin/ssh", "/usr/bin/find", "/usr/bin/crontab", "/usr/sbin/sshd", "/usr/sbin/cron",
    "/usr/sbin/crond", "/etc/passwd", "/etc/hosts", "/etc/crontab",
)  # fmt: skip
_DAY_NS = 86400 * 1_000_000_000
# Folders around a file that are looked at as the root folder of another system.
_MAX_DEPTH = 32
_DATABASES = ("/var/lib/dpkg/info", "/var/lib/rpm", "/usr/lib/sysimage/rpm", "/lib/apk/db")


class BorrowedTimes:
    """Knows the mtimes of well-known system files, to tell a file that borrows one of them.

    A time that most of them share was set when the system's image was built, and others may have it by right.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        found = set()
        for path in _REFERENCES:
            try:
                status = files.stat(path)
            except Unreadable:
                continue
            found.add((status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size))
        shared = Counter(mtime for _, _, mtime, _ in found)
        self._sizes: dict[int, set[int]] = {}
        for _, _, mtime, size in found:
            if shared[mtime] * 2 <= len(found):
                self._sizes.setdefault(mtime, set()).add(size)
        self._is_system: dict[tuple[str, int], bool] = {}

    def is_forged(self, status: FileStatus) -> bool:
        """Whether the mtime of a file that no package owns was set, in a way that unpacking an archive does not explain.

        It is more than a day after the ctime, or as much before it and a system file's to the nanosecond, though the sizes
        differ (a copy made with `cp -p` has the same size). `lawful` names those that have the latter by right.
        """
        return status.ctime_ns - status.mtime_ns < -_DAY_NS or self._is_borrowed(status)

    def _is_borrowed(self, status: FileStatus) -> bool:
        sizes = self._sizes.get(status.mtime_ns)
        return sizes is not None and status.ctime_ns - status.mtime_ns > _DAY_NS and status.file_size not in sizes

    def lawful(self, files: Iterable[tuple[str, FileStatus]]) -> frozenset[str]:
        """The paths of those files whose borrowed time is their own: all files of one package have the time of its build.

        Such a file is part of another system's root folder, as of a container, whose own packages own it, or of one without
        packages in which the well-known file of that time lies as well, with this system's content; or it is a copy, in
        content too, of the file of that name in this system.
        """
        suspects = [(path, status) for path, status in files if self._is_borrowed(status)]
        found = {path for path, status in suspects if self._is_copy(path, status)}
        inside: dict[str, dict[str, str]] = defaultdict(dict)
        for path, status in suspects:
            if path in found:
                continue
            root = self._root_around(path)
            if root is not None:
                inside[root][path[len(root) :]] = path
            elif self._is_in_copied_system(path, status):
                found.add(path)
        for root, paths in inside.items():
            try:
                owned = PackageFiles(Files(self._files.locate(root))).owners(paths)
            except (OwnerUnknown, OSError):
                continue
            found |= {paths[path] for path, package in owned.items() if package is not None}
        return frozenset(found)

    def _is_copy(self, path: str, status: FileStatus) -> bool:
        """Whether a part of the path leads to another file with the same time and content."""
        parts = path.split("/")
        for number in range(2, min(len(parts), _MAX_DEPTH)):
            original = "/" + "/".join(parts[number:])
            try:
                found, own = self._files.stat(original), self._files.stat(path)
                is_alike = (found.st_size, found.st_mtime_ns) == (status.file_size, status.mtime_ns)
                if is_alike and not os.path.samestat(found, own):
                    return self._files.sha256(original) == self._files.sha256(path)
            except Unreadable:
                continue
        return False

    def _is_in_copied_system(self, path: str, status: FileStatus) -> bool:
        """Whether a folder around the file holds the file that its time is of, where a system's root folder would."""
        parts = path.split("/")
        roots = ("/".join(parts[:number]) for number in range(2, min(len(parts) - 1, _MAX_DEPTH)))
        return any(self._holds_originals(root, status.mtime_ns) for root in roots)

    def _holds_originals(self, root: str, mtime_ns: int) -> bool:
        if (root, mtime_ns) not in self._is_system:
            self._is_system[root, mtime_ns] = any(self._is_original(root, path, mtime_ns) for path in _REFERENCES)
        return self._is_system[root, mtime_ns]

    def _is_original(self, root: str, path: str, mtime_ns: int) -> bool:
        try:
            found = self._files.stat(root + path)
            if found.st_mtime_ns != mtime_ns or os.path.samestat(found, own := self._files.stat(path)):
                return False
            return found.st_size == own.st_size and self._files.sha256(root + path) == self._files.sha256(path)
        except Unreadable:
            return False

    def _root_around(self, path: str) -> Optional[str]:
        """The innermost folder around the file that holds a package database, this system's own apart."""
        parts = path.split("/")
        for number in range(min(len(parts) - 1, _MAX_DEPTH), 1, -1):
            root = "/".join(parts[:number])
            if any(self._files.exists(root + database) for database in _DATABASES):
                return root
        return None
