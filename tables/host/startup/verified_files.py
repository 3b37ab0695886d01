"""Which files of packages matter when they are changed: what starts, judges logins, is run or loaded."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import NamedTuple

from tables.host.disk.files import Files, Unreadable
from tables.host.loader.mapped_libraries import mapped_code
from tables.host.processes.procfs import Procfs

START, PAM, PROGRAM, LIBRARY, IN_USE = "start_file", "pam_module", "program", "library", "in_use"


class _Place(NamedTuple):
    """A folder whose files have one role; `*` in it stands for each folder there, `endings` for part of its files."""

    role: str
    folder: str
    endings: tuple[str, ...] = ("",)


# systemd.unit(5), systemd.generator(7), udev(7), tmpfiles.d(5), modprobe.d(5), environment.d(5), dbus-daemon(1), polkit(8),
# initramfs-tools(7), dracut.modules(7), NetworkManager-dispatcher(8), site(3), pam.conf(5), file-hierarchy(7), ld.so(8).
_LIB = ("/usr/lib", "/lib")
_TRIPLETS = ("x86_64-linux-gnu", "aarch64-linux-gnu", "i386-linux-gnu")
_LIBRARY_FOLDERS = (
    *(f"{place}{width}" for place in _LIB for width in ("", "32", "64")),
    *(f"{place}/{triplet}" for place in _LIB for triplet in _TRIPLETS),
)
_PLACES = (
    *(_Place(PAM, f"{folder}/security") for folder in _LIBRARY_FOLDERS),
    *(
        _Place(START, f"{place}/systemd/{folder}")
        for place in _LIB
        for folder in (
            *("system", "system/*", "user", "user/*", "system-generators", "user-generators", "system-sleep", "system-shutdown"),
            *("system-environment-generators", "user-environment-generators"),
        )
    ),
    *(
        _Place(START, f"{place}/{folder}")
        for place in _LIB
        for folder in (
            "udev",
            "udev/rules.d",
            "tmpfiles.d",
            "modprobe.d",
            "modules-load.d",
            "environment.d",
            "dracut/modules.d/*",
        )
    ),
    *(_Place(START, f"/usr/lib/{folder}") for folder in ("NetworkManager/dispatcher.d", "pm-utils/sleep.d", "pam.d")),
    *(_Place(START, f"/usr/share/dbus-1/{folder}") for folder in ("system-services", "services", "session.d")),
    *(_Place(START, f"/usr/share/initramfs-tools/{folder}") for folder in ("hooks", "scripts", "scripts/*")),
    _Place(START, "/usr/share/polkit-1/rules.d"),
    _Place(START, "/usr/share/bash-completion", ("bash_completion",)),
    *(_Place(START, folder) for folder in ("/etc/rc.d/init.d", "/etc/profile.d", "/etc/cron.d", "/etc/cron.daily")),
    *(
        _Place(START, f"/usr/{lib}/python3*/{folder}", (".pth", "customize.py"))
        for lib in ("lib", "lib64")
        for folder in ("dist-packages", "site-packages")
    ),
    *(_Place(PROGRAM, folder) for folder in ("/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/libexec", "/usr/lib/systemd")),
    *(_Place(LIBRARY, folder, (".so", ".so.")) for folder in _LIBRARY_FOLDERS),
)


def places(files: Files) -> Iterator[tuple[str, str]]:
    """Yield (path, role) of the files in those folders, by real path, none twice, owned by a package or not.

    Of a library's name `.so` may be followed by its version. OSError where a folder cannot be listed.
    """
    seen: set[str] = set()
    for place in _PLACES:
        for folder in _folders(files, place.folder):
            for name in files.names(folder):
                path = f"{folder}/{name}"
                if path not in seen and (place.endings == ("",) or any(_ends(name, ending) for ending in place.endings)):
                    seen.add(path)
                    yield path, place.role


def _folders(files: Files, pattern: str) -> Iterator[str]:
    """The real paths of the folders that `pattern` stands for."""
    head, star, tail = pattern.partition("*")
    if not star:
        yield from _real(files, pattern)
        return
    parent, start = posixpath.split(head)
    for name in files.names(parent):
        if name.startswith(start):
            yield from _real(files, f"{parent}/{name}{tail}")


def _real(files: Files, folder: str) -> Iterator[str]:
    if files.is_folder(folder):
        try:
            yield files.real_path(folder)
        except Unreadable:
            return


def _ends(name: str, ending: str) -> bool:
    return ending in name if ending.endswith(".") else name.endswith(ending)


def files_in_use(procfs: Procfs) -> Iterator[str]:
    """The paths of the programs that run in our own root folder, and of the code that one process of each has mapped."""
    seen: set[str] = set()
    for process in procfs.processes():
        program = process.exe_path
        if program is None or program in seen:
            continue
        mapped = mapped_code(procfs, process)
        if mapped is None:
            continue
        seen.add(program)
        yield program
        yield from (file.path for file in mapped if file.path.startswith("/"))
