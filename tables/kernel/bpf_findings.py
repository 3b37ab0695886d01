"""BPF programs that see or change what others do, and those of them that sit where things are hidden."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

from tables.errors import TableError
from tables.host import Host
from tables.host.kernel.bpf_holders import Holders, holders
from tables.host.kernel.bpf_objects import Link, Program, links, programs
from tables.host.kernel.btf import function_names
from tables.host.kernel.memory import symbols
from tables.host.packages.owners import OwnerUnknown, owners
from tables.host.processes.procfs import Process
from tables.indicators.bpf_programs import Holder, bpf_programs
from tables.indicators.kernel_functions import kernel_functions
from tables.reasons.finding_columns import evidence_column
from tables.schema import BIGINT, TEXT, QueryContext, Row, Words, column, table

_TABLE = "bpf_findings"
_REASON = "attached_where_things_hide"
_SECOND = 1_000_000_000
_MAX_HOLDERS = 20
# Of kinds that are attached by a descriptor, whose target only its holder tells.
_BY_DESCRIPTOR = ("kprobe", "tracepoint", "raw_tracepoint")


@dataclass(frozen=True)
class BpfFinding(Row):
    """One BPF program and one thing that it is attached to."""

    program_id: int = column(BIGINT, "number of the program in the kernel; changes with every load")
    program_name: Optional[str] = column(TEXT, "name that its loader gave it, at most 15 characters")
    program_type: str = column(TEXT, "kprobe, tracepoint, raw_tracepoint, perf_event, tracing, lsm or extension")
    target: Optional[str] = column(
        TEXT, "function, tracepoint or security hook (bpf_lsm_…) it is attached to; empty when unknown"
    )
    load_time: int = column(BIGINT, "when it was loaded (unix seconds)")
    creator_uid: int = column(BIGINT, "account that loaded it")
    tag: str = column(TEXT, "hash of its instructions by the kernel")
    holder_pids: Optional[str] = column(TEXT, "processes that hold it or its link, comma separated; empty for pinned ones")
    holder_paths: Optional[str] = column(TEXT, "their executables, comma separated")
    reason: str = column(
        TEXT, "empty, or for listings, signals, sockets, security hooks and all system calls", words=Words.listed(_REASON)
    )
    exception: Optional[str] = column(TEXT, "known agent whose it is, by its holders; empty when there is none")
    evidence: str = evidence_column()


@table(
    _TABLE,
    BpfFinding,
    needs_live=True,
    description="BPF programs that trace or decide, what they are attached to, and who holds them.",
    sop_steps=(11,),
    examples=["SELECT program_name, program_type, target, holder_paths FROM bpf_findings WHERE reason <> '' AND exception = ''"],
    cache_seconds=60.0,
)
def bpf_findings(host: Host, query: QueryContext) -> Iterator[BpfFinding]:
    """One row per program and target, of programs for tracing and for security hooks; packet and cgroup programs have none.

    Programs and links are listed by bpf(2) as root. What a program is attached to is told by its BTF target
    (/sys/kernel/btf/vmlinux names it), by its link (raw tracepoints; kprobes and tracepoints since Linux 6.6), and by the
    perf events that processes hold (BPF_TASK_FD_QUERY). Holders are the processes with a descriptor of the program, its link
    or its perf event (/proc/PID/fdinfo). A known agent (bpf_programs.yaml) is told by its holder's packaged executable, in a
    container by executable and program name; every holder must be that agent's.

    Not seen: what is attached where neither link nor holder tells (counted in minehunt_status), pins in bpffs, functions of
    modules, and programs that a rootkit's hook of bpf(2) leaves out.
    """
    if not host.is_live:
        raise TableError("BPF programs can be listed on a running system only")
    try:
        found = list(programs())
        attached = list(_links())
    except OSError as error:
        raise TableError(f"BPF programs cannot be listed: {error.strerror} (it takes root)") from None
    if not found:
        return
    yield from _Scan(host, query, found, attached).rows()


def _links() -> Iterator[Link]:
    try:
        yield from links()
    except OSError as error:
        # A kernel before Linux 5.8 has no links to list.
        if error.errno != errno.EINVAL:
            raise


class _Scan:
    """Makes the rows of one scan."""

    def __init__(self, host: Host, query: QueryContext, found: list[Program], attached: list[Link]) -> None:
        self.host = host
        self.query = query
        self.found = found
        self.known = bpf_programs()
        self.links: dict[int, list[Link]] = {}
        for link in attached:
            self.links.setdefault(link.program, []).append(link)
        self.holders: Holders = holders(host, query.check_time)
        self.btf = function_names(host.files, {program.target for program in found} - {0})
        self.addresses = self._addresses()
        self.packages = self._packages()

    def _addresses(self) -> dict[int, str]:
        """The watched functions by address, where a link names addresses."""
        if not any(link.addresses for links in self.links.values() for link in links):
            return {}
        try:
            named = symbols(self.host, kernel_functions().names(), self.query.check_time).named
        except OSError as error:
            self.query.cannot_tell(f"/proc/kallsyms: {error.strerror}: functions that programs are attached to have no names")
            return {}
        return {symbol.address: name for name, found in named.items() for symbol in found}

    def _packages(self) -> dict[str, Optional[str]]:
        paths = {path for program in self.found for process in self._processes(program) if (path := process.exe_path)}
        try:
            return owners(self.host, paths) if paths else {}
        except OwnerUnknown as error:
            self.query.cannot_tell(str(error))
            return {}

    def _processes(self, program: Program) -> list[Process]:
        held = dict(self.holders.programs.get(program.number, {}))
        for link in self.links.get(program.number, ()):
            held.update(self.holders.links.get(link.number, {}))
        return [held[pid] for pid in sorted(held)]

    def _targets(self, program: Program) -> set[str]:
        """The names of what a program is attached to."""
        names = set(self.holders.targets.get(program.number, ()))
        for link in self.links.get(program.number, ()):
            names |= {link.target, *(self.addresses.get(address, "") for address in link.addresses)}
        names.add(self.btf.get(program.target, ""))
        return names - {""}

    def rows(self) -> Iterator[BpfFinding]:
        """The rows of all programs."""
        unknown = 0
        for program in self.found:
            self.query.check_time()
            targets = self._targets(program)
            unknown += not targets and program.kind in _BY_DESCRIPTOR and bool(self.links.get(program.number))
            processes = self._processes(program)
            yield from (self._row(program, target, processes) for target in sorted(targets) or [""])
        if unknown:
            self.query.cannot_tell(f"{unknown} BPF programs are attached to what the kernel does not tell")

    def _row(self, program: Program, target: str, processes: list[Process]) -> BpfFinding:
        watched = self.known.is_watched(target)
        kept = [
            Holder(process.exe_path or "", bool(self.packages.get(process.exe_path or "")), bool(process.container_id))
            for process in processes
        ]
        where = target or "nothing that is known"
        who = ", ".join(f"{process.name} ({process.exe_path or 'no executable'})" for process in processes[:_MAX_HOLDERS])
        return BpfFinding(
            program_id=program.number,
            program_name=program.name,
            program_type=program.kind,
            target=target,
            load_time=self.host.procfs.boot_time + program.load_nanoseconds // _SECOND,
            creator_uid=program.creator_uid,
            tag=program.tag,
            holder_pids=",".join(str(process.pid) for process in processes[:_MAX_HOLDERS]),
            holder_paths=",".join(dict.fromkeys(process.exe_path or "" for process in processes[:_MAX_HOLDERS])),
            reason=_REASON if watched else "",
            exception=self.known.exception(program.name, kept),
            evidence=f"{program.kind} program on {where}, held by {who or 'no process: pinned, or hidden'}",
        )
