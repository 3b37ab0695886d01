"""Which files a process may have its configuration from: named by it, beside its program, where it works, at home."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple, Optional

from tables.host.processes.procfs import Procfs
from tables.reasons.mining.references import config_paths

NAMED, BESIDE, WORKING, HOME = "named_by_process", "beside_program", "in_working_folder", "in_home_folder"
# The name under which xmrig and others look for their configuration.
CONFIG = "config.json"
HOME_CONFIGS = (".xmrig.json", ".config/xmrig.json")
# Bytes of a configuration that are read; and how many files one process may name.
CONFIG_LIMIT = 1 << 20
_MAX_CONFIGS = 64


class Folders(NamedTuple):
    """Where a process is, as it sees the file system itself; `view` names that file system.

    `program` is the folder of its program, None when that is out of reach.
    """

    view: tuple[Optional[str], str]
    working: str
    program: Optional[str]

    def candidates(self, argv: Sequence[str], home: Optional[str] = None) -> dict[str, tuple[str, str]]:
        """Absolute path -> (path to open, how the process comes to it), the closest connection first.

        Of more than 64 files that a command line names, the last ones: of several a miner takes the last.
        """
        found: dict[str, tuple[str, str]] = {}
        wanted = [(path, NAMED) for path in list(dict.fromkeys(config_paths(argv)))[-_MAX_CONFIGS:]]
        if self.program is not None:
            wanted.append((os.path.join(self.program, CONFIG), BESIDE))
        wanted.append((CONFIG, WORKING))
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
    return Folders((procfs.namespace(pid, "mnt"), root), procfs.try_readlink(f"{pid}/cwd") or "/", program)


def home_folder(procfs: Procfs, pid: int) -> Optional[str]:
    """The home folder that `pid` was started with; None when it has none or we may not see it."""
    data = procfs.environ(pid) or b""
    homes = (entry[5:] for entry in data.split(b"\0") if entry.startswith(b"HOME=/"))
    return next((os.fsdecode(home).rstrip("/") for home in homes), None)
