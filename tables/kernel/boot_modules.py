"""The kernel modules that boot files name, and those of them that nobody's package brought."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Optional

from tables.host import Host
from tables.host.disk.files import Unreadable
from tables.host.kernel.installed_modules import MAX_PATTERN_NAMES, module_name, releases
from tables.host.kernel.modules import kernel_release
from tables.host.packages.owners import OwnerUnknown, owners
from tables.host.startup.boot_modules import INSTALL, BootModule
from tables.host.startup.boot_modules import boot_modules as named_modules
from tables.host.startup.entries import StartupFiles
from tables.reasons.finding_columns import evidence_column, exception_column
from tables.reasons.module_facts import ModuleFacts
from tables.reasons.started_files import SEARCH_PATH, StartedFiles
from tables.schema import BIGINT, TEXT, QueryContext, Row, Words, column, table
from tables.text.shell import parse

_TABLE = "boot_modules"
_UNOWNED = "loaded_at_boot_unowned"
# So many of a kernel's modules tell whether a package brought that kernel.
_SAMPLE = 40
_LOADERS = frozenset({"insmod", "modprobe", "kmod"})


@dataclass(frozen=True)
class BootModuleRow(Row):
    """One module, or the command that stands in for it, that one line of a file names."""

    module: str = column(TEXT, "name of the module; of `install` the one whose loading runs the command")
    directive: str = column(TEXT, "how it is named: load (at boot), install, alias or softdep (modprobe.d)")
    source_path: str = column(TEXT, "file that names it")
    line: int = column(BIGINT, "line of it")
    source_package: Optional[str] = column(TEXT, "package that owns that file")
    command: Optional[str] = column(TEXT, "command of an install line")
    path: Optional[str] = column(TEXT, "the module's file, or the program that the command starts; empty when there is none")
    sha256: Optional[str] = column(TEXT, "its SHA-256, where it has a reason")
    mtime: Optional[int] = column(BIGINT, "last change of its content (unix seconds)")
    package: Optional[str] = column(TEXT, "package that owns it")
    release: Optional[str] = column(TEXT, "kernel release that the module's file is for")
    reason: str = column(TEXT, "empty, or where there is a file at `path` and no package owns it", words=Words.listed(_UNOWNED))
    exception: Optional[str] = exception_column()
    evidence: str = evidence_column()


@table(
    _TABLE,
    BootModuleRow,
    description="Kernel modules that modules-load.d and modprobe.d name, with their files and who owns those.",
    sop_steps=(5, 11),
    examples=[
        "SELECT module, directive, source_path, line, path, sha256 FROM boot_modules WHERE reason <> '' AND exception = ''"
    ],
    cache_seconds=60.0,
)
def boot_modules(host: Host, query: QueryContext) -> Iterator[BootModuleRow]:
    """One row per module and line of /etc/modules, modules-load.d(5) and modprobe.d(5), on a mounted disk as well.

    The module's file is what modules.dep or modules.alias names for it: under the running kernel's release first, then
    under each other release that is installed; what is built into the kernel, or installed nowhere, has none. A file that
    no package owns has a reason, and an exception where DKMS built it, a known maker's installer put it there, or no module
    of that kernel belongs to a package. Of an install line the program, and the modules that insmod or modprobe are given
    in it, are rows. Not seen: modules that a program loads by itself, and what an initramfs loads before the disk is there.
    """
    source = StartupFiles(host, query)
    entries = list(named_modules(source))
    scan = _Scan(host, [(entry, _started(host, entry.named.command)) for entry in entries], query)
    yield from scan.rows()


class _Started(NamedTuple):
    """What an install line starts: a program's path, and the names and files of modules that it has loaded."""

    program: Optional[str]
    names: tuple[str, ...]
    files: tuple[str, ...]


def _started(host: Host, command: str) -> _Started:
    if not command:
        return _Started(None, (), ())
    commands = parse(command).commands
    _, program = StartedFiles(host.files).program(commands, SEARCH_PATH, None, "/")
    given = [word for each in commands if (found := each.invocation) and found.name in _LOADERS for word in found.arguments]
    words = [word for word in given if not word.startswith("-") and "=" not in word]
    files = tuple(dict.fromkeys(word for word in words if word.startswith("/")))
    return _Started(program, tuple(dict.fromkeys(module_name(word) for word in words if "/" not in word)), files)


