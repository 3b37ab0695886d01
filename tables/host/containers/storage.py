"""Podman's and CRI-O's containers, in containers/storage: containers.json and each one's userdata/config.json.

Podman's own record (restart policy, published ports) is in its database: SQLite's db.sql since Podman 4.8
(libpod/sqlite_state.go); the bolt_state.db that it had before is not read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import partial
from typing import Any, Optional

from tables.host.containers.model import CREATED, RUNNING, STOPPED, Container
from tables.host.containers.oci import read_spec
from tables.host.containers.state_files import listed, mapping, number, parse_state, read_state, text, texts, unix_seconds
from tables.host.containers.stores import Store
from tables.host.disk.files import Unreadable

GRAPH_ROOT, RUN_ROOT = "/var/lib/containers/storage", "/run/containers/storage"
_DRIVERS = ("overlay", "vfs", "btrfs", "zfs")
_DATABASES = ("db.sql", "libpod/db.sql")
_BOLT = "libpod/bolt_state.db"
_CRIO = "io.kubernetes.cri-o."
_MAX_RECORD = 1 << 20
_MAX_RECORDS = 10_000
# Steps of SQLite's machine between two looks at the time: some milliseconds.
_PROGRESS_STEPS = 50_000


class Storage:
    """The containers of one store: the system's, or a user's."""

    def __init__(self, store: Store, graph_root: str = GRAPH_ROOT, run_root: str = RUN_ROOT, username: str = "") -> None:
        self.store = store
        self.graph_root = graph_root
        self.run_root = run_root
        self.username = username
        self._records: Optional[dict[str, Mapping[str, Any]]] = None

    @property
    def path(self) -> str:
        """Where its containers are kept."""
        return self.graph_root

    def all(self) -> Iterator[Container]:
        """All of them, stopped ones too."""
        for folder, entries in self._listed():
            for entry in entries.values():
                self.store.check_time()
                yield self._container(folder, entry)

    def find(self, container_id: str) -> Optional[Container]:
        """The container of this id; None when there is none."""
        for folder, entries in self._listed():
            if container_id in entries:
                return self._container(folder, entries[container_id])
        return None

    def _listed(self) -> Iterator[tuple[str, Mapping[str, Mapping[str, Any]]]]:
        """The folder of each storage driver, with what it lists, by id."""
        for driver in _DRIVERS:
            folder = f"{driver}-containers"
            path = f"{self.graph_root}/{folder}/containers.json"
            yield folder, self.store.kept((path,), partial(self._entries, path)) or {}

    def _entries(self, path: str) -> dict[str, Mapping[str, Any]]:
        found: dict[str, Mapping[str, Any]] = {}
        for entry in map(mapping, listed(read_state(self.store.files, path, self.store.unseen))):
            if "/" not in text(entry.get("id")):
                found.setdefault(text(entry.get("id")), entry)
        return found

    def _container(self, folder: str, entry: Mapping[str, Any]) -> Container:
        own, running = (f"{root}/{folder}/{text(entry.get('id'))}/userdata" for root in (self.graph_root, self.run_root))
        path = f"{own}/config.json"
        found = self.store.kept((path, f"{running}/pidfile"), lambda: self._read(entry, path, running))
        if found is None:
            # Listed, and never started: there is no specification yet.
            found = read_listed(entry, {}, f"{self.graph_root}/{folder}/containers.json")
        return self._with_record(found)._replace(username=self.username)

    def _read(self, entry: Mapping[str, Any], path: str, running: str) -> Optional[Container]:
        spec = mapping(read_state(self.store.files, path, self.store.unseen))
        pid = self.store.pid(f"{running}/pidfile")
        started = self.store.state(f"{running}/pidfile")
        found = read_listed(entry, spec, path)
        if pid is None:
            return found
        return found._replace(pid=pid, state=RUNNING, started=started[3] // 10**9 if started else None)

    def _with_record(self, found: Container) -> Container:
        if found.runtime != "podman":
            return found
        if self._records is None:
            self._records = self._read_records()
        record = self._records.get(found.container_id)
        if record is None:
            return found
        ports = [mapping(port) for port in listed(record.get("newPortMappings")) or listed(record.get("portMappings"))]
        return found._replace(
            name=text(record.get("name")) or found.name,
            image=text(record.get("rootfsImageName")) or found.image,
            restart_policy=text(record.get("restart_policy")) or "no",
            is_privileged=found.is_privileged or record.get("privileged") is True,
            published_ports=tuple(_port(port) for port in ports),
        )

    def _read_records(self) -> dict[str, Mapping[str, Any]]:
        """Podman's own record of each container, by id."""
        for name in _DATABASES:
            path = f"{self.graph_root}/{name}"
            if self.store.state(path) is not None:
                return self._from_sqlite(path)
        if self.store.state(f"{self.graph_root}/{_BOLT}") is not None:
            self.store.unseen.cannot_tell(f"{self.graph_root}/{_BOLT} is not read: restart policies and ports of its containers")
        return {}

    def _is_out_of_time(self) -> int:
        return self.store.is_share_used() or self.store.query.seconds_left() <= 0

    def _from_sqlite(self, path: str) -> dict[str, Mapping[str, Any]]:
        import sqlite3  # Hosts without Podman never need it.

        found: dict[str, Mapping[str, Any]] = {}
        try:
            fd = self.store.files.open(path)
        except Unreadable as error:
            self.store.unseen.could_not_see(str(error))
            return found
        try:
            # By descriptor, and without the log beside it: nothing is written, and nobody exchanges the file.
            with closing(sqlite3.connect(f"file:/proc/self/fd/{fd}?mode=ro&immutable=1", uri=True)) as database:
                database.execute("PRAGMA trusted_schema = OFF")
                # The table may be a view that never ends.
                database.set_progress_handler(self._is_out_of_time, _PROGRESS_STEPS)
                sql = f"SELECT ID, JSON FROM ContainerConfig WHERE length(JSON) < {_MAX_RECORD} LIMIT {_MAX_RECORDS}"  # noqa: S608
                for container_id, record in database.execute(sql):
                    self.store.check_time()
                    found[str(container_id)] = mapping(parse_state(str(record)))
        except (sqlite3.Error, ValueError, TypeError) as error:
            self.store.unseen.could_not_see(f"{path}: {error}")
        finally:
            os.close(fd)
        return found


