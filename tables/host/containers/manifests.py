"""Kubernetes manifests that a node starts by itself: the kubelet's static pods, and what k3s and RKE2 servers deploy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional

from tables.host.containers.model import ALL_CAPABILITIES, DECLARED, Container, HostMount, added_capabilities
from tables.host.containers.state_files import listed, mapping, number, text, texts
from tables.host.containers.stores import Store
from tables.host.disk.files import Unreadable

STATIC_PODS = (
    "/etc/kubernetes/manifests", "/var/lib/rancher/k3s/agent/pod-manifests", "/var/lib/rancher/rke2/agent/pod-manifests",
    "/etc/kubelet.d", "/var/lib/k0s/kubelet/manifests",
)  # fmt: skip
SERVER_MANIFESTS = ("/var/lib/rancher/k3s/server/manifests", "/var/lib/rancher/rke2/server/manifests", "/var/lib/k0s/manifests")
# Where the kubelet is told of other folders: its configuration, kubeadm's flags, distributions' settings and its unit.
_KUBELET_FILES = (
    "/var/lib/kubelet/config.yaml", "/etc/kubernetes/kubelet.conf", "/etc/kubernetes/kubelet/kubelet-config.json",
    "/var/lib/kubelet/kubeadm-flags.env", "/etc/default/kubelet", "/etc/sysconfig/kubelet",
    "/etc/systemd/system/kubelet.service", "/usr/lib/systemd/system/kubelet.service", "/lib/systemd/system/kubelet.service",
)  # fmt: skip
_DROP_INS = ("/etc/systemd/system/kubelet.service.d", "/usr/lib/systemd/system/kubelet.service.d")
_FOLDER = re.compile(r"""(?:--pod-manifest-path[= ]|["']?staticPodPath["']?[ \t]{0,16}:[ \t]{0,16})["']?(/[^\s"',#]{1,1024})""")
_LIMIT = 256 * 1024
# Parsing YAML takes tens of milliseconds a kilobyte on a slow machine.
_ACCOUNT_LIMIT = 16 * 1024
_MAX_FILES = 500
_MAX_DOCUMENTS = 500
_POLICIES = {"Always": "always", "OnFailure": "on-failure", "Never": "no"}
_QUANTITY = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,9}))?([mkKMGTPE]?i?)")
_SCALES = {"": 1.0, "m": 1e-3, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}


class Manifests:
    """All of them."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def all(self) -> Iterator[Container]:
        """One container for each that they declare."""
        for folder in dict.fromkeys((*STATIC_PODS, *self._other_folders())):
            yield from self._below(folder, "static_pod", 0)
        for folder in SERVER_MANIFESTS:
            yield from self._below(folder, "k3s_manifest", 0)

    def _other_folders(self) -> Iterator[str]:
        drop_ins = (f"{folder}/{name}" for folder in _DROP_INS for name in self.store.names(folder))
        for path in (*_KUBELET_FILES, *drop_ins):
            try:
                settings = self.store.files.read_text(path, _LIMIT)
            except Unreadable:
                continue
            yield from (folder.rstrip("/") or "/" for folder in _FOLDER.findall(settings))

    def _below(self, folder: str, runtime: str, depth: int) -> Iterator[Container]:
        # The kubelet's option may also name a file.
        if not depth and not self.store.files.is_folder(folder):
            yield from self.read(folder, runtime) if self.store.state(folder) else ()
            return
        for name in self.store.names(folder, _MAX_FILES):
            self.store.check_time()
            path = f"{folder}/{name}"
            # The kubelet reads every file in its folder but hidden ones; servers go into folders, too.
            if runtime == "k3s_manifest" and self.store.is_inner_folder(path, depth):
                yield from self._below(path, runtime, depth + 1)
            elif not name.startswith(".") and (runtime == "static_pod" or name.endswith((".yaml", ".yml", ".json"))):
                yield from self.read(path, runtime)

    def read(self, path: str, runtime: str, username: str = "") -> list[Container]:
        """The containers that the manifest at `path` declares."""
        limit = _ACCOUNT_LIMIT if username else _LIMIT
        found = self.store.kept((path,), lambda: self._parsed(path, limit)) or []
        return [each._replace(runtime=runtime, path=path, username=username) for each in found]

    def _parsed(self, path: str, limit: int) -> list[Container]:
        import yaml  # Start-up does not need it.

        found: list[Container] = []
        try:
            data = self.store.files.read_text(path, limit)
            found.extend(parse_manifest(data))
        except Unreadable as error:
            self.store.unseen.could_not_see(str(error))
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            self.store.unseen.could_not_see(f"{path}: no manifest: {str(error).partition(chr(10))[0]}")
        return found


def parse_manifest(document: str) -> Iterator[Container]:
    """The containers in the documents of a manifest; yaml.YAMLError, ValueError or RecursionError when it is no YAML."""
    from tables.text import bounded_yaml

    for number_, document_ in enumerate(bounded_yaml.load_all(document)):
        if number_ >= _MAX_DOCUMENTS:
            raise ValueError(f"more than {_MAX_DOCUMENTS} documents")
        for workload in _workloads(mapping(document_)):
            yield from _containers(workload)


def _workloads(document: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    members = [mapping(item) for item in listed(document.get("items"))]
    return members if text(document.get("kind")).endswith("List") else [document]


def _containers(workload: Mapping[str, Any]) -> Iterator[Container]:
    meta = mapping(workload.get("metadata"))
    spec = _pod_spec(workload)
    volumes = {}
    for volume in map(mapping, listed(spec.get("volumes"))):
        place = text(mapping(volume.get("hostPath")).get("path"))
        if place:
            volumes[text(volume.get("name"))] = place
    shared = {"net": "hostNetwork", "pid": "hostPID", "ipc": "hostIPC"}
    common = Container(
        runtime="",
        path="",
        pod_name=text(meta.get("name")),
        pod_namespace=text(meta.get("namespace")) or "default",
        pod_uid=text(meta.get("uid")),
        state=DECLARED,
        restart_policy=_POLICIES.get(text(spec.get("restartPolicy")), "always"),
        host_namespaces=tuple(kind for kind, key in shared.items() if spec.get(key) is True),
    )
    of_pod = mapping(spec.get("securityContext"))
    for key in ("initContainers", "containers"):
        for each in map(mapping, listed(spec.get(key))):
            yield _container(common, each, volumes, of_pod)


def _pod_spec(workload: Mapping[str, Any]) -> Mapping[str, Any]:
    """The pod that a workload is or makes: of a Deployment, DaemonSet or Job its template, of a CronJob its job's."""
    spec = mapping(workload.get("spec"))
    spec = mapping(mapping(spec.get("jobTemplate")).get("spec")) or spec
    return mapping(mapping(spec.get("template")).get("spec")) or spec


