"""What is notable about a file that is new on disk: where it lies, how it is marked, and whether its time was forged."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from typing import Optional

from tables.host.file_heads import ELF, SCRIPT
from tables.host.file_status import FileStatus
from tables.host.files import Files, Unreadable
from tables.indicators.process_names import hidden_component, is_below, process_names

_PROGRAM_FOLDERS = ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/libexec")
# Only what lies directly in these: below them are modules and add-ons that are built or fetched on the host.
_LIBRARY_FOLDERS = frozenset(
    folder + triplet
    for folder in ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/lib32", "/usr/lib32")
    for triplet in ("", "/x86_64-linux-gnu", "/aarch64-linux-gnu")
)
# Files whose times `touch -r` is seen to borrow.
_REFERENCES = (
    "/bin/sh", "/bin/bash", "/bin/ls", "/bin/cat", "/bin/ps", "/bin/login", "/bin/netstat", "/bin/ss", "/bin/rm", "/bin/kill",
    "/usr/bin/top", "/usr/bin/passwd", "/usr/bin/ssh", "/usr/bin/find", "/usr/bin/crontab", "/usr/sbin/sshd", "/usr/sbin/cron",
    "/usr/sbin/crond", "/etc/passwd", "/etc/hosts", "/etc/crontab",
)  # fmt: skip
_MAX_DEPTH = 32
_DAY_NS = 86400 * 1_000_000_000


def is_program(status: FileStatus, head: Optional[bytes]) -> bool:
    """Whether a file is executable, an ELF file or a script."""
    return stat.S_ISREG(status.mode) and (bool(status.mode & 0o111) or head in (ELF, SCRIPT))


def oddities(path: str, status: FileStatus, head: Optional[bytes], is_packaged: Optional[bool], is_forged: bool) -> Iterator[str]:
    """Yield the reasons for which a file is notable, sorted; `head` as file_head() gives it."""
    may_run = is_program(status, head)
    is_regular = stat.S_ISREG(status.mode)
    names = process_names()
    if status.is_append_only:
        yield "append_only"
    if may_run and _is_hidden(path):
        yield "hidden_program"
    if status.is_immutable:
        yield "immutable"
    if may_run and is_below(path, names.writable_folders):
        yield "program_in_temporary_folder"
    if is_regular and status.mode & stat.S_ISGID:
        yield "setgid"
    if is_regular and status.mode & stat.S_ISUID:
        yield "setuid"
    if is_forged:
        yield "timestomped"
    if head == ELF and is_packaged is False and _is_system_path(path):
        yield "unpackaged_elf_in_system_folder"


def _is_hidden(path: str) -> bool:
    """Whether a dot name hides it that is no known tool's; right in a folder for temporary files, whatever the name."""
    names = process_names()
    if hidden_component(path) is None:
        return False
    temporary = is_below(path, names.writable_folders)
    return (temporary is not None and path.startswith(f"{temporary}/.")) or not names.is_tool_path(path, ())


def _is_system_path(path: str) -> bool:
    return is_below(path, _PROGRAM_FOLDERS) is not None or os.path.dirname(path) in _LIBRARY_FOLDERS


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

    def is_forged(self, path: str, status: FileStatus) -> bool:
        """Whether the mtime of a file that no package owns was set, in a way that unpacking an archive does not explain.

        It is more than a day after the ctime, or as much before it and a system file's to the nanosecond, though the sizes
        differ (a copy made with `cp -p` has the same size) and it is no copy of another file of the system's.
        """
        sizes = self._sizes.get(status.mtime_ns)
        age = status.ctime_ns - status.mtime_ns
        if age <= _DAY_NS or sizes is None:
            return age < -_DAY_NS
        return status.file_size not in sizes and not self._is_copy(path, status)

    def _is_copy(self, path: str, status: FileStatus) -> bool:
        """Whether a part of the path leads to a file with the same time and content, as in the root folder of a container.

        All files of one package carry the time at which it was built, so a second copy of the system shares many.
        """
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
