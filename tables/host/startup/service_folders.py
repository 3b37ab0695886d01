"""Services that are folders with a script named `run`: runit, daemontools, s6 and s6-overlay."""

from __future__ import annotations

from collections.abc import Iterator

from tables.host.startup.entries import SCRIPT, StartupEntry, StartupFiles

# runsvdir(8) and svscan start what lies, or is linked, in these; runit keeps the services themselves in /etc/sv.
_STARTED = (
    "/etc/service",
    "/var/service",
    "/service",
    "/run/service",
    "/run/runit/service",
    "/etc/runit/runsvdir/default",
    "/etc/runit/runsvdir/current",
    "/etc/services.d",
    "/etc/s6-overlay/s6-rc.d",
    "/etc/s6/sv",
    "/etc/s6-rc/source",
)
_KEPT = ("/etc/sv", "/etc/runit/sv", "/usr/lib/sv")
_SCRIPTS = ("run", "finish", "up", "log/run")
# s6-overlay runs what lies in these itself.
_INIT_FOLDERS = ("/etc/cont-init.d", "/etc/cont-finish.d")
_MAX_SERVICES = 1000


def service_folders(source: StartupFiles) -> Iterator[StartupEntry]:
    """The scripts of each service; those of services that are kept, but in no folder that is started, are disabled."""
    started = [service for folder in _STARTED for service in source.paths(folder)]
    kept = [service for folder in _KEPT for service in source.paths(folder)]
    if len(started) + len(kept) > _MAX_SERVICES:
        source.query.truncate(f"only the first {_MAX_SERVICES} services of runit and s6 were looked at")
    seen: set[str] = set()
    for service in (started + kept)[:_MAX_SERVICES]:
        real = source.real_path(service)
        if real in seen:
            continue
        seen.add(real)
        why = "in no folder that is started" if service.startswith(tuple(f"{folder}/" for folder in _KEPT)) else None
        for file in source.read_each(f"{service}/{name}" for name in _SCRIPTS):
            yield StartupEntry("supervisor", "boot", file, 0, file.path, SCRIPT, "root", why)
    for file in source.in_folders(_INIT_FOLDERS, ""):
        yield StartupEntry("supervisor", "boot", file, 0, file.path, SCRIPT, "root")
