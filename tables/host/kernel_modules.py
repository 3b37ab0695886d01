"""Loaded kernel modules as each of the kernel's own lists shows them, the kernel's taint, and the modules on disk."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Optional

from tables.host import Host
from tables.host.files import Files, Unreadable, read_fd
from tables.host.mounts import parse_mountinfo
from tables.host.syscalls import DT_DIR, getdents64

# Documentation/admin-guide/tainted-kernels.rst; the letters of single modules are the same (kernel/panic.c, taint_flags).
TAINTS = {
    "P": "proprietary", "F": "forced_load", "S": "out_of_specification", "R": "forced_unload", "M": "machine_check",
    "B": "bad_page", "U": "user_request", "D": "died", "A": "acpi_override", "W": "warning", "C": "staging",
    "I": "firmware_workaround", "O": "out_of_tree", "E": "unsigned", "L": "soft_lockup", "K": "livepatch", "X": "auxiliary",
    "T": "randstruct", "N": "test", "J": "fwctl",
}  # fmt: skip
LIVE = "Live"

_SYSFS = "/sys/module"
_TRACING = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
_TRACED = ("available_filter_functions", "enabled_functions")
_FOLDERS = ("/lib/modules", "/usr/lib/modules", "/run/booted-system/kernel-modules/lib/modules")
_DKMS = "/var/lib/dkms"
_READ_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_CHUNK = 1 << 20
_MAX_SYMBOLS = 128 << 20
_MAX_MODULES = 4096
_TAG = re.compile(rb"[ \t]\[([A-Za-z0-9_.-]{1,63})\]")
_LOADED = re.compile(rb"^([^ \n]+) (\d+) (\S+) (\S+) (\w+) (\S+)(?: \((\S*)\))?$", re.MULTILINE)
_SUFFIX = re.compile(r"\.ko(\.(gz|xz|zst))?$")


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


def parse_modules_dep(text: str) -> dict[str, str]:
    """Path of each module file in a modules.dep by the module's name, in which `-` is `_` (modules.dep(5))."""
    found = {}
    for line in text.splitlines():
        path, colon, _ = line.partition(":")
        if colon and _SUFFIX.search(path):
            found[module_name(path)] = path
    return found


def module_name(path: str) -> str:
    """The name under which the kernel knows the module file at `path`."""
    return _SUFFIX.sub("", path.rpartition("/")[2]).replace("-", "_")


def taint_letters(bits: int) -> str:
    """The letters of a taint bit mask, /proc/sys/kernel/tainted."""
    return "".join(letter for bit, letter in enumerate(TAINTS) if bits >> bit & 1)


def tags(data: bytes) -> set[str]:
    """The modules named as `[module]` behind symbols; the kernel's marks for code that belongs to no module are left out."""
    found = {name.decode("ascii") for name in _TAG.findall(data)}
    # kernel/kallsyms.c: BPF programs, and trampolines of ftrace and kprobes.
    return {name for name in found if name != "bpf" and not name.startswith("__builtin__")}


@dataclass
class Look:
    """All lists at one time; None for a list that could not be read, or that this kernel does not have.

    `proc` is /proc/modules, `sysfs` the live entries of /sys/module, `symbols` and `traced` the names in kallsyms and in
    ftrace's lists. `folders` are all names in /sys/module and `uncounted` how many more its link count says there are.
    """

    proc: Optional[dict[str, Loaded]] = None
    sysfs: Optional[dict[str, Loaded]] = None
    symbols: Optional[set[str]] = None
    traced: Optional[set[str]] = None
    folders: frozenset[str] = frozenset()
    uncounted: int = 0
    is_proc_unreadable: bool = False
    gaps: list[str] = field(default_factory=list)


def look(host: Host, check_time: Callable[[], None]) -> Look:
    """Read every list once; /proc/modules first and last, so that a module loaded in between is in the second."""
    seen = Look()
    before = _proc_modules(host, seen)
    _sysfs(host.files, seen)
    seen.symbols = _symbols(host, seen, check_time)
    seen.traced = _traced(host.files, seen, check_time)
    after = _proc_modules(host, Look())
    seen.proc = None if before is None and after is None else {**(before or {}), **(after or {})}
    if (seen.proc or seen.sysfs) and seen.traced is None and not any("tracing" in gap for gap in seen.gaps):
        seen.gaps.append("tracefs is not mounted: a module that took itself off all other lists is not seen")
    return seen


