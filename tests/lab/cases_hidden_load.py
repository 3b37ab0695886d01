"""What the kernel's own counts betray; they count the whole host, so these rooms share its process list."""

from __future__ import annotations

import contextlib
import os

from tests.lab.case import case
from tests.lab.room import ANY, Planted, Room

SHARES_PIDS = True


def go_first() -> None:
    """Let the caller have a core even on a loaded machine (sched(7): where sessions compete, nice values count within one)."""
    os.nice(-20)
    with contextlib.suppress(OSError), open("/proc/self/autogroup", "w") as group:
        group.write("-20")


@case(11, unseen_cpu_use="unseen_cores")
def hidden_and_busy(room: Room) -> Planted:
    """a hidden process that keeps a core busy."""
    pid = room.start(room.program("/opt/run/worker", is_busy=True), before=go_first)
    room.mount("none", f"/proc/{pid}", "tmpfs", 0)
    return {"unseen_cores": ANY}


@hidden_and_busy.twin
def _(room: Room) -> Planted:
    """a busy process that everyone can see."""
    return {"pid": room.start(room.program("/opt/shop/render", is_busy=True))}


@case(11, process_census_mismatch="processes_hidden", hidden_processes="pid")
def left_out_of_false_proc(room: Room) -> Planted:
    """a process that a false /proc leaves out."""
    pid = room.run("/opt/run/worker")
    os.makedirs("/var/lib/proc/real", exist_ok=True)
    os.makedirs("/var/lib/proc/shown", exist_ok=True)
    room.mount("/proc", "/var/lib/proc/real")
    room.mount("none", "/var/lib/proc/shown", "tmpfs", 0)
    for name in os.listdir("/proc"):
        if name != str(pid):
            os.symlink("/var/lib/proc/real/" + name, "/var/lib/proc/shown/" + name)
    room.mount("/var/lib/proc/shown", "/proc")
    return {"pid": pid, "processes_hidden": ANY}


@left_out_of_false_proc.twin
def _(room: Room) -> Planted:
    """the real /proc, mounted over itself."""
    room.mount("/proc", "/proc")
    return {"pid": room.run("/opt/shop/server")}
