"""Kernel settings: as they are now, or on a mounted disk as sysctl.d(5) would set them at boot."""

from __future__ import annotations

import posixpath
import re
from typing import NamedTuple, Optional

from tables.host import Host
from tables.host.disk.files import Files, Unreadable

# A file of the same name in an earlier folder takes the place of the later one's.
_FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
_LAST = "/etc/sysctl.conf"
_FILE_LIMIT = 256 * 1024
_NAME = re.compile(r"-?\s*([\w./*-]+)")


class KernelSetting(NamedTuple):
    """A setting's value, and where it is read: /proc/sys, or the file and line that sets it."""

    value: str
    path: str
    line: Optional[int]


def parse_sysctl(text: str, path: str = "") -> dict[str, KernelSetting]:
    """The settings of one file by name with dots; the last of a name counts."""
    found: dict[str, KernelSetting] = {}
    for number, line in enumerate(text.split("\n"), 1):
        name, equals, value = line.partition("=")
        match = _NAME.fullmatch(name.strip()) if equals and len(line) <= 4096 else None
        if match:
            found[match[1].replace("/", ".")] = KernelSetting(value.strip(), path, number)
    return found


def kernel_setting(host: Host, name: str) -> Optional[KernelSetting]:
    """The setting `name` (`kernel.kptr_restrict`); None when the kernel has none, or no file of the disk sets it.

    OSError when it is there and cannot be read.
    """
    if not host.is_live:
        return _configured(host.files, name)
    path = f"sys/{name.replace('.', '/')}"
    try:
        return KernelSetting(host.truth.read(path, 4096).decode("ascii", "replace").strip(), f"/proc/{path}", None)
    except FileNotFoundError:
        return None


def _configured(files: Files, name: str) -> Optional[KernelSetting]:
    chosen: dict[str, str] = {}
    for folder in _FOLDERS:
        for path in files.paths(folder):
            if path.endswith(".conf"):
                chosen.setdefault(posixpath.basename(path), path)
    found: Optional[KernelSetting] = None
    for path in [*(chosen[entry] for entry in sorted(chosen)), _LAST]:
        found = parse_sysctl(_text(files, path), path).get(name, found)
    return found


def _text(files: Files, path: str) -> str:
    """The text of a file; "" where systemd would pass it over (a link to /dev/null masks a file)."""
    try:
        return files.read_text(path, _FILE_LIMIT)
    except Unreadable as error:
        if error.is_missing or error.why == "not a regular file":
            return ""
        raise
