"""Which package owns a file, read from the databases of dpkg, rpm and apk without running any of them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Optional

from tables.errors import TableError
from tables.host import Host
from tables.host.disk.files import Files, Unreadable
from tables.host.packages import rpm_database

DPKG_INFO = "/var/lib/dpkg/info"
_DPKG_DIVERSIONS = "/var/lib/dpkg/diversions"
_APK_DATABASES = ("/usr/lib/apk/db/installed", "/lib/apk/db/installed")
# The folders that distributions have merged into others, each a link to the place beside it.
_MERGED = (
    *((f"/{name}", f"/usr/{name}") for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "libo32")),
    ("/usr/sbin", "/usr/bin"),
)
LIST_LIMIT = 64 * 1024 * 1024
# Remembered answers; far more than one host's modules and libraries in use.
_MAX_REMEMBERED = 20_000
# A walk over the whole disk asks for thousands of files once; kept, they would scatter over the heap and hold it.
_MAX_WORTH_REMEMBERING = 2_000


class OwnerUnknown(TableError):
    """No package database can say who owns files here; that is not the same as a file that no package owns."""


def owners(host: Host, paths: Iterable[str]) -> dict[str, Optional[str]]:
    """The package that owns each of the absolute `paths`, None for a file that no package lists.

    Links in a path are not followed, except where a distribution merged folders (/lib into /usr/lib): both spellings
    are found. The file's content is not compared with the package's. A path whose answer is not certain, because rpm has
    changes pending, is left out. Raises OwnerUnknown when there is no database in a known format, or it is unreadable.
    """
    answers: PackageFiles = host.state("packages: owners", lambda: PackageFiles(host.files))
    return answers.owners(paths)


class PackageFiles:
    """The package databases of one host; only the files asked for are looked up, and the answers remembered.

    A whole index of a large host would take more memory than an idle extension may have.
    """

    def __init__(self, files: Files) -> None:
        self.files = files
        self._lock = threading.Lock()
        self._stamp: tuple[object, ...] = ()
        self._known: dict[str, Optional[str]] = {}

    def owners(self, paths: Iterable[str]) -> dict[str, Optional[str]]:
        """As the function `owners`."""
        wanted = set(paths)
        with self._lock:
            found_here = databases(self.files)
            stamp = found_here.stamp(self.files)
            if stamp != self._stamp or len(self._known) > _MAX_REMEMBERED:
                self._known = {}
            self._stamp = stamp
            unknown = wanted - self._known.keys()
            found = _look_up(self.files, found_here, unknown) if unknown else {}
            if len(found) <= _MAX_WORTH_REMEMBERING:
                self._known.update(found)
            answers = {**self._known, **found}
            return {path: answers[path] for path in wanted if path in answers}


class Databases(NamedTuple):
    """The databases found, by path."""

    dpkg: Optional[str]
    rpm: Optional[str]
    apk: Optional[str]

    def all_paths(self) -> Iterator[str]:
        """Every path whose change can change an answer."""
        if self.dpkg:
            yield from (self.dpkg, _DPKG_DIVERSIONS)
        if self.rpm:
            yield from (self.rpm, f"{self.rpm}-wal")
        if self.apk:
            yield self.apk

    def stamp(self, files: Files) -> tuple[object, ...]:
        """What differs as soon as an answer may."""
        return tuple(_stamp(files, path) for path in self.all_paths())


def databases(files: Files) -> Databases:
    """The package databases of a host; OwnerUnknown where there is none in a known format."""
    dpkg = DPKG_INFO if any(name.endswith(".list") for name in files.names(DPKG_INFO)) else None
    rpm = rpm_database.find(files)
    apk = next((path for path in _APK_DATABASES if files.exists(path)), None)
    if dpkg or rpm or apk:
        return Databases(dpkg, rpm, apk)
    raise OwnerUnknown("no database of dpkg, rpm or apk: which package owns a file is not known")


def _stamp(files: Files, path: str) -> Optional[tuple[int, int, int]]:
    try:
        status = files.stat(path)
    except Unreadable:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _look_up(files: Files, databases: Databases, wanted: set[str]) -> dict[str, Optional[str]]:
    merged = Merged(files)
    targets = {merged.plain(path) for path in wanted}
    spellings = {spelling for target in targets for spelling in merged.spellings(target)}
    found: dict[str, str] = {}
    certain = True
    try:
        if databases.dpkg:
            found.update(_dpkg_owners(files, merged, targets))
        if databases.rpm:
            os.close(files.open(databases.rpm))
            certain = rpm_database.pending_log(files, databases.rpm) is None
            for path, package in rpm_database.file_owners(files, databases.rpm, spellings).items():
                found.setdefault(merged.plain(path), package)
        if databases.apk:
            for path, package in apk_owners(files.read(databases.apk, LIST_LIMIT), spellings):
                found.setdefault(merged.plain(path), package)
    except (TableError, OSError) as error:
        raise OwnerUnknown(f"which package owns a file is not known: {error}") from None
    answers = {path: found.get(merged.plain(path)) for path in wanted}
    return answers if certain else {path: package for path, package in answers.items() if package is not None}


class Merged:
    """The spellings of a path on a host whose /bin, /lib … may be links into /usr."""

    def __init__(self, files: Files) -> None:
        self.links = [(one, other) for one, other in _MERGED if _is_link_to(files, one, other)]

    def plain(self, path: str) -> str:
        """`path` without merged folders."""
        path = os.path.normpath(path)
        for one, other in self.links:
            if path.startswith(one + "/"):
                path = other + path[len(one) :]
        return path

    def spellings(self, plain: str) -> set[str]:
        """Every path that stands for the path `plain`."""
        found = {plain}
        for one, other in reversed(self.links):
            found |= {one + path[len(other) :] for path in found if path.startswith(other + "/")}
        return found


def _is_link_to(files: Files, link: str, target: str) -> bool:
    try:
        named = files.link_target(link)
    except OSError:
        return False
    return os.path.normpath(os.path.join(os.path.dirname(link), named)) == target


class Diversion(NamedTuple):
    """Files of packages other than `package` that would lie at `original` lie at `moved` (dpkg-divert(1))."""

    original: str
    moved: str
    package: str


def parse_diversions(data: bytes) -> Iterator[Diversion]:
    """Yield the entries of dpkg's diversions file, three lines each; the package `:` stands for the administrator."""
    lines = os.fsdecode(data).split("\n")
    for index in range(0, len(lines) - 2, 3):
        yield Diversion(*lines[index : index + 3])


