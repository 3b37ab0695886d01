"""Programs that the kernel and its module loader start, and the modules that are loaded at boot."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tables.host.kernel.settings import parse_sysctl
from tables.host.startup.entries import NAME, StartupEntry, StartupFiles
from tables.text.lines import logical_lines

# modprobe.d(5), modules-load.d(5), sysctl.d(5), binfmt.d(5).
_MODPROBE = tuple(f"{place}/modprobe.d" for place in ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"))
_MODULES_LOAD = tuple(f"{place}/modules-load.d" for place in ("/etc", "/run", "/usr/local/lib", "/usr/lib"))
_SYSCTL = tuple(f"{place}/sysctl.d" for place in ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"))
_BINFMT = tuple(f"{place}/binfmt.d" for place in ("/etc", "/run", "/usr/local/lib", "/usr/lib"))
_MODULE_COMMAND = re.compile(r"[ \t]*(?:install|remove)[ \t]+\S+[ \t]+(\S.*)")
_HELPERS = {"core_pattern": "crash", "modprobe": "module request", "hotplug": "device event", "poweroff_cmd": "shutdown"}
_INTERPRETER = re.compile(r"^interpreter (\S.*)$", re.MULTILINE)
_BINFMT_MISC = "/proc/sys/fs/binfmt_misc"


def kernel_helpers(source: StartupFiles) -> Iterator[StartupEntry]:
    """What a crash, a module request or a foreign binary format starts, now and by the settings read at boot."""
    for name, trigger in _HELPERS.items():
        file = source.read(f"/proc/sys/kernel/{name}")
        if file is not None:
            yield from _helper(StartupEntry("kernel_helper", trigger, file, 1, file.text.strip(), run_as="root"), name)
    for file in source.read_each(["/etc/sysctl.conf", *(path for folder in _SYSCTL for path in source.paths(folder))]):
        settings = parse_sysctl(file.text)
        for name, trigger in _HELPERS.items():
            if f"kernel.{name}" in settings:
                setting = settings[f"kernel.{name}"]
                entry = StartupEntry("kernel_helper", trigger, file, setting.line or 0, setting.value, run_as="root")
                yield from _helper(entry, name)
    for file in source.in_folders(_BINFMT, ".conf"):
        for number, line in enumerate(file.text.split("\n"), 1):
            # :name:type:offset:magic:mask:interpreter:flags, where the first character is the separator.
            definition = line.strip().split(line.strip()[:1] or ":")
            if len(definition) > 6 and line[:1] not in "#;" and definition[6]:
                yield StartupEntry("kernel_helper", "foreign program", file, number, definition[6])
    for name in source.names(_BINFMT_MISC):
        file = source.read(f"{_BINFMT_MISC}/{name}") if name not in ("register", "status") else None
        found = _INTERPRETER.search(file.text) if file else None
        if file and found:
            yield StartupEntry("kernel_helper", "foreign program", file, 1, found[1])


def _helper(entry: StartupEntry, name: str) -> Iterator[StartupEntry]:
    """The entry, if the setting starts something: core_pattern does with `|PROGRAM`, the others with a path (core(5))."""
    if name == "core_pattern":
        if entry.command.startswith("|"):
            yield entry._replace(command=entry.command[1:].strip())
    elif entry.command.startswith("/"):
        yield entry


def module_commands(source: StartupFiles) -> Iterator[StartupEntry]:
    """The install and remove commands of modprobe.d, and the names of the modules loaded at boot, which are no programs."""
    for file in source.in_folders(_MODPROBE, ".conf"):
        for number, line in logical_lines(file.text):
            match = _MODULE_COMMAND.match(line)
            if match:
                yield StartupEntry("module", "module load", file, number, match[1].strip(), run_as="root")
    lists = [path for folder in _MODULES_LOAD for path in source.paths(folder) if path.endswith(".conf")]
    for file in source.read_each(["/etc/modules", *lists]):
        for number, line in enumerate(file.text.split("\n"), 1):
            word = line.strip()
            if word and not word.startswith(("#", ";")):
                yield StartupEntry("module", "boot", file, number, word, NAME, "root")
