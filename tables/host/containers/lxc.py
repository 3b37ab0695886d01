"""LXC's containers: the configuration file of each (lxc.container.conf(5))."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

from tables.host.containers.model import RUNNING, STOPPED, Container, HostMount
from tables.host.containers.state_files import FILE_LIMIT
from tables.host.containers.stores import Store
from tables.host.disk.files import Unreadable

ROOT = "/var/lib/lxc"
# LXC 4 and newer, of either version of cgroups; and LXC 3.
_CGROUPS = tuple(
    f"/sys/fs/cgroup{hierarchy}/{group}"
    for hierarchy in ("", "/systemd", "/pids", "/unified")
    for group in ("lxc.payload.{0}", "lxc.payload/{0}", "lxc/{0}")
)
_SHARED = {"lxc.namespace.share.net": "net", "lxc.namespace.share.pid": "pid", "lxc.namespace.share.ipc": "ipc"}
# The kinds that lxc.namespace.keep leaves with the host.
_KEPT = {"net", "pid", "ipc", "user"}


class Lxc:
    """The containers in one folder."""

    def __init__(self, store: Store, root: str = ROOT, username: str = "") -> None:
        self.store = store
        self.root = root
        self.username = username

    def all(self) -> Iterator[Container]:
        """All of them."""
        yield from self.store.each(self.store.names(self.root), self.find)

    def find(self, name: str) -> Optional[Container]:
        """The container of this name; None when there is none."""
        path = f"{self.root}/{name}/config"
        found = self.store.kept((path,), lambda: self._read(name, path))
        return found and self._as_it_runs(found)

    def _as_it_runs(self, found: Container) -> Container:
        """The container with its first process, if its cgroup is there: its own files do not tell whether it runs."""
        for place in _CGROUPS:
            folder = place.format(found.name)
            for inner in ("", "/init.scope"):
                pid = self.store.pid(f"{folder}{inner}/cgroup.procs")
                if pid is not None:
                    return found._replace(state=RUNNING, pid=pid)
        return found

    def _read(self, name: str, path: str) -> Optional[Container]:
        try:
            found = parse_lxc_config(self.store.files.read_text(path, FILE_LIMIT))
        except Unreadable as error:
            self.store.unseen.could_not_see(str(error))
            return None
        return found._replace(path=path, name=name, username=self.username)


def parse_lxc_config(config: str) -> Container:
    """What a configuration says; the names before LXC 2.1 (lxc.rootfs, lxc.aa_profile …) count as well."""
    values: dict[str, list[str]] = {}
    for line in config.splitlines():
        key, equals, value = line.partition("=")
        if equals and not key.lstrip().startswith("#"):
            values.setdefault(key.strip(), []).append(value.strip())

    def last(*keys: str) -> str:
        return next((values[key][-1] for key in keys if key in values), "")

    root = last("lxc.rootfs.path", "lxc.rootfs").rpartition(":")[2]
    profile = last("lxc.apparmor.profile", "lxc.aa_profile")
    keep = set(last("lxc.namespace.keep").split())
    shared = [kind for key, kind in _SHARED.items() if last(key) == "1"]
    has_own_users = "lxc.idmap" in values or "lxc.id_map" in values
    starts = last("lxc.start.auto") == "1"
    return Container(
        runtime="lxc",
        path="",
        argv=tuple(last("lxc.execute.cmd", "lxc.init.cmd", "lxc.init_cmd").split()),
        environ=tuple(values.get("lxc.environment", ())),
        state=STOPPED,
        restart_policy="at boot" if starts else "",
        host_namespaces=tuple(dict.fromkeys([*shared, *sorted(keep & _KEPT), *([] if has_own_users else ["user"])])),
        mounts=tuple(_mounts(values.get("lxc.mount.entry", []))),
        is_apparmor_off=profile == "unconfined" if profile else None,
        is_seccomp_off=not last("lxc.seccomp.profile", "lxc.seccomp"),
        root_folder=root if root.startswith("/") else "",
    )


def _mounts(entries: list[str]) -> Iterator[HostMount]:
    """Bind mounts among lines of fstab's form, whose targets are relative to the container's root."""
    for entry in entries:
        fields = entry.split()
        options = fields[3].split(",") if len(fields) > 3 else []
        if len(fields) > 3 and fields[0].startswith("/") and not {"bind", "rbind"}.isdisjoint(options):
            yield HostMount(fields[0], "/" + fields[1].lstrip("/"), "ro" not in options)
