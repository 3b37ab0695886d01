"""What is known of a process's use of a GPU."""

from __future__ import annotations

from typing import NamedTuple, Optional

COMPUTE, GRAPHICS = "compute", "graphics"


class GpuUse(NamedTuple):
    """One process on one GPU.

    `gpu` is its PCI address, or its device's name where that is unknown; `share` how much of the GPU it kept busy (1 is all)
    over `seconds`, None where that could not be measured; `context` is compute, graphics, both joined by a comma, or "";
    `instance` is a part of the GPU (MIG); `how` tells who said so: nvml, kfd, fdinfo, or held (it has the device open).
    """

    pid: int
    gpu: str
    driver: str
    how: str
    name: str = ""
    context: str = ""
    share: Optional[float] = None
    seconds: Optional[float] = None
    memory: Optional[int] = None
    instance: str = ""
