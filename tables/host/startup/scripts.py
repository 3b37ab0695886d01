"""Scripts that lie in folders whose content is run whole: System V init, message of the day, network and package hooks."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import NamedTuple, Optional

from tables.host.disk.start_files import StartFile
from tables.host.startup.entries import SCRIPT, StartupEntry, StartupFiles
from tables.host.systemd.folders import system_folders

_INIT_FOLDERS = ("/etc/init.d", "/etc/rc.d/init.d")
# sysvinit's and insserv's runlevel links, EL's, SUSE's; OpenRC's runlevels.
_RC_FOLDER = re.compile(r"rc[S0-6]\.d|boot\.d")
_RUNLEVELS = "/etc/runlevels"
_STARTS = re.compile(r"S\d{0,2}")
# SUSE's and Debian's names for rc.local, which rc_local_commands reads.
_RC_LOCAL = frozenset({"rc.local", "boot.local", "after.local"})
# systemd-sysv-generator(8) makes a service of a script only where there is none of its name but for its own.
_UNIT_FOLDERS = tuple(folder.path for folder in system_folders() if folder.origin != "generator")
# run-parts(8): names of other characters are passed over, which leaves out backups of editors and of dpkg.
_RUN_PARTS = re.compile(r"[A-Za-z0-9_-]+")


class _Folder(NamedTuple):
    """A folder of hooks; `strict` where it is read like run-parts(8) does, `any_mode` where its files are sourced."""

    mechanism: str
    trigger: str
    path: str
    strict: bool = False
    any_mode: bool = False


# update-motd(5), NetworkManager-dispatcher(8), networkd-dispatcher(8), interfaces(5), dhclient-script(8), pppd(8),
# systemd-suspend.service(8), systemd-shutdown(8), pm-utils, initramfs-tools(7), installkernel(8), apk(8), git-init(1).
_FOLDERS = (
    _Folder("motd", "login", "/etc/update-motd.d", strict=True),
    *(
        _Folder("network_hook", "network change", f"{place}/NetworkManager/dispatcher.d{inner}")
        for place in ("/etc", "/usr/lib")
        for inner in ("", "/pre-up.d", "/pre-down.d", "/no-wait.d")
    ),
    *(
        _Folder("network_hook", "network change", f"{place}/networkd-dispatcher/{state}.d")
        for place in ("/etc", "/usr/lib")
        for state in ("routable", "dormant", "no-carrier", "off", "carrier", "degraded", "configuring", "configured")
    ),
    *(
        _Folder("network_hook", "network change", f"/etc/network/if-{state}.d", True)
        for state in ("pre-up", "up", "down", "post-down")
    ),
    *(
        _Folder("network_hook", "DHCP lease", f"/etc/{place}-{state}-hooks.d", any_mode=True)
        for place in ("dhcp/dhclient", "dhclient")
        for state in ("enter", "exit")
    ),
    _Folder("network_hook", "DHCP lease", "/etc/dhcp/dhclient.d"),
    *(
        _Folder("network_hook", "dial-up connection", f"/etc/ppp/{name}.d", True)
        for name in ("ip-up", "ip-down", "ipv6-up", "ipv6-down")
    ),
    *(_Folder("sleep_hook", "suspend", f"{place}/systemd/system-sleep") for place in ("/usr/lib", "/lib", "/etc")),
    *(_Folder("sleep_hook", "shutdown", f"{place}/systemd/system-shutdown") for place in ("/usr/lib", "/lib", "/etc")),
    *(_Folder("sleep_hook", "suspend", f"{place}/pm/sleep.d") for place in ("/etc", "/usr/lib")),
    _Folder("initramfs", "initramfs build", "/etc/initramfs-tools/hooks"),
    *(
        _Folder("initramfs", "early boot", f"/etc/initramfs-tools/scripts/{stage}")
        for stage in ("init-top", "init-premount", "local-top", "local-block", "local-premount", "local-bottom", "init-bottom")
    ),
    *(
        _Folder("package_hook", "kernel installation", f"/etc/kernel/{stage}.d", strict=True)
        for stage in ("preinst", "postinst", "prerm", "postrm", "install", "header_postinst")
    ),
    _Folder("package_hook", "package operation", "/etc/apk/commit_hooks.d"),
    _Folder("package_hook", "package operation", "/lib/apk/commit_hooks.d"),
    _Folder("xdg_autostart", "desktop login", "/etc/xdg/plasma-workspace/env", any_mode=True),
)
_FILES = (
    ("network_hook", "DHCP lease", "/etc/dhclient-exit-hooks"),
    ("network_hook", "DHCP lease", "/etc/dhcp/dhclient-exit-hooks"),
    ("network_hook", "DHCP lease", "/etc/dhcp/dhclient-enter-hooks"),
    ("network_hook", "network change", "/sbin/ifup-local"),
    ("network_hook", "network change", "/sbin/ifdown-local"),
    ("network_hook", "dial-up connection", "/etc/ppp/ip-up.local"),
)


def script_folders(source: StartupFiles) -> Iterator[StartupEntry]:
    """The scripts in folders of hooks, one entry each."""
    for folder in _FOLDERS:
        for file in source.in_folders([folder.path], ""):
            yield StartupEntry(folder.mechanism, folder.trigger, file, 0, file.path, SCRIPT, "root", _skipped(folder, file))
    for mechanism, trigger, path in _FILES:
        found = source.read(path)
        if found is not None:
            yield StartupEntry(mechanism, trigger, found, 0, found.path, SCRIPT, "root")


def _skipped(folder: _Folder, file: StartFile) -> Optional[str]:
    name = os.path.basename(file.path)
    if not folder.any_mode and not file.status.st_mode & 0o111:
        return "not executable"
    if folder.strict and not _RUN_PARTS.fullmatch(name):
        return "run-parts passes over a name like that"
    return None


def init_scripts(source: StartupFiles) -> Iterator[StartupEntry]:
    """The System V and OpenRC init scripts, one entry each; what a runlevel's folder holds besides links to them, too."""
    started = _started(source)
    listed = [f"{folder}/{name}" for folder in _INIT_FOLDERS for name in source.names(folder) if name not in _RC_LOCAL]
    for file in source.read_each([*listed, *sorted(started)]):
        if os.path.basename(file.path) in _RC_LOCAL:
            continue
        yield StartupEntry("init_script", "boot", file, 0, file.path, SCRIPT, "root", _not_started(source, file, started))


def _started(source: StartupFiles) -> set[str]:
    """The real paths of what runlevels start."""
    folders = [
        f"{place}/{name}"
        for place in ("/etc", "/etc/rc.d", "/etc/init.d")
        for name in source.names(place)
        if _RC_FOLDER.fullmatch(name)
    ]
    entries = [f"{folder}/{name}" for folder in folders for name in source.names(folder) if _STARTS.match(name)]
    entries += [
        f"{_RUNLEVELS}/{level}/{name}" for level in source.names(_RUNLEVELS) for name in source.names(f"{_RUNLEVELS}/{level}")
    ]
    return {source.real_path(path) for path in entries}


def _not_started(source: StartupFiles, file: StartFile, started: set[str]) -> Optional[str]:
    name = os.path.basename(file.path)
    if file.path not in started:
        return "no runlevel starts it"
    if not file.status.st_mode & 0o111:
        return "not executable"
    unit = re.sub(r"\.sh$", "", name)
    if any(source.exists(f"{folder}/{unit}.service") for folder in _UNIT_FOLDERS):
        return f"systemd starts {unit}.service in its place"
    return None
