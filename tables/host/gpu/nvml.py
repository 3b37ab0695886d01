"""NVIDIA's Management Library by ctypes: its calls, structures and numbers as in NVIDIA's NVML API reference."""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterator
from typing import Optional

from tables.host.disk.files import Files, Unreadable
from tables.host.gpu.model import COMPUTE, GRAPHICS, GpuUse

# Where distributions, containers' toolkits and clouds put it; the loader's own search is not asked, others could steer it.
_PLACES = (
    "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/lib/x86_64-linux-gnu", "/lib64",
    "/usr/lib/wsl/lib", "/run/opengl-driver/lib", "/usr/local/nvidia/lib64", "/home/kubernetes/bin/nvidia/lib64",
    "/opt/nvidia/driver/lib64", "/run/nvidia/driver/usr/lib/x86_64-linux-gnu", "/run/nvidia/driver/usr/lib64",
)  # fmt: skip
_NAME = "libnvidia-ml.so.1"
_SUCCESS, _INSUFFICIENT_SIZE = 0, 7
_NOT_AVAILABLE = (1 << 64) - 1
_NO_INSTANCE = 0xFFFF_FFFF
_MAX_ENTRIES = 4096
_NAME_BYTES = 96


class NvmlError(Exception):
    """The library could not be used; the message says why."""


class _PciInfo(ctypes.Structure):
    _fields_ = (
        ("busIdLegacy", ctypes.c_char * 16), ("domain", ctypes.c_uint), ("bus", ctypes.c_uint), ("device", ctypes.c_uint),
        ("pciDeviceId", ctypes.c_uint), ("pciSubSystemId", ctypes.c_uint), ("busId", ctypes.c_char * 32),
    )  # fmt: skip


class _Process(ctypes.Structure):
    # nvmlProcessInfo_v2_t, which the calls of version 2 and 3 fill in.
    _fields_ = (
        ("pid", ctypes.c_uint), ("usedGpuMemory", ctypes.c_ulonglong), ("gpuInstanceId", ctypes.c_uint),
        ("computeInstanceId", ctypes.c_uint),
    )  # fmt: skip


class _OldProcess(ctypes.Structure):
    _fields_ = (("pid", ctypes.c_uint), ("usedGpuMemory", ctypes.c_ulonglong))


class _Sample(ctypes.Structure):
    _fields_ = (
        ("pid", ctypes.c_uint), ("timeStamp", ctypes.c_ulonglong), ("smUtil", ctypes.c_uint), ("memUtil", ctypes.c_uint),
        ("encUtil", ctypes.c_uint), ("decUtil", ctypes.c_uint),
    )  # fmt: skip


class _Rates(ctypes.Structure):
    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


def find_library(files: Files) -> str:
    """The path of the driver's library; NvmlError where there is none that only root may have written."""
    why = f"no {_NAME} in the system's folders"
    for folder in _PLACES:
        path = f"{folder}/{_NAME}"
        if not files.exists(path):
            continue
        try:
            # What was looked at is loaded: who may write where the link lies could lead it elsewhere meanwhile.
            real = files.real_path(path)
            problem = _problem(files, real)
        except (Unreadable, OSError) as error:
            problem = str(error)
        if problem is None:
            return files.locate(real)
        why = f"{path} is not loaded: {problem}"
    raise NvmlError(why)


def _problem(files: Files, path: str) -> Optional[str]:
    """Why others than root could have written the file at the real `path`; None when they could not."""
    while True:
        found = files.stat(path)
        # Of a sticky folder (/tmp) others may at least add files.
        if found.st_uid != 0 or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return f"others may write {path}"
        if path == "/":
            return None
        path = os.path.dirname(path)


