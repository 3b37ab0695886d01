"""Which processes keep a GPU busy as miners do: computing, all the time, for no framework, and of no package."""

from __future__ import annotations

from typing import NamedTuple, Optional

from tables.host import Host
from tables.host.gpu.model import COMPUTE, GpuUse
from tables.host.gpu.uses import BUSY_SHARE, GpuHistory
from tables.host.packages.owners import OwnerUnknown, owners
from tables.host.processes.executables import ancestor_programs
from tables.host.processes.procfs import Process
from tables.indicators.gpu_libraries import gpu_libraries
from tables.unseen import Unseen

_HISTORY = "gpu: history"
_MAPS_LIMIT = 4 << 20
# How long a program must run before it is called steady: models are loaded and shaders compiled within minutes.
STEADY_SECONDS = 300


class GpuProcess(NamedTuple):
    """A process on a GPU: what it does there, for how long it has kept it busy, and what it has mapped to do so."""

    process: Process
    use: GpuUse
    context: str
    busy_seconds: Optional[int]
    framework: str
    # What makes such use harmless as a rule; "" when nothing does.
    exception: str

    @property
    def is_busy(self) -> bool:
        """Whether it keeps the GPU busy with computing alone, for which it has no framework."""
        return (self.use.share or 0.0) >= BUSY_SHARE and self.context == COMPUTE and not (self.framework or self.exception)


def gpu_processes(host: Host, unseen: Unseen) -> list[GpuProcess]:
    """Each process on each GPU; what could not be measured is said to `unseen`."""
    history = host.state(_HISTORY, GpuHistory)
    found = []
    procfs = host.truth
    for use in history.measure(host.files, procfs, unseen):
        process = procfs.process(use.pid)
        if process is None:
            continue
        maps = procfs.try_read(f"{use.pid}/maps", _MAPS_LIMIT) or b""
        libraries = gpu_libraries().of_maps(maps)
        context = use.context
        # Drivers that render do not tell what for: OpenCL has no window.
        if use.how == "fdinfo" and libraries.compute and not libraries.display:
            context = COMPUTE
        is_volunteers = gpu_libraries().is_volunteers(process.exe_path or "", ancestor_programs(process))
        exception = "volunteer computing" if is_volunteers else ""
        busy_seconds = history.busy_seconds(*process.identity, use)
        found.append(GpuProcess(process, use, context, busy_seconds, libraries.framework, exception))
    return found


def packaged(host: Host, found: list[GpuProcess], unseen: Unseen) -> dict[int, Optional[int]]:
    """By pid, 1 for a program that a package owns, 0 for one that none does, None in containers and where that is unknown."""
    own = host.truth.namespace("self", "mnt")
    ours = (one.process for one in found if one.process.mount_namespace == own)
    paths = {process.pid: process.exe_path for process in ours if process.exe_path}
    try:
        known = owners(host, {path for path in paths.values() if path}) if paths else {}
    except OwnerUnknown as error:
        unseen.cannot_tell(str(error))
        known = {}
    answers = {pid: int(known[path] is not None) for pid, path in paths.items() if path in known}
    return {one.process.pid: answers.get(one.process.pid) for one in found}


def busy_facts(host: Host, unseen: Unseen, now: float) -> dict[int, str]:
    """In words, by pid, of those that keep a GPU busy as miners do; `now` is the time in unix seconds."""
    busy = [one for one in gpu_processes(host, unseen) if one.is_busy and now - one.process.start_time >= STEADY_SECONDS]
    known = packaged(host, busy, unseen) if busy else {}
    return {
        one.process.pid: f"{round((one.use.share or 0.0) * 100)} % of the GPU {one.use.gpu} ({one.use.name or one.use.driver})"
        for one in busy
        if known.get(one.process.pid) != 1
    }
