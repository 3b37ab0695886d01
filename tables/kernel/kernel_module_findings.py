"""Kernel modules that hide from one of the kernel's lists, or that stand out by taint or origin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

from tables.errors import TableError
from tables.host import Host
from tables.host.kernel import modules as kernel_modules
from tables.host.kernel.log import taint_log
from tables.host.kernel.module_code import unlisted_modules
from tables.host.kernel.module_memory import unaccounted_memory
from tables.host.kernel.modules import PROC, SYSFS, TAINTS, Loaded, Look
from tables.reasons.finding_columns import evidence_column, exception_column
from tables.reasons.module_facts import ModuleFacts
from tables.schema import BIGINT, TEXT, QueryContext, Row, Words, column, table

_TABLE = "kernel_module_findings"
_BY_TAINT = {"O": "out_of_tree", "E": "unsigned", "F": "forced"}
# Taints that only a module brings (kernel/module/main.c).
_MODULE_TAINTS = "PFOE"


@dataclass(frozen=True)
class KernelModuleFinding(Row):
    """One module, or the kernel as a whole, and one reason why it deserves a look."""

    module: Optional[str] = column(TEXT, "name of the module; empty where the finding is about the kernel as a whole")
    reason: str = column(
        TEXT,
        "what is odd",
        words=Words.listed(
            "hidden_from_proc_modules hidden_from_sysfs unaccounted_module_memory mounted_over out_of_tree unsigned forced "
            "no_file unowned_file taint_without_module tainting_module_gone"
        ),
    )
    how_hidden: Optional[str] = column(TEXT, "lists that leave it out, comma separated: proc_modules, sysfs")
    how_seen: Optional[str] = column(TEXT, "lists that show it, comma separated: proc_modules, sysfs, kallsyms, tracefs")
    taint: Optional[str] = column(TEXT, "taint letters of the module (of the kernel where module is empty)")
    taint_names: Optional[str] = column(TEXT, "what the letters mean, comma separated")
    path: Optional[str] = column(
        TEXT, "file that modules.dep names for it under the running kernel's release, or the mount point"
    )
    package: Optional[str] = column(TEXT, "package that owns that file")
    module_size: Optional[int] = column(BIGINT, "bytes of memory it takes, or that no module shown takes")
    load_state: Optional[str] = column(TEXT, "Live, Loading or Unloading")
    load_time: Optional[int] = column(BIGINT, "when the kernel's log names it, in unix seconds; only of a module that is gone")
    exception: Optional[str] = exception_column()
    evidence: str = evidence_column()


@table(
    _TABLE,
    KernelModuleFinding,
    needs_live=True,
    description="Kernel modules missing from one of the kernel's lists, out of tree, unsigned, forced, gone, or unknown.",
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
    them finds missing counts only when a second look finds it missing again. A module that left all lists still takes
    memory: /proc/vmallocinfo shows what the module loader gave out, and unaccounted_module_memory what of it no module
    shown takes. The kernel's log (/dev/kmsg) names modules that tainted the kernel, shown or not. tracefs is read from a
    mount of our own, which nobody else sees. A kernel without loadable modules gives no row.

    What costs little comes first; when the time ends in the long lists (kallsyms, ftrace's), the rows so far stay and
    minehunt_status says that the answer was cut. Lists that could not be read are named there, too.
    """
    try:
        release = kernel_modules.kernel_release(host)
    except OSError as error:
        raise TableError(f"kernel modules can be examined on a running system only: {error}") from None
    look, hidden = kernel_modules.two_looks(host)
    scan = _Scan(host, release, look, query)
    yield from scan.mounts()
    yield from scan.hidden(hidden)
    yield from scan.memory()
    yield from scan.loaded()
    yield from scan.kernel()
    yield from scan.log()
    yield from scan.unlisted()


