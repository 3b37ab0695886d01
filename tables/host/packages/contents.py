"""Whether a packaged file still has the content that its package brought, by the digests of dpkg, rpm and apk."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import stat
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Optional

from tables.errors import TableError
from tables.host import Host
from tables.host.disk.files import HASH_LIMIT, Files, Unreadable
from tables.host.disk.footprint import file_key
from tables.host.packages import rpm_database
from tables.host.packages.owners import (
    DPKG_INFO,
    LIST_LIMIT,
    Databases,
    Diversion,
    Merged,
    OwnerUnknown,
    databases,
    read_diversions,
)
from tables.schema import QueryContext

# A digest: the algorithm as hashlib calls it, and the bytes.
Digest = tuple[str, bytes]

# Held while packages are installed, when files are newer than what the database says of them.
_LOCKS = ("/var/lib/dpkg/lock", "/var/lib/rpm/.rpm.lock", "/usr/lib/sysimage/rpm/.rpm.lock", "/lib/apk/db/lock")
_MD5_LENGTH = 32
_CHUNK = 1 << 20
# Bytes that one question may have read; what is left over is compared when asked for again.
_MOST_READ = 1536 << 20
_MAX_REMEMBERED = 30_000
# The part of a query's time that is left for what else it does.
_TIME_KEPT = 0.25


def changed_files(host: Host, paths: Iterable[str], query: QueryContext, longest: int = HASH_LIMIT) -> dict[str, bool]:
    """True for each of the absolute `paths` whose content is not what its package brought, False for those that have it.

    Left out are files that no package owns, configuration files (conffiles, %config), and those of which the package keeps no
    digest; links are not followed. Who changes the package's database as well is not seen. Compared once for each state of
    a file; one of more than `longest` bytes only where that was done before. What could not be compared is said to `query`.
    """
    known: PackageContents = host.state("packages: contents", lambda: PackageContents(host.files))
    try:
        return known.changed(paths, query, longest)
    except OwnerUnknown as error:
        query.cannot_tell(str(error))
        return {}


class PackageContents:
    """Compares files with the digests of their packages, and remembers what came of it until either of them changes."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self._lock = threading.Lock()
        self._stamp: tuple[object, ...] = ()
        # By path: what stands for the state of the file, and whether it is changed (None: nothing to compare it with).
        self._known: dict[str, tuple[int, Optional[bool]]] = {}

    def changed(self, paths: Iterable[str], query: QueryContext, longest: int) -> dict[str, bool]:
        """As the function `changed_files`; OwnerUnknown where there is no database that can be read."""
        found_here = databases(self.files)
        stamp = found_here.stamp(self.files)
        with self._lock:
            if stamp != self._stamp or len(self._known) > _MAX_REMEMBERED:
                self._known = {}
            self._stamp = stamp
            known = dict(self._known)
        statuses = {path: status for path in set(paths) if (status := self._status(path)) is not None}
        states = {path: hash(file_key(status)) for path, status in statuses.items() if stat.S_ISREG(status.st_mode)}
        new = [path for path in states if known.get(path, (0, None))[0] != states[path] and statuses[path].st_size <= longest]
        # The longest last: a replaced cron is small, and a gigabyte of them would take the time of all others.
        new.sort(key=lambda path: statuses[path].st_size)
        found = dict(self._compare(found_here, new, query)) if new else {}
        if any(found.values()) and (self._is_busy() or self._is_behind(found_here) or found_here.stamp(self.files) != stamp):
            query.could_not_see("packages are being installed: which of their files have changed is known afterwards")
            found = {path: changed for path, changed in found.items() if not changed}
        fresh = {path: (states[path], changed) for path, changed in found.items()}
        with self._lock:
            if self._stamp == stamp:
                self._known.update(fresh)
        known.update(fresh)
        kept = ((path, known.get(path, (0, None))) for path in states)
        return {path: is_changed for path, (state, is_changed) in kept if state == states[path] and is_changed is not None}

    def _status(self, path: str) -> Optional[os.stat_result]:
        try:
            return self.files.stat(path, follow=False)
        except Unreadable:
            return None

    def _compare(self, found: Databases, paths: Sequence[str], query: QueryContext) -> Iterator[tuple[str, Optional[bool]]]:
        digests = _digests(self.files, found, set(paths))
        left, not_compared = _MOST_READ, 0
        for path in paths:
            expected = digests.get(path)
            if not expected:
                yield path, None
                continue
            query.check_time()
            if query.seconds_left() < query.budget_seconds * _TIME_KEPT:
                not_compared += 1
                continue
            try:
                size, actual = _hashed(self.files, path, {algorithm for algorithm, _ in expected}, left, query)
            except Unreadable as error:
                if not error.is_missing:
                    query.could_not_see(str(error))
                continue
            if actual is None:
                not_compared += 1
                continue
            left -= size
            yield path, expected.isdisjoint(actual)
        if not_compared:
            query.truncate(f"{not_compared} long files were not compared with their packages yet, for lack of time or size")

    def _is_behind(self, found: Databases) -> bool:
        """Whether rpm's log holds changes that are not in its database yet."""
        return found.rpm is not None and rpm_database.pending_log(self.files, found.rpm) is not None

    def _is_busy(self) -> bool:
        """Whether a package manager holds its lock on this, the running system (proc_locks(5))."""
        if self.files.root != "/":
            return False
        inodes = {str(status.st_ino) for path in _LOCKS if (status := self._status(path)) is not None}
        try:
            locks = self.files.read_text("/proc/locks")
        except Unreadable:
            return False
        held = (line.split() for line in locks.splitlines() if " WRITE " in line)
        return any(field.rpartition(":")[2] in inodes for fields in held for field in fields if field.count(":") == 2)


