"""Which functions of the kernel matter to who hides: kernel_functions.yaml as questions with answers."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

from tables.indicators.loader import load_yaml
from tables.indicators.process_names import Names

# include/linux/syscalls.h, arch/*/include/asm/syscall_wrapper.h; tracepoints are sys_enter_NAME.
_CALL = re.compile(
    r"(?:__(?:x64|ia32|ia32_compat|arm64|arm64_compat|do|se)_(?:compat_)?sys_|ksys_|sys_enter_|sys_exit_|sys_)(\w+)"
)


class _Callback(NamedTuple):
    names: Names
    exception: str


class KernelFunctions:
    """The lists of kernel_functions.yaml."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._calls = Names.of(data["system_calls"])
        self._functions = Names.of(data["functions"])
        self._own = tuple(_Callback(Names.of([entry]), entry["exception"]) for entry in data["own_callbacks"])

    def is_watched(self, function: str) -> bool:
        """Whether a change of this function, or of the system call that it enters, can hide something."""
        call = _CALL.fullmatch(function)
        return self._functions.match(function) or (call is not None and self._calls.match(call[1]))

    def names(self) -> list[str]:
        """The functions themselves, with the system calls' entries of 64-bit kernels."""
        calls = [f"{prefix}{name}" for name in sorted(self._calls.exact) for prefix in ("__x64_sys_", "__arm64_sys_")]
        return [*sorted(self._functions.exact), *calls]

    def own_callback(self, function: str) -> Optional[str]:
        """What a callback of the kernel's own stands for."""
        return next((callback.exception for callback in self._own if callback.names.match(function)), None)


@functools.lru_cache(maxsize=1)
def kernel_functions() -> KernelFunctions:
    """The built-in lists, read when first asked for."""
    return KernelFunctions(load_yaml("kernel_functions.yaml"))
