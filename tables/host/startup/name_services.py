"""Libraries that every program loads to look up accounts and hosts (nsswitch.conf(5))."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tables.host.disk.start_files import StartFile
from tables.host.startup.entries import NAME, StartupEntry, StartupFiles
from tables.host.startup.pam_configs import LIBRARY_FOLDERS

_CONFIGS = ("/etc/nsswitch.conf", "/usr/etc/nsswitch.conf")
_SERVICE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ACTIONS = re.compile(r"\[[^\]]{0,1000}\]")
_MAX_SERVICES = 64


def parse_nsswitch(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line, service) for each service that a database is looked up in, none twice."""
    seen: set[str] = set()
    for number, line in enumerate(text.split("\n"), 1):
        database, colon, services = line.partition("#")[0].partition(":")
        if not colon or not database.strip():
            continue
        for service in _ACTIONS.sub(" ", services).split():
            if _SERVICE.fullmatch(service) and service not in seen:
                seen.add(service)
                yield number, service


def service_libraries(source: StartupFiles) -> Iterator[tuple[StartFile, dict[str, int]]]:
    """Each nsswitch.conf with the libraries of its services, packaged or not, and the lines that name them."""
    for config in source.read_each(_CONFIGS):
        services = list(parse_nsswitch(config.text))
        if len(services) > _MAX_SERVICES:
            source.query.truncate(f"{config.path}: only the first {_MAX_SERVICES} services were looked at")
        yield (
            config,
            {
                f"{folder}/libnss_{service}.so.2": number
                for number, service in services[:_MAX_SERVICES]
                for folder in LIBRARY_FOLDERS
                if f"libnss_{service}.so.2" in source.names(folder)
            },
        )


def name_service_libraries(source: StartupFiles) -> Iterator[StartupEntry]:
    """The libraries of nsswitch.conf's services that no package owns."""
    for config, lines in service_libraries(source):
        seen: set[str] = set()
        for path in source.unpackaged(lines):
            real = source.real_path(path)
            if real not in seen:
                seen.add(real)
                yield StartupEntry("name_service", "any program", config, lines[path], path, NAME, program=path)
