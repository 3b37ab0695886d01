"""Which tasks the CPUs run, asked of the CPUs themselves: perf_event_open(2)'s clock, whatever any listing says."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import platform
import struct
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

from tables.host.processes.procfs import Procfs

_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}.get(platform.machine())
_ENABLE = 0x2400  # PERF_EVENT_IOC_ENABLE
# struct perf_event_attr as it was first published, which every later kernel takes (include/uapi/linux/perf_event.h).
_ATTR = struct.Struct("=IIQQQQQIIQ")
_TYPE_SOFTWARE, _CPU_CLOCK = 1, 0
_SAMPLE_TID = 2
_EXCLUDE_IDLE = 1 << 7
_FLAG_FD_CLOEXEC = 8
_RECORD_SAMPLE = 9
_PERIOD_NS = 1_000_000
_HEAD_OFFSET = 1024  # data_head in struct perf_event_mmap_page
# A sample takes 16 bytes: room for four seconds at one a millisecond.
_DATA_BYTES = 64 * 1024
_libc = ctypes.CDLL(None, use_errno=True)


def sample_cpus(procfs: Procfs, seconds: float) -> Counter[int]:
    """How often, in `seconds` (at most 4), each pid was met on a CPU; one look a millisecond and CPU, idle ones apart.

    Pids are those of processes (thread group leaders) in our pid namespace. Raises OSError where the kernel does not allow it
    (perf_event_paranoid, no CAP_PERFMON, no such call).
    """
    page = mmap.PAGESIZE
    with ExitStack() as undo:
        rings = []
        for cpu in _online(procfs):
            fd = _open(cpu)
            undo.callback(os.close, fd)
            ring = mmap.mmap(fd, page + _DATA_BYTES)
            undo.callback(ring.close)
            rings.append((fd, ring))
        for fd, _ in rings:
            fcntl.ioctl(fd, _ENABLE, 0)
        time.sleep(min(seconds, 4.0))
        return Counter(pid for _, ring in rings for pid in _pids(_filled(ring, page)))


def _filled(ring: mmap.mmap, page: int) -> bytes:
    (head,) = struct.unpack_from("=Q", ring, _HEAD_OFFSET)
    return ring[page : page + min(head, _DATA_BYTES)]


def _pids(data: bytes) -> Iterator[int]:
    """The pid of each sample record: struct perf_event_header (type u32, misc u16, size u16), then pid and tid."""
    position = 0
    while position + 8 <= len(data):
        kind, _, size = struct.unpack_from("=IHH", data, position)
        if size < 8 or position + size > len(data):
            return
        if kind == _RECORD_SAMPLE and size >= 16:
            (pid,) = struct.unpack_from("=i", data, position + 8)
            # The idle task has pid 0, and what is outside of our pid namespace too.
            if pid > 0:
                yield pid
        position += size


def _open(cpu: int) -> int:
    if _PERF_EVENT_OPEN is None:
        raise OSError(f"perf_event_open: no number is known for {platform.machine()}")
    attr = _ATTR.pack(_TYPE_SOFTWARE, _ATTR.size, _CPU_CLOCK, _PERIOD_NS, _SAMPLE_TID, 0, 1 | _EXCLUDE_IDLE, 0, 0, 0)
    arguments = (ctypes.c_int(-1), ctypes.c_int(cpu), ctypes.c_int(-1), ctypes.c_ulong(_FLAG_FD_CLOEXEC))
    fd = int(_libc.syscall(ctypes.c_long(_PERF_EVENT_OPEN), ctypes.create_string_buffer(attr), *arguments))
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"perf_event_open: {os.strerror(code)}")
    return fd


def _online(procfs: Procfs) -> list[int]:
    """The numbers of the CPUs that run, from the cpuN lines of /proc/stat (proc_stat(5))."""
    names = (line.split(b" ", 1)[0] for line in procfs.read("stat").splitlines() if line.startswith(b"cpu"))
    return [int(name[3:]) for name in names if name[3:].isdigit()]
