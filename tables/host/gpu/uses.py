"""Which process uses which GPU, and how much of it since the last call: what all drivers say, put together."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import NamedTuple, Optional

from tables.host.disk.files import Files
from tables.host.gpu.fdinfo import Client, context_of, read_clients, share
from tables.host.gpu.holders import Holder, find_devices, find_holders
from tables.host.gpu.kfd import kfd_uses
from tables.host.gpu.model import GpuUse
from tables.host.gpu.nvml import Nvml, NvmlError, find_library
from tables.host.processes.procfs import Procfs
from tables.unseen import Unseen

SAMPLE_SECONDS = 0.3
_MAX_CLIENTS = 4096
# As much of a GPU as a program has busy that does nothing else.
BUSY_SHARE = 0.75

_Key = tuple[int, int, str, str, str]


class _Reading(NamedTuple):
    moment: float
    client: Client


class GpuHistory:
    """The readings of the last call, and since when processes have kept GPUs busy; for one call at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clients: dict[_Key, _Reading] = {}
        self._samples: dict[str, int] = {}
        self._busy_since: dict[tuple[int, int, str], float] = {}

    def measure(self, files: Files, procfs: Procfs, unseen: Unseen) -> list[GpuUse]:
        """The use of each process on each GPU since the last call, over 0.3 s at the first; `unseen` is told what is missing."""
        devices = find_devices(files)
        if not any(devices):
            return []
        with self._lock:
            holders = find_holders(procfs, procfs.pids())
            found: dict[tuple[int, str], GpuUse] = {}
            for use in self._by_files(procfs, holders) if devices.drm else ():
                found[use.pid, use.gpu] = use
            for use in kfd_uses(files) if devices.kfd else ():
                found[use.pid, use.gpu] = _joined(use, found.get((use.pid, use.gpu)))
            for use in self._by_nvml(files, unseen) if devices.nvidia else ():
                found[use.pid, use.gpu] = _joined(use, found.get((use.pid, use.gpu)))
            measured = {use.pid for use in found.values()}
            uses = [*found.values(), *(_held(holder) for holder in holders if holder.pid not in measured)]
            if any(use.share is None for use in uses):
                unseen.could_not_see("of some processes that have a GPU open the use cannot be measured: gpu_percent is NULL")
            return uses

    def busy_seconds(self, pid: int, start_ticks: int, use: GpuUse) -> Optional[int]:
        """For how long a process has kept a GPU busy at each call; None where its use is not known."""
        if use.share is None:
            return None
        key = (pid, start_ticks, use.gpu)
        now = time.monotonic()
        if use.share < BUSY_SHARE:
            self._busy_since.pop(key, None)
            return 0
        if len(self._busy_since) >= _MAX_CLIENTS:
            self._busy_since.clear()
        return int(now - self._busy_since.setdefault(key, now - (use.seconds or 0.0)))

    def _by_files(self, procfs: Procfs, holders: Iterable[Holder]) -> list[GpuUse]:
        before, now = self._clients, self._read(procfs, holders)
        if now.keys() - before.keys():
            time.sleep(SAMPLE_SECONDS)
            before, now = {**now, **before}, self._read(procfs, holders)
        self._clients = now
        best: dict[tuple[int, str], GpuUse] = {}
        for key, (moment, client) in now.items():
            earlier = before.get(key)
            gpu = client.device or client.driver
            seconds = moment - earlier.moment if earlier else 0.0
            part, engine = share(earlier.client, client, seconds) if earlier and seconds > 0 else (0.0, "")
            known = bool(client.busy) and earlier is not None
            use = GpuUse(
                key[0], gpu, client.driver, "fdinfo", context=context_of(engine), share=part if known else None,
                seconds=seconds or None, memory=client.memory or None,
            )  # fmt: skip
            best[use.pid, gpu] = _summed(best[use.pid, gpu], use) if (use.pid, gpu) in best else use
        return list(best.values())

    @staticmethod
    def _read(procfs: Procfs, holders: Iterable[Holder]) -> dict[_Key, _Reading]:
        found: dict[_Key, _Reading] = {}
        for holder in holders:
            process = procfs.process(holder.pid) if holder.drm_files else None
            if process is None or len(found) >= _MAX_CLIENTS:
                continue
            for names, client in read_clients(procfs, holder.pid, holder.drm_files).items():
                found[process.identity + names] = _Reading(time.monotonic(), client)
        return found

    def _by_nvml(self, files: Files, unseen: Unseen) -> list[GpuUse]:
        try:
            library = Nvml(find_library(files))
        except NvmlError as error:
            unseen.could_not_see(f"NVIDIA GPUs: {error}")
            return []
        try:
            return list(library.uses(self._samples))
        except NvmlError as error:
            unseen.could_not_see(f"NVIDIA GPUs: {error}")
            return []
        finally:
            library.close()


def _summed(one: GpuUse, other: GpuUse) -> GpuUse:
    """Two clients of one process on one GPU as one."""
    greater = max(one, other, key=lambda use: use.share or 0.0)
    shares = [use.share for use in (one, other) if use.share is not None]
    return greater._replace(
        share=min(1.0, sum(shares)) if shares else None, memory=max(one.memory or 0, other.memory or 0) or None
    )


def _joined(use: GpuUse, other: Optional[GpuUse]) -> GpuUse:
    """What the driver for compute says, with what the DRM driver says of the same process and GPU."""
    if other is None:
        return use
    context = ",".join(dict.fromkeys(filter(None, (*use.context.split(","), other.context))))
    shares = [each.share for each in (use, other) if each.share is not None]
    return use._replace(context=context, share=max(shares, default=None), seconds=use.seconds or other.seconds)


def _held(holder: Holder) -> GpuUse:
    device = holder.devices[0]
    driver = "nvidia" if device.startswith("/dev/nvidia") else "amdgpu" if device == "/dev/kfd" else ""
    return GpuUse(holder.pid, device.removeprefix("/dev/").removeprefix("dri/"), driver, "held")
