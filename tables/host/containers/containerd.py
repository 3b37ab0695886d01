"""containerd's tasks (nerdctl, Kubernetes, k3s, RKE2): the bundles below its state folder (containerd: runtime/v2/bundle.go)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Optional

from tables.host.containers.model import RUNNING, STOPPED, Container
from tables.host.containers.oci import read_spec
from tables.host.containers.state_files import mapping, read_state, text
from tables.host.containers.stores import Store

# The state folder of containerd itself, of k3s and RKE2, k0s, MicroK8s, and Docker's own where it starts one.
STATE_FOLDERS = (
    "/run/containerd", "/run/k3s/containerd", "/run/k0s/containerd", "/var/snap/microk8s/common/run/containerd",
    "/run/docker/containerd/daemon",
)  # fmt: skip
_TASKS = "io.containerd.runtime.v2.task"
_CRI = "io.kubernetes.cri."


class Containerd:
    """The running tasks of one containerd; of those that have ended it keeps no files."""

    username = ""

    def __init__(self, store: Store, state: str) -> None:
        self.store = store
        self.folder = f"{state}/{_TASKS}"

    @property
    def path(self) -> str:
        """Where its tasks are kept."""
        return self.folder

    def all(self) -> Iterator[Container]:
        """All of them, of every namespace."""
        for namespace in self.store.names(self.folder):
            yield from self.store.each(self.store.names(f"{self.folder}/{namespace}"), partial(self._container, namespace))

    def find(self, container_id: str) -> Optional[Container]:
        """The task of this id; None when there is none."""
        found = (self._container(namespace, container_id) for namespace in self.store.names(self.folder))
        return next((container for container in found if container), None)

    def _container(self, namespace: str, name: str) -> Optional[Container]:
        bundle = f"{self.folder}/{namespace}/{name}"
        paths = (f"{bundle}/config.json", f"{bundle}/init.pid")
        return self.store.kept(paths, lambda: self._read(name, bundle))

    def _read(self, name: str, bundle: str) -> Optional[Container]:
        path = f"{bundle}/config.json"
        spec = read_state(self.store.files, path, self.store.unseen)
        if not isinstance(spec, dict):
            return None
        pid = self.store.pid(f"{bundle}/init.pid")
        started = self.store.state(f"{bundle}/init.pid")
        written = self.store.state(path)
        return read_bundle(spec, bundle)._replace(
            container_id=name,
            pid=pid,
            state=RUNNING if pid else STOPPED,
            created=written[3] // 10**9 if written else None,
            started=started[3] // 10**9 if started else None,
        )


def read_bundle(spec: Mapping[str, Any], bundle: str) -> Container:
    """What a config.json that containerd wrote says: the specification, and the CRI's and nerdctl's annotations."""
    facts = read_spec(spec, bundle)
    notes = mapping(spec.get("annotations"))
    pod = text(notes.get(f"{_CRI}sandbox-name"))
    name = text(notes.get(f"{_CRI}container-name")) or text(notes.get("nerdctl/name"))
    is_sandbox = text(notes.get(f"{_CRI}container-type")) == "sandbox"
    return Container(
        runtime="containerd",
        path=f"{bundle}/config.json",
        name="(pod sandbox)" if is_sandbox else name or bundle.rpartition("/")[2],
        image=text(notes.get(f"{_CRI}image-name")) or text(notes.get("nerdctl/image-name")),
        pod_name=pod,
        pod_namespace=text(notes.get(f"{_CRI}sandbox-namespace")),
        pod_uid=text(notes.get(f"{_CRI}sandbox-uid")),
        restart_policy="kubelet" if pod else text(notes.get("containerd.io/restart.policy")),
        **facts._asdict(),
    )
