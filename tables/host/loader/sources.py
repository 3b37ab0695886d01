"""Where the dynamic loader's variables are set: systemd units, environment files, shell profiles, and running processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Union

from tables.host.disk.files import Files, Unreadable
from tables.host.loader.preloads import parse_environ
from tables.host.processes.procfs import Process, Procfs
from tables.unseen import say_cut

# systemd-system.conf(5): what systemd itself sets for all that it starts.
_MANAGER_FILES = ("/etc/systemd/system.conf", "/etc/systemd/user.conf")
_MANAGER_FOLDERS = tuple(
    f"{folder}/{kind}.conf.d"
    for folder in ("/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd", "/lib/systemd")
    for kind in ("system", "user")
)
_PROFILE_FILES = ("/etc/profile", "/etc/bash.bashrc", "/etc/bashrc", "/etc/zsh/zshenv", "/etc/zshenv")
_PROFILE_FOLDER = "/etc/profile.d"
# pam_env.conf(5), environment.d(5); the latter's for logins under systemd.
_ENVIRONMENT_FILES = ("/etc/environment", "/etc/security/pam_env.conf")
_ENVIRONMENT_FOLDERS = (
    "/etc/environment.d", "/run/environment.d", "/usr/lib/environment.d", "/etc/default", "/etc/sysconfig", "/etc/conf.d",
)  # fmt: skip
# Files of pam_env's own format.
PAM_ENVIRONMENT = ("/pam_env.conf", "/.pam_environment")
_ENVIRON_LIMIT = 1 << 20


def manager_paths(files: Files) -> Iterator[str]:
    """Yield the path of each file that sets variables for all units (DefaultEnvironment=); not all of them exist."""
    yield from _MANAGER_FILES
    for folder in _MANAGER_FOLDERS:
        yield from entries(files, folder)


def profile_paths(files: Files) -> Iterator[str]:
    """Yield the path of each shell profile of the whole system; not all exist, some are folders."""
    yield from _PROFILE_FILES
    yield from entries(files, _PROFILE_FOLDER)


def environment_paths(files: Files) -> Iterator[str]:
    """Yield the path of each environment file of the whole system; not all exist, some are folders."""
    yield from _ENVIRONMENT_FILES
    for folder in _ENVIRONMENT_FOLDERS:
        yield from entries(files, folder)


def entries(files: Files, folder: str) -> list[str]:
    """The paths of all entries of `folder`, sorted; [] when it is missing, no folder, or not ours to list."""
    try:
        return list(files.paths(folder))
    except Unreadable:
        return []


class RunningSetting(NamedTuple):
    """A library or folder that the environment of processes names: `users` are these processes, the oldest first.

    They all have the root folder `root` (device, inode), which decides what the value means.
    """

    variable: str
    value: str
    root: tuple[int, int]
    users: list[Process]


def running_settings(
    procfs: Procfs, processes: Iterable[Process], check_time: Callable[[], None]
) -> tuple[list[RunningSetting], dict[tuple[int, int], Process]]:
    """What the environments of `processes` tell the loader, and the oldest process of each root folder.

    A process whose environment is not ours to read is left out. No other variable than the loader's is looked at.
    """
    found: dict[tuple[str, str, tuple[int, int]], list[Process]] = {}
    roots: dict[tuple[int, int], Process] = {}
    for process in sorted(processes, key=lambda one: one.stat.start_ticks):
        check_time()
        try:
            root = root_folder(procfs, process.pid)
            data = procfs.read(f"{process.pid}/environ", _ENVIRON_LIMIT)
        except OSError:
            continue
        if len(data) == _ENVIRON_LIMIT:
            say_cut(f"process {process.pid}: only the first {_ENVIRON_LIMIT} bytes of its environment were read")
        roots.setdefault(root, process)
        for variable, values in parse_environ(data).items():
            for value in dict.fromkeys(values):
                found.setdefault((variable, value, root), []).append(process)
    return [RunningSetting(*key, users) for key, users in found.items()], roots


def root_folder(procfs: Procfs, pid: Union[int, str]) -> tuple[int, int]:
    """Device and inode of the root folder of a process (or `self`); OSError when it is gone or not ours to see."""
    status = procfs.stat(f"{pid}/root")
    return status.st_dev, status.st_ino
