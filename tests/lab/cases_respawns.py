"""Programs that come back, and what brings them back."""

from __future__ import annotations

import os

from tests.lab.case import case
from tests.lab.room import Planted, Room

_LOOP = "while :; do\n  {} >/dev/null 2>&1\n  sleep 1\ndone\n"
_GUARD = "while :; do\n  sleep 1\n  pgrep -f {other} >/dev/null || sh {other} &\ndone\n"
_UNIT = "[Unit]\nDescription=lab\n[Service]\nExecStart={}\nRestart=always\n[Install]\nWantedBy=multi-user.target\n"


@case(10, respawning_program="exe_path")
def guard_loop(room: Room) -> Planted:
    """a script in a dot folder that starts the miner whenever it ends."""
    program = room.program("/var/tmp/.font/run")
    room.start("sh", room.write("/var/tmp/.font/guard.sh", _LOOP.format(program), 0o755))
    return {"exe_path": program}


@guard_loop.twin
def _(room: Room) -> Planted:
    """a service's own script that starts it whenever it ends."""
    program = room.program("/opt/shop/server")
    return {"exe_path": program, "pid": room.start("sh", room.write("/opt/shop/run.sh", _LOOP.format(program), 0o755))}


@case(10, needs=("pgrep",), respawning_program="pid")
def mutual_guards(room: Room) -> Planted:
    """two scripts, each of which starts the other again."""
    one, other = "/opt/run/one.sh", "/opt/run/other.sh"
    room.write(one, _GUARD.format(other=other), 0o755)
    room.write(other, _GUARD.format(other=one), 0o755)
    return {"pid": (room.start("sh", one), room.start("sh", other))}


@mutual_guards.twin
def _(room: Room) -> Planted:
    """a watchdog script that starts a service again, which knows nothing of it."""
    service = room.program("/opt/shop/queue")
    return {"pid": (room.start("sh", room.write("/opt/shop/dog.sh", _GUARD.format(other=service), 0o755)), room.start(service))}


@case(10, respawning_program="exe_path")
def comes_back(room: Room) -> Planted:
    """a program in /tmp that is back whenever it has ended, by whom cannot be read."""
    program = room.program("/tmp/.r/run")
    room.start("sh", script=f"while :; do timeout 0.5 {program}; done\n")
    return {"exe_path": program}


@comes_back.twin
def _(room: Room) -> Planted:
    """an honest service that crashes again and again."""
    program = room.program("/opt/shop/flaky")
    return {"exe_path": program, "pid": room.start("sh", script=f"while :; do timeout 0.5 {program}; done\n")}


@case(10, respawning_program="exe_path")
def kept_by_unit(room: Room) -> Planted:
    """a unit with Restart=always that runs a program in /var/tmp."""
    program = room.program("/var/tmp/.font/run")
    room.write("/etc/systemd/system/fontd.service", _UNIT.format(program))
    room.start(program)
    return {"exe_path": program}


@kept_by_unit.twin
def _(room: Room) -> Planted:
    """a package's unit with Restart=always."""
    program = room.program("/usr/sbin/labd")
    room.write("/usr/lib/systemd/system/labd.service", _UNIT.format(program))
    return {"exe_path": program, "pid": room.start(program)}


@case(10, respawning_program="exe_path")
def deleted_guard(room: Room) -> Planted:
    """a guard script, deleted by now, of a program in a dot folder."""
    program = room.program("/opt/.run/worker")
    script = room.write("/opt/.run/guard.sh", _LOOP.format(program), 0o755)
    room.start("sh", script)
    room.wait_for(program)
    os.unlink(script)
    return {"exe_path": program}


@deleted_guard.twin
def _(room: Room) -> Planted:
    """a start script that an upgrade has replaced."""
    program = room.program("/opt/wiki/server")
    script = room.write("/opt/wiki/run.sh", _LOOP.format(program), 0o755)
    pid = room.start("sh", script)
    room.wait_for(program)
    os.rename(room.write("/opt/wiki/run.sh.new", _LOOP.format(program), 0o755), script)
    return {"exe_path": program, "pid": pid}


@case(10, orphaned_script_guard="pid")
def orphaned_guard(room: Room) -> Planted:
    """a script in /var/tmp that outlives its starter."""
    return {"pid": room.orphan("sh", room.write("/var/tmp/.font/guard.sh", "read hold\n", 0o755))}


@orphaned_guard.twin
def _(room: Room) -> Planted:
    """a service's own start script that init adopted."""
    return {"pid": room.orphan("sh", room.write("/opt/shop/start.sh", "read hold\n", 0o755))}
