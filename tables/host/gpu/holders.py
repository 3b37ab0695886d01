"""Which GPU devices a host has, and which processes have them open."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tables.host.disk.files import Files
from tables.host.processes.procfs import Procfs

_DRI, _KFD, _NVIDIA = "/dev/dri/", "/dev/kfd", "/dev/nvidia"
# What every program that asks a GPU's state has open; and what windows and cards of displays are drawn through.
_NO_USE = frozenset({"/dev/nvidiactl", "/dev/nvidia-modeset", "/dev/nvidia-caps"})


class Devices(NamedTuple):
    """Whether there are GPUs of NVIDIA's driver, of AMD's KFD, and DRM drivers that render."""

    nvidia: bool
    kfd: bool
    drm: bool


class Holder(NamedTuple):
    """A process that has devices of GPUs open: their paths, and of DRM's the numbers of its open files."""

    pid: int
    devices: tuple[str, ...]
    drm_files: tuple[str, ...]


def find_devices(files: Files) -> Devices:
    """Which kinds there are."""
    return Devices(
        nvidia=files.exists("/proc/driver/nvidia/version") or files.exists("/dev/nvidiactl"),
        kfd=files.exists("/sys/class/kfd/kfd"),
        drm=any(name.startswith("renderD") for name in files.names("/sys/class/drm")),
    )


def find_holders(procfs: Procfs, pids: Iterable[int]) -> list[Holder]:
    """The processes among `pids` that have such a device open."""
    found = []
    for pid in pids:
        devices: dict[str, None] = {}
        numbers = []
        for number, target in procfs.open_files(pid):
            if target.startswith(_DRI):
                numbers.append(number)
            elif target != _KFD and not target.startswith(_NVIDIA):
                continue
            if target not in _NO_USE:
                devices[target] = None
        if devices:
            found.append(Holder(pid, tuple(devices), tuple(numbers)))
    return found
