from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tables.host.disk.files import Files
from tables.host.gpu.nvml import Nvml, NvmlError, find_library

COMPILER = shutil.which("cc") or shutil.which("gcc")
pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C compiler")

# The calls, structures and numbers of NVIDIA's NVML API reference, with two GPUs: one that tells what each process
# uses, and one in MIG mode, which does not.
SOURCE = r"""
#include <string.h>
typedef struct { char legacy[16]; unsigned domain, bus, device, id, sub; char bus_id[32]; } pci;
typedef struct { unsigned pid; unsigned long long memory; unsigned gpu, compute; } process;
typedef struct { unsigned pid; unsigned long long time; unsigned sm, mem, enc, dec; } sample;
typedef struct { unsigned gpu, memory; } rates;
static int devices[2];
static int open_count;
int nvmlInit_v2(void) { open_count++; return INIT; }
int nvmlShutdown(void) { open_count--; return 0; }
const char *nvmlErrorString(int code) { return code == 9 ? "Driver Not Loaded" : "Unknown Error"; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) { *device = &devices[index]; return 0; }
int nvmlDeviceGetName(void *device, char *name, unsigned length) { strncpy(name, "NVIDIA A10", length); return 0; }
int nvmlDeviceGetPciInfo_v3(void *device, pci *info) {
    memset(info, 0, sizeof *info); info->bus = device == &devices[0] ? 1 : 0x41; return 0;
}
int PROCESSES(void *device, unsigned *count, process *found) {
    unsigned many = device == &devices[0] ? 100 : 1, room = *count;
    *count = many;
    if (room < many) return 7;
    for (unsigned i = 0; i < many; i++) {
        found[i].pid = 1000 + i; found[i].memory = 1 << 20; found[i].gpu = found[i].compute = 0xFFFFFFFF;
    }
    if (many == 1) { found[0].pid = 7; found[0].memory = ~0ULL; found[0].gpu = 3; found[0].compute = 1; }
    return 0;
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *device, unsigned *count, process *found) {
    *count = device == &devices[0]; found[0].pid = 1001; found[0].memory = 5; found[0].gpu = found[0].compute = 0xFFFFFFFF;
    return 0;
}
int nvmlDeviceGetProcessUtilization(void *device, sample *found, unsigned *count, unsigned long long since) {
    if (device != &devices[0]) return 3;
    memset(found, 0, 3 * sizeof *found);
    for (int i = 0; i < 3; i++) { found[i].pid = 1000; found[i].time = 1000000ULL * (i + 1); found[i].sm = 90 + 5 * i; }
    *count = 3;
    return 0;
}
int nvmlDeviceGetUtilizationRates(void *device, rates *found) { found->gpu = 97; found->memory = 3; return 0; }
"""


def compiled(folder: Path, init: int = 0, processes: str = "nvmlDeviceGetComputeRunningProcesses_v3") -> str:
    target = folder / "libnvidia-ml.so.1"
    flags = [f"-DINIT={init}", f"-DPROCESSES={processes}"]
    command = [str(COMPILER), "-shared", "-fPIC", *flags, "-x", "c", "-o", str(target), "-"]
    subprocess.run(command, input=SOURCE, text=True, check=True, capture_output=True)
    return str(target)


@pytest.mark.parametrize("version", ["_v3", "_v2"])
def test_what_each_process_uses_of_which_gpu(tmp_path: Path, version: str) -> None:
    library = Nvml(compiled(tmp_path, processes=f"nvmlDeviceGetComputeRunningProcesses{version}"))
    last_seen: dict[str, int] = {}
    uses = {use.pid: use for use in library.uses(last_seen)}
    assert len(uses) == 101, "more than there is room for at first"
    worker, drawing, mig = uses[1000], uses[1001], uses[7]
    assert (worker.gpu, worker.name, worker.driver, worker.how) == ("0000:01:00.0", "NVIDIA A10", "nvidia", "nvml")
    assert (worker.context, worker.memory, worker.instance) == ("compute", 1 << 20, "")
    assert worker.share == pytest.approx(0.95) and worker.seconds == pytest.approx(2.0)
    assert (drawing.context, drawing.share) == ("compute,graphics", 0.0)
    # The GPU's own use is one process's where that is alone on it.
    assert (mig.gpu, mig.instance, mig.memory, mig.share) == ("0000:41:00.0", "gpu 3 compute 1", None, pytest.approx(0.97))
    assert last_seen == {"0000:01:00.0": 3_000_000}
    assert {use.share for use in library.uses(last_seen) if use.pid == 1000} == {None}, "no sample is counted twice"
    library.close()


def test_a_library_that_does_not_start_is_told(tmp_path: Path) -> None:
    with pytest.raises(NvmlError, match="Driver Not Loaded"):
        Nvml(compiled(tmp_path, init=9))
    (tmp_path / "text").write_text("no library")
    with pytest.raises(NvmlError, match="text"):
        Nvml(str(tmp_path / "text"))


@pytest.mark.root
def test_a_library_that_others_may_write_is_not_loaded(quiet: Path) -> None:
    folder = quiet / "usr/lib64"
    folder.mkdir(parents=True)
    quiet.chmod(0o755)
    with pytest.raises(NvmlError, match=r"no libnvidia-ml\.so\.1"):
        find_library(Files(str(quiet)))
    compiled(folder)
    assert find_library(Files(str(quiet))) == f"{folder}/libnvidia-ml.so.1"
    for path in (folder / "libnvidia-ml.so.1", folder, quiet / "usr"):
        mode = path.stat().st_mode
        path.chmod(mode | 0o002)
        with pytest.raises(NvmlError, match="others may write"):
            find_library(Files(str(quiet)))
        path.chmod(mode)
