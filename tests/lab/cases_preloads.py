"""Libraries that are put into programs which did not ask for them."""

from __future__ import annotations

import os
import time

from tests.lab.case import case
from tests.lab.room import Planted, Room, compile_library

_LIBRARY = "int lab_does_nothing(void) { return 0; }\n"


@case(10, preloaded_library="path")
def preload_file(room: Room) -> Planted:
    """a library named in /etc/ld.so.preload."""
    room.write("/etc/ld.so.preload", "/usr/local/lib/libhook.so\n")
    return {"path": "/usr/local/lib/libhook.so"}


@preload_file.twin
def _(room: Room) -> Planted:
    """an empty /etc/ld.so.preload."""
    return {"path": room.write("/etc/ld.so.preload", "")}


@case(5, preloaded_library="pid")
def preload_variable(room: Room) -> Planted:
    """a program started with a library from /tmp preloaded."""
    return {"pid": room.run("/opt/run/worker", env={"LD_PRELOAD": "/tmp/.lib.so"})}


@preload_variable.twin
def _(room: Room) -> Planted:
    """a database started with another allocator preloaded."""
    return {"pid": room.run("/usr/sbin/mariadbd", env={"LD_PRELOAD": "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2"})}


@case(5, preloaded_library="path")
def preload_in_unit(room: Room) -> Planted:
    """a systemd unit that preloads a library from a dot folder."""
    setting = "[Service]\nEnvironment=LD_PRELOAD=/usr/lib/.cache/lib.so\nExecStart=/usr/sbin/labd\n"
    room.write("/etc/systemd/system/labd.service", setting)
    return {"path": "/usr/lib/.cache/lib.so"}


@preload_in_unit.twin
def _(room: Room) -> Planted:
    """a systemd unit that sets a library path of its application."""
    setting = "[Service]\nEnvironment=LD_LIBRARY_PATH=/opt/shop/lib\nExecStart=/opt/shop/server\n"
    return {"path": room.write("/etc/systemd/system/shop.service", setting)}


@case(5, preloaded_library="path")
def preload_in_environment_file(room: Room) -> Planted:
    """an environment file of many units, by a drop-in for all that begin with lab-, which preloads a library."""
    room.write("/etc/systemd/system/lab-shop.service", "[Service]\nExecStart=/usr/sbin/labd\n")
    room.write("/etc/systemd/system/lab-.service.d/10.conf", "[Service]\nEnvironmentFile=-/opt/lab/%p\n")
    room.write("/opt/lab/lab-shop", "LD_PRELOAD = \\\n/usr/lib/.cache/lib.so\n")
    return {"path": "/usr/lib/.cache/lib.so"}


@preload_in_environment_file.twin
def _(room: Room) -> Planted:
    """an environment file with a service's options."""
    room.write("/etc/systemd/system/shop.service", "[Service]\nEnvironmentFile=-/opt/shop/env\nExecStart=/opt/shop/server\n")
    return {"path": room.write("/opt/shop/env", "PORT=8080\nLD_LIBRARY_PATH=/opt/shop/lib\n")}


@case(5, needs=("cc",), preloaded_library="path")
def preload_for_every_login(room: Room) -> Planted:
    """a library of no package that /etc/environment has every login load."""
    room.write("/etc/environment", f"LD_PRELOAD={compile_library(_LIBRARY, '/usr/local/lib/libz.so')}\n")
    return {"path": "/usr/local/lib/libz.so"}


@preload_for_every_login.twin
def _(room: Room) -> Planted:
    """an allocator of a vendor's for every login, and a folder for the libraries of a shop."""
    library = compile_library(_LIBRARY, "/opt/vendor/lib/libjemalloc.so.2")
    room.write("/etc/environment", f"LD_PRELOAD={library}\nLD_LIBRARY_PATH=/opt/shop/lib\n")
    return {"path": library}


@case(11, needs=("cc",), preloaded_library="path")
def preload_file_gone(room: Room) -> Planted:
    """a library in every program, from an /etc/ld.so.preload that no longer shows it."""
    library = compile_library(_LIBRARY, "/usr/local/lib/libhook.so")
    room.write("/etc/ld.so.preload", library + "\n")
    for argv in (("sleep", "600"), ("cat",), ("sort",), ("wc",), ("grep", "x"), ("head",)):
        room.start(*argv)
    time.sleep(0.3)
    os.unlink("/etc/ld.so.preload")
    return {"path": library}


@preload_file_gone.twin
def _(room: Room) -> Planted:
    """programs that all use one library of their own, from no package."""
    library = compile_library(_LIBRARY, "/opt/shop/lib/libshop.so")
    return {"path": library, "pid": room.start("sleep", "600", env={"LD_PRELOAD": library})}


@case(10, preloaded_library="source_path")
def hidden_folder_of_libraries(room: Room) -> Planted:
    """a hidden folder in which the loader looks for every program's libraries."""
    os.makedirs("/usr/lib/.cache", exist_ok=True)
    return {"source_path": room.write("/etc/ld.so.conf.d/sync.conf", "/usr/lib/.cache\n")}


@hidden_folder_of_libraries.twin
def _(room: Room) -> Planted:
    """the folder of a maker's libraries."""
    os.makedirs("/usr/local/cuda/lib64", exist_ok=True)
    return {"source_path": room.write("/etc/ld.so.conf.d/cuda.conf", "/usr/local/cuda/lib64\n")}
