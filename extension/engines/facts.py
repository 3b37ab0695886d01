"""What identifies the examined host in a report."""

from __future__ import annotations

import os
import socket

from tables.host import Host
from tables.host.disk.files import Unreadable
from tables.schema import clean_text

_OS_RELEASE = ("/etc/os-release", "/usr/lib/os-release")


def host_facts(host: Host) -> dict[str, str]:
    """Hostname, system, kernel, architecture and the user we run as; of a mounted disk what its files tell, and its root."""
    facts = {
        "hostname": socket.gethostname() if host.is_live else _first_line(host, "/etc/hostname"),
        "system": _system(host) or (os.uname().sysname if host.is_live else ""),
        "kernel": os.uname().release if host.is_live else _newest_kernel(host),
        "architecture": os.uname().machine if host.is_live else "",
        "user": "root" if os.geteuid() == 0 else f"uid {os.geteuid()}",
    }
    return facts if host.is_live else {**facts, "root": host.files.root}


def _system(host: Host) -> str:
    """PRETTY_NAME of os-release(5)."""
    for path in _OS_RELEASE:
        for line in _text(host, path).splitlines():
            key, _, value = line.partition("=")
            if key.strip() == "PRETTY_NAME":
                return clean_text(value.strip().strip("\"'"))
    return ""


def _newest_kernel(host: Host) -> str:
    try:
        names = host.files.names("/lib/modules")
    except OSError:
        return ""
    # Which of the installed kernels ran last is not on the disk.
    return clean_text(names[-1]) if names else ""


def _first_line(host: Host, path: str) -> str:
    return clean_text((_text(host, path).splitlines() or [""])[0].strip())


def _text(host: Host, path: str) -> str:
    try:
        return host.files.read_text(path, 1 << 16)
    except Unreadable:
        return ""
