"""Which files a process may have its configuration from: named by it, beside its program, where it works, at home."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple, Optional

from tables.host.disk.settings_files import SettingsFile
from tables.host.processes.process_files import ProcessFiles
from tables.host.processes.procfs import Procfs
from tables.reasons.mining.process_strings import environment
from tables.reasons.mining.references import config_paths
from tables.unseen import Unseen

NAMED, BESIDE, WORKING, HOME = "named_by_process", "beside_program", "in_working_folder", "in_home_folder"
# The name under which xmrig and others look for their configuration.
CONFIG = "config.json"
# And that of Qubic's client.
_CONFIGS = (CONFIG, "appsettings.json")
HOME_CONFIGS = (".xmrig.json", ".config/xmrig.json")
# Bytes of a configuration that are read, blanks and comments left out; and how many files one process may name.
CONFIG_LIMIT = 1 << 20
_MAX_CONFIGS = 64


class Folders(NamedTuple):
    """Where a process is, as it sees the file system itself; `view` names that file system.

    `program` is the folder of its program, None when that is out of reach.
    """

    pid: int
    view: tuple[Optional[str], str]
    working: str
    program: Optional[str]

    def candidates(self, argv: Sequence[str], unseen: Unseen, home: Optional[str] = None) -> dict[str, tuple[str, str]]:
        """Absolute path -> (path to open, how the process comes to it), the closest connection first.

        Of more than 64 files that a command line names, the last ones: of several a miner takes the last. `unseen` is told.
        """
        found: dict[str, tuple[str, str]] = {}
        named = list(dict.fromkeys(config_paths(argv)))
        if len(named) > _MAX_CONFIGS:
            unseen.truncate(
                f"process {self.pid}: of {len(named)} configurations that it names, the last {_MAX_CONFIGS} were read"
            )
        wanted = [(path, NAMED) for path in named[-_MAX_CONFIGS:]]
        if self.program is not None:
            wanted += [(os.path.join(self.program, name), BESIDE) for name in _CONFIGS]
        wanted += [(name, WORKING) for name in _CONFIGS]
        if home is not None:
            wanted += [(os.path.join(home, name), HOME) for name in HOME_CONFIGS]
        for path, how in wanted:
            found.setdefault(os.path.normpath(os.path.join(self.working, path)), (path, how))
        return found


def process_folders(procfs: Procfs, pid: int) -> Optional[Folders]:
    """Where `pid` is; None when we may not look at its files."""
    root = procfs.try_readlink(f"{pid}/root")
    if root is None:
        return None
    exe = procfs.try_readlink(f"{pid}/exe")
    program = None
    if exe is not None:
        # Links are shown from our root folder, also for a process that has changed its own.
        folder = os.path.dirname(exe)
        program = os.path.join("/", os.path.relpath(folder, root) if folder.startswith(root) else folder)
    return Folders(pid, (procfs.namespace(pid, "mnt"), root), procfs.try_readlink(f"{pid}/cwd") or "/", program)


def home_folder(procfs: Procfs, pid: int, unseen: Unseen) -> Optional[str]:
    """The home folder that `pid` was started with; None when it has none or we may not see it."""
    data = environment(procfs, pid, unseen) or b""
    homes = (entry[5:] for entry in data.split(b"\0") if entry.startswith(b"HOME=/"))
    return next((os.fsdecode(home).rstrip("/") for home in homes), None)


def is_out_of_reach(files: ProcessFiles, pid: int, full: str, unseen: Unseen) -> bool:
    """Whether the file that is `full` to `pid` lies on a file system that may keep us waiting; `unseen` is told once of each."""
    where = files.left_alone(pid, full)
    if where is not None and (key := (files.procfs.namespace(pid, "mnt"), where)) not in files.told:
        files.told.add(key)
        # A user's own file system is where something hides; another machine's is looked at there.
        say = unseen.could_not_see if where.startswith("fuse") else unseen.cannot_tell
        say(f"{where} may never answer: {full} of process {pid}, and what else lies there, was not read")
    return where is not None


def read_config(files: ProcessFiles, pid: int, path: str, full: str, unseen: Unseen) -> Optional[SettingsFile]:
    """The file that `pid` calls `path` and that is `full` to it; None when it is not there or out of reach.

    `unseen` is told of that, and of a file that is longer than is read.
    """
    found = None if is_out_of_reach(files, pid, full, unseen) else files.read_settings(pid, path, CONFIG_LIMIT)
    if found is not None and not found.is_whole:
        unseen.truncate(f"process {pid}: {full}: only its first {found.bytes_read} bytes were read")
    return found
