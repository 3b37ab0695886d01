"""osquery's system_controls table: the settings below /proc/sys and what the sysctl.d files want them to be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Optional

from extension.engines.core import CoreRow, core_table
from extension.engines.core.reading import SPACE, Reader, split
from tables.host import Host
from tables.host.disk.mounts import parse_mountinfo
from tables.schema import LIKE, QueryContext

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CONFIG_FILE = "/etc/sysctl.conf"
# A later file wins over an earlier one, as in osquery (sysctl.d(5) itself orders by file name).
_CONFIG_FOLDERS = ("/run/sysctl.d", "/etc/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
_VALUE_LIMIT = 65536


@core_table("system_controls", needs_live=True, index=("name",), additional=("oid", "subsystem"))
def system_controls(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """One row per setting; current_value is NULL when we may not read it. A name that does not exist also gets a row."""
    config = _load_config(host, query)
    names = query.equals("name")
    if names is not None:
        found = (path for name in names if "\0" not in name for path in _walk(host, f"sys/{name.replace('.', '/')}", ""))
    else:
        subsystems = query.equals("subsystem")
        prefix = _like_prefix(query)
        tops = [name for name in _entries(host, "sys")[0] if subsystems is None or name in subsystems]
        found = (path for top in tops for path in _walk(host, f"sys/{top}", prefix))
    for path in found:
        query.check_time()
        name = path[len("sys/") :].replace("/", ".")
        yield {
            "name": name,
            "subsystem": next(filter(None, name.split(".")), ""),
            "current_value": _value(host, path),
            "config_value": config.get(name),
            "type": "string",
        }


def parse_sysctl_conf(text: str) -> Iterator[tuple[str, str]]:
    """Yield (name, value) of each `name = value` line of a sysctl.conf(5); lines with more than one `=` are passed over."""
    for line in text.split("\n"):
        parts = split(line.strip(SPACE), "=")
        if len(parts) == 2 and not parts[0].startswith(("#", ";")):
            yield parts[0], parts[1]


def _load_config(host: Host, query: QueryContext) -> dict[str, str]:
    reader = Reader(host, "system_controls", query)
    paths = [_CONFIG_FILE]
    for folder in _CONFIG_FOLDERS:
        paths += [path for path in reader.listing(folder) if path.endswith(".conf")]
    return {name: value for path in paths for name, value in parse_sysctl_conf(reader.text(path))}


def _like_prefix(query: QueryContext) -> str:
    """What every wanted name begins with, lower-case, from a LIKE on `name`; "" when any name may match."""
    for operator, pattern in query.constraints.get("name", ()):
        if operator == LIKE:
            return pattern.partition("%")[0].partition("_")[0].lower()
    return ""


def _walk(host: Host, path: str, prefix: str) -> Iterator[str]:
    """The settings at and below `path` whose dotted names may begin with `prefix`; `path` itself if it is no folder."""
    pending = [path]
    while pending:
        path = pending.pop()
        name = path[len("sys/") :].replace("/", ".").lower()
        if not name.startswith(prefix) and not prefix.startswith(f"{name}."):
            continue
        # Looking into an automount point would mount it.
        if path == "sys/fs/binfmt_misc" and _is_automount(host, "/proc/sys/fs/binfmt_misc"):
            continue
        try:
            folders, files = _entries(host, path)
        except OSError:
            yield path
            continue
        pending += [f"{path}/{child}" for child in reversed(folders + files)]


def _entries(host: Host, path: str) -> tuple[list[str], list[str]]:
    """The sorted names of the folders and of the other entries in the folder at `path` below /proc."""
    fd = os.open(path, _FOLDER, dir_fd=host.procfs.fd)
    try:
        with os.scandir(fd) as entries:
            listed = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    finally:
        os.close(fd)
    return sorted(name for name, is_dir in listed if is_dir), sorted(name for name, is_dir in listed if not is_dir)


def _is_automount(host: Host, path: str) -> bool:
    found = [mount.fs_type for mount in parse_mountinfo(host.procfs.read("self/mountinfo", 8 << 20)) if mount.mount_point == path]
    return bool(found) and found[-1] == "autofs"


def _value(host: Host, path: str) -> Optional[bytes]:
    try:
        return host.procfs.read(path, _VALUE_LIMIT).strip()
    except (PermissionError, FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        # Readable by its mode, but the kernel has no value to give.
        return b""
