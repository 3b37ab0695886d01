"""What a network service says of itself: its options, its environment's switches, its files as it names them itself."""

from __future__ import annotations

import functools
import os
import posixpath
from typing import NamedTuple, Optional

from tables.host.network.sockets import Socket
from tables.host.processes.process_files import ProcessFiles
from tables.host.processes.procfs import Process
from tables.host.processes.roots import View
from tables.host.services.settings import CONFIG_LIMIT
from tables.unseen import say_cut

NO_AUTH = "none"
PASSWORD = "password"  # noqa: S105
TLS = "tls"
LOCAL_ONLY = "local_only"
UNKNOWN = "unknown"

_ENVIRON_LIMIT = 1 << 20


class Verdict(NamedTuple):
    """How a service lets clients in: `facts` say why in words, `path` and `line` where that is written."""

    auth_state: str
    reasons: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    path: Optional[str] = None
    line: Optional[int] = None


class ServiceFacts:
    """One listening service; files are read below the process's own root folder, so that containers are seen from inside."""

    def __init__(self, process: Process, socket: Socket, files: ProcessFiles, cmdline: str) -> None:
        self.process = process
        self.socket = socket
        self.argv = process.argv
        self.cmdline = cmdline
        # Files that exist and could not be read.
        self.unreadable: list[str] = []
        self._files = files

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self.socket.local_port

    @functools.cached_property
    def cwd(self) -> str:
        """Its working folder as it sees it; "/" when unknown."""
        folder = self.process.cwd or "/"
        # Of a process in a chroot the kernel shows us both with the way to its root; of one in a container, without.
        root = (self.process.root or "/").rstrip("/")
        return folder[len(root) :] if root and folder.startswith(f"{root}/") else folder

    @functools.cached_property
    def environment(self) -> dict[str, str]:
        """The variables that it was started with. For switches only: a value must not get into a row."""
        data = self.process.procfs.environ(self.process.pid, _ENVIRON_LIMIT)
        if data is None:
            self.unreadable.append(f"/proc/{self.process.pid}/environ")
        if data is not None and len(data) == _ENVIRON_LIMIT:
            say_cut(f"process {self.process.pid}: only the first {_ENVIRON_LIMIT} bytes of its environment were read")
        pairs = (os.fsdecode(entry).partition("=") for entry in (data or b"").split(b"\0"))
        return {name: value for name, joined, value in pairs if joined}

    def read(self, path: str) -> Optional[str]:
        """The text of a file that it calls `path`; None when there is none, or none to be read (`unreadable` tells)."""
        pid = self.process.pid
        try:
            found = View(self.process.procfs, pid, ("", "")).locate(posixpath.join(self.cwd, path))
            if found is None:
                return None
            data = self._files.read(pid, found.path, CONFIG_LIMIT)
        except (OSError, ValueError):
            data = None
        if data is None:
            self.unreadable.append(path)
            return None
        if len(data) == CONFIG_LIMIT:
            say_cut(f"process {pid}: {path}: only the first {CONFIG_LIMIT} bytes were read")
        return data.decode("utf-8", "surrogateescape")

    def exists(self, path: str) -> bool:
        """Whether it has a file of this name."""
        try:
            return View(self.process.procfs, self.process.pid, ("", "")).locate(path) is not None
        except (OSError, ValueError):
            return False

    def first(self, *paths: str) -> Optional[tuple[str, str]]:
        """(path, text) of the first of these files that it has; None when it has none of them."""
        for path in paths:
            text = self.read(path) if path else None
            if text is not None:
                return path, text
        return None
