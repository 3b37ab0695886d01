"""Docker's containers: config.v2.json and hostconfig.json below its data root (moby: container/container.go)."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Optional

from tables.host.containers.model import (
    ALL_CAPABILITIES,
    CREATED,
    PAUSED,
    RUNNING,
    STOPPED,
    Container,
    HostMount,
    added_capabilities,
    bind_of,
)
from tables.host.containers.oci import cores
from tables.host.containers.state_files import listed, mapping, number, read_state, text, texts, unix_seconds
from tables.host.containers.stores import Store
from tables.host.disk.files import Files, Unreadable
from tables.unseen import Unseen

ROOT = "/var/lib/docker"
# Docker's snap keeps its own.
SNAP_ROOT = "/var/snap/docker/common/var-lib-docker"
_DAEMON_FILES = ("/etc/docker/daemon.json", "/var/snap/docker/current/config/daemon.json")
# Debian's and upstream's unit, what overrides it, and the options of old packages.
_UNIT_FILES = (
    "/lib/systemd/system/docker.service", "/usr/lib/systemd/system/docker.service", "/etc/systemd/system/docker.service",
    "/etc/systemd/system/docker.service.d/override.conf", "/etc/default/docker", "/etc/sysconfig/docker",
)  # fmt: skip
_DATA_ROOT = re.compile(r"(?:--data-root|--graph)[= ][\"']?(/[^\s\"']{1,1024})")
_REMAPPED = re.compile(r"[0-9]{1,10}\.[0-9]{1,10}")
_UNIT_LIMIT = 64 * 1024


def data_roots(files: Files, unseen: Unseen) -> list[str]:
    """The folders in which system-wide daemons keep their state: the usual ones, those that daemon.json and the unit name."""
    found = [ROOT, SNAP_ROOT]
    for path in _DAEMON_FILES:
        settings = mapping(read_state(files, path, unseen))
        # `graph` is what data-root was called before Docker 17.05.
        found += [place for key in ("data-root", "graph") if (place := text(settings.get(key))).startswith("/")]
    for path in _UNIT_FILES:
        with contextlib.suppress(Unreadable):
            found += _DATA_ROOT.findall(files.read_text(path, _UNIT_LIMIT))
    roots = dict.fromkeys(folder.rstrip("/") or "/" for folder in found)
    return [folder for root in roots for folder in (root, *_remapped(files, root))]


def _remapped(files: Files, root: str) -> Iterator[str]:
    """The folders below a data root in which a daemon with userns-remap keeps everything: UID.GID."""
    with contextlib.suppress(Unreadable):
        yield from (f"{root}/{name}" for name in files.names(root) if _REMAPPED.fullmatch(name))


class Docker:
    """One daemon's containers."""

    def __init__(self, store: Store, root: str, username: str = "") -> None:
        self.store = store
        self.root = root
        self.username = username
        self._pulled: Optional[frozenset[str]] = None
        self._names = f"{root}/image/overlay2/repositories.json"

    @cached_property
    def _has_names(self) -> bool:
        """Whether it keeps images itself, and so where they are from, and does not leave them to containerd (Docker 29)."""
        return self.store.files.exists(self._names)

    @property
    def path(self) -> str:
        """Where its containers are kept."""
        return f"{self.root}/containers"

    def ids(self) -> list[str]:
        """The ids of its containers."""
        return self.store.names(f"{self.root}/containers")

    def find(self, container_id: str) -> Optional[Container]:
        """The container of this id; None when there is none that can be read."""
        folder = f"{self.root}/containers/{container_id}"
        return self.store.kept(
            (f"{folder}/config.v2.json", f"{folder}/hostconfig.json"), lambda: self._read(container_id, folder)
        )

    def all(self) -> Iterator[Container]:
        """All its containers, stopped ones too."""
        yield from self.store.each(self.ids(), self.find)

    def _read(self, container_id: str, folder: str) -> Optional[Container]:
        path = f"{folder}/config.v2.json"
        config = read_state(self.store.files, path, self.store.unseen)
        if not isinstance(config, dict):
            return None
        host_config = mapping(read_state(self.store.files, f"{folder}/hostconfig.json", self.store.unseen))
        found = read_container(config, host_config, path)
        mount = self._mount_folder(container_id)
        return found._replace(
            container_id=container_id,
            username=self.username,
            root_folder=mount,
            is_pulled=self._is_pulled(found),
        )

    def _mount_folder(self, container_id: str) -> str:
        """Where the daemon mounts its root folder: by the storage driver's id, or containerd's snapshot (Docker 29)."""
        snapshot = f"{self.root}/rootfs/overlayfs/{container_id}"
        for driver in ("overlay2", "fuse-overlayfs"):
            link = f"{self.root}/image/{driver}/layerdb/mounts/{container_id}/mount-id"
            layer = self.store.line(link)
            if layer:
                return f"{self.root}/{driver}/{layer}/merged"
        return snapshot if self.store.files.exists(snapshot) else ""

    def _is_pulled(self, found: Container) -> Optional[bool]:
        """Whether an image that it is called by has come from its registry: then Docker notes NAME@DIGEST beside NAME:TAG."""
        if not self._has_names:
            return None
        if self._pulled is None:
            document = mapping(read_state(self.store.files, self._names, self.store.unseen))
            self._pulled = frozenset(
                f"{repository} {image}"
                for repository, names in mapping(document.get("Repositories")).items()
                for name, image in mapping(names).items()
                if "@sha256:" in name
            )
        plain = found.image.partition("@")[0]
        head, colon, tail = plain.rpartition(":")
        repository = head if colon and "/" not in tail else plain
        return f"{repository} {found.image_digest}" in self._pulled


