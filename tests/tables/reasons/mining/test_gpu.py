from __future__ import annotations

import time
from pathlib import Path

import pytest

from tables.host import Host
from tables.host.disk.files import Files
from tables.indicators.gpu_libraries import gpu_libraries
from tables.reasons.mining.gpu import STEADY_SECONDS, busy_facts, gpu_processes
from tables.unseen import Unseen
from tests.support import planted_files
from tests.support.planted_programs import Planter

# A process that has libraries of these names mapped.
MAPS = """
import mmap, sys
kept = []
for path in {paths!r}:
    with open(path, "w+b") as file:
        file.write(b"x" * 4096)
        file.flush()
        kept.append(mmap.mmap(file.fileno(), 4096))
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """The running system with an AMD GPU below another root folder, whose kernel files tests write."""
    nodes = "/sys/class/kfd/kfd/topology/nodes/1"
    planted_files.plant(tmp_path, f"{nodes}/gpu_id", "4711\n")
    planted_files.plant(tmp_path, f"{nodes}/properties", "simd_count 240\nsimd_per_cu 4\nlocation_id 3072\n")
    made = Host()
    # Processes are the running system's.
    assert made.truth
    made.files = Files(str(tmp_path))
    return made


def occupy(tmp_path: Path, pid: int, units: int) -> None:
    planted_files.plant(tmp_path, f"/sys/class/kfd/kfd/proc/{pid}/stats_4711/cu_occupancy", f"{units}\n")


def test_volunteers_projects_are_told_by_their_client_and_their_folder() -> None:
    told = gpu_libraries().is_volunteers
    assert told("/var/lib/boinc-client/projects/e/app", {"boinc", "systemd"})
    assert not told("/opt/boinc/app", {"boinc"}) and not told("/var/lib/boinc-client/app", {"bash"})


def test_a_program_that_keeps_a_gpu_busy_for_no_framework(host: Host, plant: Planter, tmp_path: Path, quiet: Path) -> None:
    miner = plant.python(MAPS.format(paths=[str(quiet / "libOpenCL.so.1")]))
    training = plant.python(MAPS.format(paths=[str(quiet / "libtorch_cuda.so")]))
    waiting = plant.python(MAPS.format(paths=[]))
    for pid, units in ((miner, 58), (training, 60), (waiting, 6)):
        occupy(tmp_path, pid, units)
    found = {one.process.pid: one for one in gpu_processes(host, Unseen())}
    assert {pid: (one.is_busy, one.framework) for pid, one in found.items()} == {
        miner: (True, ""),
        training: (False, "libtorch_cuda.so"),
        waiting: (False, ""),
    }
    assert found[waiting].busy_seconds == 0 and found[miner].busy_seconds == 0
    time.sleep(1.1)
    assert {one.process.pid: one.busy_seconds for one in gpu_processes(host, Unseen())}[miner] == 1
    # What has only begun is not steady yet.
    assert busy_facts(host, Unseen(), time.time()) == {}
    assert busy_facts(host, Unseen(), time.time() + STEADY_SECONDS).keys() == {miner}
    occupy(tmp_path, miner, 6)
    assert {one.process.pid: one.busy_seconds for one in gpu_processes(host, Unseen())}[miner] == 0
