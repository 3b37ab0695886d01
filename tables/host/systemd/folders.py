"""The folders in which systemd looks for unit files (systemd.unit(5), "Unit File Load Path")."""

from __future__ import annotations

from typing import NamedTuple, Optional

from tables.host.accounts.databases import Account
from tables.host.disk.files import Files

# Folders of links to the units that a unit starts.
WANTS = (".wants", ".requires", ".upholds")
# Stands for a user where only what all users have in common matters.
_NOBODY = Account("", 0, 0, "", "/nonexistent", "")


class UnitFolder(NamedTuple):
    """A folder of the search path; `origin` is vendor, local, runtime, generator or transient, `rank` its place: 0 wins."""

    path: str
    origin: str
    rank: int


def _ranked(*folders: tuple[str, str]) -> list[UnitFolder]:
    return [UnitFolder(path, origin, rank) for rank, (path, origin) in enumerate(folders)]


def system_folders() -> list[UnitFolder]:
    """Where the system's systemd looks."""
    return _ranked(
        ("/etc/systemd/system.control", "local"),
        ("/run/systemd/system.control", "runtime"),
        ("/run/systemd/transient", "transient"),
        ("/run/systemd/generator.early", "generator"),
        ("/etc/systemd/system", "local"),
        ("/etc/systemd/system.attached", "local"),
        ("/run/systemd/system", "runtime"),
        ("/run/systemd/system.attached", "runtime"),
        ("/run/systemd/generator", "generator"),
        ("/usr/local/lib/systemd/system", "local"),
        ("/usr/lib/systemd/system", "vendor"),
        ("/lib/systemd/system", "vendor"),
        ("/run/systemd/generator.late", "generator"),
    )


def _user_search_path(account: Account) -> list[UnitFolder]:
    """Where a user's systemd looks; its own folders and the common ones have their places in one order."""
    config, data = f"{account.home.rstrip('/')}/.config/systemd", f"{account.home.rstrip('/')}/.local/share/systemd"
    runtime = f"/run/user/{account.uid}/systemd"
    return _ranked(
        (f"{config}/user.control", "local"),
        (f"{runtime}/user.control", "runtime"),
        (f"{runtime}/transient", "transient"),
        (f"{runtime}/generator.early", "generator"),
        (f"{config}/user", "local"),
        ("/etc/xdg/systemd/user", "local"),
        ("/etc/systemd/user", "local"),
        (f"{runtime}/user", "runtime"),
        ("/run/systemd/user", "runtime"),
        (f"{runtime}/generator", "generator"),
        (f"{data}/user", "local"),
        ("/usr/local/share/systemd/user", "local"),
        ("/usr/share/systemd/user", "vendor"),
        ("/usr/local/lib/systemd/user", "local"),
        ("/usr/lib/systemd/user", "vendor"),
        ("/lib/systemd/user", "vendor"),
        (f"{runtime}/generator.late", "generator"),
    )


def common_user_folders() -> list[UnitFolder]:
    """Where every user's systemd looks."""
    shared = ("/etc/", "/run/systemd/", "/usr/", "/lib/")
    return [folder for folder in _user_search_path(_NOBODY) if folder.path.startswith(shared)]


def user_folders(account: Account) -> list[UnitFolder]:
    """Where this user's systemd looks besides."""
    common = {folder.path for folder in common_user_folders()}
    return [folder for folder in _user_search_path(account) if folder.path not in common]


def wanted_link(files: Files, unit: str) -> Optional[str]:
    """The link by which systemd starts `unit` at every boot (systemctl enable makes it); None when there is none."""
    for folder in system_folders():
        for target in files.names(folder.path) if not folder.path.startswith("/run/") else ():
            path = f"{folder.path}/{target}/{unit}"
            if target.endswith(WANTS) and files.exists(path):
                return path
    return None