def read_container(config: Mapping[str, Any], host_config: Mapping[str, Any], path: str) -> Container:
    """What config.v2.json (at `path`) and hostconfig.json say of a container."""
    state, inner = mapping(config.get("State")), mapping(config.get("Config"))
    labels = mapping(inner.get("Labels"))
    is_privileged = host_config.get("Privileged") is True
    security = {option.replace(":", "=", 1) for option in texts(host_config.get("SecurityOpt"))}
    profile = text(config.get("AppArmorProfile"))
    nano_cpus = number(host_config.get("NanoCpus"))
    return Container(
        runtime="docker",
        path=path,
        container_id=text(config.get("ID")),
        name=text(labels.get("io.kubernetes.container.name")) or text(config.get("Name")).lstrip("/"),
        image=text(inner.get("Image")),
        image_digest=text(config.get("Image")),
        pod_name=text(labels.get("io.kubernetes.pod.name")),
        pod_namespace=text(labels.get("io.kubernetes.pod.namespace")),
        pod_uid=text(labels.get("io.kubernetes.pod.uid")),
        argv=(text(config.get("Path")), *texts(config.get("Args"))) if config.get("Path") else (),
        environ=texts(inner.get("Env")),
        created=unix_seconds(config.get("Created")),
        started=unix_seconds(state.get("StartedAt")),
        state=_state(state),
        pid=number(state.get("Pid")),
        restart_policy="kubelet" if "io.kubernetes.pod.name" in labels else _restart_policy(host_config),
        is_privileged=is_privileged,
        capabilities_added=ALL_CAPABILITIES if is_privileged else added_capabilities(texts(host_config.get("CapAdd"))),
        host_namespaces=_host_namespaces(host_config),
        mounts=tuple(_mounts(config, host_config)),
        published_ports=tuple(_ports(host_config)),
        memory_limit=number(host_config.get("Memory")),
        cpu_limit=nano_cpus / 1e9 if nano_cpus else cores(host_config.get("CpuQuota"), host_config.get("CpuPeriod")),
        is_apparmor_off=is_privileged or "apparmor=unconfined" in security or (profile == "unconfined" if profile else None),
        is_seccomp_off=is_privileged or "seccomp=unconfined" in security,
    )


def _state(state: Mapping[str, Any]) -> str:
    if state.get("Paused") is True:
        return PAUSED
    if state.get("Running") is True:
        return RUNNING
    return STOPPED if unix_seconds(state.get("StartedAt")) else CREATED


def _restart_policy(host_config: Mapping[str, Any]) -> str:
    return text(mapping(host_config.get("RestartPolicy")).get("Name")) or "no"


def _host_namespaces(host_config: Mapping[str, Any]) -> tuple[str, ...]:
    modes = {"net": "NetworkMode", "pid": "PidMode", "ipc": "IpcMode"}
    shared = [kind for kind, key in modes.items() if text(host_config.get(key)) == "host"]
    # Without userns-remap, which daemon.json says and no container's own file, all users are the host's.
    return (*shared, "user") if text(host_config.get("UsernsMode")) == "host" else tuple(shared)


def _mounts(config: Mapping[str, Any], host_config: Mapping[str, Any]) -> Iterator[HostMount]:
    points = [mapping(point) for point in mapping(config.get("MountPoints")).values()]
    for point in points:
        if text(point.get("Type")) in ("bind", "") and (source := text(point.get("Source"))).startswith("/"):
            yield HostMount(source, text(point.get("Destination")), point.get("RW") is not False)
    if points:
        return
    # A container that has never been started has them in its settings only.
    yield from filter(None, map(bind_of, texts(host_config.get("Binds"))))
    for entry in map(mapping, listed(host_config.get("Mounts"))):
        if text(entry.get("Type")) == "bind":
            yield HostMount(text(entry.get("Source")), text(entry.get("Target")), entry.get("ReadOnly") is not True)


def _ports(host_config: Mapping[str, Any]) -> Iterator[str]:
    for inside, bindings in mapping(host_config.get("PortBindings")).items():
        for binding in map(mapping, listed(bindings)):
            yield f"{text(binding.get('HostIp')) or '*'}:{text(binding.get('HostPort'))}->{inside}"
