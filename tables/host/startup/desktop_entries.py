"""What desktops start at login, and what the message buses start on demand."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Optional

from tables.host.disk.start_files import StartFile
from tables.host.startup.entries import SCRIPT, SHELL, StartupEntry, StartupFiles
from tables.text.key_files import Setting, first_values

# Earlier folders win (Desktop Application Autostart Specification).
_AUTOSTART = ("/etc/xdg/autostart", "/usr/share/gnome/autostart", "/usr/local/share/gnome/autostart", "/usr/share/autostart")
_HOME_AUTOSTART = ".config/autostart"
_HOME_SCRIPTS = ".config/autostart-scripts"
_FIELD_CODE = re.compile(r"%(.)")
_BUSES = {
    "/etc/dbus-1/system-services": "system bus",
    "/run/dbus-1/system-services": "system bus",
    "/usr/local/share/dbus-1/system-services": "system bus",
    "/usr/share/dbus-1/system-services": "system bus",
    "/usr/local/share/dbus-1/services": "session bus",
    "/usr/share/dbus-1/services": "session bus",
}
_HOME_BUS = ".local/share/dbus-1/services"
_PATH = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin")


def xdg_autostart(source: StartupFiles) -> Iterator[StartupEntry]:
    """The autostart entries of the system and of every account, and KDE's autostart scripts."""
    for file in source.in_folders(_AUTOSTART, ".desktop"):
        yield from _autostart(source, file, None, None)
    for account, _, file in source.below_homes(folders=[_HOME_AUTOSTART]):
        if file.path.endswith(".desktop"):
            yield from _autostart(source, file, account.name, account.home)
        elif file.status.st_mode & 0o111:
            # KDE runs these as well.
            yield StartupEntry("xdg_autostart", "desktop login", file, 0, file.path, SCRIPT, account.name, home=account.home)
    for account, _, file in source.below_homes(folders=[_HOME_SCRIPTS]):
        yield StartupEntry("xdg_autostart", "desktop login", file, 0, file.path, SCRIPT, account.name, home=account.home)


def dbus_services(source: StartupFiles) -> Iterator[StartupEntry]:
    """What dbus-daemon(1) starts when somebody calls the service, unless systemd starts a unit for it."""
    for folder, trigger in _BUSES.items():
        for file in source.in_folders([folder], ".service"):
            yield from _bus_service(file, trigger, None)
    for account, _, file in source.below_homes(folders=[_HOME_BUS]):
        yield from _bus_service(file, "session bus", account.name)


def unescape_exec(value: str) -> str:
    """The command line of an Exec key: field codes such as %U taken out, `%%` made `%` (Desktop Entry Specification)."""
    return _FIELD_CODE.sub(lambda match: "%" if match[1] == "%" else "", value).rstrip()


def _autostart(source: StartupFiles, file: StartFile, user: Optional[str], home: Optional[str]) -> Iterator[StartupEntry]:
    settings = first_values(file.text, "Desktop Entry")
    command = settings.get("Exec")
    if command is None or not command.value:
        return
    text = unescape_exec(command.value)
    why = _switched_off(source, settings)
    yield StartupEntry("xdg_autostart", "desktop login", file, command.line, text, SHELL, user, why, home)


def _switched_off(source: StartupFiles, settings: dict[str, Setting]) -> Optional[str]:
    for key, value in (("Hidden", "true"), ("X-GNOME-Autostart-enabled", "false")):
        if key in settings and settings[key].value.lower() == value:
            return f"{key}={value}"
    tried = settings["TryExec"].value if "TryExec" in settings else ""
    if tried and not any(source.exists(os.path.join(folder, tried)) for folder in _PATH):
        return f"TryExec={tried}: no such program"
    return None


def _bus_service(file: StartFile, trigger: str, user: Optional[str]) -> Iterator[StartupEntry]:
    settings = first_values(file.text, "D-BUS Service")
    command = settings.get("Exec")
    if command is None or not command.value:
        return
    account = settings["User"].value if "User" in settings and user is None else user
    why = f"systemd starts {settings['SystemdService'].value} in its place" if "SystemdService" in settings else None
    yield StartupEntry("dbus_service", trigger, file, command.line, command.value, SHELL, account, why)