class _Scan:
    """Makes the rows of one scan from the lists and from what is on disk."""

    def __init__(self, host: Host, release: str, look: Look, query: QueryContext) -> None:
        self.host = host
        self.look = look
        self.query = query
        query.take(look.unseen)
        self.modules = look.modules
        self.facts = ModuleFacts(host, release, self.modules, query)
        if self.modules and self.facts.disk.paths is None:
            self.query.cannot_tell(f"no modules.dep for {release}: the files of modules are not known")

    def mounts(self) -> Iterator[KernelModuleFinding]:
        """What is mounted on top of the lists, in our own mount namespace."""
        for point in kernel_modules.covering_mounts(self.host):
            evidence = f"something is mounted on {point}: what the kernel shows there cannot be seen by its name"
            yield KernelModuleFinding(reason="mounted_over", path=point, evidence=evidence)

    def hidden(self, hidden: dict[str, tuple[str, ...]]) -> Iterator[KernelModuleFinding]:
        """Modules missing from a list, and folders of /sys/module that its listing leaves out."""
        for name, missing in sorted(hidden.items()):
            yield self._hidden(name, missing, self._seen(name))
        if self.look.uncounted:
            evidence = f"the link count of /sys/module says that it has {self.look.uncounted} more folders than it lists"
            yield KernelModuleFinding(reason="hidden_from_sysfs", how_hidden=SYSFS, evidence=evidence)

    def memory(self) -> Iterator[KernelModuleFinding]:
        """Memory that the module loader gave out and that no module shown takes."""
        found = unaccounted_memory(self.host, self.query, self.query.check_time) if self.look.has_modules else None
        if found is None:
            return
        parts = f", in areas for modules of {', '.join(map(str, found.areas))} bytes" if found.areas else ""
        evidence = f"the module loader holds {found.total} bytes more than all modules shown take{parts}"
        yield KernelModuleFinding(
            reason="unaccounted_module_memory",
            how_hidden=f"{PROC},{SYSFS}",
            how_seen="vmallocinfo",
            module_size=found.total,
            evidence=evidence,
        )

    def loaded(self) -> Iterator[KernelModuleFinding]:
        """Modules that stand out by their taint, or by what is known of their file."""
        for name, found in sorted(self.modules.items()):
            self.query.check_time()
            yield from self._loaded(name, found)

    def _loaded(self, name: str, found: Loaded) -> Iterator[KernelModuleFinding]:
        excuse = self.facts.exception(name, found.taint)
        for letter, reason in _BY_TAINT.items():
            if letter in found.taint:
                yield self._row(name, reason, self.facts.origin(name, found.taint), exception=excuse)
        path = self.facts.path(name)
        if self.facts.disk.paths is None:
            return
        if path is None or not self.host.files.exists(path):
            named = "modules.dep names no file for it" if path is None else f"{path}, which modules.dep names, is missing"
            yield self._row(name, "no_file", named, exception=excuse)
        elif self.facts.is_unowned(path):
            excuse = self.facts.unowned_exception(name, found.taint)
            yield self._row(name, "unowned_file", f"no package owns {path}", exception=excuse)

    def kernel(self) -> Iterator[KernelModuleFinding]:
        """Taints of the kernel that only a module brings, when no loaded module has them."""
        explained = "".join(found.taint for found in self.modules.values())
        left = [
            letter for letter in kernel_modules.kernel_taint(self.host) if letter in _MODULE_TAINTS and letter not in explained
        ]
        if not left:
            return
        added = self.facts.added()
        yield KernelModuleFinding(
            reason="taint_without_module",
            taint="".join(left),
            taint_names=_names("".join(left)),
            exception=f"modules from outside the kernel are installed: {added[0]}" if added else None,
            evidence="a module with this taint was loaded since boot, and no module shown has it: it was unloaded, or hides",
        )

    def log(self) -> Iterator[KernelModuleFinding]:
        """Modules that tainted the kernel by its own log, and that no list shows now."""
        if not self.look.has_modules:
            return
        try:
            log = taint_log(self.host)
        except OSError as error:
            self.query.cannot_tell(f"/dev/kmsg: {error.strerror or error}: which modules tainted the kernel is not known")
            return
        if log.is_cut and any(letter in _MODULE_TAINTS for letter in kernel_modules.kernel_taint(self.host)):
            self.query.cannot_tell(
                "/dev/kmsg: the kernel's log has lost its beginning, and with it the first module that tainted it"
            )
        gone = {line.module: line for line in reversed(log.lines) if line.module not in self.modules}
        if not gone:
            return
        facts = ModuleFacts(self.host, self.facts.release, gone, self.query)
        for name, line in sorted(gone.items()):
            yield KernelModuleFinding(
                module=name,
                reason="tainting_module_gone",
                how_seen="kernel_log",
                taint=line.taint,
                taint_names=_names(line.taint),
                path=facts.path(name),
                package=facts.package(name),
                load_time=self.host.procfs.boot_time + line.microseconds // 1_000_000,
                exception=facts.unowned_exception(name, line.taint),
                evidence=f"the kernel's log: {line.text}; no list shows it now: it was unloaded, or hides",
            )

    def unlisted(self) -> Iterator[KernelModuleFinding]:
        """Modules that own symbols or functions, and that neither /proc/modules nor /sys/module shows."""
        if not self.look.has_modules:
            return
        for name, (seen, missing) in sorted(unlisted_modules(self.host, self.look, self.query).items()):
            yield self._hidden(name, missing, seen)

    def _hidden(self, name: str, missing: tuple[str, ...], seen: list[str]) -> KernelModuleFinding:
        reason = "hidden_from_proc_modules" if PROC in missing else "hidden_from_sysfs"
        evidence = f"{', '.join(seen)} show it, {', '.join(missing)} twice did not"
        return self._row(name, reason, evidence, how_hidden=",".join(missing), seen=seen)

    def _seen(self, name: str) -> list[str]:
        return [what for what, names in ((PROC, self.look.proc), (SYSFS, self.look.sysfs)) if name in (names or ())]

    def _row(
        self,
        name: str,
        reason: str,
        evidence: str,
        how_hidden: Optional[str] = None,
        exception: Optional[str] = None,
        seen: Optional[list[str]] = None,
    ) -> KernelModuleFinding:
        found = self.modules.get(name)
        return KernelModuleFinding(
            module=name,
            reason=reason,
            how_hidden=how_hidden,
            how_seen=",".join(seen or self._seen(name)),
            taint=found.taint if found else None,
            taint_names=_names(found.taint) if found else None,
            path=self.facts.path(name),
            package=self.facts.package(name),
            module_size=found.module_size if found else None,
            load_state=found.state if found else None,
            exception=exception,
            evidence=evidence,
        )


def _names(letters: str) -> str:
    return ",".join(TAINTS[letter] for letter in letters)