class _Scan:
    """Makes the rows of one scan."""

    def __init__(self, host: Host, entries: list[tuple[BootModule, _Started]], query: QueryContext) -> None:
        self.host = host
        self.entries = entries
        self.query = query
        self.owners: Optional[dict[str, Optional[str]]] = None
        paths = {path for entry, started in entries for path in (entry.file.path, started.program, *started.files) if path}
        try:
            self.owners = owners(host, paths) if paths else {}
        except OwnerUnknown as error:
            query.cannot_tell(str(error))
        names = {entry.named.module for entry, _ in entries if entry.named.directive != INSTALL}
        names |= {name for _, started in entries for name in started.names}
        self.kernels = [self._kernel(release, names) for release in _releases(host)] if names else []

    def _kernel(self, release: str, names: set[str]) -> ModuleFacts:
        self.query.check_time()
        facts = ModuleFacts(self.host, release, names, self.query, aliases=True, sample=_SAMPLE)
        if facts.is_alias_cut:
            self.query.truncate(
                f"{release}: more than {MAX_PATTERN_NAMES} modules are not installed: not all were looked up by alias"
            )
        return facts

    def rows(self) -> Iterator[BootModuleRow]:
        """The rows of all lines."""
        for entry, started in self.entries:
            self.query.check_time()
            if entry.named.directive != INSTALL:
                yield self._module(entry, entry.named.module)
                continue
            if started.program not in started.files:
                yield self._file(entry, entry.named.module, started.program)
            yield from (self._module(entry, name) for name in started.names if name != entry.named.module)
            yield from (self._file(entry, module_name(path), path) for path in started.files)

    def _module(self, entry: BootModule, name: str) -> BootModuleRow:
        """The row of a module by name: of the first of its files that nobody owns, else of the first."""
        files = [(facts, path) for facts in self.kernels if (path := facts.path(name)) and self.host.files.exists(path)]
        if not files:
            return self._row(entry, name, evidence="no kernel that is installed here has a file for it")
        for facts, path in files:
            if facts.is_unowned(path):
                excuse = facts.unowned_exception(name, "")
                return self._row(entry, name, path, facts=facts, unowned=f"no package owns {path}", exception=excuse)
        facts, path = files[0]
        return self._row(entry, name, path, facts=facts, evidence=f"modules.dep names {path}")

    def _file(self, entry: BootModule, name: str, path: Optional[str]) -> BootModuleRow:
        """The row of a program, or of a module by its file."""
        if path is None or not self.host.files.exists(path):
            return self._row(
                entry, name, path, evidence="what the command starts is not there" if path else "a shell's own words"
            )
        real = _real_path(self.host, path)
        known = (self.owners or {}).get(path) or (self.owners or {}).get(real)
        if self.owners is None or known or path not in self.owners:
            return self._row(entry, name, path, package=known, evidence=f"the command starts {path}")
        return self._row(entry, name, path, unowned=f"no package owns {path}, which the command starts or loads")

    def _row(
        self,
        entry: BootModule,
        name: str,
        path: Optional[str] = None,
        *,
        facts: Optional[ModuleFacts] = None,
        package: Optional[str] = None,
        unowned: Optional[str] = None,
        exception: Optional[str] = None,
        evidence: str = "",
    ) -> BootModuleRow:
        return BootModuleRow(
            module=name,
            directive=entry.named.directive,
            source_path=entry.file.path,
            line=entry.named.line,
            source_package=(self.owners or {}).get(entry.file.path),
            command=entry.named.command,
            path=path,
            sha256=self._sha256(path) if path and unowned else None,
            mtime=self._mtime(path) if path else None,
            package=facts.package(name) if facts else package,
            release=facts.release if facts else None,
            reason=_UNOWNED if unowned else "",
            exception=exception,
            evidence=unowned or evidence,
        )

    def _sha256(self, path: str) -> Optional[str]:
        try:
            return self.host.files.sha256(path)
        except Unreadable as error:
            self.query.could_not_see(str(error))
            return None

    def _mtime(self, path: str) -> Optional[int]:
        try:
            return int(self.host.files.stat(path).st_mtime)
        except Unreadable:
            return None


def _releases(host: Host) -> list[str]:
    """The installed releases, the running kernel's first."""
    found = releases(host.files)[::-1]
    if host.is_live:
        running = kernel_release(host)
        found.sort(key=lambda release: release != running)
    return found


def _real_path(host: Host, path: str) -> str:
    try:
        return host.files.real_path(path)
    except OSError:
        return path
