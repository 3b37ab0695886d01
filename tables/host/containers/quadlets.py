"""Quadlets: files of systemd's syntax from which Podman makes units that start containers (podman-systemd.unit(5))."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Optional

from tables.host import Host
from tables.host.containers.manifests import Manifests
from tables.host.containers.model import ALL_CAPABILITIES, DECLARED, Container, added_capabilities, bind_of
from tables.host.containers.state_files import FILE_LIMIT
from tables.host.containers.stores import Store
from tables.host.disk.files import Unreadable
from tables.host.systemd.syntax import Setting, last_value, parse_unit, split_words, values

_SYSTEM = (
    "/etc/containers/systemd",
    "/run/containers/systemd",
    "/usr/share/containers/systemd",
    "/usr/local/share/containers/systemd",
)
_USERS = "/etc/containers/systemd/users"
_HOME = ".config/containers/systemd"
_MAX_FILES = 1000
_MAX_USER_FILES = 100
# What lies beside quadlets of containers and needs no look whether it is a folder of more of them.
_OTHERS = (".d", ".volume", ".network", ".image", ".build", ".pod", ".conf")
_OPTION = re.compile(r"--(pid|ipc|network|net|userns|cap-add|volume)[= ](\S{1,1024})")


class Quadlets:
    """Those of the system and of all users."""

    def __init__(self, host: Host, store: Store) -> None:
        self.host = host
        self.store = store
        self.manifests = Manifests(store)

    def all(self) -> Iterator[Container]:
        """One container for each that they declare."""
        for folder in (*_SYSTEM, _USERS):
            yield from self._below(folder, "", _MAX_FILES)
        for home, account in self.host.accounts.by_home.items():
            self.store.check_time()
            folder = f"{home.rstrip('/')}/{_HOME}"
            if self.store.state(folder) is not None:
                found = self._below(folder, account.name, _MAX_USER_FILES)
                yield from self.store.of_account(account.name, folder, found)

    def _below(self, folder: str, username: str, left: int, depth: int = 0) -> Iterator[Container]:
        for name in self.store.names(folder, left):
            self.store.check_time()
            path = f"{folder}/{name}"
            if name.endswith(".container"):
                found = self.store.kept((path, *self._drop_ins(path)), partial(self._read, path))
                if found is not None:
                    yield found._replace(path=path, name=found.name or f"systemd-{name[: -len('.container')]}", username=username)
            elif name.endswith(".kube"):
                named = last_value(parse_unit(self._text(path)), "Kube", "Yaml") or ""
                if named:
                    yield from self.manifests.read(named if named.startswith("/") else f"{folder}/{named}", "quadlet", username)
            elif path != _USERS and not name.endswith(_OTHERS) and self.store.is_inner_folder(path, depth):
                yield from self._below(path, username, left, depth + 1)

    def _drop_ins(self, path: str) -> list[str]:
        names = self.store.names(f"{path}.d", _MAX_USER_FILES)
        return [f"{path}.d/{name}" for name in names if name.endswith(".conf")]

    def _read(self, path: str) -> Optional[Container]:
        return parse_quadlet("\n".join(self._text(each) for each in (path, *self._drop_ins(path))))

    def _text(self, path: str) -> str:
        try:
            return self.store.files.read_text(path, FILE_LIMIT)
        except Unreadable as error:
            self.store.unseen.could_not_see(str(error))
            return ""


def parse_quadlet(unit: str) -> Container:
    """What a .container file says; its drop-ins may follow it."""
    settings = parse_unit(unit)
    arguments = " ".join(_values(settings, "PodmanArgs"))
    options = _OPTION.findall(arguments)
    words = set(arguments.split())
    is_privileged = "--privileged" in words or "--privileged=true" in words
    added = [name for value in _values(settings, "AddCapability") for name in value.split()]
    added += [value for name, value in options if name == "cap-add"]
    shared = {kind for kind, key in (("net", "Network"), ("user", "UserNS")) if (_last(settings, key) or "") == "host"}
    shared |= {{"network": "net", "userns": "user"}.get(name, name) for name, value in options if value == "host"}
    volumes = [*_values(settings, "Volume"), *(value for name, value in options if name == "volume")]
    entrypoint = _last(settings, "Entrypoint")
    restart = last_value(settings, "Service", "Restart") or ""
    wanted = last_value(settings, "Install", "WantedBy") or last_value(settings, "Install", "RequiredBy")
    seccomp = _last(settings, "SeccompProfile")
    return Container(
        runtime="quadlet",
        path="",
        name=_last(settings, "ContainerName") or "",
        image=_last(settings, "Image") or "",
        argv=(*([entrypoint] if entrypoint else []), *split_words(_last(settings, "Exec") or "")),
        environ=tuple(word for value in _values(settings, "Environment") for word in split_words(value)),
        state=DECLARED,
        restart_policy=restart if restart and restart != "no" else "at boot" if wanted else "no",
        is_privileged=is_privileged,
        capabilities_added=ALL_CAPABILITIES if is_privileged else added_capabilities(tuple(added)),
        host_namespaces=tuple(sorted(shared & {"net", "pid", "ipc", "user"})),
        mounts=tuple(filter(None, (bind_of(volume) for volume in volumes))),
        published_ports=tuple(_values(settings, "PublishPort")),
        is_apparmor_off=None,
        is_seccomp_off=seccomp == "unconfined" if seccomp else is_privileged or None,
    )


def _values(settings: list[Setting], key: str) -> list[str]:
    return [setting.value for setting in values(settings, "Container", key)]


def _last(settings: list[Setting], key: str) -> Optional[str]:
    return last_value(settings, "Container", key)
