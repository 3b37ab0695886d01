"""Processes hidden from ps: by mounts over /proc and by a library that filters the listing."""

from __future__ import annotations

import os

from tests.lab.case import case
from tests.lab.room import Planted, Room, compile_library

READDIR_HOOK = r"""
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
struct dirent *readdir(DIR *folder) {
    static struct dirent *(*real)(DIR *);
    if (!real) real = dlsym(RTLD_NEXT, "readdir");
    struct dirent *entry;
    do entry = real(folder);
    while (entry && getenv("LAB_HIDE") && strcmp(entry->d_name, getenv("LAB_HIDE")) == 0);
    return entry;
}
struct dirent64 *readdir64(DIR *folder) { return (struct dirent64 *)readdir(folder); }
"""


@case(11, hidden_processes="pid", proc_covered_by_mount="path")
def hidden_by_empty_folder(room: Room) -> Planted:
    """an empty folder mounted over a process's folder."""
    pid = room.run("/opt/run/worker")
    os.makedirs("/var/lib/empty", exist_ok=True)
    room.mount("/var/lib/empty", f"/proc/{pid}")
    return {"pid": pid, "path": f"/proc/{pid}"}


@hidden_by_empty_folder.twin
def _(room: Room) -> Planted:
    """a container manager's own file mounted over /proc/uptime."""
    room.mount(room.write("/var/lib/lxcfs/uptime", "100.00 200.00\n"), "/proc/uptime")
    return {"path": "/proc/uptime"}


@case(11, hidden_processes="pid", proc_covered_by_mount="path")
def hidden_by_tmpfs(room: Room) -> Planted:
    """a tmpfs mounted over a process's folder."""
    pid = room.run("/opt/run/worker")
    room.mount("none", f"/proc/{pid}", "tmpfs", 0)
    return {"pid": pid, "path": f"/proc/{pid}"}


@hidden_by_tmpfs.twin
def _(room: Room) -> Planted:
    """a container runtime's tmpfs over /proc/acpi and read-only /proc/sys."""
    for path in ("/proc/acpi", "/proc/scsi"):
        if os.path.isdir(path):
            room.mount("none", path, "tmpfs", 0)
    room.mount("/proc/sys", "/proc/sys")
    return {"path": "/proc/sys"}


@case(11, hidden_processes="pid", proc_covered_by_mount="path")
def hidden_behind_decoy(room: Room) -> Planted:
    """another process's folder mounted over it."""
    pid = room.run("/opt/run/worker")
    room.mount("/proc/1", f"/proc/{pid}")
    return {"pid": pid, "path": f"/proc/{pid}"}


@hidden_behind_decoy.twin
def _(room: Room) -> Planted:
    """a second procfs, mounted for a chroot."""
    os.makedirs("/srv/chroot/proc", exist_ok=True)
    room.mount("proc", "/srv/chroot/proc", "proc", 0)
    return {"path": "/srv/chroot/proc"}


@case(11, hidden_parent="parent", hidden_processes="pid")
def hidden_starter(room: Room) -> Planted:
    """a hidden process whose child everyone can see."""
    child = room.program("/opt/run/worker")
    parent = room.start(room.copy("sh", "/opt/run/starter"), "-c", f"{child} & wait")
    room.wait_for(child)
    room.mount("none", f"/proc/{parent}", "tmpfs", 0)
    return {"pid": parent, "parent": parent}


@hidden_starter.twin
def _(room: Room) -> Planted:
    """a child whose starter has ended."""
    return {"pid": room.orphan(room.program("/opt/shop/daemon"))}


@case(11, hidden_processes="pid")
def command_line_covered(room: Room) -> Planted:
    """a file mounted over a process's cmdline alone."""
    pid = room.run("/opt/run/worker")
    room.mount("/dev/null", f"/proc/{pid}/cmdline")
    return {"pid": pid}


@command_line_covered.twin
def _(room: Room) -> Planted:
    """a program with threads and no command line of its own."""
    return {"pid": room.start("", executable=room.program("/opt/shop/untitled"))}


@case(11, needs=("cc",), hidden_processes="pid")
def hidden_by_library(room: Room) -> Planted:
    """a preloaded library that leaves the process out of every listing."""
    pid = room.run("/opt/run/worker")
    library = compile_library(READDIR_HOOK, "/usr/local/lib/liblab.so")
    room.environment = {"LD_PRELOAD": library, "LAB_HIDE": str(pid)}
    return {"pid": pid}


@hidden_by_library.twin
def _(room: Room) -> Planted:
    """a process that ends while it is being looked for, its starter living on."""
    return {"pid": room.start("sh", "-c", "while :; do sleep 0.05; done")}
