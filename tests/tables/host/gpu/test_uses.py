from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tables.host.disk.files import Files
from tables.host.gpu.fdinfo import parse_fdinfo, share
from tables.host.gpu.kfd import kfd_uses
from tables.host.gpu.uses import GpuHistory
from tables.host.processes.procfs import Procfs
from tables.unseen import Unseen
from tests.support.planted_files import link, plant

STAT = "{pid} (worker) S 1 1 1 0 -1 4194560 0 0 0 0 5 5 0 0 20 0 1 0 {start} 1000000 10 0\n"
I915 = "pos:\t0\ndrm-driver:\ti915\ndrm-pdev:\t0000:00:02.0\ndrm-client-id:\t{client}\ndrm-engine-render:\t{render} ns\n"
XE = "drm-driver: xe\ndrm-client-id: 4\ndrm-pdev: 0000:03:00.0\ndrm-cycles-ccs: {used}\ndrm-total-cycles-ccs: {whole}\n"
AMD = (
    "drm-driver:\tamdgpu\ndrm-client-id:\t9\ndrm-pdev:\t0000:0c:00.0\ndrm-memory-vram:\t2048 KiB\n"
    "drm-engine-compute:\t{ns} ns\ndrm-engine-capacity-compute:\t4\ndrm-engine-dec:\t5 ns\n"
)


class Planted:
    """A root folder with the procfs and sysfs of a host with GPUs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        plant(root, "/proc/stat", "btime 1795000000\n")
        (root / "sys/class/drm/renderD128").mkdir(parents=True)

    def process(self, pid: int, device: str, *numbers: int) -> None:
        plant(self.root, f"/proc/{pid}/stat", STAT.format(pid=pid, start=1000 + pid))
        for number in numbers:
            link(self.root, device, f"/proc/{pid}/fd/{number}")

    def fdinfo(self, pid: int, number: int, text: str) -> None:
        plant(self.root, f"/proc/{pid}/fdinfo/{number}", text)

    def measure(self, history: GpuHistory, unseen: Unseen) -> dict[int, tuple[str, float | None, str]]:
        procfs = Procfs.open(str(self.root / "proc"))
        try:
            uses = history.measure(Files(str(self.root)), procfs, unseen)
        finally:
            procfs.close()
        return {use.pid: (use.gpu, None if use.share is None else round(use.share, 1), use.context) for use in uses}


@pytest.fixture
def host(tmp_path: Path) -> Planted:
    return Planted(tmp_path)


def test_a_host_without_gpus_costs_no_look_at_processes(tmp_path: Path) -> None:
    plant(tmp_path, "/proc/1/stat", STAT.format(pid=1, start=1))
    procfs = Procfs.open(str(tmp_path / "proc"))
    os.rename(tmp_path / "proc/1", tmp_path / "elsewhere")
    unseen = Unseen()
    assert GpuHistory().measure(Files(str(tmp_path)), procfs, unseen) == [] and not unseen.said
    procfs.close()


def test_use_is_measured_between_two_calls_and_each_client_once(host: Planted) -> None:
    history, unseen = GpuHistory(), Unseen()
    host.process(10, "/dev/dri/renderD128", 5, 6)
    for number in (5, 6):
        host.fdinfo(10, number, I915.format(client=1, render=0))
    assert host.measure(history, unseen) == {10: ("0000:00:02.0", 0.0, "graphics")}
    began = time.monotonic()
    time.sleep(0.4)
    busy = int((time.monotonic() - began) * 1e9)
    for number in (5, 6):
        host.fdinfo(10, number, I915.format(client=1, render=busy))
    assert host.measure(history, unseen) == {10: ("0000:00:02.0", pytest.approx(1.0, abs=0.2), "graphics")}
    assert not unseen.said


def test_cycles_capacities_and_units(host: Planted) -> None:
    before, after = (parse_fdinfo(XE.format(used=used, whole=whole).encode()) for used, whole in ((0, 0), (750, 1000)))
    assert before and after and share(before, after, 1.0) == (0.75, "ccs")
    before, after = (parse_fdinfo(AMD.format(ns=ns).encode()) for ns in (0, 2_000_000_000))
    assert before and after and share(before, after, 1.0) == (0.5, "compute")
    assert after.memory == 2 << 20
    assert parse_fdinfo(b"pos: 0\nflags: 02\n") is None
    hostile = parse_fdinfo(b"drm-driver: x\ndrm-engine-a: -5 ns\ndrm-engine-b: " + b"9" * 400 + b" ns\ndrm-engine-: 3 ns\n")
    assert hostile and hostile.busy.keys() <= {""}


def test_amds_compute_queues(host: Planted, tmp_path: Path) -> None:
    nodes = "/sys/class/kfd/kfd/topology/nodes"
    plant(tmp_path, f"{nodes}/0/gpu_id", "0\n")
    plant(tmp_path, f"{nodes}/1/gpu_id", "4711\n")
    plant(tmp_path, f"{nodes}/1/properties", "simd_count 240\nsimd_per_cu 4\nlocation_id 3072\ndomain 0\n")
    plant(tmp_path, "/sys/class/kfd/kfd/proc/77/vram_4711", "1048576\n")
    plant(tmp_path, "/sys/class/kfd/kfd/proc/77/stats_4711/cu_occupancy", "54\n")
    plant(tmp_path, "/sys/class/kfd/kfd/proc/78/vram_4711", "0\n")
    plant(tmp_path, "/sys/class/kfd/kfd/proc/79/vram_4711", "garbage" * 1000)
    (use,) = kfd_uses(Files(str(tmp_path)))
    assert (use.pid, use.gpu, use.context, use.memory) == (77, "0000:0c:00.0", "compute", 1 << 20)
    assert use.share == pytest.approx(0.9)
    # The DRM driver knows the same process, and does not count these queues.
    host.process(77, "/dev/dri/renderD128", 3)
    host.fdinfo(77, 3, AMD.format(ns=0))
    assert host.measure(GpuHistory(), Unseen()) == {77: ("0000:0c:00.0", 0.9, "compute")}


def test_who_only_has_a_device_open_is_told_without_measure(host: Planted) -> None:
    plant(host.root, "/proc/driver/nvidia/version", "NVRM version\n")
    host.process(20, "/dev/nvidia0", 9)
    host.process(21, "/dev/nvidiactl", 9)
    host.process(22, "/dev/null", 9)
    unseen = Unseen()
    assert host.measure(GpuHistory(), unseen) == {20: ("nvidia0", None, "")}
    assert "NVIDIA GPUs: no libnvidia-ml.so.1" in unseen.blind[0] and "gpu_percent is NULL" in unseen.blind[1]
