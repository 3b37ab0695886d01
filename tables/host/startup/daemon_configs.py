"""What init, inetd, logrotate, ifupdown and acpid are told to start, in their own configuration files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Optional

from tables.host.startup.entries import StartupEntry, StartupFiles
from tables.text.lines import logical_lines
from tables.text.programs import SHELLS, resolve

# inittab(5): actions that start no process.
_NO_PROCESS = frozenset({"initdefault", "off"})
_INTERFACE_HOOK = re.compile(r"[ \t]*(?:pre-up|up|post-up|down|pre-down|post-down)[ \t]+(\S.*)")
# logrotate(8): keywords that begin a script, and the one that ends it.
_ROTATE_SCRIPTS = frozenset({"prerotate", "postrotate", "firstaction", "lastaction", "preremove"})
_ROTATE_END = frozenset({"endscript"})
_XINETD = re.compile(r"[ \t]*(server|server_args|disable|user)[ \t]*[+-]?=[ \t]*(.*)")
_ACPI_ACTION = re.compile(r"[ \t]*action[ \t]*=[ \t]*(\S.*)")
_INETD_FIELDS = 7


def inittab(source: StartupFiles) -> Iterator[StartupEntry]:
    """The processes of /etc/inittab (sysvinit, busybox init)."""
    file = source.read("/etc/inittab")
    for number, line in enumerate(file.text.split("\n") if file else (), 1):
        fields = line.strip().split(":", 3)
        if file and len(fields) == 4 and not line.lstrip().startswith("#") and fields[2] not in _NO_PROCESS and fields[3].strip():
            yield StartupEntry("inittab", fields[2] or "boot", file, number, fields[3].strip().lstrip("+-"), run_as="root")


def network_daemons(source: StartupFiles) -> Iterator[StartupEntry]:
    """The servers that inetd and xinetd start for a connection."""
    for file in source.read_each(["/etc/inetd.conf", *source.paths("/etc/inetd.d")]):
        for number, line in enumerate(file.text.split("\n"), 1):
            # service, socket type, protocol, wait, user, server, arguments with the name first
            fields = line.split(None, _INETD_FIELDS - 1)
            if len(fields) >= _INETD_FIELDS - 1 and not fields[0].startswith("#") and fields[5] != "internal":
                command = " ".join([fields[5], *fields[6:7][0].split()[1:]]) if fields[6:] else fields[5]
                user = re.split(r"[.:/]", fields[4])[0]
                yield StartupEntry("inetd", "connection", file, number, command, run_as=user, judged=_over_connection(command))
    for file in source.read_each(["/etc/xinetd.conf", *source.paths("/etc/xinetd.d")]):
        settings: dict[str, tuple[int, str]] = {}
        for number, line in enumerate(file.text.split("\n"), 1):
            match = _XINETD.match(line)
            if match:
                settings[match[1]] = (number, match[2].strip())
            elif line.strip() == "}" and "server" in settings:
                number, server = settings["server"]
                command = f"{server} {settings.get('server_args', (0, ''))[1]}".strip()
                why = "disable = yes" if settings.get("disable", (0, ""))[1] == "yes" else None
                user = settings.get("user", (0, ""))[1] or None
                judged = _over_connection(command)
                yield StartupEntry("inetd", "connection", file, number, command, run_as=user, disabled_why=why, judged=judged)
            if line.strip() == "}":
                settings = {}


def _over_connection(command: str) -> Optional[str]:
    """What comes to the same as a shell that a connection is the input of; None for what is no such shell."""
    found = resolve(command.split())
    is_open = found is not None and found.name in SHELLS and found.script is None and found.code is None
    return f"nc -l -e {command}" if is_open else None


def logrotate_scripts(source: StartupFiles) -> Iterator[StartupEntry]:
    """The scripts that logrotate runs around a rotation, one entry each, from its first line."""
    for file in source.read_each(["/etc/logrotate.conf", *source.paths("/etc/logrotate.d")]):
        for line, script in parse_rotate_scripts(file.text):
            yield StartupEntry("logrotate", "log rotation", file, line, script, run_as="root")


def parse_rotate_scripts(text: str) -> Iterator[tuple[int, str]]:
    """Yield (first line, text) of each script in a logrotate configuration; one without `endscript` reaches to the end."""
    body: list[str] = []
    start = 0
    for number, line in enumerate(text.split("\n"), 1):
        word = line.strip()
        if start:
            if word in _ROTATE_END:
                if any(body):
                    yield start, "\n".join(body).strip()
                start, body = 0, []
            else:
                body.append(word)
        elif word in _ROTATE_SCRIPTS:
            start = number + 1
    if start and any(body):
        yield start, "\n".join(body).strip()


def interface_hooks(source: StartupFiles) -> Iterator[StartupEntry]:
    """The commands in ifupdown's interface definitions (interfaces(5)), and those of acpid's events."""
    for file in source.read_each(["/etc/network/interfaces", *source.paths("/etc/network/interfaces.d")]):
        for number, line in logical_lines(file.text):
            match = _INTERFACE_HOOK.match(line)
            if match:
                yield StartupEntry("network_hook", "network change", file, number, match[1].strip(), run_as="root")
    for file in source.read_each(source.paths("/etc/acpi/events")):
        for number, line in enumerate(file.text.split("\n"), 1):
            match = _ACPI_ACTION.match(line)
            if match:
                yield StartupEntry("acpi", "power event", file, number, match[1].strip(), run_as="root")
