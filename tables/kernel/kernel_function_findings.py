"""Functions of the kernel that do not do what they were built to do: hooked through ftrace, or with changed code."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Optional

from tables.errors import BudgetExceeded, TableError
from tables.host import Host
from tables.host.disk.files import Unreadable
from tables.host.kernel.code import CodeLook, Detour, look_at_code
from tables.host.kernel.module_ranges import ModuleRanges, module_ranges
from tables.host.kernel.modules import PAUSE, kernel_release, look
from tables.host.kernel.traced_functions import Callback, Traced, traced_functions
from tables.indicators.kernel_functions import KernelFunctions, kernel_functions
from tables.reasons.finding_columns import evidence_column, exception_column
from tables.reasons.module_facts import ModuleFacts
from tables.schema import BIGINT, TEXT, QueryContext, Row, Words, column, table
from tables.unseen import Unseen

_TABLE = "kernel_function_findings"
_LIVEPATCH = "/sys/kernel/livepatch"
_PAGE_BITS = 12


@dataclass(frozen=True)
class KernelFunctionFinding(Row):
    """One function of the kernel, or one table of functions, and one way in which it was changed."""

    function: str = column(TEXT, "name of the function, or of the table of system calls")
    reason: str = column(
        TEXT,
        "what is odd: that ftrace hooks it, or that its bytes were changed",
        words=Words.listed("hooked_kernel_function patched_kernel_code"),
    )
    place: Optional[str] = column(TEXT, "where in it, for patched_kernel_code: its first bytes, a call, an entry of the table")
    callback: Optional[str] = column(TEXT, "function that runs instead, where the kernel has a name for it")
    module: Optional[str] = column(TEXT, "module that brings it, where one is known; empty for the kernel itself and for nobody")
    is_watched: int = column(BIGINT, "1 if a change of it can hide processes, files, connections or modules, or let somebody in")
    exception: Optional[str] = exception_column()
    evidence: str = evidence_column()


@table(
    _TABLE,
    KernelFunctionFinding,
    needs_live=True,
    description="Functions of the kernel that are hooked through ftrace, or whose code leads out of the kernel.",
    sop_steps=(11,),
    examples=["SELECT function, reason, callback, module, evidence FROM kernel_function_findings WHERE exception = ''"],
    cache_seconds=60.0,
    scan_early=True,
)
def kernel_function_findings(host: Host, query: QueryContext) -> Iterator[KernelFunctionFinding]:
    """One row per changed function and callback; none on a kernel that runs as it was built.

    hooked_kernel_function: tracefs's enabled_functions says that a callback may return elsewhere than into the function
    (flag I), or that it calls a trampoline of a module's (flag D). patched_kernel_code: entries of the system call tables,
    direct calls of the dispatcher of system calls (x64_sys_call, where the kernel has one), or a jump or call in the first
    bytes of functions that rootkits hook, lead outside the kernel's text (_stext to _etext of /proc/kallsyms), and ftrace
    does not say so. Read from /proc/kcore, a few kilobytes in all; x86-64, on aarch64 the table only. What was found counts
    when a second look finds it again. tracefs is read from a mount of our own.

    Not seen: pointers in data (file operations, security hooks, system calls' entry point), and code changed elsewhere than
    in the first bytes. Lockdown, or a kernel without /proc/kcore or without addresses in kallsyms, is said in minehunt_status.
    """
    try:
        release = kernel_release(host)
    except OSError as error:
        raise TableError(f"the kernel can be examined on a running system only: {error}") from None
    scan = _Scan(host, release, query)
    yield from scan.hooked()
    yield from scan.patched()


class _Scan:
    """Makes the rows of one scan."""

    def __init__(self, host: Host, release: str, query: QueryContext) -> None:
        self.host = host
        self.query = query
        self.release = release
        self.known: KernelFunctions = kernel_functions()
        self.traced: Optional[list[Traced]] = self._traced()

    def _traced(self) -> Optional[list[Traced]]:
        try:
            return traced_functions(self.host)
        except OSError as error:
            why = str(error) if isinstance(error, Unreadable) else error.strerror
            self.query.cannot_tell(f"{why}: functions hooked through ftrace are not seen")
            return None

    def hooked(self) -> Iterator[KernelFunctionFinding]:
        """Functions whose callback may replace them."""
        found = [traced for traced in self.traced or () if _is_hooked(traced)]
        if not found:
            return
        excuses = self._module_excuses(callback.module for traced in found for callback in traced.callbacks)
        patched = self._live_patched()
        for traced in found:
            for callback in traced.callbacks or (Callback("", ""),):
                yield KernelFunctionFinding(
                    function=traced.function,
                    reason="hooked_kernel_function",
                    callback=callback.name,
                    module=callback.module,
                    is_watched=int(self.known.is_watched(traced.function)),
                    exception=self._hook_exception(traced, callback, excuses, patched),
                    evidence=_hook_evidence(traced, callback),
                )

    def _hook_exception(
        self, traced: Traced, callback: Callback, excuses: dict[str, Optional[str]], patched: frozenset[str]
    ) -> Optional[str]:
        if callback.module:
            return excuses.get(callback.module)
        own = self.known.own_callback(callback.name)
        if own == "kprobe" and self.known.is_watched(traced.function):
            return None
        return own or ("live patch" if not callback.name and traced.function in patched else None)

    def _live_patched(self) -> frozenset[str]:
        """The functions that live patches replace: /sys/kernel/livepatch/PATCH/OBJECT/FUNCTION,NUMBER."""
        names: set[str] = set()
        files = self.host.files
        try:
            for patch in files.names(_LIVEPATCH):
                for kind in ("vmlinux", *files.names(f"{_LIVEPATCH}/{patch}")):
                    listed = files.names(f"{_LIVEPATCH}/{patch}/{kind}") if kind != "enabled" else []
                    names |= {name.partition(",")[0] for name in listed if "," in name}
        except Unreadable:
            # An attribute file beside the folders.
            pass
        return frozenset(names)

    def patched(self) -> Iterator[KernelFunctionFinding]:
        """Code that leads out of the kernel, twice."""
        try:
            first = look_at_code(self.host, self.known.names(), self.query, self.query.check_time)
            lasting = self._unexplained(first, self.traced or ())
            if not lasting:
                return
            time.sleep(PAUSE)
            again = look_at_code(self.host, {detour.function for detour in lasting}, Unseen(), self.query.check_time)
            lasting &= self._unexplained(again, self._traced() or ())
        except BudgetExceeded:
            self.query.truncate("the time ended while the kernel's code was looked at")
            return
        ranges = module_ranges(self.host)
        excuses = self._module_excuses(filter(None, (ranges.module(detour.target) for detour in lasting)))
        yield from (self._patched(detour, ranges, excuses) for detour in sorted(lasting))

    def _unexplained(self, seen: CodeLook, traced: Iterable[Traced]) -> frozenset[Detour]:
        """The detours that ftrace, kprobes and BPF do not account for."""
        listed = {entry.function for entry in traced}
        return frozenset(
            detour
            for detour in seen.detours
            if not (detour.is_entry and detour.function in listed) and detour.target >> _PAGE_BITS not in seen.builtin
        )

    def _patched(self, detour: Detour, ranges: ModuleRanges, excuses: dict[str, Optional[str]]) -> KernelFunctionFinding:
        module = ranges.module(detour.target)
        where = f"into the module {module}" if module else "to no module that is shown"
        where = "to a place that it reads from memory" if detour.target < 0 else where
        return KernelFunctionFinding(
            function=detour.function,
            reason="patched_kernel_code",
            place=detour.place,
            module=module,
            is_watched=1,
            exception=excuses.get(module) if module else None,
            evidence=f"{detour.function}: {detour.place} leads out of the kernel's text, {where}",
        )

    def _module_excuses(self, modules: Iterable[str]) -> dict[str, Optional[str]]:
        """What excuses each of the modules: only one that is shown, and of known origin."""
        names = {name for name in modules if name}
        shown = look(self.host).modules if names else {}
        listed = names & shown.keys()
        facts = ModuleFacts(self.host, self.release, listed, self.query) if listed else None
        return {name: facts.exception(name, shown[name].taint) if facts else None for name in listed}


def _is_hooked(traced: Traced) -> bool:
    """Whether a callback may replace the function, or a module's own trampoline is called."""
    return traced.may_be_replaced or (
        traced.is_direct and any(callback.module or not callback.name for callback in traced.callbacks)
    )


def _hook_evidence(traced: Traced, callback: Callback) -> str:
    what = f"{callback.name} of {callback.module or 'the kernel'}" if callback.name else "code without a name"
    return f"ftrace calls {what} at {traced.function}, and it may return elsewhere than into it (flags {traced.flags})"