def _hashed(files: Files, path: str, algorithms: set[str], limit: int, query: QueryContext) -> tuple[int, Optional[set[Digest]]]:
    """The length of the file and its digests; None for these when it is longer than allowed."""
    fd = files.open(path)
    try:
        size = os.fstat(fd).st_size
        if size > min(limit, HASH_LIMIT):
            return 0, None
        makers = [hashlib.new(algorithm, usedforsecurity=False) for algorithm in sorted(algorithms)]
        read = 0
        while read <= size and (chunk := os.read(fd, _CHUNK)):
            read += len(chunk)
            for maker in makers:
                maker.update(chunk)
            query.check_time()
        return read, {(maker.name, maker.digest()) for maker in makers}
    except OSError as error:
        raise Unreadable(path, error.strerror or str(error), error.errno) from None
    finally:
        os.close(fd)


def _digests(files: Files, found: Databases, wanted: set[str]) -> dict[str, set[Digest]]:
    """The digests that packages give for the `wanted` paths; of a file that several bring (multi-arch), each."""
    merged = Merged(files)
    plain = {path: merged.plain(path) for path in wanted}
    targets = set(plain.values())
    spellings = {spelling for target in targets for spelling in merged.spellings(target)}
    by_target: dict[str, set[Digest]] = defaultdict(set)
    try:
        if found.dpkg:
            for path, digest in _dpkg_digests(files, merged, targets):
                by_target[path].add(("md5", digest))
        if found.rpm:
            for path, algorithm, text in rpm_database.file_digests(files, found.rpm, spellings):
                by_target[merged.plain(path)].add((algorithm, bytes.fromhex(text)))
        if found.apk:
            for path, digest in apk_digests(files.read(found.apk, LIST_LIMIT), spellings):
                by_target[merged.plain(path)].add(("sha1", digest))
    except (TableError, OSError, ValueError) as error:
        raise OwnerUnknown(f"what packages' files must hold is not known: {error}") from None
    return {path: by_target[target] for path, target in plain.items() if target in by_target}


def _dpkg_digests(files: Files, merged: Merged, targets: set[str]) -> Iterator[tuple[str, bytes]]:
    """Yield (plain path, MD5) from the md5sums that packages bring (dpkg's deb-md5sums(5)), their conffiles left out."""
    diverted = {merged.plain(entry.original): entry for entry in read_diversions(files)}
    moved = {merged.plain(entry.moved): entry for entry in diverted.values()}
    # A package lists its file where it would lie without the diversion.
    listed = targets | {merged.plain(moved[target].original) for target in targets & moved.keys()}
    wanted = {os.fsencode(spelling.lstrip("/")) for path in listed for spelling in merged.spellings(path)}
    for name in files.names(DPKG_INFO):
        if not name.endswith(".md5sums"):
            continue
        try:
            lines = files.read(f"{DPKG_INFO}/{name}", LIST_LIMIT).split(b"\n")
        except Unreadable as error:
            if error.is_missing:
                continue
            raise
        found = [line for line in lines if line[_MD5_LENGTH + 2 :] in wanted]
        if not found:
            continue
        installed = name[: -len(".md5sums")]
        conffiles = _conffiles(files, installed)
        for line in found:
            path = "/" + os.fsdecode(line[_MD5_LENGTH + 2 :])
            target = _where(diverted, merged.plain(path), installed.partition(":")[0], merged)
            if path not in conffiles and target in targets:
                try:
                    yield target, binascii.unhexlify(line[:_MD5_LENGTH])
                except ValueError:
                    continue


def _where(diverted: dict[str, Diversion], path: str, package: str, merged: Merged) -> str:
    """Where a package's file lies, others' diversions regarded (dpkg-divert(1))."""
    entry = diverted.get(path)
    return merged.plain(entry.moved) if entry is not None and entry.package != package else path


def _conffiles(files: Files, installed: str) -> frozenset[str]:
    try:
        return frozenset(files.read_text(f"{DPKG_INFO}/{installed}.conffiles").split("\n"))
    except Unreadable as error:
        if error.is_missing:
            return frozenset()
        raise


def apk_digests(data: bytes, wanted: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Yield (path, SHA-1) of those of the `wanted` paths that apk's `installed` file gives, /etc, which is the user's, apart.

    After `F:folder` and `R:file in it` stands `Z:Q1` and the digest in base64 (apk-tools, src/database.c).
    """
    names = {os.fsencode(path) for path in wanted}
    folder = path = b""
    for line in data.split(b"\n"):
        kind, value = line[:2], line[2:]
        if kind == b"F:":
            folder, path = (b"/" + value if value else b""), b""
        elif kind == b"R:":
            path = folder + b"/" + value
        elif kind == b"Z:" and value.startswith(b"Q1") and path in names and not path.startswith(b"/etc/"):
            try:
                yield os.fsdecode(path), base64.b64decode(value[2:], validate=True)
            except binascii.Error:
                continue