def read_listed(entry: Mapping[str, Any], spec: Mapping[str, Any], path: str) -> Container:
    """What an entry of containers.json and the specification in the file at `path` say."""
    try:
        details = mapping(parse_state(text(entry.get("metadata")) or "{}"))
    except ValueError:
        details = {}
    notes = mapping(spec.get("annotations"))
    facts = read_spec(spec, path.rpartition("/")[0])
    is_crio = f"{_CRIO}ContainerType" in notes or bool(details.get("pod-id"))
    names = texts(entry.get("names"))
    name = text(notes.get("io.kubernetes.container.name")) or text(details.get("name")) or next(iter(names), "")
    privileged = text(notes.get("io.podman.annotations.privileged"))
    return Container(
        runtime="crio" if is_crio else "podman",
        path=path,
        container_id=text(entry.get("id")),
        name=name,
        image=text(details.get("image-name")) or text(notes.get(f"{_CRIO}ImageName")),
        image_digest=text(notes.get(f"{_CRIO}ImageRef")) or text(entry.get("image")),
        pod_name=text(notes.get("io.kubernetes.pod.name")) or text(details.get("pod-name")),
        pod_namespace=text(notes.get("io.kubernetes.pod.namespace")) or text(details.get("namespace")),
        pod_uid=text(notes.get("io.kubernetes.pod.uid")) or text(details.get("uid")),
        created=unix_seconds(entry.get("created")) or number(details.get("created-at")),
        state=STOPPED if spec else CREATED,
        restart_policy="kubelet" if is_crio else "",
        **{**facts._asdict(), "is_privileged": facts.is_privileged or privileged == "TRUE"},
    )


def _port(port: Mapping[str, Any]) -> str:
    host, inside = number(port.get("host_port")) or 0, number(port.get("container_port")) or 0
    return f"{text(port.get('host_ip')) or '*'}:{host}->{inside}/{text(port.get('protocol')) or 'tcp'}"