def _container(common: Container, each: Mapping[str, Any], volumes: Mapping[str, str], of_pod: Mapping[str, Any]) -> Container:
    security = mapping(each.get("securityContext"))
    is_privileged = security.get("privileged") is True
    seccomp = mapping(security.get("seccompProfile")) or mapping(of_pod.get("seccompProfile"))
    apparmor = mapping(security.get("appArmorProfile")) or mapping(of_pod.get("appArmorProfile"))
    limits = mapping(mapping(each.get("resources")).get("limits"))
    added = texts(mapping(security.get("capabilities")).get("add"))
    mounts = [mapping(mount) for mount in listed(each.get("volumeMounts"))]
    ports = [mapping(port) for port in listed(each.get("ports"))]
    return common._replace(
        name=text(each.get("name")),
        image=text(each.get("image")),
        argv=(*texts(each.get("command")), *texts(each.get("args"))),
        environ=tuple(f"{text(entry.get('name'))}={text(entry.get('value'))}" for entry in map(mapping, listed(each.get("env")))),
        is_privileged=is_privileged,
        capabilities_added=ALL_CAPABILITIES if is_privileged else added_capabilities(added),
        mounts=tuple(
            HostMount(volumes[text(mount.get("name"))], text(mount.get("mountPath")), mount.get("readOnly") is not True)
            for mount in mounts
            if text(mount.get("name")) in volumes
        ),
        published_ports=tuple(
            f"*:{port['hostPort']}->{port.get('containerPort')}/{text(port.get('protocol')).lower() or 'tcp'}"
            for port in ports
            if number(port.get("hostPort"))
        ),
        memory_limit=number(quantity(str(limits.get("memory", "")))),
        cpu_limit=quantity(str(limits.get("cpu", ""))),
        is_seccomp_off=True if is_privileged else text(seccomp.get("type")) == "Unconfined" if seccomp else None,
        is_apparmor_off=True if is_privileged else text(apparmor.get("type")) == "Unconfined" if apparmor else None,
    )


def quantity(written: str) -> Optional[float]:
    """The number that a Kubernetes quantity writes: `500m` is 0.5, `1Ki` is 1024; None for what is none."""
    found = _QUANTITY.fullmatch(written[:64])
    if found is None:
        return None
    unit = found[3]
    scale = 1024.0 ** (" KMGTPE".index(unit[0].upper())) if unit.endswith("i") and len(unit) == 2 else _SCALES.get(unit, 0.0)
    return float(f"{found[1]}.{found[2] or 0}") * scale or None
