"""What is left on disk: executables in odd places."""

from __future__ import annotations

from tests.lab.case import case
from tests.lab.room import Planted, Room


@case(12, executables_in_memory_folders="path")
def fresh_program_in_shared_memory(room: Room) -> Planted:
    """a program waiting in /dev/shm."""
    return {"path": room.program("/dev/shm/a")}


@fresh_program_in_shared_memory.twin
def _(room: Room) -> Planted:
    """a browser's shared memory."""
    return {"path": room.write("/dev/shm/.org.chromium.Chromium.x1y2z3", bytes(4096), 0o600)}


@case(12, executables_in_memory_folders="path")
def hidden_program_in_tmp(room: Room) -> Planted:
    """a program waiting in a dot folder of /tmp."""
    return {"path": room.program("/tmp/.font/run")}


@hidden_program_in_tmp.twin
def _(room: Room) -> Planted:
    """an X server's lock and sockets."""
    room.write("/tmp/.X11-unix/X0")
    return {"path": room.write("/tmp/.X0-lock", "1234\n", 0o444)}


@case(12, hidden_executables_in_system_folders="path")
def hidden_program_in_etc(room: Room) -> Planted:
    """a hidden program in /usr/bin."""
    return {"path": room.program("/usr/bin/.sshd")}


@hidden_program_in_etc.twin
def _(room: Room) -> Planted:
    """the lock file that account tools leave in /etc."""
    return {"path": room.write("/etc/.pwd.lock", "", 0o600)}


@case(17, setuid_program_in_temporary_folder="path")
def setuid_in_tmp(room: Room) -> Planted:
    """a setuid shell in /tmp."""
    return {"path": room.program("/tmp/rootsh", mode=0o4755)}


@setuid_in_tmp.twin
def _(room: Room) -> Planted:
    """a setuid program in /usr/bin."""
    return {"path": room.program("/usr/bin/labsu", mode=0o4755)}