def read_diversions(files: Files) -> list[Diversion]:
    """The diversions of dpkg, [] where it keeps none; OSError when they cannot be read."""
    try:
        return list(parse_diversions(files.read(_DPKG_DIVERSIONS)))
    except Unreadable as error:
        if not error.is_missing:
            raise
        return []


def _dpkg_owners(files: Files, merged: Merged, targets: set[str]) -> Iterator[tuple[str, str]]:
    """Yield (plain path, package) for those of the plain paths `targets` that a package of dpkg's owns."""
    diversions = {merged.plain(entry.original): entry for entry in read_diversions(files)}
    moved = {merged.plain(entry.moved): original for original, entry in diversions.items()}
    plain = targets | {moved[target] for target in targets if target in moved}
    listed = {os.fsencode(spelling) for path in plain for spelling in merged.spellings(path)}
    names = frozenset(files.names(DPKG_INFO))
    for path in plain:
        # A package's scripts and lists, NAME[:ARCHITECTURE].KIND, are in no list (dpkg-query(1), --control-path).
        folder, name = os.path.split(path)
        installed = name.rpartition(".")[0]
        if folder == DPKG_INFO and f"{installed}.list" in names:
            yield path, installed.partition(":")[0]
    for name in sorted(names):
        if not name.endswith(".list"):
            continue
        package = name[: -len(".list")].partition(":")[0]
        try:
            lines = files.read(f"{DPKG_INFO}/{name}", LIST_LIMIT).split(b"\n")
        except Unreadable as error:
            if error.is_missing:
                continue
            raise
        for line in listed.intersection(lines):
            path = merged.plain(os.fsdecode(line))
            diverted = diversions.get(path)
            if diverted and diverted.package != package:
                path = merged.plain(diverted.moved)
            if path in targets:
                yield path, package


def apk_owners(data: bytes, wanted: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield (path, package) for those of the `wanted` paths that apk's `installed` file lists.

    Lines `P:package`, then `F:folder` (without the leading slash) and `R:file in it` (apk-tools, src/database.c).
    """
    names = {os.fsencode(path) for path in wanted}
    package = folder = b""
    for line in data.split(b"\n"):
        kind, value = line[:2], line[2:]
        if kind == b"P:":
            package, folder = value, b""
        elif kind == b"F:":
            folder = b"/" + value if value else b""
        elif kind == b"R:" and (path := folder + b"/" + value) in names:
            yield os.fsdecode(path), package.decode("utf-8", "backslashreplace")
