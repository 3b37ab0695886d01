"""What is odd about where a running program, or the script that it runs, is kept."""

from __future__ import annotations

import contextlib
import re
import stat
from collections.abc import Collection, Iterator
from typing import Optional

from tables.host.processes.executables import DELETED, FULLY_SEALED, RunningFile, ancestor_programs, running_file
from tables.host.processes.process_files import ProcessFiles
from tables.host.processes.procfs import Process
from tables.host.processes.roots import View
from tables.indicators.process_names import ProcessNames, enclosing, hidden_component, is_below

TEMPORARY = "temporary_folder"
HIDDEN = "hidden_path"
DELETED_FILE = "deleted"
MEMORY_ONLY = "memory_only"
_NUMBER = re.compile(r"\d+(?:[._-]\d+)*")
_MAX_BESIDE = 1024


class ProgramPlaces:
    """Judges places by the lists of process_names.yaml; the ordinary case costs no system call."""

    def __init__(self, names: ProcessNames, own_namespace: Optional[str]) -> None:
        self.names = names
        self.own_namespace = own_namespace
        self._files: Optional[ProcessFiles] = None

    def of_path(self, path: str) -> tuple[str, ...]:
        """What the path alone tells: it is in a folder for temporary files, or hidden and no known tool's."""
        found = []
        if is_below(path, self.names.writable_folders):
            found.append(TEMPORARY)
        if hidden_component(path) is not None and (found or not self.names.is_tool_path(path, ())):
            found.append(HIDDEN)
        return tuple(found)

    def of_process(self, process: Process) -> tuple[str, ...]:
        """What is odd about the running file: also that it was deleted (no upgrade), or never was a file.

        Programs that build tools, container runtimes and AppImages run from such places are not odd.
        """
        link = process.exe_link
        if link is None or not (link.endswith(DELETED) or self.of_path(link)):
            return ()
        # One for all: it knows the mounts of each namespace.
        self._files = self._files or ProcessFiles(process.procfs)
        try:
            file = running_file(process, self.own_namespace, self._files)
        except OSError:
            return ()
        if file.is_memfd:
            return () if self._is_harmless_memfd(file) else (MEMORY_ONLY,)
        found = () if placed_by_tool(self.names, file) else self.of_path(file.path)
        if file.is_deleted and not is_below(file.path, self.names.package_folders) and not has_newer_release(self.names, file):
            found = (*found, DELETED_FILE)
        return found

    def _is_harmless_memfd(self, file: RunningFile) -> bool:
        if file.seals() == FULLY_SEALED:
            return True
        name = file.path[len("/memfd:") :]
        runtimes = [runtime.parents for runtime in self.names.memfd_runtimes if runtime.what.match(name)]
        return bool(runtimes) and not ancestor_programs(file.process).isdisjoint(*runtimes)


def placed_by_tool(names: ProcessNames, file: RunningFile) -> Optional[str]:
    """What innocently put a running program where it is: a build below its build tool, or a mount of the program's own.

    None where nothing known did.
    """
    around = enclosing(file.path)
    for build in names.build_folders:
        if any(map(build.what.match, around)) and ancestor_programs(file.process) & build.parents:
            return "developer tool folder"
    for known in names.mounted_programs:
        points = [folder for folder in around if known.where.match(folder)]
        if points and any(m.mount_point in points and m.fs_type.startswith(known.file_system) for m in file.mounts()):
            return known.exception
    return None


def has_newer_release(names: ProcessNames, file: RunningFile, homes: Collection[str] = ()) -> bool:
    """Whether a deleted program lay in a release of something, and another release beside that one has the program.

    Deployment tools keep folders `releases/…` beside a link `current`, and remove old ones under services that still run;
    packages and programs that renew themselves have folders (or files) that differ in their numbers alone, as
    `java-17-openjdk-17.0.9` does from `java-17-openjdk-17.0.10`.
    """
    path = file.own_path
    hidden = hidden_component(path) is not None and not names.is_tool_path(path, homes)
    if file.view is None or hidden or is_below(path, names.writable_folders):
        return False
    with contextlib.suppress(OSError):
        for other in _other_releases(file.view, path):
            now = file.view.locate(other)
            # The link `current` leads to a release; nothing else leads anywhere.
            if now is not None and now.is_elf and (now.path == other or "/releases/" in now.path):
                return not now.status.st_mode & stat.S_IWOTH
    return False


def _other_releases(view: View, path: str) -> Iterator[str]:
    """Where `path` would be in other releases."""
    before, found, rest = path.partition("/releases/")
    _, slash, below = rest.partition("/")
    if found and slash:
        yield f"{before}/current/{below}"
    parts = path.split("/")
    for index, part in enumerate(parts):
        shape = _NUMBER.sub("0", part)
        if shape == part:
            continue
        parent = "/".join(parts[:index]) or "/"
        for name in view.names(parent, _MAX_BESIDE):
            if name != part and _NUMBER.sub("0", name) == shape:
                yield "/".join([*parts[:index], name, *parts[index + 1 :]])
