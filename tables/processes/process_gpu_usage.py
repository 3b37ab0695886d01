"""Which process uses which GPU, and how much of it since the last call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

from tables.errors import TableError
from tables.host import Host
from tables.host.containers.columns import container_column, names_containers
from tables.host.processes.columns import is_hidden_column, process_column, process_facts
from tables.host.processes.visibility import Visibility
from tables.reasons.finding_columns import exception_column
from tables.reasons.mining.gpu import gpu_processes, packaged
from tables.schema import BIGINT, DOUBLE, TEXT, QueryContext, Row, column, table

_NAME = "process_gpu_usage"
_FACTS = "pid process_name exe_path cmdline owner_uid parent parent_name start_time cwd cgroup_path container_id"


@dataclass(frozen=True)
class ProcessGpuUsage(Row):
    """One process on one GPU."""

    pid: int = process_column("pid", index=True)
    process_name: str = process_column("process_name")
    exe_path: Optional[str] = process_column("exe_path")
    cmdline: Optional[str] = process_column("cmdline")
    owner_uid: Optional[int] = process_column("owner_uid")
    parent: int = process_column("parent")
    parent_name: Optional[str] = process_column("parent_name")
    start_time: int = process_column("start_time")
    cwd: Optional[str] = process_column("cwd")
    cgroup_path: Optional[str] = process_column("cgroup_path")
    container_id: Optional[str] = process_column("container_id")
    container_name: Optional[str] = container_column("container_name")
    image: Optional[str] = container_column("image")
    pod: Optional[str] = container_column("pod")
    is_hidden: int = is_hidden_column()
    gpu: str = column(TEXT, "the GPU, by its PCI address; by its device (nvidia0, renderD128) where that is not known")
    gpu_name: Optional[str] = column(TEXT, "name of the GPU, as far as its driver tells")
    gpu_driver: Optional[str] = column(TEXT, "its driver: nvidia, amdgpu, i915, xe …")
    gpu_instance: Optional[str] = column(TEXT, "part of the GPU (MIG) that it has: `gpu 1 compute 0`")
    context: Optional[str] = column(
        TEXT,
        "what for: compute, graphics, both separated by a comma; by the driver, else by the libraries that it has mapped",
    )
    gpu_percent: Optional[float] = column(
        DOUBLE, "part of the GPU's time that it used, 100 = all; NULL where that cannot be measured; changes with every call"
    )
    gpu_quarters: Optional[int] = column(BIGINT, "the same in quarters of the GPU (4 = all of it): for alerts on change")
    busy_seconds: Optional[int] = column(
        BIGINT, "for how long it has used three quarters or more at each call of this extension; changes with every call"
    )
    window_seconds: Optional[float] = column(DOUBLE, "what gpu_percent is measured over; changes with every call")
    gpu_memory: Optional[int] = column(BIGINT, "bytes of the GPU's memory that it has; changes with every call")
    framework: Optional[str] = column(
        TEXT, "library of a framework for learning, video or science that it has mapped (gpu_libraries.yaml)"
    )
    program_is_packaged: Optional[int] = column(
        BIGINT, "1 if a package owns its program, 0 if none does; NULL in containers and where unknown"
    )
    exception: Optional[str] = exception_column()
    measured_by: str = column(TEXT, "nvml, kfd, fdinfo, or held: it has a GPU's device open, and nothing measures its use")


@table(
    _NAME,
    ProcessGpuUsage,
    needs_live=True,
    remembers=True,
    description="Which process computes on which GPU, how much of it since the last call, for how long, and with what.",
    sop_steps=(6,),
    examples=[
        "SELECT pid, process_name, gpu, gpu_percent, context, framework, container_name FROM process_gpu_usage "
        "ORDER BY gpu_percent DESC",
    ],
)
@names_containers
def process_gpu_usage(host: Host, query: QueryContext) -> Iterator[ProcessGpuUsage]:
    """One row per process and GPU that it uses or has open, in containers too; none where the host has no GPU.

    NVIDIA's are asked by libnvidia-ml.so.1 (nvmlDeviceGet…RunningProcesses, nvmlDeviceGetProcessUtilization), which is
    loaded from the system's folders, and only where nobody but root can have written it. AMD's compute queues are read from
    /sys/class/kfd/kfd, all that DRM drivers say (amdgpu, i915, xe, panfrost and others) from /proc/PID/fdinfo. The first call
    measures DRM drivers for 0.3 s, later ones measure since the call before. With MIG, and on old GPUs, NVIDIA's driver tells
    the use of the whole GPU only, which is reported where one process uses it alone. Who only has a device open is a row
    without measure, and minehunt_status says so.

    Cannot see: processes in other virtual machines that a GPU is shared with.
    """
    if not host.is_live:
        raise TableError(f"processes can be examined on the running system only, not below {host.files.root}")
    if not host.is_root:
        query.could_not_see("not root: which devices other users' processes have open is not readable")
    found = gpu_processes(host, query)
    known = packaged(host, found, query)
    visibility = Visibility(host) if found else None
    for one in found:
        query.check_time()
        use, process = one.use, one.process
        row = ProcessGpuUsage(
            **process_facts(process, _FACTS),
            is_hidden=visibility.is_hidden(process) if visibility else 0,
            gpu=use.gpu,
            gpu_name=use.name,
            gpu_driver=use.driver,
            gpu_instance=use.instance,
            context=one.context,
            gpu_percent=None if use.share is None else round(use.share * 100, 1),
            gpu_quarters=None if use.share is None else int(use.share * 4 + 0.5),
            busy_seconds=one.busy_seconds,
            window_seconds=None if use.seconds is None else round(use.seconds, 3),
            gpu_memory=use.memory,
            framework=one.framework,
            program_is_packaged=known.get(process.pid),
            exception=one.exception,
            measured_by=use.how,
        )
        if process.is_same_process():
            yield row
