"""The OCI runtime specification's config.json, which containerd, CRI-O, Podman, runc and crun start containers from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

from tables.host.containers.model import ALL_CAPABILITIES, HostMount, added_capabilities
from tables.host.containers.state_files import listed, mapping, number, text, texts

_NAMESPACES = {"network": "net", "pid": "pid", "ipc": "ipc", "user": "user"}
# A privileged container has all that the kernel knows, 38 since Linux 3.16; these are in no lesser profile together.
_OF_PRIVILEGED = frozenset({"SYS_ADMIN", "SYS_MODULE", "SYS_RAWIO", "SYS_PTRACE", "MKNOD", "NET_ADMIN"})
_BIND = frozenset({"bind", "rbind"})
# What kubelets and runtimes mount into every container: its own volumes and files of their making.
_OWN_FOLDERS = (
    "/var/lib/kubelet/pods/",
    "/var/lib/k0s/kubelet/pods/",
    "/run/containerd/",
    "/run/k3s/containerd/",
    "/var/lib/containerd/",
)
_OWN_PARTS = ("/overlay-containers/", "/io.containerd.grpc.v1.cri/sandboxes/", "/containers/storage/volumes/", "/docker/volumes/")


class OciFacts(NamedTuple):
    """What config.json says; the fields are Container's."""

    argv: tuple[str, ...]
    environ: tuple[str, ...]
    is_privileged: bool
    capabilities_added: tuple[str, ...]
    host_namespaces: tuple[str, ...]
    mounts: tuple[HostMount, ...]
    memory_limit: Optional[int]
    cpu_limit: Optional[float]
    is_apparmor_off: Optional[bool]
    is_seccomp_off: Optional[bool]
    root_folder: str


def read_spec(spec: Mapping[str, Any], bundle: str) -> OciFacts:
    """The facts in a config.json that lies in the folder `bundle`, to which a relative root counts (OCI config.md)."""
    process, linux = mapping(spec.get("process")), mapping(spec.get("linux"))
    capabilities = texts(mapping(process.get("capabilities")).get("bounding"))
    plain = {name.removeprefix("CAP_") for name in capabilities}
    masked = texts(linux.get("maskedPaths"))
    is_privileged = plain >= _OF_PRIVILEGED and not masked
    resources = mapping(linux.get("resources"))
    profile = text(process.get("apparmorProfile"))
    root = text(mapping(spec.get("root")).get("path"))
    return OciFacts(
        argv=texts(process.get("args")),
        environ=texts(process.get("env")),
        is_privileged=is_privileged,
        capabilities_added=ALL_CAPABILITIES if is_privileged else added_capabilities(capabilities),
        host_namespaces=_host_namespaces(linux),
        mounts=tuple(host_mounts(spec)),
        memory_limit=number(mapping(resources.get("memory")).get("limit")),
        cpu_limit=cores(mapping(resources.get("cpu")).get("quota"), mapping(resources.get("cpu")).get("period")),
        is_apparmor_off=profile == "unconfined" if profile else None,
        is_seccomp_off="seccomp" not in linux,
        root_folder=root if root.startswith("/") or not root else f"{bundle}/{root}",
    )


def _host_namespaces(linux: Mapping[str, Any]) -> tuple[str, ...]:
    own = {text(mapping(entry).get("type")) for entry in listed(linux.get("namespaces"))}
    return tuple(short for name, short in _NAMESPACES.items() if name not in own)


def host_mounts(spec: Mapping[str, Any]) -> list[HostMount]:
    """What of the host is mounted inside, without what the runtime makes for the container itself."""
    found = []
    for entry in map(mapping, listed(spec.get("mounts"))):
        options = texts(entry.get("options"))
        source = text(entry.get("source"))
        is_bind = text(entry.get("type")) in _BIND or not _BIND.isdisjoint(options)
        if is_bind and source.startswith("/") and not is_own(source):
            found.append(HostMount(source, text(entry.get("destination")), "ro" not in options))
    return found


def is_own(source: str) -> bool:
    """Whether a mounted path is of the runtime's own making, or a volume that it keeps for the container."""
    # The socket through which the runtime is told what to do lies among these.
    return not source.endswith(".sock") and (source.startswith(_OWN_FOLDERS) or any(part in source for part in _OWN_PARTS))


def cores(quota: Any, period: Any) -> Optional[float]:
    """Cores that a quota in microseconds of each period allows; None without one. The period is 100 ms by default."""
    limit = number(quota)
    return None if limit is None else limit / (number(period) or 100_000)
