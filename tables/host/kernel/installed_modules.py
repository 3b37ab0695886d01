"""The module files on disk: those that modules.dep names for a kernel release, and those that DKMS built."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Optional

from tables.host.disk.files import Files, Unreadable

_FOLDERS = ("/lib/modules", "/usr/lib/modules", "/run/booted-system/kernel-modules/lib/modules")
_DKMS = "/var/lib/dkms"
# So many names are compared with patterns.
MAX_PATTERN_NAMES = 100
_MAX_PATTERN = 256
_WILDCARD = re.compile(r"[*?\[]")
_SUFFIX = re.compile(r"\.ko(\.(gz|xz|zst))?$")


def parse_modules_dep(text: str) -> dict[str, str]:
    """Path of each module file in a modules.dep by the module's name, in which `-` is `_` (modules.dep(5))."""
    found = {}
    for line in text.splitlines():
        path, colon, _ = line.partition(":")
        if colon and _SUFFIX.search(path):
            found[module_name(path)] = path
    return found


def module_name(path: str) -> str:
    """The name under which the kernel knows the module file at `path`."""
    return _SUFFIX.sub("", path.rpartition("/")[2]).replace("-", "_")


def parse_modules_alias(text: str, wanted: Collection[str]) -> dict[str, str]:
    """The module that a modules.alias gives for each of the `wanted` names that it knows (depmod(8)); `-` is `_` in all.

    Patterns are compared with the first MAX_PATTERN_NAMES names only, so that the time is linear in the text.
    """
    found: dict[str, str] = {}
    exact = frozenset(wanted)
    few = list(wanted)[:MAX_PATTERN_NAMES]
    for line in text.split("\n") if wanted else ():
        words = line.split()
        if len(words) != 3 or words[0] != "alias":
            continue
        pattern = words[1].replace("-", "_")
        if pattern in exact:
            found.setdefault(pattern, module_name(words[2]))
            continue
        literal = _WILDCARD.split(pattern, 1)[0]
        for name in few if literal != pattern else ():
            if name.startswith(literal) and len(pattern) <= _MAX_PATTERN and fnmatchcase(name, pattern):
                found.setdefault(name, module_name(words[2]))
    return found


def releases(files: Files) -> list[str]:
    """The kernel releases that have a folder of modules, the newest names last."""
    return sorted({name for base in _FOLDERS for name in files.names(base) if files.exists(f"{base}/{name}/modules.dep")})


@dataclass(frozen=True)
class OnDisk:
    """The module files installed for one kernel release: path by module name; None when there is no modules.dep."""

    folder: str
    paths: Optional[dict[str, str]]

    @classmethod
    def of(cls, files: Files, release: str) -> OnDisk:
        """Read the modules.dep of `release`."""
        for base in _FOLDERS:
            folder = f"{base}/{release}"
            try:
                text = files.read_text(f"{folder}/modules.dep", 16 << 20)
            except Unreadable as error:
                if error.is_missing:
                    continue
                raise
            return cls(folder, {name: os.path.join(folder, path) for name, path in parse_modules_dep(text).items()})
        return cls("", None)

    def aliases(self, files: Files, wanted: Collection[str]) -> dict[str, str]:
        """The modules that this release's modules.alias gives for the names `wanted`."""
        try:
            text = files.read_text(f"{self.folder}/modules.alias", 16 << 20) if wanted and self.folder else ""
        except Unreadable as error:
            if not error.is_missing:
                raise
            text = ""
        return parse_modules_alias(text, wanted)

    def inside(self, path: str) -> str:
        """`path` relative to the folder of this kernel's modules."""
        return path[len(self.folder) + 1 :] if path.startswith(self.folder + "/") else path


def dkms_modules(files: Files, release: str) -> dict[str, str]:
    """The DKMS package that built each module for `release`, by module name (dkms(8): PACKAGE/kernel-RELEASE-ARCH/module/)."""
    return dict(_dkms_modules(files, release))


def _dkms_modules(files: Files, release: str) -> Iterator[tuple[str, str]]:
    for package in _folder(files, _DKMS):
        for link in _folder(files, f"{_DKMS}/{package}"):
            if link.startswith(f"kernel-{release}-"):
                for name in _folder(files, f"{_DKMS}/{package}/{link}/module"):
                    yield module_name(name), package


def _folder(files: Files, path: str) -> list[str]:
    try:
        return files.names(path)
    except Unreadable:
        return []
