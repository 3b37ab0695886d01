"""Compose files that a systemd unit starts (compose-spec); what is up already is among Docker's and Podman's containers."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Optional

from tables.host.containers.manifests import quantity
from tables.host.containers.model import ALL_CAPABILITIES, DECLARED, Container, HostMount, added_capabilities, bind_of
from tables.host.containers.state_files import listed, mapping, number, text, texts
from tables.host.containers.stores import Store
from tables.host.disk.files import Unreadable
from tables.host.systemd.syntax import last_value, parse_unit

_UNIT_FOLDERS = ("/etc/systemd/system", "/usr/local/lib/systemd/system")
_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
_STARTS = re.compile(r"\b(?:docker|podman|nerdctl)(?:-compose|[ \t]{1,16}compose)\b")
_FILE = re.compile(r"(?:-f|--file)[= ]{1,4}[\"']?([^\s\"']{1,1024})")
_FOLDER = re.compile(r"--project-directory[= ]{1,4}[\"']?([^\s\"']{1,1024})")
_SIZE = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,9}))? ?([kmgt]?)b?")
_LIMIT = 256 * 1024


class Compose:
    """All of them."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def all(self) -> Iterator[Container]:
        """One container for each service of each file."""
        for path in dict.fromkeys(self._files()):
            self.store.check_time()
            found = self.store.kept((path,), partial(self._read, path))
            yield from (each._replace(path=path) for each in found or ())

    def _files(self) -> Iterator[str]:
        for folder in _UNIT_FOLDERS:
            for name in self.store.names(folder):
                if name.endswith(".service"):
                    path = f"{folder}/{name}"
                    yield from self.store.kept((path,), partial(self._of_unit, path)) or ()

    def _of_unit(self, path: str) -> list[str]:
        try:
            unit = self.store.files.read_text(path, _LIMIT)
        except Unreadable:
            return []
        if not _STARTS.search(unit):
            return []
        working = (last_value(parse_unit(unit), "Service", "WorkingDirectory") or "/").lstrip("-")
        folder = next(iter(_FOLDER.findall(unit)), working)
        named = _FILE.findall(unit) or [next((n for n in _NAMES if self.store.files.exists(f"{folder}/{n}")), "")]
        return [posixpath.normpath(posixpath.join(folder, name)) for name in named if name]

    def _read(self, path: str) -> list[Container]:
        import yaml  # Start-up does not need it.

        try:
            return list(parse_compose(self.store.files.read_text(path, _LIMIT), posixpath.dirname(path)))
        except Unreadable as error:
            self.store.unseen.could_not_see(str(error))
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            self.store.unseen.could_not_see(f"{path}: no compose file: {str(error).partition(chr(10))[0]}")
        return []


def parse_compose(document: str, folder: str) -> Iterator[Container]:
    """The containers of a compose file that lies in `folder`; yaml.YAMLError, ValueError or RecursionError for no YAML."""
    from tables.text import bounded_yaml

    services = mapping(mapping(bounded_yaml.load(document)).get("services"))
    for name, service in services.items():
        yield _container(str(name), mapping(service), folder)


def _container(name: str, service: Mapping[str, Any], folder: str) -> Container:
    is_privileged = service.get("privileged") is True
    modes = {"net": "network_mode", "pid": "pid", "ipc": "ipc", "user": "userns_mode"}
    security = {option.replace(":", "=", 1) for option in texts(service.get("security_opt"))}
    variables = service.get("environment")
    environ = (
        tuple(text(f"{key}={'' if value is None else value}") for key, value in variables.items())
        if isinstance(variables, dict)
        else texts(variables)
    )
    limits = mapping(mapping(mapping(service.get("deploy")).get("resources")).get("limits"))
    return Container(
        runtime="compose",
        path="",
        name=text(service.get("container_name")) or name,
        image=text(service.get("image")),
        argv=(*_words(service.get("entrypoint")), *_words(service.get("command"))),
        environ=environ,
        state=DECLARED,
        restart_policy=str(service.get("restart") or "no").lower(),
        is_privileged=is_privileged,
        capabilities_added=ALL_CAPABILITIES if is_privileged else added_capabilities(texts(service.get("cap_add"))),
        host_namespaces=tuple(kind for kind, key in modes.items() if service.get(key) == "host"),
        mounts=tuple(filter(None, (_mount(volume, folder) for volume in listed(service.get("volumes"))))),
        published_ports=tuple(str(port) for port in listed(service.get("ports")) if isinstance(port, (str, int))),
        memory_limit=size(str(service.get("mem_limit", limits.get("memory", "")))),
        cpu_limit=quantity(str(service.get("cpus", limits.get("cpus", "")))),
        is_apparmor_off=is_privileged or "apparmor=unconfined" in security,
        is_seccomp_off=is_privileged or "seccomp=unconfined" in security,
    )


def _words(command: Any) -> tuple[str, ...]:
    """A command's words; one text is split as a shell does."""
    if not isinstance(command, str):
        return texts(command)
    try:
        return tuple(shlex.split(text(command)))
    except ValueError:
        return tuple(text(command).split())


def _mount(volume: Any, folder: str) -> Optional[HostMount]:
    if isinstance(volume, dict):
        source, is_writable = text(volume.get("source")), volume.get("read_only") is not True
        is_bind = volume.get("type") == "bind" and source != ""
        found = HostMount(posixpath.join(folder, source), text(volume.get("target")), is_writable) if is_bind else None
    else:
        written = text(volume)
        found = bind_of(f"{folder}/{written}" if written.startswith(".") else written)
    return found and found._replace(source=posixpath.normpath(found.source))


def size(written: str) -> Optional[int]:
    """The bytes that a compose file writes as `512m`, `1.5gb` or a number (compose-spec: byte values); None for what is none."""
    found = _SIZE.fullmatch(written[:64].strip().lower())
    return None if found is None else number(float(f"{found[1]}.{found[2] or 0}") * 1024 ** " kmgt".index(found[3] or " "))
