"""What is known of a container, whichever runtime keeps it."""

from __future__ import annotations

from typing import NamedTuple, Optional

RUNNING, PAUSED, CREATED, STOPPED, DECLARED = "running", "paused", "created", "stopped", "declared"
# What Docker gives a container by default (moby: oci/caps/defaults.go); containerd's, CRI-O's and Podman's are among these.
DEFAULT_CAPABILITIES = frozenset(
    {
        "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
        "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
    }
)  # fmt: skip
ALL_CAPABILITIES = ("ALL",)


class HostMount(NamedTuple):
    """A file or folder of the host that is seen inside: where it lies, where it is seen, and whether it can be written."""

    source: str
    target: str
    is_writable: bool = True

    def __str__(self) -> str:
        return f"{self.source}:{self.target}{'' if self.is_writable else ':ro'}"


class Container(NamedTuple):
    """One container.

    `runtime` is docker, containerd, crio, podman, runc, crun, youki, lxc, lxd, incus, nspawn, or what declares one that starts
    by itself: static_pod, k3s_manifest, quadlet, compose.

    `path` is the file that says so, `username` the account whose rootless store holds it. `argv` and `environ` are what it is
    started with. `host_namespaces` are the kinds (net, pid, ipc, user) that it shares with the host. None is unknown.
    """

    runtime: str
    path: str
    container_id: str = ""
    name: str = ""
    image: str = ""
    image_digest: str = ""
    pod_name: str = ""
    pod_namespace: str = ""
    pod_uid: str = ""
    argv: tuple[str, ...] = ()
    environ: tuple[str, ...] = ()
    created: Optional[int] = None
    started: Optional[int] = None
    state: str = STOPPED
    pid: Optional[int] = None
    restart_policy: str = ""
    is_privileged: bool = False
    capabilities_added: tuple[str, ...] = ()
    host_namespaces: tuple[str, ...] = ()
    mounts: tuple[HostMount, ...] = ()
    published_ports: tuple[str, ...] = ()
    memory_limit: Optional[int] = None
    cpu_limit: Optional[float] = None
    is_apparmor_off: Optional[bool] = None
    is_seccomp_off: Optional[bool] = None
    # Whether a registry has confirmed that the image is what it is called; None where that is not kept.
    is_pulled: Optional[bool] = None
    root_folder: str = ""
    username: str = ""

    @property
    def pod(self) -> str:
        """`namespace/name` of its pod; "" without one."""
        return f"{self.pod_namespace}/{self.pod_name}" if self.pod_name and self.pod_namespace else self.pod_name


def bind_of(volume: str) -> Optional[HostMount]:
    """The host's folder that `SOURCE:TARGET[:OPTIONS]` mounts; None for a volume by name, and for one without (`/data`)."""
    source, _, rest = volume.partition(":")
    target, _, options = rest.partition(":")
    return HostMount(source, target, "ro" not in options.split(",")) if source.startswith("/") and target else None


def added_capabilities(names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of `names` (with or without CAP_) that a container does not have by default, sorted."""
    plain = {name.upper().removeprefix("CAP_") for name in names}
    return ALL_CAPABILITIES if "ALL" in plain else tuple(sorted(plain - DEFAULT_CAPABILITIES))
