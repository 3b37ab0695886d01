"""All containers of a host, from all runtimes; and the one of an id, for those who find a process in it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from functools import cached_property
from typing import Optional, Protocol

from tables.errors import BudgetExceeded
from tables.host import Host
from tables.host.containers.bare import Bare
from tables.host.containers.compose import Compose
from tables.host.containers.containerd import STATE_FOLDERS, Containerd
from tables.host.containers.docker import Docker, data_roots
from tables.host.containers.incus import PLACES, Instances
from tables.host.containers.lxc import ROOT as LXC_ROOT
from tables.host.containers.lxc import Lxc
from tables.host.containers.manifests import Manifests
from tables.host.containers.model import PAUSED, RUNNING, STOPPED, Container
from tables.host.containers.nspawn import Nspawn
from tables.host.containers.quadlets import Quadlets
from tables.host.containers.storage import Storage
from tables.host.containers.stores import Store
from tables.schema import QueryContext

_KINDS = ("net", "pid", "ipc", "user")
_MAX_ACCOUNTS = 10_000
# For so long an id that was looked up is not looked up again.
_REMEMBERED_SECONDS = 30.0
# All look-ups meanwhile may take so long together: they describe rows of other tables.
_LOOKUP_SECONDS = _REMEMBERED_SECONDS
_MAX_REMEMBERED = 20_000


class _Finder(Protocol):
    username: str

    @property
    def path(self) -> str: ...

    def all(self) -> Iterator[Container]: ...

    def find(self, container_id: str, /) -> Optional[Container]: ...


class Containers:
    """Reads them for one scan; what could not be read is told to `query`."""

    def __init__(self, host: Host, query: QueryContext) -> None:
        self.host = host
        self.store = Store(host, query)
        self._own: dict[str, Optional[str]] = {}

    def all(self) -> Iterator[Container]:
        """Every container once: where two runtimes know it, as the one says that users talk to."""
        seen: set[str] = set()
        for finder in self._finders:
            found = finder.all()
            if finder.username:
                found = self.store.of_account(finder.username, finder.path, found)
            for container in found:
                if container.container_id not in seen:
                    seen.add(container.container_id)
                    yield self._as_it_is(container)
        for container in self._others():
            yield self._as_it_is(container)

    def find(self, container_id: str) -> Optional[Container]:
        """The container of the id that a cgroup's path names; None when no runtime's files have it."""
        found = (finder.find(container_id) for finder in self._finders)
        return next((container for container in found if container), None)

    @cached_property
    def _finders(self) -> list[_Finder]:
        return list(self._of_ids())

    def _of_ids(self) -> Iterator[_Finder]:
        """The runtimes that give ids, those that users talk to before those that work for them."""
        for root in data_roots(self.store.files, self.store.unseen):
            yield Docker(self.store, root)
        yield Storage(self.store)
        yield from self._rootless()
        for state in STATE_FOLDERS:
            yield Containerd(self.store, state)
        yield Bare(self.store)

    def _rootless(self) -> Iterator[_Finder]:
        """The stores in users' homes."""
        for home, account in list(self.host.accounts.by_home.items())[:_MAX_ACCOUNTS]:
            data = f"{home.rstrip('/')}/.local/share"
            if self.store.state(data) is None:
                continue
            if self.store.state(f"{data}/docker/containers") is not None:
                yield Docker(self.store, f"{data}/docker", account.name)
            if self.store.state(f"{data}/containers/storage") is not None:
                yield Storage(self.store, f"{data}/containers/storage", f"/run/user/{account.uid}/containers", account.name)

    def _others(self) -> Iterator[Container]:
        yield from Lxc(self.store, LXC_ROOT).all()
        for home, account in list(self.host.accounts.by_home.items())[:_MAX_ACCOUNTS]:
            folder = f"{home.rstrip('/')}/.local/share/lxc"
            if self.store.state(folder) is not None:
                yield from self.store.of_account(account.name, folder, Lxc(self.store, folder, account.name).all())
        for runtime, root in PLACES:
            yield from Instances(self.store, runtime, root).all()
        yield from Nspawn(self.store).all()
        yield from Manifests(self.store).all()
        yield from Quadlets(self.host, self.store).all()
        yield from Compose(self.store).all()

    def _as_it_is(self, container: Container) -> Container:
        """The container with what the kernel says of its first process, on a running system.

        A runtime that was killed leaves `running` behind; and with whom namespaces are shared only the kernel knows.
        """
        if container.pid is None or container.state not in (RUNNING, PAUSED):
            return container._replace(pid=None)
        if not self.host.is_live:
            return container
        procfs = self.host.truth
        process = procfs.process(container.pid)
        # The number may be another's by now: a container's first process is in a cgroup of that container.
        if process is None or (len(container.container_id) == 64 and container.container_id not in process.cgroup_path):
            return container._replace(pid=None, state=STOPPED)
        if not self._own:
            self._own = {kind: procfs.namespace(1, kind) or procfs.namespace("self", kind) for kind in _KINDS}
        found = {kind: procfs.namespace(container.pid, kind) for kind in _KINDS}
        if None in (*found.values(), *self._own.values()):
            return container
        return container._replace(host_namespaces=tuple(kind for kind in _KINDS if found[kind] == self._own[kind]))


class _Remembered:
    """Containers by id, read once in a while."""

    def __init__(self) -> None:
        # Several scans ask at once.
        self._lock = threading.Lock()
        self.began = time.monotonic()
        self.reader: Optional[Containers] = None
        self.found: dict[str, Optional[Container]] = {}

    def of(self, host: Host, container_id: str) -> Optional[Container]:
        """The container of this id."""
        now = time.monotonic()
        with self._lock:
            if self.reader is None or now - self.began > _REMEMBERED_SECONDS or len(self.found) >= _MAX_REMEMBERED:
                self.began, self.reader, self.found = now, Containers(host, QueryContext(budget_seconds=_LOOKUP_SECONDS)), {}
            if container_id not in self.found:
                try:
                    self.found[container_id] = self.reader.find(container_id)
                except BudgetExceeded:
                    self.found[container_id] = None
            return self.found[container_id]


def container_of(host: Host, container_id: Optional[str]) -> Optional[Container]:
    """The container of an id from a cgroup's path, for the row of a process in it; None without one.

    Read anew every 30 seconds. What cannot be read is the `containers` table's to tell.
    """
    if not container_id:
        return None
    return host.state("containers: by id", _Remembered).of(host, container_id)
