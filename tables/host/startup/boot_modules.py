"""The kernel modules that files have loaded at boot, or in place of others: modules-load.d and modprobe.d."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tables.host.disk.start_files import StartFile
from tables.host.kernel.installed_modules import module_name
from tables.host.startup.entries import StartupFiles
from tables.text.lines import logical_lines

# modules-load.d(5), modprobe.d(5). A file takes the place of one of the same name in a later folder.
_LISTS = tuple(f"{place}/modules-load.d" for place in ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"))
_RULES = tuple(f"{place}/modprobe.d" for place in ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"))
LOAD, INSTALL, ALIAS, SOFTDEP = "load", "install", "alias", "softdep"


class Named(NamedTuple):
    """One module that a line names: how (`load`, `install`, `alias`, `softdep`), and the command that stands in for it."""

    line: int
    directive: str
    module: str
    command: str = ""


class BootModule(NamedTuple):
    """A named module and the file that names it."""

    named: Named
    file: StartFile


def parse_modules_load(text: str) -> Iterator[Named]:
    """The modules in a list of modules: one a line, in /etc/modules with options behind it (modules-load.d(5), modules(5))."""
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split(None, 1)
        if words and not words[0].startswith(("#", ";")):
            yield Named(number, LOAD, module_name(words[0]))


def parse_modprobe(text: str) -> Iterator[Named]:
    """The modules that the install, alias and softdep lines of modprobe.d(5) name; `alias … off` names none.

    Of `install` the module is the one whose loading runs the command; of `alias` the one that is loaded under another name.
    """
    for number, line in logical_lines(text):
        words = line.split(None, 2)
        if len(words) < 3:
            continue
        directive, subject, rest = words
        if directive == INSTALL:
            yield Named(number, INSTALL, module_name(subject), rest.strip())
        elif directive == ALIAS and rest.split()[0] != "off":
            yield Named(number, ALIAS, module_name(rest.split()[0]))
        elif directive == SOFTDEP:
            yield from (Named(number, SOFTDEP, module_name(word)) for word in rest.split() if not word.endswith(":"))


def boot_modules(source: StartupFiles) -> Iterator[BootModule]:
    """What the host's files name."""
    for file in source.read_each(["/etc/modules", *_chosen(source, _LISTS)]):
        yield from (BootModule(named, file) for named in parse_modules_load(file.text))
    for file in source.read_each(["/etc/modprobe.conf", *_chosen(source, _RULES)]):
        yield from (BootModule(named, file) for named in parse_modprobe(file.text))


def _chosen(source: StartupFiles, folders: Iterable[str]) -> list[str]:
    chosen: dict[str, str] = {}
    for folder in folders:
        for path in source.paths(folder):
            if path.endswith(".conf"):
                chosen.setdefault(posixpath.basename(path), path)
    return list(chosen.values())
