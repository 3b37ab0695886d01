"""What package managers run around their own work: the hooks of apt, dpkg, dnf, yum and pacman."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tables.host.packages.apt_config import parse_apt
from tables.host.startup.entries import StartupEntry, StartupFiles
from tables.text.key_files import parse_key_file
from tables.text.lines import unquoted

# apt.conf(5): lists of shell commands, and programs that find out about a proxy.
_APT_HOOK = re.compile(
    r"(?:dpkg::(?:pre-invoke|post-invoke|pre-install-pkgs)|apt::update::(?:pre-invoke|post-invoke|post-invoke-success)"
    r"|acquire::https?::(?:\S{1,200}::)?proxy-?auto-?detect)(?:::\S{0,200})?"
)
# apt reads names without an ending and .conf; others are left from editors and dpkg.
_APT_NAME = re.compile(r"[A-Za-z0-9_-]+(?:\.conf)?")
_DPKG_HOOK = re.compile(r"[ \t]*(?:--)?(pre-invoke|post-invoke|status-logger)(?:[ \t]*=[ \t]*|[ \t]+)(\S.*)")
# dnf-plugins-core's post-transaction-actions and libdnf5's actions plugin; yum's was the first.
_DNF_FOLDERS = ("/etc/dnf/plugins/post-transaction-actions.d", "/etc/yum/post-actions")
_DNF5_FOLDER = "/etc/dnf/libdnf5-plugins/actions.d"
_ALPM_FOLDERS = ("/etc/pacman.d/hooks", "/usr/share/libalpm/hooks")


def package_hooks(source: StartupFiles) -> Iterator[StartupEntry]:
    """The hooks of every package manager, one entry a command; all run as root."""
    yield from _apt(source)
    for file in source.read_each(["/etc/dpkg/dpkg.cfg", *source.paths("/etc/dpkg/dpkg.cfg.d")]):
        for number, line in enumerate(file.text.split("\n"), 1):
            match = _DPKG_HOOK.match(line)
            if match:
                yield StartupEntry("package_hook", "package operation", file, number, unquoted(match[2].strip()), run_as="root")
    for folders, fields, ending in ((_DNF_FOLDERS, 3, ".action"), ((_DNF5_FOLDER,), 5, ".actions")):
        for file in source.in_folders(folders, ending):
            for number, line in enumerate(file.text.split("\n"), 1):
                command = line.split(":", fields - 1)[fields - 1 :]
                if command and command[0].strip() and not line.lstrip().startswith("#"):
                    yield StartupEntry("package_hook", "package operation", file, number, command[0].strip(), run_as="root")
    for file in source.in_folders(_ALPM_FOLDERS, ".hook"):
        for setting in parse_key_file(file.text):
            if setting.group == "Action" and setting.key == "Exec" and setting.value:
                yield StartupEntry("package_hook", "package operation", file, setting.line, setting.value, run_as="root")


def _apt(source: StartupFiles) -> Iterator[StartupEntry]:
    names = ["/etc/apt/apt.conf", *source.paths("/etc/apt/apt.conf.d"), *source.paths("/usr/share/apt/apt.conf.d")]
    for file in source.read_each(names):
        is_read = "/apt.conf.d/" not in file.path or _APT_NAME.fullmatch(file.path.rpartition("/")[2])
        why = None if is_read else "apt passes over a name like that"
        for setting in parse_apt(file.text):
            if _APT_HOOK.fullmatch(setting.name) and setting.value.strip():
                trigger = "package list update" if setting.name.startswith("apt::update") else "package operation"
                yield StartupEntry(
                    "package_hook", trigger, file, setting.line, setting.value.strip(), run_as="root", disabled_why=why
                )
