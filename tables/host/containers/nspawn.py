"""systemd-nspawn's containers: images in /var/lib/machines, their settings, and the machines that run (systemd.nspawn(5))."""

from __future__ import annotations

from collections.abc import Iterator

from tables.host.containers.model import ALL_CAPABILITIES, RUNNING, STOPPED, Container, HostMount, added_capabilities
from tables.host.containers.state_files import FILE_LIMIT
from tables.host.containers.stores import Store
from tables.host.disk.files import Unreadable
from tables.host.systemd.syntax import Setting, last_value, parse_unit, values

MACHINES = "/var/lib/machines"
_SETTINGS = ("/etc/systemd/nspawn", "/run/systemd/nspawn", MACHINES)
_RUNNING = "/run/systemd/machines"
_WANTS = "/etc/systemd/system/machines.target.wants"


class Nspawn:
    """All of them."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def all(self) -> Iterator[Container]:
        """All of them, running or not."""
        running = {name for name in self.store.names(_RUNNING) if not name.startswith(("unit:", "."))}
        wanted = set(self.store.names(_WANTS))
        names = {
            name.removesuffix(".raw").removesuffix(".nspawn") for name in self.store.names(MACHINES) if not name.startswith(".")
        }
        for folder in _SETTINGS[:2]:
            names |= {name.removesuffix(".nspawn") for name in self.store.names(folder) if name.endswith(".nspawn")}
        for name in sorted(names | running):
            self.store.check_time()
            yield self._container(name, name in running, f"systemd-nspawn@{name}.service" in wanted)

    def _container(self, name: str, is_running: bool, is_wanted: bool) -> Container:
        path, settings = f"{MACHINES}/{name}", ""
        for folder in _SETTINGS:
            if self.store.state(f"{folder}/{name}.nspawn") is not None:
                path, settings = f"{folder}/{name}.nspawn", self._text(f"{folder}/{name}.nspawn")
                break
        found = parse_nspawn(settings)._replace(
            path=path, name=name, root_folder=f"{MACHINES}/{name}", restart_policy="at boot" if is_wanted else ""
        )
        if not is_running:
            return found
        # systemd's own notes, KEY=VALUE (machine-dbus.c); times are microseconds.
        notes = dict(line.partition("=")[::2] for line in self._text(f"{_RUNNING}/{name}").splitlines())
        leader, started = notes.get("LEADER", ""), notes.get("REALTIME", "")
        if notes.get("CLASS", "container") != "container":
            return found
        return found._replace(
            state=RUNNING,
            pid=int(leader) if leader.isascii() and leader.isdigit() and len(leader) < 11 else None,
            started=int(started) // 10**6 if started.isascii() and started.isdigit() and len(started) < 20 else None,
            root_folder=notes.get("ROOT") or found.root_folder,
        )

    def _text(self, path: str) -> str:
        try:
            return self.store.files.read_text(path, FILE_LIMIT)
        except Unreadable as error:
            if not error.is_missing:
                self.store.unseen.could_not_see(str(error))
            return ""


def parse_nspawn(settings_text: str) -> Container:
    """What an .nspawn file says; without settings the container boots its own init in namespaces of its own."""
    settings = parse_unit(settings_text)
    capabilities = [name for value in _values(settings, "Exec", "Capability") for name in value.split()]
    users = last_value(settings, "Exec", "PrivateUsers") or ""
    network = last_value(settings, "Network", "Private") or last_value(settings, "Network", "VirtualEthernet") or ""
    is_all = "all" in (name.lower() for name in capabilities)
    return Container(
        runtime="nspawn",
        path="",
        argv=tuple((last_value(settings, "Exec", "Parameters") or "").split()),
        environ=tuple(_values(settings, "Exec", "Environment")),
        state=STOPPED,
        is_privileged=is_all,
        capabilities_added=ALL_CAPABILITIES if is_all else added_capabilities(tuple(capabilities)),
        host_namespaces=tuple(
            kind for kind, value in (("net", network), ("user", users)) if value.lower() in ("no", "false", "off", "0")
        ),
        mounts=tuple(_mounts(settings)),
        published_ports=tuple(_values(settings, "Network", "Port")),
    )


def _values(settings: list[Setting], section: str, key: str) -> list[str]:
    return [setting.value for setting in values(settings, section, key)]


def _mounts(settings: list[Setting]) -> Iterator[HostMount]:
    for key, is_writable in (("Bind", True), ("BindReadOnly", False)):
        for value in _values(settings, "Files", key):
            source, _, rest = value.lstrip("+-").partition(":")
            if source.startswith("/"):
                yield HostMount(source, rest.partition(":")[0] or source, is_writable)
