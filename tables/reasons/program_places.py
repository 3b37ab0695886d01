"""What is odd about where a running program, or the script that it runs, is kept."""

from __future__ import annotations

from typing import Optional

from tables.host.processes.executables import DELETED, FULLY_SEALED, RunningFile, ancestor_programs, running_file
from tables.host.processes.process_files import ProcessFiles
from tables.host.processes.procfs import Process
from tables.indicators.process_names import ProcessNames, enclosing, hidden_component, is_below

TEMPORARY = "temporary_folder"
HIDDEN = "hidden_path"
DELETED_FILE = "deleted"
MEMORY_ONLY = "memory_only"


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
        if file.is_deleted and not is_below(file.path, self.names.package_folders):
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


def has_newer_release(file: RunningFile) -> bool:
    """Whether a deleted program lay in one of an application's releases, and the one that is current now has that program.

    Deployment tools keep folders `releases/…` beside a link `current`, and remove old ones under services that still run.
    """
    before, found, rest = file.own_path.partition("/releases/")
    _, slash, below = rest.partition("/")
    if not found or not slash or file.view is None:
        return False
    try:
        now = file.view.locate(f"{before}/current/{below}")
    except OSError:
        return False
    return now is not None and now.is_elf and now.path.startswith(f"{before}/releases/")
