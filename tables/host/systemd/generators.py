"""Generators: the programs that systemd runs before it reads its units (systemd.generator(7))."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tables.host.disk.files import Files, Unreadable
from tables.host.disk.start_files import StartFile, read_start_file
from tables.unseen import Unseen

_KINDS = {
    "system-generators": "system",
    "system-environment-generators": "system",
    "user-generators": "user",
    "user-environment-generators": "user",
}
_FOLDERS = {
    "/run/systemd": "runtime",
    "/etc/systemd": "local",
    "/usr/local/lib/systemd": "local",
    "/usr/lib/systemd": "vendor",
    "/lib/systemd": "vendor",
}


class Generator(NamedTuple):
    """An executable file in a generators' folder: where it was found, and what lies there."""

    location: str
    file: StartFile
    scope: str
    origin: str


def read_generators(files: Files, unseen: Unseen) -> Iterator[Generator]:
    """Yield the generators, each file once; what cannot be read is told to `unseen`. The system's run as root at every boot."""
    seen: set[str] = set()
    for kind, scope in _KINDS.items():
        for folder, origin in _FOLDERS.items():
            for location in files.paths(f"{folder}/{kind}"):
                try:
                    file = read_start_file(files, location)
                except Unreadable as error:
                    # A link to /dev/null switches the vendor's generator off.
                    if not error.is_missing and error.why != "not a regular file":
                        unseen.could_not_see(str(error))
                    continue
                if file.path not in seen and file.status.st_mode & 0o111:
                    seen.add(file.path)
                    yield Generator(location, file._replace(text=""), scope, origin)
