"""Kernel modules that hide from one of the kernel's lists, or that stand out by taint or origin."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

from tables.host import Host, kernel_modules
from tables.host.kernel_modules import LIVE, TAINTS, Loaded, Look, OnDisk
from tables.host.packages import OwnerUnknown, owners
from tables.indicators.kernel_modules import module_origins
from tables.schema import BIGINT, TEXT, QueryContext, Row, TableError, column, table

_TABLE = "kernel_module_findings"
# Between the two looks: longer than loading or unloading a module takes.
_PAUSE = 0.2
_PROC, _SYSFS, _SYMBOLS, _TRACED = "proc_modules", "sysfs", "kallsyms", "tracefs"
_BY_TAINT = {"O": "out_of_tree", "E": "unsigned", "F": "forced"}
# Taints that only a module brings (kernel/module/main.c).
_MODULE_TAINTS = "PFOE"


@dataclass(frozen=True)
class KernelModuleFinding(Row):
    """One module, or the kernel as a whole, and one reason why it deserves a look."""

    module: Optional[str] = column(TEXT, "name of the module; empty where the finding is about the kernel as a whole")
    reason: str = column(
        TEXT,
        "what is odd: hidden_from_proc_modules, hidden_from_sysfs, mounted_over, out_of_tree, unsigned, forced, no_file, "
        "unowned_file or taint_without_module",
    )
    how_hidden: Optional[str] = column(TEXT, "lists that leave it out, comma separated: proc_modules, sysfs")
    how_seen: Optional[str] = column(TEXT, "lists that show it, comma separated: proc_modules, sysfs, kallsyms, tracefs")
    taint: Optional[str] = column(TEXT, "taint letters of the module (of the kernel where module is empty)")
    taint_names: Optional[str] = column(TEXT, "what the letters mean, comma separated")
    path: Optional[str] = column(
        TEXT, "file that modules.dep names for it under the running kernel's release, or the mount point"
    )
    package: Optional[str] = column(TEXT, "package that owns that file")
    module_size: Optional[int] = column(BIGINT, "bytes of memory it takes")
    load_state: Optional[str] = column(TEXT, "Live, Loading or Unloading")
    exception: Optional[str] = column(
        TEXT, "built-in explanation that makes the row harmless as a rule; empty when there is none"
    )
    evidence: str = column(TEXT, "the facts behind the reason, in words")


@table(
    _TABLE,
    KernelModuleFinding,
    needs_live=True,
    description="Kernel modules missing from one of the kernel's lists, out of tree, unsigned, forced, or of unknown origin.",
    sop_steps=(11,),
    examples=[
        "SELECT module, reason, how_hidden, how_seen, taint_names, path FROM kernel_module_findings WHERE exception = ''",
    ],
    cache_seconds=30.0,
)
def kernel_module_findings(host: Host, query: QueryContext) -> Iterator[KernelModuleFinding]:
    """One row per module and reason; the kernel's own, signed, packaged modules have none.

    /proc/modules, /sys/module (its live modules and its link count), the names behind symbols in /proc/kallsyms and
    ftrace's lists of functions must agree: a module that takes itself off one list is seen on another. What a look at
    them finds missing counts only when a second look finds it missing again. A module that leaves no trace in any list
    shows at most as a taint that no loaded module explains. tracefs is read only where it is mounted. A kernel without
    loadable modules gives no row. Lists that could not be read are named in minehunt_status.
    """
    try:
        release = kernel_modules.kernel_release(host)
    except OSError as error:
        raise TableError(f"kernel modules can be examined on a running system only: {error}") from None
    first = kernel_modules.look(host, query.check_time)
    hidden = _hidden(first)
    if hidden or first.uncounted:
        time.sleep(_PAUSE)
        again = kernel_modules.look(host, query.check_time)
        lasting = _hidden(again)
        hidden = {name: lasting[name] for name in hidden if lasting.get(name) == hidden[name]}
        again.uncounted = min(first.uncounted, again.uncounted)
        first = again
    scan = _Scan(host, release, first)
    yield from scan.mounts()
    yield from scan.hidden(hidden)
    yield from scan.loaded(query)
    yield from scan.kernel()
    host.status.degrade(_TABLE, *first.gaps, *scan.gaps)


def _hidden(look: Look) -> dict[str, tuple[str, ...]]:
    """The modules that run but are missing from a list that must have them: which lists, by name."""
    running = set(look.sysfs or ()) | (look.symbols or set()) | (look.traced or set())
    running |= {name for name, found in (look.proc or {}).items() if found.state == LIVE}
    # Without a live module in sysfs, a missing /proc/modules only means a kernel without loadable modules.
    has_modules = look.proc is not None or bool(look.sysfs)
    found = {}
    for name in running if has_modules else ():
        missing = []
        if not look.is_proc_unreadable and name not in (look.proc or {}):
            missing.append(_PROC)
        if look.sysfs is not None and name not in look.folders:
            missing.append(_SYSFS)
        if missing:
            found[name] = tuple(missing)
    return found


class _Scan:
    """Makes the rows of one scan from the lists and from what is on disk."""

    def __init__(self, host: Host, release: str, look: Look) -> None:
        self.host = host
        self.look = look
        self.gaps: list[str] = []
        self.modules: dict[str, Loaded] = {**(look.sysfs or {}), **(look.proc or {})}
        self.origins = module_origins()
        self.disk = OnDisk.of(host.files, release)
        self.dkms = kernel_modules.dkms_modules(host.files, release)
        self.packages = self._packages()
        if self.modules and self.disk.paths is None:
            self.gaps.append(f"no modules.dep for {release}: the files of modules are not known")

    def _packages(self) -> Optional[dict[str, Optional[str]]]:
        paths = [path for name in self.modules if (path := self._path(name)) is not None]
        try:
            return owners(self.host, paths) if paths else None
        except OwnerUnknown as error:
            self.gaps.append(str(error))
            return None

    def _path(self, name: str) -> Optional[str]:
        return (self.disk.paths or {}).get(name)

    def mounts(self) -> Iterator[KernelModuleFinding]:
        """What is mounted on top of the lists, in our own mount namespace."""
        for point in kernel_modules.covering_mounts(self.host):
            evidence = f"something is mounted on {point}: what the kernel shows there cannot be seen by its name"
            yield KernelModuleFinding(reason="mounted_over", path=point, evidence=evidence)

    def hidden(self, hidden: dict[str, tuple[str, ...]]) -> Iterator[KernelModuleFinding]:
        """Modules missing from a list, and folders of /sys/module that its listing leaves out."""
        for name, missing in sorted(hidden.items()):
            reason = "hidden_from_proc_modules" if _PROC in missing else "hidden_from_sysfs"
            evidence = f"{', '.join(self._seen(name))} show it, {', '.join(missing)} twice did not"
            yield self._row(name, reason, evidence, how_hidden=",".join(missing))
        if self.look.uncounted:
            evidence = f"the link count of /sys/module says that it has {self.look.uncounted} more folders than it lists"
            yield KernelModuleFinding(reason="hidden_from_sysfs", how_hidden=_SYSFS, evidence=evidence)

    def loaded(self, query: QueryContext) -> Iterator[KernelModuleFinding]:
        """Modules that stand out by their taint, or by what is known of their file."""
        for name, found in sorted(self.modules.items()):
            query.check_time()
            for letter, reason in _BY_TAINT.items():
                if letter in found.taint:
                    yield self._row(name, reason, self._origin(name, found), exception=self._exception(name, found))
            if self.disk.paths is None:
                continue
            path = self._path(name)
            if path is None or not self.host.files.exists(path):
                named = "modules.dep names no file for it" if path is None else f"{path}, which modules.dep names, is missing"
                yield self._row(name, "no_file", named, exception=self._exception(name, found))
            elif self.packages is not None and self.packages.get(path, "") is None:
                yield self._row(name, "unowned_file", f"no package owns {path}", exception=self._unowned_exception(name, found))

    def kernel(self) -> Iterator[KernelModuleFinding]:
        """Taints of the kernel that only a module brings, when no loaded module has them."""
        explained = "".join(found.taint for found in self.modules.values())
        left = [
            letter for letter in kernel_modules.kernel_taint(self.host) if letter in _MODULE_TAINTS and letter not in explained
        ]
        if not left:
            return
        added = sorted(path for path in (self.disk.paths or {}).values() if self.origins.is_added(self.disk.inside(path)))
        yield KernelModuleFinding(
            reason="taint_without_module",
            taint="".join(left),
            taint_names=_names("".join(left)),
            exception=f"modules from outside the kernel are installed: {added[0]}" if added else None,
            evidence="a module with this taint was loaded since boot, and no module shown has it: it was unloaded, or hides",
        )

    def _seen(self, name: str) -> list[str]:
        lists = {_PROC: self.look.proc, _SYSFS: self.look.sysfs, _SYMBOLS: self.look.symbols, _TRACED: self.look.traced}
        return [what for what, names in lists.items() if names is not None and name in names]

    def _origin(self, name: str, found: Loaded) -> str:
        path = self._path(name)
        if path is None:
            return "its file is not known"
        if self._is_impostor(path, found):
            return f"{path} is a file of the kernel's own, but what is loaded under its name was not built with the kernel"
        return f"modules.dep names {path}"

    def _is_impostor(self, path: str, found: Loaded) -> bool:
        """Whether something from outside the kernel runs under the name of a module that was built with it."""
        return "O" in found.taint and self.origins.is_in_tree(self.disk.inside(path))

    def _exception(self, name: str, found: Loaded) -> Optional[str]:
        path = self._path(name)
        if name in self.dkms and path is not None:
            return f"built by DKMS: {self.dkms[name]}"
        package = (self.packages or {}).get(path) if path is not None else None
        if package is not None and path is not None and not self._is_impostor(path, found):
            return f"package {package}"
        known = self.origins.known_driver(name)
        if known is not None and (path is not None or any(map(self.host.files.exists, known.folders))):
            return known.exception
        return None

    def _unowned_exception(self, name: str, found: Loaded) -> Optional[str]:
        if not any((self.packages or {}).values()) and not found.taint:
            return "built here: no package owns any module of this kernel"
        return self._exception(name, found)

    def _row(
        self, name: str, reason: str, evidence: str, how_hidden: Optional[str] = None, exception: Optional[str] = None
    ) -> KernelModuleFinding:
        found = self.modules.get(name)
        path = self._path(name)
        return KernelModuleFinding(
            module=name,
            reason=reason,
            how_hidden=how_hidden,
            how_seen=",".join(self._seen(name)),
            taint=found.taint if found else None,
            taint_names=_names(found.taint) if found else None,
            path=path,
            package=(self.packages or {}).get(path) if path is not None else None,
            module_size=found.module_size if found else None,
            load_state=found.state if found else None,
            exception=exception,
            evidence=evidence,
        )


def _names(letters: str) -> str:
    return ",".join(TAINTS[letter] for letter in letters)
