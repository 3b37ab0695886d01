"""Packaged files whose content is not what their package brought: programs, libraries, PAM modules, start-up files."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

from tables.host import Host
from tables.host.disk.file_heads import ELF, SCRIPT
from tables.host.disk.files import Files, Unreadable
from tables.host.packages.contents import changed_files
from tables.host.packages.owners import owners
from tables.host.startup.verified_files import IN_USE, files_in_use, places
from tables.schema import BIGINT, TEXT, QueryContext, Row, column, table
from tables.text.launchers import is_launcher

_HEAD = 64 * 1024


@dataclass(frozen=True)
class ChangedPackageFile(Row):
    """One file of a package that somebody else wrote to."""

    path: str = column(TEXT, "the file, links in its path resolved", index=True)
    package: str = column(TEXT, "package that owns it")
    role: str = column(TEXT, "start_file, pam_module, program, library, or in_use (run or mapped from elsewhere)")
    kind: str = column(TEXT, "elf, script, launcher (of a language's package manager, pip or gem), or other")
    owner_uid: int = column(BIGINT, "owner of the file")
    mode: str = column(TEXT, "permission bits, octal")
    file_size: int = column(BIGINT, "its length (bytes)")
    mtime: int = column(BIGINT, "last change of its content (unix seconds)")
    ctime: int = column(BIGINT, "last change of its content or status (unix seconds), which nobody can set")
    sha256: Optional[str] = column(TEXT, "its SHA-256; empty above 256 MiB")


@table(
    "changed_package_files",
    ChangedPackageFile,
    description="Packaged programs, libraries, PAM modules and start-up files whose content is not what their package brought.",
    sop_steps=(4, 5, 16),
    examples=["SELECT path, package, role, kind, ctime FROM changed_package_files WHERE kind = 'elf'"],
    cache_seconds=300.0,
    # All of a desktop's programs and libraries, once after each change of its packages.
    budget_seconds=60.0,
    scan_early=True,
)
def changed_package_files(host: Host, query: QueryContext) -> Iterator[ChangedPackageFile]:
    """One row per file that differs from the digest that dpkg (md5sums), rpm or apk keeps of it.

    Compared are units, generators, rules of udev, tmpfiles.d, polkit and D-Bus, early boot's scripts, PAM modules, the programs
    and libraries directly in the system's folders, and what runs or is mapped from elsewhere, of this root folder. Configuration
    files (conffiles, %config), which administrators edit, are left out, and what packages keep no digest of. A file is read
    once for each of its states; while packages are being installed nothing is called changed. Not seen: who wrote the package's
    database anew as well; a running program whose file is in order on disk.
    """
    roles = dict(places(host.files))
    if host.is_live:
        for path in files_in_use(host.truth):
            query.check_time()
            roles.setdefault(path, IN_USE)
    changed = [path for path, is_changed in changed_files(host, roles, query).items() if is_changed]
    if not changed:
        return
    packages = owners(host, changed)
    for path in sorted(changed):
        query.check_time()
        try:
            yield _row(host.files, path, packages.get(path) or "", roles[path])
        except Unreadable as error:
            if not error.is_missing:
                query.could_not_see(str(error))


def _row(files: Files, path: str, package: str, role: str) -> ChangedPackageFile:
    head = files.head(path, _HEAD)
    status = files.stat(path)
    return ChangedPackageFile(
        path=path,
        package=package,
        role=role,
        kind=_kind(head),
        owner_uid=status.st_uid,
        mode=f"{stat.S_IMODE(status.st_mode):04o}",
        file_size=status.st_size,
        mtime=int(status.st_mtime),
        ctime=int(status.st_ctime),
        sha256=files.sha256(path),
    )


def _kind(head: bytes) -> str:
    if head.startswith(ELF):
        return "elf"
    if not head.startswith(SCRIPT):
        return "other"
    return "launcher" if is_launcher(head.decode("utf-8", "surrogateescape")) else "script"