def _proc_modules(host: Host, seen: Look) -> Optional[dict[str, Loaded]]:
    try:
        return parse_proc_modules(host.truth.read("modules", 8 << 20))
    except FileNotFoundError:
        # A kernel without loadable modules has no such file.
        return None
    except OSError as error:
        seen.gaps.append(f"/proc/modules: {error.strerror}")
        seen.is_proc_unreadable = True
        return None


def _sysfs(files: Files, seen: Look) -> None:
    try:
        folder = os.open(files.locate(_SYSFS), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        seen.gaps.append(f"{_SYSFS}: {error.strerror}")
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


def _symbols(host: Host, seen: Look, check_time: Callable[[], None]) -> Optional[set[str]]:
    try:
        fd = os.open("kallsyms", _READ_FLAGS, dir_fd=host.truth.fd)
    except FileNotFoundError:
        return None
    except OSError as error:
        seen.gaps.append(f"/proc/kallsyms: {error.strerror}")
        return None
    return _tags_in(fd, check_time)


def _traced(files: Files, seen: Look, check_time: Callable[[], None]) -> Optional[set[str]]:
    """The modules with functions that ftrace knows; None where tracefs is not mounted or not ours to read."""
    found: Optional[set[str]] = None
    for folder in _TRACING:
        for name in _TRACED:
            try:
                fd = files.open(f"{folder}/{name}")
            except Unreadable as error:
                if not error.is_missing:
                    seen.gaps.append(str(error))
                continue
            found = (found or set()) | _tags_in(fd, check_time)
        if found is not None:
            break
    return found


def _tags_in(fd: int, check_time: Callable[[], None]) -> set[str]:
    found: set[str] = set()
    rest = b""
    read = 0
    try:
        while read < _MAX_SYMBOLS and (data := read_fd(fd, _CHUNK)):
            check_time()
            read += len(data)
            whole, newline, rest = (rest + data).rpartition(b"\n")
            found |= tags(whole) if newline else set()
            rest = rest[-4096:]
    except OSError:
        # Names found before the failure are names all the same.
        pass
    finally:
        os.close(fd)
    return found


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


@dataclass(frozen=True)
class OnDisk:
    """The module files installed for one kernel release: path by module name; None when there is no modules.dep."""

    folder: str
    paths: Optional[dict[str, str]]

    @classmethod
    def of(cls, files: Files, release: str) -> OnDisk:
        """Read the modules.dep of `release`."""
        for base in _FOLDERS:
            folder = f"{base}/{release}"
            try:
                text = files.read_text(f"{folder}/modules.dep", 16 << 20)
            except Unreadable as error:
                if error.is_missing:
                    continue
                raise
            return cls(folder, {name: os.path.join(folder, path) for name, path in parse_modules_dep(text).items()})
        return cls("", None)

    def inside(self, path: str) -> str:
        """`path` relative to the folder of this kernel's modules."""
        return path[len(self.folder) + 1 :] if path.startswith(self.folder + "/") else path


def dkms_modules(files: Files, release: str) -> dict[str, str]:
    """The DKMS package that built each module for `release`, by module name (dkms(8): PACKAGE/kernel-RELEASE-ARCH/module/)."""
    return dict(_dkms_modules(files, release))


def _dkms_modules(files: Files, release: str) -> Iterator[tuple[str, str]]:
    for package in _folder(files, _DKMS):
        for link in _folder(files, f"{_DKMS}/{package}"):
            if link.startswith(f"kernel-{release}-"):
                for name in _folder(files, f"{_DKMS}/{package}/{link}/module"):
                    yield module_name(name), package


def _folder(files: Files, path: str) -> list[str]:
    try:
        return files.names(path)
    except Unreadable:
        return []
