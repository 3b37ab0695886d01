"""Which files a process may have its configuration from: named in its command line, beside its program, where it works."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple, Optional

from tables.host.processes.procfs import Procfs
from tables.reasons.mining.references import config_paths

NAMED, BESIDE, WORKING = "named_by_process", "beside_program", "in_working_folder"
# The name under which xmrig and others look for their configuration.
CONFIG = "config.json"
_MAX_CONFIGS = 8


class Folders(NamedTuple):
    """Where a process is, as it sees the file system itself; `view` names that file system.

    `program` is the folder of its program, None when that is out of reach.
    """

    view: tuple[Optional[str], str]
    working: str
    program: Optional[str]

    def candidates(self, argv: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Absolute path -> (path to open, how the process comes to it), the closest connection first."""
        found: dict[str, tuple[str, str]] = {}
        wanted = [(path, NAMED) for path in list(config_paths(argv))[-_MAX_CONFIGS:]]
        if self.program is not None:
            wanted.append((os.path.join(self.program, CONFIG), BESIDE))
        wanted.append((CONFIG, WORKING))
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
    return Folders((procfs.try_readlink(f"{pid}/ns/mnt"), root), procfs.try_readlink(f"{pid}/cwd") or "/", program)
