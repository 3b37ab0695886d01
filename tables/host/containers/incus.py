"""LXD's and Incus's instances: the backup.yaml that each keeps beside its root folder (lxd: instance/drivers)."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Optional

from tables.host.containers.model import RUNNING, STOPPED, Container, HostMount
from tables.host.containers.state_files import FILE_LIMIT, mapping, text, unix_seconds
from tables.host.containers.stores import Store
from tables.host.disk.files import Unreadable

# Who keeps its instances where.
PLACES = (("lxd", "/var/lib/lxd"), ("lxd", "/var/snap/lxd/common/lxd"), ("incus", "/var/lib/incus"))
_MAX_YAML = 256 * 1024


class Instances:
    """The containers of one daemon, which lie in its storage pools."""

    def __init__(self, store: Store, runtime: str, root: str) -> None:
        self.store = store
        self.runtime = runtime
        self.root = root

    def all(self) -> Iterator[Container]:
        """All of them, as far as their storage is mounted where we see it."""
        for pool in self.store.names(f"{self.root}/storage-pools"):
            folder = f"{self.root}/storage-pools/{pool}/containers"
            yield from self.store.each(self.store.names(folder), partial(self._container, folder))

    def _container(self, pool: str, name: str) -> Optional[Container]:
        folder = f"{pool}/{name}"
        path = f"{folder}/backup.yaml"
        return self.store.kept((path,), lambda: self._read(folder, path))

    def _read(self, folder: str, path: str) -> Optional[Container]:
        import yaml  # Start-up does not need it.

        try:
            found = parse_backup(self.store.files.read_text(path, FILE_LIMIT))
        except (Unreadable, yaml.YAMLError, ValueError, RecursionError) as error:
            self.store.unseen.could_not_see(f"{path}: {str(error).partition(chr(10))[0]}")
            return None
        # The names in a project that is not the default one begin with the project's.
        name = found.name or folder.rpartition("/")[2]
        return found._replace(runtime=self.runtime, path=path, name=name, root_folder=f"{folder}/rootfs")


def parse_backup(document: str) -> Container:
    """What a backup.yaml says; yaml.YAMLError, ValueError or RecursionError when it is no YAML, or longer than 256 KiB."""
    from tables.text import bounded_yaml

    if len(document) > _MAX_YAML:
        raise ValueError("longer than such files are")
    root = mapping(bounded_yaml.load(document))
    instance = mapping(root.get("instance") or root.get("container"))
    config = {key: text(str(value)) for key, value in _settings(instance, "config").items()}
    devices = [mapping(device) for device in _settings(instance, "devices").values()]
    is_running = config.get("volatile.last_state.power") == "RUNNING" or instance.get("status") == "Running"
    raw = config.get("raw.lxc", "")
    image = " ".join(filter(None, (config.get("image.os"), config.get("image.release"))))
    return Container(
        runtime="incus",
        path="",
        name=text(instance.get("name")),
        image=image or config.get("image.description", ""),
        image_digest=config.get("volatile.base_image", ""),
        environ=tuple(f"{key[len('environment.') :]}={value}" for key, value in config.items() if key.startswith("environment.")),
        created=_time(instance.get("created_at")),
        state=RUNNING if is_running else STOPPED,
        restart_policy="at boot" if config.get("boot.autostart") == "true" else "",
        is_privileged=config.get("security.privileged") == "true",
        host_namespaces=("user",) if config.get("security.privileged") == "true" else (),
        mounts=tuple(_mounts(devices)),
        published_ports=tuple(
            f"{device.get('listen')}->{device.get('connect')}" for device in devices if device.get("type") == "proxy"
        ),
        is_apparmor_off="apparmor.profile=unconfined" in raw.replace(" ", ""),
        is_seccomp_off=config.get("security.syscalls.deny_default") == "false",
    )


def _settings(instance: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Its own settings with those of its profiles."""
    return {
        str(key): value for key, value in {**mapping(instance.get(f"expanded_{name}")), **mapping(instance.get(name))}.items()
    }


def _time(value: Any) -> Optional[int]:
    if isinstance(value, datetime.datetime):
        return int(value.replace(tzinfo=value.tzinfo or datetime.timezone.utc).timestamp())
    return unix_seconds(value)


def _mounts(devices: list[dict[str, Any]]) -> Iterator[HostMount]:
    for device in devices:
        source = text(device.get("source"))
        if device.get("type") == "disk" and source.startswith("/"):
            yield HostMount(source, text(device.get("path")), str(device.get("readonly")).lower() != "true")
