"""Folders that a script fills with what it fetches, a repository or an unpacked archive, and files that it runs from them."""

from __future__ import annotations

import posixpath
from collections.abc import Callable

from tables.reasons.command_patterns import named_files
from tables.text.archives import Unpacked, repository_folder

REPOSITORY_PROGRAMS = frozenset({"git", "svn", "hg"})
# Folders of everybody's programs: what lies there was not all in the archive.
_SHARED = frozenset(
    f"{place}{name}"
    for place, names in (
        ("", (".", "/")),
        ("/", ("bin", "sbin", "etc", "home", "lib", "media", "mnt", "opt", "root", "srv", "tmp", "usr", "var")),
        ("/usr/", ("bin", "lib", "local", "sbin", "share")),
        ("/usr/local/", ("bin", "lib", "sbin", "share")),
        ("/var/", ("lib", "tmp")),
    )
    for name in names
)
# Programs that run what a file in the folder at hand says.
_RUN_FOLDERS = frozenset({"make", "npm", "yarn", "pnpm", "cargo", "mvn", "gradle", "ant", "rake", "docker-compose"})


class FetchedFolders:
    """By folder, what a script is suspected of once it runs something from there; `absolute` fills in where it is."""

    def __init__(self) -> None:
        self.names: dict[str, set[str]] = {}

    def clone(self, line: str, absolute: Callable[[str], str]) -> None:
        """Take in the folder of the repository that a command, rendered as `line`, fetches."""
        for name, place in named_files("filled", line):
            self._fill(absolute(repository_folder(place) if "://" in place or ":" in place else place), {name})

    def unpack(self, found: Unpacked, names: set[str], absolute: Callable[[str], str]) -> None:
        """Take in the folder into which an archive is unpacked that makes the script suspected of `names`."""
        if found.folder is not None and names:
            self._fill(absolute(found.folder), names)

    def _fill(self, folder: str, names: set[str]) -> None:
        self.names.setdefault(posixpath.normpath(folder), set()).update(names)

    def reasons(self, written: str, full: str) -> set[str]:
        """What running the file says that is `written` so and lies at `full`."""
        found: set[str] = set()
        for folder, names in self.names.items():
            # A file that is named from the folder at hand was meant to be there since it was unpacked.
            is_inside = full.startswith(f"{folder}/") if folder not in _SHARED else not written.startswith(("/", "$", "~"))
            if is_inside and (folder in (".", "/") or full.startswith(f"{folder}/")):
                found |= names
        return found

    def run_whole(self, program: str, folder: str) -> set[str]:
        """What running a program says that does what is written in `folder`, the one at hand."""
        return self.reasons("Makefile", posixpath.join(folder, "Makefile")) if program in _RUN_FOLDERS else set()
