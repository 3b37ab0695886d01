"""What is notable about a file that is new on disk: where it lies and how it is marked."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import Optional

from tables.host.disk.file_heads import ELF, SCRIPT
from tables.host.disk.file_status import FileStatus
from tables.indicators.process_names import hidden_component, is_below, process_names

_PACKAGES_FOLDERS = ("systemd", "udev", "openssh", "cron", "polkit-1", "dbus-1.0", "apt")
_PROGRAM_FOLDERS = (
    "/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/libexec", "/usr/games",
    *(f"{library}/{name}" for library in ("/lib", "/usr/lib") for name in _PACKAGES_FOLDERS),
)  # fmt: skip
# Only what lies directly in these: below them are modules and add-ons that are built or fetched on the host.
_LIBRARY_FOLDERS = frozenset(
    folder + triplet
    for folder in ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/lib32", "/usr/lib32")
    for triplet in ("", "/x86_64-linux-gnu", "/aarch64-linux-gnu")
)


def is_program(status: FileStatus, head: Optional[bytes]) -> bool:
    """Whether a file is executable, an ELF file or a script."""
    return stat.S_ISREG(status.mode) and (bool(status.mode & 0o111) or head in (ELF, SCRIPT))


def oddities(path: str, status: FileStatus, head: Optional[bytes], is_packaged: Optional[bool], is_forged: bool) -> Iterator[str]:
    """Yield the reasons for which a file is notable, sorted; `head` as file_head() gives it."""
    may_run = is_program(status, head)
    is_regular = stat.S_ISREG(status.mode)
    names = process_names()
    if status.is_append_only:
        yield "append_only"
    if may_run and _is_hidden(path):
        yield "hidden_program"
    if status.is_immutable:
        yield "immutable"
    if may_run and is_below(path, names.writable_folders):
        yield "program_in_temporary_folder"
    if is_regular and status.mode & stat.S_ISGID:
        yield "setgid"
    if is_regular and status.mode & stat.S_ISUID:
        yield "setuid"
    if is_forged:
        yield "timestomped"
    if head == ELF and is_packaged is False and _is_system_path(path):
        yield "unpackaged_elf_in_system_folder"


def _is_hidden(path: str) -> bool:
    """Whether a dot name hides it that is no known tool's; right in a folder for temporary files, whatever the name."""
    names = process_names()
    if hidden_component(path) is None or names.packaged_hidden.match(path):
        return False
    temporary = is_below(path, names.writable_folders)
    return (temporary is not None and path.startswith(f"{temporary}/.")) or not names.is_tool_path(path, ())


def _is_system_path(path: str) -> bool:
    return is_below(path, _PROGRAM_FOLDERS) is not None or os.path.dirname(path) in _LIBRARY_FOLDERS
