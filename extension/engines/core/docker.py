"""osquery's docker_containers table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from extension.engines.core import CoreRow, core_table
from extension.engines.core.reading import Reader
from extension.engines.core.support import namespace_inode
from tables.host import Host
from tables.schema import QueryContext

_SOCKET = "/var/run/docker.sock"
_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")


def _ask(host: Host, query: QueryContext, resource: str) -> Any:
    # A tenth of a second, which most hosts have no use for.
    from extension.engines.docker_api import get

    return get(host.files.locate(_SOCKET), resource, max(0.1, min(5.0, query.seconds_left())))


def container_row(listed: dict[str, Any], details: dict[str, Any]) -> CoreRow:
    """The columns of one container from Docker's list entry and its inspect answer."""
    state, config, host_config = (details.get(key) or {} for key in ("State", "Config", "HostConfig"))
    image_id = str(listed.get("ImageID") or "")
    return {
        "id": listed.get("Id"), "name": next(iter(listed.get("Names") or []), None), "image": listed.get("Image", ""),
        "image_id": image_id.removeprefix("sha256:"), "command": listed.get("Command", ""),
        "created": listed.get("Created", 0), "state": listed.get("State", ""), "status": listed.get("Status", ""),
        "pid": state.get("Pid", -1), "path": details.get("Path", ""), "started_at": state.get("StartedAt", ""),
        "finished_at": "" if listed.get("State") == "running" else state.get("FinishedAt", ""),
        "privileged": bool(host_config.get("Privileged")), "readonly_rootfs": bool(host_config.get("ReadonlyRootfs")),
        "config_entrypoint": ", ".join(config.get("Entrypoint") or []),
        "security_options": ", ".join(host_config.get("SecurityOpt") or []), "env_variables": ", ".join(config.get("Env") or []),
    }  # fmt: skip


def _namespaces(host: Host, pid: int) -> CoreRow:
    """The namespace columns of the process `pid`; those that cannot be read are None."""
    return {f"{kind}_namespace": str(namespace_inode(host, pid, kind) or "") or None for kind in _NAMESPACES}


@core_table("docker_containers", needs_live=True, index=["id", "name"])
def docker_containers(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """All containers that Docker knows, stopped ones too; no rows where Docker does not run."""
    reader = Reader(host, "docker_containers", query)
    if not host.is_live or not host.files.exists(_SOCKET):
        return
    try:
        containers = _ask(host, query, "/containers/json?all=1")
        reader.found(_SOCKET)
    except (OSError, ValueError) as error:
        reader.missed(_SOCKET, str(error))
        return
    for listed in containers:
        query.check_time()
        try:
            details = _ask(host, query, f"/containers/{listed['Id']}/json")
        except (OSError, ValueError):
            # Removed since it was listed.
            details = {}
        row = container_row(listed, details)
        pid = row["pid"]
        yield {**row, **(_namespaces(host, pid) if isinstance(pid, int) and pid > 0 else {})}
