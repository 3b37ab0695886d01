"""Judges libraries that the dynamic loader puts into programs: where they lie, whose they are, what explains them."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Optional

from tables.host import Host
from tables.host.disk.files import Unreadable
from tables.host.disk.raw_files import RawFile, read_raw
from tables.host.loader.mapped_libraries import Mapped
from tables.host.loader.preloads import library_stem, spellings
from tables.host.loader.sources import entries
from tables.host.packages.owners import OwnerUnknown, owners
from tables.host.processes.executables import ancestor_programs
from tables.host.processes.procfs import Process
from tables.indicators.preloads import preload_origins
from tables.indicators.process_names import enclosing, hidden_component, is_below, process_names
from tables.unseen import Unseen

# The folders that the loader searches by itself, on any distribution.
_LIBRARY_FOLDERS = (
    "/lib64", "/usr/lib64", "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu", "/lib", "/usr/lib", "/usr/local/lib", "/usr/local/lib64",
)  # fmt: skip
# A file in such a place is no product's, whatever its name.
_NO_EXCUSE = frozenset({"temp_path", "hidden_path", "memfd"})


class Judged(NamedTuple):
    """A library or a folder of libraries: `reasons` are what is odd, `exception` what makes that harmless as a rule."""

    path: str
    reasons: list[str]
    package: Optional[str] = None
    exception: Optional[str] = None
    status: Optional[os.stat_result] = None
    sha256: Optional[str] = None


class PreloadJudge:
    """Judges one by one; looks up each file once, and says to `unseen` what could not be read."""

    def __init__(self, host: Host, unseen: Unseen) -> None:
        self.host = host
        self.files = host.files
        self.unseen = unseen
        # Where a library is looked for by its bare name; the caller adds what ld.so.conf names.
        self.folders = list(_LIBRARY_FOLDERS)
        self._names = process_names()
        self._origins = preload_origins()
        self._raw: dict[str, Optional[RawFile]] = {}

    def library(self, library: str, mechanism: str, process: Optional[Process] = None) -> Judged:
        """Judge the library named `library` in our own root folder; a relative path counts from `process`'s folder."""
        if "/" in library and not library.startswith(("/", "$")) and process is not None:
            library = os.path.normpath(os.path.join(process.cwd or "/", library))
        path, raw = library, None
        for candidate in spellings(library, tuple(self.folders)):
            raw = self._read(candidate) if candidate.startswith("/") else None
            if raw is not None:
                path = self.files.real_path(candidate)
                break
        odd = sorted({*self._odd_place(library), *self._odd_place(path)})
        packages = self._owners([path]) if raw is not None else None
        package = (packages or {}).get(path)
        if raw is None and path.startswith("/"):
            odd.append("missing")
        if raw is not None and raw.status.st_mode & stat.S_IWOTH:
            odd.append("writable_by_others")
        if packages is not None and package is None and path in packages:
            odd.append("unowned")
        exception = f"package {package}" if package and not odd else None
        if not set(odd) - {"unowned", "missing"}:
            exception = self._origins.exception(path, mechanism, self.files.exists, _programs(process)) or exception
        return self._judged(path, odd, package, exception, raw)

    def library_inside(self, library: str, mechanism: str, process: Process) -> Judged:
        """Judge a library in the root folder of a container or chroot, that of `process`; whose it is, is not known."""
        root = self.root_of(process)

        def exists(folder: str) -> bool:
            return self.files.exists(root + folder)

        raw = self._read(root + library) if library.startswith("/") else None
        odd = self._odd_place(library)
        exception = None
        if not odd:
            contained = "inside a container or chroot" if mechanism == "environment" else None
            exception = self._origins.exception(library, mechanism, exists, _programs(process)) or contained
        return self._judged(library, odd, None, exception, raw)

    def folder(self, folder: str, process: Optional[Process] = None, is_inside: bool = False) -> Optional[Judged]:
        """Judge a folder in which the loader is told to look; None where that is an ordinary one."""
        if not folder.startswith("/"):
            return None
        folder = os.path.normpath(folder)
        odd = self._odd_place(folder + "/")
        status = None
        with contextlib.suppress(Unreadable, ValueError):
            status = None if is_inside else self.files.stat(folder)
        if status is not None and status.st_mode & stat.S_IWOTH:
            odd.append("writable_by_others")
        if not odd:
            return None
        return Judged(folder, odd, None, self._folder_exception(folder, process) if process else None, status)

    def mapped(self, found: Iterable[Mapped]) -> Iterator[tuple[Mapped, Judged]]:
        """Judge the files that most programs map; yields those about which something is odd."""
        found = list(found)
        packages = self._owners([one.path for one in found])
        # The loader and the C library are among them: where no package owns even those, none is expected to.
        if packages and not any(packages.values()):
            packages = None
        for one in found:
            package = (packages or {}).get(one.path)
            odd = self._odd_place(one.path)
            if one.path.startswith("/memfd:"):
                odd.append("memfd")
            elif one.is_deleted:
                odd.append("deleted")
            if packages is not None and package is None and one.path in packages and "memfd" not in odd:
                odd.append("unowned")
            # After an upgrade, older processes go on with the file that was replaced.
            if not odd or (odd == ["deleted"] and package is not None):
                continue
            exception = None
            if not _NO_EXCUSE.intersection(odd):
                exception = self._upgraded(one) or self._origins.exception(one.path, "mapped", self.files.exists, frozenset)
            yield one, self._judged(one.path, odd, package, exception, None if one.is_deleted else self._read(one.path))

    def root_of(self, process: Process) -> str:
        """The path of a process's root folder, by a procfs that nothing can be mounted over."""
        return f"/proc/self/fd/{self.host.truth.fd}/{process.pid}/root"

    def _folder_exception(self, folder: str, process: Process) -> Optional[str]:
        around = enclosing(folder)
        points = [point for known in self._names.mounted_programs for point in around if known.where.match(point)]
        if points:
            mounts = self.host.truth.mountinfo(process.pid)
            if any(b" " + os.fsencode(point) + b" " in mounts for point in points):
                return "AppImage"
        return "build tool" if self._origins.build_programs & _programs(process)() else None

    def _upgraded(self, one: Mapped) -> Optional[str]:
        """Whether a deleted library is the old version of a packaged one: another version lies in the same folder."""
        stem = library_stem(one.path)
        if not one.is_deleted or stem is None:
            return None
        others = [path for path in entries(self.files, one.path.rpartition("/")[0]) if library_stem(path) == stem]
        return "package upgrade" if any((self._owners(others) or {}).values()) else None

    def _odd_place(self, path: str) -> list[str]:
        odd = []
        if is_below(path, self._names.writable_folders):
            odd.append("temp_path")
        if hidden_component(path) is not None and not self._names.is_tool_path(path, ()):
            odd.append("hidden_path")
        return odd

    def _read(self, path: str) -> Optional[RawFile]:
        if path not in self._raw:
            try:
                self._raw[path] = read_raw(self.files, path, 0, with_hash=True)
            except (OSError, ValueError) as error:
                self.unseen.could_not_see(str(error))
                self._raw[path] = None
        return self._raw[path]

    def _owners(self, paths: list[str]) -> Optional[dict[str, Optional[str]]]:
        try:
            return owners(self.host, paths) if paths else {}
        except OwnerUnknown as error:
            self.unseen.cannot_tell(str(error))
            return None

    def _judged(
        self, path: str, odd: list[str], package: Optional[str], exception: Optional[str], raw: Optional[RawFile]
    ) -> Judged:
        return Judged(path, odd, package, exception, raw.status if raw else None, raw.sha256 if raw else None)


def _programs(process: Optional[Process]) -> Callable[[], frozenset[str]]:
    """Asks, when called, what `process` and its nearest ancestors run."""

    def programs() -> frozenset[str]:
        if process is None:
            return frozenset()
        return frozenset({(process.exe_path or "").rpartition("/")[2], *ancestor_programs(process)})

    return programs
