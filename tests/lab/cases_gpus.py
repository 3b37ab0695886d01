"""Programs that compute on a GPU, of which a driver's library tells; that alone is worth an alert only after minutes."""

from __future__ import annotations

import os

from tests.lab.case import case
from tests.lab.room import Planted, Room, compile_library, compile_program
from tests.support.planted_gpus import NVML, PROGRAM, USERS

# What has run for five minutes is steady (STEADY_SECONDS).
AGE_SECONDS = 305

_DRIVER = "/usr/lib64/libnvidia-ml.so.1"
_EMPTY_LIBRARY = "int lab_does_nothing(void) { return 0; }\n"


def _compute(room: Room, program: str, *libraries: str, context: str = "c", percent: int = 99) -> Planted:
    """Start a program with these libraries, of which the GPU's driver says how much of the GPU it uses, and what for."""
    _plant_driver(room)
    for library in libraries:
        compile_library(_EMPTY_LIBRARY, library)
    pid = room.start(compile_program(PROGRAM, program), *libraries)
    room.append(USERS, f"{pid} {context} {percent}")
    return {"pid": pid}


def _plant_driver(room: Room) -> None:
    if os.path.exists(USERS):
        return
    room.write(USERS)
    # The kernel's part: nothing can be made in the real folder without the module.
    room.mount("none", "/proc/driver", "tmpfs", 0)
    room.write("/proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15\n")
    room.package("libnvidia-ml1", compile_library(NVML, _DRIVER))


@case(6, needs=("cc",), gpu_busy_suspect="pid")
def gpu_miner(room: Room) -> Planted:
    """a program of no package that keeps a GPU computing."""
    return _compute(room, "/opt/render/worker", "/opt/render/libcuda.so.1")


@gpu_miner.twin
def _(room: Room) -> Planted:
    """training with PyTorch."""
    return _compute(room, "/opt/models/worker", "/opt/models/libcuda.so.1", "/opt/models/lib/libtorch_cuda.so")


@gpu_miner.twin
def _(room: Room) -> Planted:
    """a game, which draws."""
    return _compute(room, "/opt/game/game", "/opt/game/libSDL2-2.0.so.0", context="g")


@gpu_miner.twin
def _(room: Room) -> Planted:
    """a benchmark of the distribution's."""
    planted = _compute(room, "/usr/bin/clpeak")
    room.package("clpeak", "/usr/bin/clpeak")
    return planted


@gpu_miner.twin
def _(room: Room) -> Planted:
    """a service that has a GPU and waits for work."""
    return _compute(room, "/opt/shop/recommender", "/opt/shop/libcuda.so.1", percent=0)
