"""What starts before init does, or in its place: GRUB's settings and scripts, modules of dracut and initramfs-tools."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tables.host.startup.entries import SCRIPT, StartupEntry, StartupFiles

_SETTINGS = "/etc/default/grub"
_SETTINGS_FOLDERS = ("/etc/default/grub.d",)
_GRUB_SCRIPTS = "/etc/grub.d"
_MENUS = ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/boot/loader/entries", "/etc/kernel/cmdline", "/proc/cmdline")
# kernel-parameters: what the kernel, or the first program in the initramfs, starts in place of init.
_INIT = re.compile(r"(?<![\w.-])(?:rd)?init=(/[^\s\"'\\;]{1,4096})")
_LINE_START = re.compile(r"[ \t]*(?:linux(?:16|efi)?|options|GRUB_CMDLINE\w*=)[ \t\"']|\S*(?:BOOT_IMAGE|root)=", re.IGNORECASE)

# initramfs-tools(7), dracut.modules(7); dracut.conf(5) is shell text.
_INITRAMFS = "/usr/share/initramfs-tools"
_DRACUT = ("/usr/lib/dracut/modules.d", "/usr/local/lib/dracut/modules.d")
_DRACUT_CONFIGS = ("/etc/dracut.conf.d", "/usr/lib/dracut/dracut.conf.d")
_MAX_SCRIPTS = 4000


def init_programs(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line, program) of each `init=` in a kernel's command line, in GRUB's menu or its settings. Linear in the text."""
    for number, line in enumerate(text.split("\n"), 1):
        if "init=" in line and not line.lstrip().startswith("#") and _LINE_START.match(line):
            yield from ((number, match[1]) for match in _INIT.finditer(line))


def grub_scripts(source: StartupFiles) -> list[str]:
    """What grub-mkconfig runs, packaged or not."""
    return source.paths(_GRUB_SCRIPTS)


def boot_loader_settings(source: StartupFiles) -> Iterator[StartupEntry]:
    """Programs that take init's place, GRUB's settings, which are shell text, and its scripts that no package owns."""
    settings = [_SETTINGS, *(path for folder in _SETTINGS_FOLDERS for path in source.paths(folder) if path.endswith(".cfg"))]
    for file in source.read_each(settings):
        yield StartupEntry("boot_loader", "boot loader update", file, 0, file.path, SCRIPT, "root")
    menus = [path for place in _MENUS for path in (source.paths(place) or [place])]
    for file in source.read_each([*settings, *menus]):
        for number, program in init_programs(file.text):
            yield StartupEntry("boot_loader", "boot", file, number, program, run_as="root")
    for file in source.read_each(source.unpackaged(grub_scripts(source))):
        why = None if file.status.st_mode & 0o111 else "not executable"
        yield StartupEntry("boot_loader", "boot loader update", file, 0, file.path, SCRIPT, "root", why)


def initramfs_scripts(source: StartupFiles) -> list[str]:
    """The scripts of initramfs-tools and dracut where packages put theirs, packaged or not."""
    folders = [f"{_INITRAMFS}/hooks", *source.paths(f"{_INITRAMFS}/scripts")]
    paths = [path for folder in folders for path in source.paths(folder)]
    paths += [
        f"{module}/{name}"
        for folder in _DRACUT
        for module in source.paths(folder)
        for name in source.names(module)
        if name.endswith(".sh")
    ]
    if len(paths) > _MAX_SCRIPTS:
        source.query.truncate(f"{paths[_MAX_SCRIPTS]}: only the first {_MAX_SCRIPTS} scripts of early boot were looked at")
    return paths[:_MAX_SCRIPTS]


def early_boot_scripts(source: StartupFiles) -> Iterator[StartupEntry]:
    """The scripts among the packages' own of initramfs-tools and dracut that no package owns, and dracut's settings."""
    for file in source.read_each(source.unpackaged(initramfs_scripts(source))):
        yield StartupEntry("initramfs", "early boot", file, 0, file.path, SCRIPT, "root")
    for file in source.read_each(["/etc/dracut.conf", *source.winners(_DRACUT_CONFIGS, ".conf")]):
        yield StartupEntry("initramfs", "initramfs build", file, 0, file.path, SCRIPT, "root")
