"""What the runtimes write for a container, below any root folder: the fields that they write, in the files where they lie."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

DEFAULT_CAPABILITIES = ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"]
PRIVILEGED = ["CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_PTRACE", "CAP_MKNOD", "CAP_NET_ADMIN"]
# Writes a file, given its path and text, below whatever root the caller has in mind.
Write = Callable[[str, str], object]


def container_id(name: str) -> str:
    """An id of 64 digits that is always the same for a name."""
    return hashlib.sha256(name.encode()).hexdigest()


def docker(
    write: Write,
    name: str,
    image: str,
    argv: Sequence[str],
    *,
    root: str = "/var/lib/docker",
    environ: Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
    state: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    **host_config: Any,
) -> str:
    """A container of Docker's; its id."""
    made = container_id(name)
    binds = [bind.split(":") for bind in host_config.get("Binds", ())]
    points = {bind[1]: {"Type": "bind", "Source": bind[0], "Destination": bind[1], "RW": "ro" not in bind[2:]} for bind in binds}
    document = {
        "StreamConfig": {},
        "State": {"Running": False, "Paused": False, "Pid": 0, "StartedAt": "2026-11-20T10:00:00.5Z", **(state or {})},
        "ID": made,
        "Created": "2026-11-20T09:59:58.123456789Z",
        "Path": argv[0] if argv else "",
        "Args": list(argv[1:]),
        "Config": {"Image": image, "Env": list(environ), "Labels": dict(labels or {})},
        "Image": "sha256:" + container_id(image),
        "Name": f"/{name}",
        "AppArmorProfile": "docker-default",
        "MountPoints": points,
        **(config or {}),
    }
    settings = {
        "NetworkMode": "bridge",
        "PidMode": "",
        "IpcMode": "private",
        "Privileged": False,
        "RestartPolicy": {"Name": "no"},
    }
    write(f"{root}/containers/{made}/config.v2.json", json.dumps(document))
    write(f"{root}/containers/{made}/hostconfig.json", json.dumps({**settings, **host_config}))
    return made


def pulled(write: Write, repository: str, image: str) -> None:
    """Docker's note that `image` came from its registry under the name of `repository`."""
    digest = "sha256:" + container_id(image)
    names = {image: digest, f"{repository}@sha256:{'0' * 64}": digest}
    write("/var/lib/docker/image/overlay2/repositories.json", json.dumps({"Repositories": {repository: names}}))


def specification(
    argv: Sequence[str],
    *,
    environ: Sequence[str] = (),
    annotations: Mapping[str, str] | None = None,
    capabilities: Sequence[str] = DEFAULT_CAPABILITIES,
    mounts: Sequence[tuple[str, str, str]] = (),
    shares: Sequence[str] = (),
    root: str = "rootfs",
    **linux: Any,
) -> str:
    """A config.json of the OCI runtime specification; `shares` are the kinds of namespaces that it has none of."""
    kinds = ("pid", "network", "ipc", "uts", "mount")
    masked = [] if set(PRIVILEGED) <= set(capabilities) else ["/proc/acpi", "/proc/kcore"]
    return json.dumps(
        {
            "ociVersion": "1.1.0",
            "process": {"args": list(argv), "env": list(environ), "cwd": "/", "capabilities": {"bounding": list(capabilities)}},
            "root": {"path": root},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                *({"destination": at, "type": "bind", "source": of, "options": ["rbind", how]} for of, at, how in mounts),
            ],
            "annotations": dict(annotations or {}),
            "linux": {"namespaces": [{"type": kind} for kind in kinds if kind not in shares], "maskedPaths": masked, **linux},
        }
    )


def containerd(
    write: Write, name: str, spec: str, *, state: str = "/run/containerd", namespace: str = "k8s.io", pid: int = 0
) -> str:
    """A task of containerd's; its id."""
    made = container_id(name)
    bundle = f"{state}/io.containerd.runtime.v2.task/{namespace}/{made}"
    write(f"{bundle}/config.json", spec)
    if pid:
        write(f"{bundle}/init.pid", str(pid))
    return made


def pod(name: str, namespace: str, container: str, image: str) -> dict[str, str]:
    """The annotations of containerd's CRI plug-in (containerd: pkg/cri/annotations)."""
    prefix = "io.kubernetes.cri"
    return {
        f"{prefix}.container-type": "container",
        f"{prefix}.container-name": container,
        f"{prefix}.image-name": image,
        f"{prefix}.sandbox-name": name,
        f"{prefix}.sandbox-namespace": namespace,
        f"{prefix}.sandbox-uid": "uid-" + name,
    }


def podman(
    root: Path,
    write: Write,
    name: str,
    image: str,
    spec: str,
    *,
    store: str = "/var/lib/containers/storage",
    run: str = "/run/containers/storage",
    record: Mapping[str, Any] | None = None,
    pid: int = 0,
) -> str:
    """A container of Podman's with its record in db.sql; its id."""
    made = container_id(name)
    details = {"image-name": image, "image-id": container_id(image), "name": name, "created-at": 1795000000}
    listed = [{"id": made, "names": [name], "image": container_id(image), "metadata": json.dumps(details)}]
    write(f"{store}/overlay-containers/containers.json", json.dumps(listed))
    write(f"{store}/overlay-containers/{made}/userdata/config.json", spec)
    if pid:
        write(f"{run}/overlay-containers/{made}/userdata/pidfile", str(pid))
    if record is not None:
        path = root / store.lstrip("/") / "db.sql"
        with sqlite3.connect(path) as database:
            # Podman: libpod/sqlite_state_internal.go.
            database.execute(
                "CREATE TABLE ContainerConfig (ID TEXT PRIMARY KEY NOT NULL, Name TEXT, PodID TEXT, JSON TEXT NOT NULL)"
            )
            document = json.dumps({"id": made, "name": name, "rootfsImageName": image, **record})
            database.execute("INSERT INTO ContainerConfig VALUES (?, ?, NULL, ?)", (made, name, document))
        database.close()
    return made
