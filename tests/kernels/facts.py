"""Runs inside a guest: `python3 -m tests.kernels.facts` prints as JSON what kernel runs here and what it lacks of what we use."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform

# Numbers of x86-64; each is called with arguments that do nothing.
_CALLS = {
    "pidfd_open": (434, (-1, 0)),
    "pidfd_send_signal": (424, (-1, 0, 0, 0)),
    "openat2": (437, (-1, 0, 0, 0)),
    "fsopen": (430, (0, 0)),
    "fsmount": (432, (-1, 0, 0)),
    "move_mount": (429, (-1, 0, -1, 0, 0)),
    "open_tree": (428, (-1, 0, 0)),
    "mount_setattr": (442, (-1, 0, 0, 0, 0)),
    "statmount": (457, (0, 0, 0, 0)),
    "listmount": (458, (0, 0, 0, 0)),
    "statx": (332, (-1, 0, 0, 0, 0)),
    "kcmp": (312, (-1, -1, 0, 0, 0)),
    "bpf": (321, (-1, 0, 0)),
    "perf_event_open": (298, (0, 0, -1, -1, 0)),
    "sched_getattr": (315, (-1, 0, 0, 0)),
    "process_vm_readv": (310, (-1, 0, 0, 0, 0, 0)),
}
_FILES = (
    "/proc/kallsyms", "/proc/kcore", "/proc/modules", "/proc/pressure/cpu", "/proc/sysvipc", "/proc/vmallocinfo",
    "/sys/fs/cgroup/cgroup.procs", "/sys/kernel/btf/vmlinux", "/sys/kernel/security/lockdown",
    "/sys/kernel/tracing/enabled_functions",
)  # fmt: skip


def missing_calls() -> list[str]:
    """The system calls that the kernel does not know."""
    libc = ctypes.CDLL(None, use_errno=True)
    return [
        name
        for name, (number, arguments) in _CALLS.items()
        if libc.syscall(number, *arguments) < 0 and ctypes.get_errno() == errno.ENOSYS
    ]


def counts_files_as_links() -> bool:
    """Whether the kernel counts a file of procfs as a link of its folder: /proc/sysvipc holds three files and no folder."""
    try:
        return os.lstat("/proc/sysvipc").st_nlink != 2
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    missing = [path for path in _FILES if not os.path.exists(path)]
    lacks = [*missing_calls(), *missing]
    print(json.dumps({"version": platform.version(), "lacks": lacks, "counts_files": counts_files_as_links()}))
