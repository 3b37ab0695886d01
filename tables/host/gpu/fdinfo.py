"""What DRM drivers say of each open file in /proc/PID/fdinfo (Documentation/gpu/drm-usage-stats.rst)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple, Optional

from tables.host.gpu.model import COMPUTE, GRAPHICS
from tables.host.processes.procfs import Procfs

_LINE = re.compile(r"^drm-([a-z0-9-]{1,64}):[ \t]*([^\n]{1,128})$", re.MULTILINE)
_NUMBER = re.compile(r"([0-9]{1,19})(?:[ \t]+(ns|KiB|MiB))?[ \t]*")
_SCALES = {"": 1, "ns": 1, "KiB": 1 << 10, "MiB": 1 << 20}
_LIMIT = 16 * 1024
_MAX_FILES = 256
# amdgpu and i915 say compute, xe ccs; those that render are also what OpenCL uses where there is no other.
_COMPUTE = ("compute", "ccs")
_VIDEO = ("video", "dec", "enc", "jpeg", "vcs", "vecs", "vcn", "uvd", "copy", "bcs", "dma")


class Client(NamedTuple):
    """One client of a driver: nanoseconds (or cycles) that each engine was busy for it, and what that is a part of.

    `totals` are an engine's own cycles, where the driver counts these instead of time (xe); else empty.
    """

    driver: str
    device: str
    client: str
    busy: dict[str, int]
    totals: dict[str, int]
    capacity: dict[str, int]
    memory: int


def parse_fdinfo(data: bytes) -> Optional[Client]:
    """The client of a fdinfo file; None for one that is no DRM driver's."""
    if b"drm-driver" not in data:
        return None
    pairs = dict(_LINE.findall(data.decode("ascii", "replace")))
    busy, totals, capacity, memory = {}, {}, {}, {"memory": 0, "total": 0, "resident": 0}
    for key, value in pairs.items():
        kind, _, name = key.partition("-")
        number = _number(value)
        if number is None:
            continue
        if key.startswith("engine-capacity-"):
            capacity[key[len("engine-capacity-") :]] = number
        elif key.startswith("total-cycles-"):
            totals[key[len("total-cycles-") :]] = number
        elif kind == "engine" or (kind == "cycles" and f"engine-{name}" not in pairs):
            busy[name] = number
        elif kind in memory and name.startswith(("vram", "local", "memory", "system")):
            memory[kind] += number
    return Client(
        pairs.get("driver", "").strip(),
        pairs.get("pdev", "").strip(),
        pairs.get("client-id", "").strip(),
        busy,
        {name: total for name, total in totals.items() if f"engine-{name}" not in pairs},
        capacity,
        memory["resident"] or memory["memory"] or memory["total"],
    )


def _number(value: str) -> Optional[int]:
    found = _NUMBER.fullmatch(value)
    return int(found[1]) * _SCALES[found[2] or ""] if found else None


def read_clients(procfs: Procfs, pid: int, numbers: Iterable[str]) -> dict[tuple[str, str, str], Client]:
    """The clients behind these open files of a process, each once: duplicated descriptors are of one client."""
    found = {}
    for number in list(numbers)[:_MAX_FILES]:
        client = parse_fdinfo(procfs.try_read(f"{pid}/fdinfo/{number}", _LIMIT) or b"")
        if client is not None:
            found[client.driver, client.device, client.client] = client
    return found


def share(before: Client, after: Client, seconds: float) -> tuple[float, str]:
    """(the part of the time that its busiest engine was busy for a client, that engine's name) over `seconds`."""
    best = (0.0, "")
    for name, now in after.busy.items():
        used = max(0, now - before.busy.get(name, 0))
        whole = after.totals[name] - before.totals.get(name, 0) if name in after.totals else seconds * 1e9
        if whole > 0:
            best = max(best, (min(1.0, used / whole / max(1, after.capacity.get(name, 1))), name))
    return best


def context_of(engine: str) -> str:
    """What an engine is for: compute, graphics; "" for what only moves or decodes."""
    if engine.startswith(_COMPUTE):
        return COMPUTE
    return "" if not engine or engine.startswith(_VIDEO) else GRAPHICS
