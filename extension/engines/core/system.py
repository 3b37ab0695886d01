"""osquery's tables about the machine: operating system, hardware, and the engine itself."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from typing import Optional

from extension.engines.core import CoreRow, core_table
from extension.engines.core.load import parse_meminfo
from extension.engines.core.network import parse_hosts
from extension.engines.core.reading import Reader, split
from extension.engines.core.support import number, proc_text, require_live
from tables.host import Host
from tables.schema import QueryContext

_OS_RELEASE = {
    "NAME": "name", "VERSION": "version", "BUILD_ID": "build", "ID": "platform", "ID_LIKE": "platform_like",
    "VERSION_CODENAME": "codename", "VERSION_ID": "version_id",
}  # fmt: skip
_RED_HAT = re.compile(r"([\w+\s]+) .* ([0-9]+)\.([0-9]+)\.?(\w+)?", re.ASCII)
_RELEASE_FILES = {"rhel": "/etc/redhat-release", "gentoo": "/etc/gentoo-release"}
_DMI = {
    "hardware_vendor": "sys_vendor", "hardware_model": "product_name", "hardware_version": "product_version",
    "hardware_serial": "product_serial", "board_vendor": "board_vendor", "board_model": "board_name",
    "board_version": "board_version", "board_serial": "board_serial",
}  # fmt: skip
# osquery's PlatformType bits: POSIX 1, Linux 8.
_POSIX_LINUX = 9


@core_table("os_version")
def os_version(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """One row, from os-release(5), and on Red Hat and Gentoo relatives from their release file."""
    row: CoreRow = {"name": "Unknown", "major": 0, "minor": 0, "patch": 0, "platform": "posix"}
    reader = Reader(host, "os_version", query)
    row.update(parse_os_release(reader.text("/etc/os-release", expected=True)))
    if host.is_live:
        row["arch"] = os.uname().machine
    for platform, path in _RELEASE_FILES.items():
        data = reader.read(path)
        if data is not None:
            row.update(platform=platform, platform_like=platform, build="", **parse_release(os.fsdecode(data)))
            break
    yield row


def parse_os_release(text: str) -> CoreRow:
    """The columns of os_version that an os-release(5) file fills; single quotes stay, as in osquery."""
    row: CoreRow = {}
    for line in split(text, "\n"):
        key, *parts = split(line, "=") or [""]
        value = "=".join(parts)
        column = _OS_RELEASE.get(key, "codename" if "CODENAME" in key else None)
        if not parts or column is None:
            continue
        if value.startswith('"'):
            value = value[1:-1]
        if column == "version_id":
            parts = split(value, ".")
            numbers = parts if len(parts) < 3 else [*parts[:2], ".".join(parts[2:])]
            row.update(zip(("major", "minor", "patch"), numbers))
        else:
            row[column] = value
    return row


def parse_release(text: str) -> dict[str, str]:
    """Name and version numbers from the one line of a redhat-release or gentoo-release file."""
    row = {"version": " ".join(text.split())}
    match = _RED_HAT.search(row["version"])
    if match:
        row.update(name=match[1], major=match[2], minor=match[3], patch=match[4] or "0")
    return row


@core_table("system_info", needs_live=True)
def system_info(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """One row. The full host name comes from /etc/hosts only: no name server is asked.

    Without a hardware UUID the column is NULL, where osquery would make one up and keep it.
    """
    require_live(host, "system_info")
    logical = os.sysconf("SC_NPROCESSORS_ONLN")
    hostname = os.uname().nodename
    full_name = full_host_name(hostname, Reader(host, "system_info", query).text("/etc/hosts"))
    row: CoreRow = {
        "hostname": full_name, "local_hostname": full_name, "computer_name": hostname, "uuid": _dmi(host, "product_uuid", query),
        "cpu_type": os.uname().machine, "cpu_subtype": "0", "cpu_logical_cores": logical, "cpu_physical_cores": logical,
        "physical_memory": parse_meminfo(proc_text(host, "meminfo")).get("memory_total"), "hardware_model": "",
    }  # fmt: skip
    row.update(parse_cpuinfo(proc_text(host, "cpuinfo", 16 << 20), logical))
    row.update({column: value for column, name in _DMI.items() if (value := _dmi(host, name, query)) is not None})
    vendor = row.get("hardware_vendor")
    if isinstance(vendor, str) and vendor.lower() == "lenovo":
        # Lenovo keeps the name of the model where others keep the version.
        row["hardware_model"], row["hardware_version"] = row.get("hardware_version"), row.get("hardware_model")
    yield row


def parse_cpuinfo(text: str, logical_cores: int) -> CoreRow:
    """The CPU columns of system_info from /proc/cpuinfo; cores are told apart by (physical id, core id)."""
    row: CoreRow = {}
    cores = set()
    package = ""
    for line in text.split("\n"):
        key, colon, value = (part.strip() for part in line.partition(":"))
        if not colon:
            continue
        if key == "model name":
            row["cpu_brand"] = value
        elif key == "model":
            row["cpu_subtype"] = value
        elif key == "microcode":
            row["cpu_microcode"] = value
        elif key == "siblings":
            siblings = number(value)
            row["cpu_sockets"] = logical_cores // siblings if siblings else -1
        elif key == "physical id":
            package = value
        elif key == "core id":
            cores.add((package, value))
    if cores:
        row["cpu_physical_cores"] = len(cores)
    return row


def full_host_name(hostname: str, hosts: str) -> str:
    """The canonical name that /etc/hosts (hosts(5)) gives this host; the name itself when it is not listed there."""
    for _, names in parse_hosts(hosts):
        if names and hostname.lower() in map(str.lower, names):
            return names[0]
    return hostname


@core_table("osquery_schedule")
def osquery_schedule(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """No rows: nothing is scheduled here."""
    yield from ()


@core_table("osquery_info")
def osquery_info(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """One row about this process in osqueryd's place; what only an osqueryd has (version, configuration) is NULL."""
    own = host.procfs.process(os.getpid())
    yield {
        "pid": os.getpid(),
        "start_time": own.start_time if own else int(time.time()),
        "uuid": _dmi(host, "product_uuid", query),
        "watcher": -1,
        "platform_mask": _POSIX_LINUX,
    }


def _dmi(host: Host, name: str, query: QueryContext) -> Optional[str]:
    data = Reader(host, "system_info", query).read(f"/sys/class/dmi/id/{name}")
    return os.fsdecode(data).partition("\0")[0].strip() if data is not None else None
