"""Loaded kernel modules as the kernel's own lists show them, and the kernel's taint."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, field
from typing import NamedTuple, Optional

from tables.host import Host
from tables.host.disk.files import Files
from tables.host.disk.mounts import parse_mountinfo
from tables.host.syscalls import DT_DIR, getdents64
from tables.unseen import Unseen, say_cut

# Documentation/admin-guide/tainted-kernels.rst; the letters of single modules are the same (kernel/panic.c, taint_flags).
TAINTS = {
    "P": "proprietary", "F": "forced_load", "S": "out_of_specification", "R": "forced_unload", "M": "machine_check",
    "B": "bad_page", "U": "user_request", "D": "died", "A": "acpi_override", "W": "warning", "C": "staging",
    "I": "firmware_workaround", "O": "out_of_tree", "E": "unsigned", "L": "soft_lockup", "K": "livepatch", "X": "auxiliary",
    "T": "randstruct", "N": "test", "J": "fwctl",
}  # fmt: skip
LIVE = "Live"
PROC, SYSFS = "proc_modules", "sysfs"
# Between two looks: longer than loading or unloading a module takes.
PAUSE = 0.2

_SYSFS = "/sys/module"
_READ_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_MAX_MODULES = 4096
_LOADED = re.compile(rb"^([^ \n]+) (\d+) (\S+) (\S+) (\w+) (\S+)(?: \((\S*)\))?$", re.MULTILINE)


class Loaded(NamedTuple):
    """A module as one list shows it: bytes of memory, state (Live, Loading, Unloading), taint letters."""

    module_size: Optional[int]
    state: str
    taint: str


def parse_proc_modules(data: bytes) -> dict[str, Loaded]:
    """The modules in /proc/modules by name (kernel/module/procfs.c, m_show); lines that are none are passed over."""
    found = {}
    for name, size, _, _, state, _, taint in _LOADED.findall(data):
        letters = "".join(letter for letter in taint.decode("ascii", "replace") if letter in TAINTS)
        # A number longer than any address is no size.
        if len(size) < 20:
            found[os.fsdecode(name)] = Loaded(int(size), state.decode("ascii", "replace"), letters)
    return found


def taint_letters(bits: int) -> str:
    """The letters of a taint bit mask, /proc/sys/kernel/tainted."""
    return "".join(letter for bit, letter in enumerate(TAINTS) if bits >> bit & 1)


@dataclass
class Look:
    """Both lists of modules at one time; None for a list that could not be read, or that this kernel does not have.

    `proc` is /proc/modules, `sysfs` the live entries of /sys/module. `folders` are all names in /sys/module and `uncounted`
    how many more its link count says there are.
    """

    proc: Optional[dict[str, Loaded]] = None
    sysfs: Optional[dict[str, Loaded]] = None
    folders: frozenset[str] = frozenset()
    uncounted: int = 0
    is_proc_unreadable: bool = False
    unseen: Unseen = field(default_factory=Unseen)

    @property
    def modules(self) -> dict[str, Loaded]:
        """The modules that one of the two lists shows."""
        return {**(self.sysfs or {}), **(self.proc or {})}

    @property
    def has_modules(self) -> bool:
        """Whether this kernel can load modules: without a live one in sysfs, a missing /proc/modules says that it cannot."""
        return self.proc is not None or bool(self.sysfs)

    def missing(self, name: str) -> tuple[str, ...]:
        """Which of PROC and SYSFS leave out the running module `name`."""
        missing = []
        if not self.is_proc_unreadable and name not in (self.proc or {}):
            missing.append(PROC)
        if self.sysfs is not None and name not in self.folders:
            missing.append(SYSFS)
        return tuple(missing)

    @property
    def hidden(self) -> dict[str, tuple[str, ...]]:
        """The live modules that one list shows and another one leaves out: which, by name."""
        live = set(self.sysfs or ()) | {name for name, found in (self.proc or {}).items() if found.state == LIVE}
        return {name: missing for name in live if (missing := self.missing(name))}


def two_looks(host: Host) -> tuple[Look, dict[str, tuple[str, ...]]]:
    """The last look at both lists, and the modules that it and one before it both found hidden, where there are any."""
    first = look(host)
    if not first.hidden and not first.uncounted:
        return first, {}
    time.sleep(PAUSE)
    again = look(host)
    again.uncounted = min(first.uncounted, again.uncounted)
    hidden = again.hidden
    return again, {name: missing for name, missing in first.hidden.items() if hidden.get(name) == missing}


def look(host: Host) -> Look:
    """Read both lists once; /proc/modules first and last, so that a module loaded in between is in the second."""
    seen = Look()
    before = _proc_modules(host, seen)
    _sysfs(host.files, seen)
    after = _proc_modules(host, Look())
    seen.proc = None if before is None and after is None else {**(before or {}), **(after or {})}
    return seen


def _proc_modules(host: Host, seen: Look) -> Optional[dict[str, Loaded]]:
    try:
        return parse_proc_modules(host.truth.read("modules", 8 << 20))
    except FileNotFoundError:
        # A kernel without loadable modules has no such file.
        return None
    except OSError as error:
        seen.unseen.could_not_see(f"/proc/modules: {error.strerror}")
        seen.is_proc_unreadable = True
        return None


def _sysfs(files: Files, seen: Look) -> None:
    try:
        folder = os.open(files.locate(_SYSFS), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        seen.unseen.could_not_see(f"{_SYSFS}: {error.strerror}")
        return
    try:
        before = os.fstat(folder).st_nlink
        names = [os.fsdecode(name) for name, kind in getdents64(folder) if kind == DT_DIR and name not in (b".", b"..")]
        after = os.fstat(folder).st_nlink
        seen.folders = frozenset(names)
        # Each folder in a folder has a link to it, `..`; file systems that do not count report one link.
        if before == after >= 2:
            seen.uncounted = max(0, after - 2 - len(names))
        found = {}
        if len(names) > _MAX_MODULES:
            say_cut(f"{_SYSFS}: only {_MAX_MODULES} of {len(names)} modules were looked at")
        for name in names[:_MAX_MODULES]:
            # What is built into the kernel has no state.
            state = _attribute(folder, name, "initstate")
            if state == "live":
                size = _attribute(folder, name, "coresize") or ""
                taint = "".join(letter for letter in _attribute(folder, name, "taint") or "" if letter in TAINTS)
                found[name] = Loaded(int(size) if size.isdigit() and len(size) < 20 else None, LIVE, taint)
        seen.sysfs = found
    finally:
        os.close(folder)


def _attribute(folder: int, module: str, name: str) -> Optional[str]:
    try:
        fd = os.open(f"{module}/{name}", _READ_FLAGS, dir_fd=folder)
    except OSError:
        return None
    try:
        return os.read(fd, 4096).decode("ascii", "replace").strip()
    except OSError:
        return None
    finally:
        os.close(fd)


def kernel_taint(host: Host) -> str:
    """The taint letters of the whole kernel; "" when it has none or they cannot be read."""
    data = (host.truth.try_read("sys/kernel/tainted", 64) or b"").strip()
    return taint_letters(int(data)) if data.isdigit() else ""


def kernel_release(host: Host) -> str:
    """The release of the running kernel; OSError when there is no running kernel below this root."""
    return host.truth.read("sys/kernel/osrelease", 256).decode("utf-8", "replace").strip()


def covering_mounts(host: Host) -> list[str]:
    """Mount points on top of the kernel's own lists of modules: /proc/modules, /sys/module and its folders."""
    data = host.truth.try_read("self/mountinfo", 8 << 20) or b""
    points = [mount.mount_point for mount in parse_mountinfo(data)]
    return sorted({point for point in points if point == "/proc/modules" or f"{point}/".startswith(f"{_SYSFS}/")})
