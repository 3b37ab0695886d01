"""The host under examination: the one door through which tables reach files, processes, settings and shared state."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Optional, TypeVar

from tables.host.settings import Settings
from tables.host.status import StatusBoard

# The process that answers osquery has a host for its settings and status, and does without what reads: some megabytes.
if TYPE_CHECKING:
    from tables.host.accounts.passwd import Accounts
    from tables.host.disk.files import Files
    from tables.host.processes.procfs import Procfs
    from tables.host.processes.task_lists import Unlisted

T = TypeVar("T")


class Host:
    """The host below `root` ("/" is the running system) and what minehunt was told about it.

    `settings` names the extra indicators; `own_pids` are our own processes, this one by default; `status` collects what each
    table did; `state` keeps what a table must remember between calls.
    """

    def __init__(self, root: str = "/", settings: Optional[Settings] = None, own_pids: Sequence[int] = ()) -> None:
        self._root = root
        self.settings = settings or Settings()
        self.status = StatusBoard()
        self._state: dict[str, Any] = {}
        self._state_lock = threading.Lock()
        self._own_pids = tuple(own_pids) or (os.getpid(),)
        self._own: Optional[frozenset[tuple[int, int]]] = None

    @cached_property
    def files(self) -> Files:
        """The files below the root folder."""
        from tables.host.disk.files import Files

        return Files(self._root)

    @property
    def is_live(self) -> bool:
        """Whether this is the running system rather than a mounted disk."""
        return self.files.root == "/"

    @property
    def is_root(self) -> bool:
        """Whether we run as root, and so may look into every process and file."""
        return os.geteuid() == 0

    @property
    def accounts(self) -> Accounts:
        """The accounts of /etc/passwd as they are now; each scan takes them once."""
        from tables.host.accounts.passwd import accounts_of

        return accounts_of(self.files)

    @property
    def proc_path(self) -> str:
        """Where procfs is found."""
        return self.files.locate("/proc")

    @cached_property
    def procfs(self) -> Procfs:
        """The procfs at /proc, as every other program sees it."""
        return self._open_procfs()

    def _open_procfs(self) -> Procfs:
        from tables.host.processes.procfs import Procfs

        return Procfs.open(self.proc_path)

    @cached_property
    def _private(self) -> Optional[Procfs]:
        from tables.host.processes.procfs import Procfs

        return Procfs.private(self.proc_path) if self.is_live else None

    @cached_property
    def unlisted(self) -> Unlisted:
        """The pids that /proc does not list and that are known all the same."""
        from tables.host.processes.task_lists import Unlisted

        return Unlisted(self._private or self.procfs)

    @property
    def has_truth(self) -> bool:
        """Whether `truth` shows more than `procfs`: a private procfs could be had."""
        return self._private is not None

    @cached_property
    def truth(self) -> Procfs:
        """A procfs that nobody can mount over, where the kernel and our rights allow one; else that at /proc itself.

        Its `pids` are also those that the kernel leaves out of the listing and names elsewhere, so that hidden processes are
        judged like visible ones.
        """
        found = self._private or self._open_procfs()
        if self.is_live:
            found.unlisted = self.unlisted.pids
        return found

    def state(self, key: str, make: Callable[[], T]) -> T:
        """The object kept under `key` between calls, made by `make` the first time."""
        with self._state_lock:
            if key not in self._state:
                self._state[key] = make()
            found: T = self._state[key]
            return found

    def adopt(self, pid: int) -> None:
        """Count a process that we have started among our own."""
        self._own_pids = (*self._own_pids, pid)
        self._own = None

    def own_processes(self) -> frozenset[tuple[int, int]]:
        """Identities (pid, start ticks) of our own processes: this one, unless others were named when the host was made.

        Exclusion is by identity, never by name: a miner that calls itself osqueryd is not excluded.
        """
        if self._own is None:
            found = (self.procfs.process(pid) for pid in self._own_pids)
            self._own = frozenset(process.identity for process in found if process is not None)
        return self._own
