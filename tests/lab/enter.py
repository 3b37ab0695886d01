"""Enter a room, under unshare(1): `python -m tests.lab.enter FOLDER SUBJECT` plants a subject's cases and prints the results."""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
import traceback
from pathlib import Path
from typing import Any

from tests.lab.namespaces import bring_up_loopback, end_with_parent, mount
from tests.lab.room import CDN_POOL, CONTROL_SERVER, LISTED_POOL, POOL, POOLS, compile_library, package_texts

REPOSITORY = Path(__file__).resolve().parents[2]
_MS_MOVE = 8192
# What else lies on this machine's disk is no part of a system, and is not walked for each question.
_SYSTEM = frozenset(
    {"bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "opt", "proc", "sbin", "srv", "sys", "usr", "var"}
)
# Containers, emulators and the like, which no case starts: all but a fifth of what would be compared with its packages.
_PROGRAM_FOLDERS = ("/usr/bin", "/usr/sbin", "/usr/lib", f"/usr/lib/{platform.machine()}-linux-gnu")
_LONGEST_PROGRAM = 8 << 20
# When a process began and how much it has used is the kernel's to tell, by the other clocks.
_CLOCK = """
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && clock == CLOCK_REALTIME) now->tv_sec += SECONDS;
    return failed;
}
"""
_EMPTY = {"/tmp": 0o1777, "/var/tmp": 0o1777, "/dev/shm": 0o1777, "/run": 0o755, "/root": 0o700, "/home": 0o755}


def build_root(folder: str) -> str:
    """A root folder like this host's whose changes go to memory; what is not the system's is empty."""
    mount("none", folder, "tmpfs", 0)
    layers = [os.path.join(folder, name) for name in ("upper", "work", "root", "nothing")]
    for layer in layers:
        os.mkdir(layer)
    upper, work, root, nothing = layers
    mount("overlay", root, "overlay", 0, f"lowerdir=/,upperdir={upper},workdir={work}")
    mount("proc", root + "/proc", "proc", 0)
    mount("/sys", root + "/sys")
    mount("/dev", root + "/dev")
    others = {f"/{name}": 0o755 for name in os.listdir("/") if name not in _SYSTEM and os.path.isdir(f"/{name}")}
    for path, mode in {**others, **_EMPTY}.items():
        os.makedirs(root + path, exist_ok=True)
        mount("none", root + path, "tmpfs", 0)
        os.chmod(root + path, mode)
    for folder in _PROGRAM_FOLDERS:
        for entry in os.scandir(root + folder) if os.path.isdir(root + folder) else ():
            if entry.is_file(follow_symlinks=False) and entry.stat().st_size > _LONGEST_PROGRAM:
                os.unlink(entry.path)
    for needed in {str(REPOSITORY), sys.prefix, sys.base_prefix}:
        # What lies on another file system, or in a folder made empty, is not seen through the overlay.
        if not os.path.isdir(root + needed) or os.listdir(root + needed) != os.listdir(needed):
            os.makedirs(root + needed, exist_ok=True)
            # Not bound: a walk of the room's disk, which ends at an overlay, would look through all of it each time.
            mount("overlay", root + needed, "overlay", 0, f"lowerdir={needed}:{nothing}")
    return root


def enter(arguments: list[str]) -> None:
    """Make the room's root folder the root folder, and start anew in it, so that everything runs from there."""
    os.chdir(build_root(arguments[0]))
    # Over the old root folder rather than in place of it: pivot_root(2) does not work where that is itself a chroot.
    mount(".", "/", flags=_MS_MOVE)
    os.chroot(".")
    os.chdir("/")
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    if ahead := getattr(importlib.import_module(f"tests.lab.{arguments[1]}"), "CLOCK_AHEAD_SECONDS", 0):
        environment["LD_PRELOAD"] = plant_clock(ahead)
    os.execve(sys.executable, [sys.executable, "-m", "tests.lab.enter", "--inside", *arguments[1:]], environment)


def plant_clock(ahead: int) -> str:
    """A packaged library that puts the day's clock ahead by so many seconds for whoever preloads it; its path."""
    path = compile_library(_CLOCK.replace("SECONDS", str(ahead)), "/usr/lib/lab-clock/libclock.so")
    for name, text in package_texts("lab-clock", path):
        Path(name).write_text(text)
    return path


def be_init(subject: str) -> int:
    """Run the subject in a child and reap what is orphaned meanwhile, as init does; the child's exit status."""
    worker = os.fork()
    if worker == 0:
        end_with_parent()
        os._exit(work(subject))
    while True:
        pid, status = os.wait()
        if pid == worker:
            return os.waitstatus_to_exitcode(status)


def work(subject: str) -> int:
    """Plant and ask; the last line printed is the answer in JSON."""
    from tests.lab.experiment import examine

    try:
        bring_up_loopback(*(remote[0] for remote in (POOL, CDN_POOL, LISTED_POOL, CONTROL_SERVER)))
        Path(POOLS).write_text("".join(f"{address}:{port}\n" for address, port in (POOL, CDN_POOL)))
        answer: list[dict[str, Any]] = examine(importlib.import_module(f"tests.lab.{subject}"))
        print("ANSWER " + json.dumps(answer), flush=True)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "--inside":
        sys.exit(be_init(sys.argv[2]))
    enter(sys.argv[1:])
