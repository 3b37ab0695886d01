"""What AMD's kernel driver for compute says: /sys/class/kfd/kfd/proc/PID (drivers/gpu/drm/amd/amdkfd/kfd_process.c)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Optional

from tables.host.disk.files import Files, Unreadable
from tables.host.gpu.model import COMPUTE, GpuUse

_ROOT = "/sys/class/kfd/kfd"
_PROPERTY = re.compile(r"^([a-z_]{1,64}) ([0-9]{1,20})$", re.MULTILINE)
_MAX_PROCESSES = 4096
_LIMIT = 16 * 1024


class _Gpu:
    """A node of the topology: where it is, and how many compute units it has."""

    def __init__(self, properties: str) -> None:
        numbers = {name: int(value) for name, value in _PROPERTY.findall(properties)}
        location, domain = numbers.get("location_id", 0), numbers.get("domain", 0)
        self.address = f"{domain & 0xFFFF:04x}:{location >> 8 & 0xFF:02x}:{location >> 3 & 0x1F:02x}.{location & 7}"
        self.units = numbers.get("simd_count", 0) // max(1, numbers.get("simd_per_cu", 1))


def kfd_uses(files: Files) -> Iterator[GpuUse]:
    """Each process that computes on each GPU of KFD's; the share is that of compute units that work for it at this moment."""
    gpus = dict(_gpus(files))
    for name in files.names(f"{_ROOT}/proc")[:_MAX_PROCESSES]:
        if not (name.isascii() and name.isdigit() and len(name) < 11):
            continue
        folder = f"{_ROOT}/proc/{name}"
        for gpu_id, gpu in gpus.items():
            memory = _number(files, f"{folder}/vram_{gpu_id}")
            occupied = _number(files, f"{folder}/stats_{gpu_id}/cu_occupancy")
            if memory is None and occupied is None:
                continue
            share = None if occupied is None or not gpu.units else min(1.0, occupied / gpu.units)
            if memory or share:
                yield GpuUse(int(name), gpu.address, "amdgpu", "kfd", context=COMPUTE, share=share, memory=memory)


def _gpus(files: Files) -> Iterator[tuple[str, _Gpu]]:
    for node in files.names(f"{_ROOT}/topology/nodes"):
        folder = f"{_ROOT}/topology/nodes/{node}"
        gpu_id = _text(files, f"{folder}/gpu_id").strip()
        # A node of CPUs has the id 0.
        if gpu_id.isascii() and gpu_id.isdigit() and len(gpu_id) < 11 and int(gpu_id):
            yield gpu_id, _Gpu(_text(files, f"{folder}/properties"))


def _text(files: Files, path: str) -> str:
    try:
        return files.read_text(path, _LIMIT)
    except Unreadable:
        return ""


def _number(files: Files, path: str) -> Optional[int]:
    found = _text(files, path).strip()
    return int(found) if found.isascii() and found.isdigit() and len(found) < 20 else None