class Nvml:
    """The library at `path`, started; `close` ends it. NvmlError when it does not start."""

    def __init__(self, path: str) -> None:
        try:
            self._library = ctypes.CDLL(path)
        except OSError as error:
            raise NvmlError(f"{path}: {error}") from None
        if (code := self._call("nvmlInit_v2")) != _SUCCESS:
            raise NvmlError(f"{path}: nvmlInit_v2 failed: {self._words(code)}")

    def close(self) -> None:
        """Let go of the GPUs."""
        self._call("nvmlShutdown")

    def uses(self, last_seen: dict[str, int]) -> Iterator[GpuUse]:
        """Each process on each GPU; `last_seen` holds, by GPU, the time of the last sample (microseconds), and is brought up.

        Raises NvmlError when the GPUs cannot be listed.
        """
        count = ctypes.c_uint()
        if (code := self._call("nvmlDeviceGetCount_v2", ctypes.byref(count))) != _SUCCESS:
            raise NvmlError(f"nvmlDeviceGetCount_v2 failed: {self._words(code)}")
        for index in range(min(count.value, 256)):
            device = ctypes.c_void_p()
            if self._call("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(index), ctypes.byref(device)) == _SUCCESS:
                yield from self._of_device(device, index, last_seen)

    def _of_device(self, device: ctypes.c_void_p, index: int, last_seen: dict[str, int]) -> Iterator[GpuUse]:
        info, name = _PciInfo(), ctypes.create_string_buffer(_NAME_BYTES)
        self._call("nvmlDeviceGetName", device, name, ctypes.c_uint(_NAME_BYTES))
        is_known = self._call("nvmlDeviceGetPciInfo_v3", device, ctypes.byref(info)) == _SUCCESS
        gpu = f"{info.domain & 0xFFFF:04x}:{info.bus & 0xFF:02x}:{info.device & 0x1F:02x}.0" if is_known else f"nvidia{index}"
        contexts: dict[int, list[str]] = {}
        described: dict[int, tuple[Optional[int], str]] = {}
        for call, context in (("Compute", COMPUTE), ("Graphics", GRAPHICS)):
            for pid, memory, instance in self._processes(device, f"nvmlDeviceGet{call}RunningProcesses"):
                contexts.setdefault(pid, []).append(context)
                described.setdefault(pid, (memory, instance))
        shares, seconds = self._shares(device, gpu, last_seen, list(described))
        for pid, (memory, instance) in described.items():
            yield GpuUse(
                pid, gpu, "nvidia", "nvml", name.value.decode("utf-8", "replace"), ",".join(dict.fromkeys(contexts[pid])),
                shares.get(pid, 0.0 if shares is not _UNKNOWN else None), seconds, memory, instance,
            )  # fmt: skip

    def _processes(self, device: ctypes.c_void_p, call: str) -> list[tuple[int, Optional[int], str]]:
        """(pid, bytes of memory, MIG instance) of each process, by the newest form of the call that the driver has."""
        versions: tuple[tuple[str, type[ctypes.Structure]], ...] = (("_v3", _Process), ("_v2", _Process), ("", _OldProcess))
        for ending, structure in versions:
            if not hasattr(self._library, call + ending):
                continue
            room = 64
            while room <= _MAX_ENTRIES:
                count, entries = ctypes.c_uint(room), (structure * room)()
                code = self._call(call + ending, device, ctypes.byref(count), entries)
                if code != _INSUFFICIENT_SIZE:
                    return [_described(entry) for entry in entries[: min(count.value, room)]] if code == _SUCCESS else []
                room = max(room * 2, count.value)
            return []
        return []

    def _shares(
        self, device: ctypes.c_void_p, gpu: str, last_seen: dict[str, int], pids: list[int]
    ) -> tuple[dict[int, float], Optional[float]]:
        """The part of the time that each process kept the GPU busy since the last call, and how long that is."""
        since = last_seen.get(gpu, 0)
        count = ctypes.c_uint(_MAX_ENTRIES)
        samples = (_Sample * _MAX_ENTRIES)()
        code = self._call("nvmlDeviceGetProcessUtilization", device, samples, ctypes.byref(count), ctypes.c_ulonglong(since))
        found = [sample for sample in samples[: min(count.value, _MAX_ENTRIES)] if sample.timeStamp > since]
        if code == _SUCCESS and found:
            last_seen[gpu] = max(sample.timeStamp for sample in found)
            times = {sample.timeStamp for sample in found}
            taken: dict[int, list[int]] = {}
            for sample in found:
                taken.setdefault(sample.pid, []).append(min(100, sample.smUtil))
            first = since or min(times)
            return {pid: sum(each) / len(each) / 100 for pid, each in taken.items()}, (last_seen[gpu] - first) / 1e6 or None
        # With MIG, and on old GPUs, only the whole GPU's use is told; that of one process alone is its.
        rates = _Rates()
        if len(pids) == 1 and self._call("nvmlDeviceGetUtilizationRates", device, ctypes.byref(rates)) == _SUCCESS:
            return {pids[0]: min(100, rates.gpu) / 100}, None
        return _UNKNOWN, None

    def _call(self, name: str, *arguments: object) -> int:
        function = getattr(self._library, name, None)
        return -1 if function is None else int(function(*arguments))

    def _words(self, code: int) -> str:
        function = getattr(self._library, "nvmlErrorString", None)
        if function is None or code < 0:
            return f"error {code}"
        function.restype = ctypes.c_char_p
        return (function(code) or b"").decode("utf-8", "replace") or f"error {code}"


_UNKNOWN: dict[int, float] = {}


def _described(entry: ctypes.Structure) -> tuple[int, Optional[int], str]:
    gpu, compute = getattr(entry, "gpuInstanceId", _NO_INSTANCE), getattr(entry, "computeInstanceId", _NO_INSTANCE)
    parts = [f"{what} {number}" for what, number in (("gpu", gpu), ("compute", compute)) if number != _NO_INSTANCE]
    memory = None if entry.usedGpuMemory == _NOT_AVAILABLE else int(entry.usedGpuMemory)
    return int(entry.pid), memory, " ".join(parts)
