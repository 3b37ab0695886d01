"""Executables that are not where, or not what, an ordinary program is."""

from __future__ import annotations

import fcntl
import os

from tests.lab.case import case
from tests.lab.programs import elf
from tests.lab.room import Planted, Room

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def from_memory(room: Room, name: str, seals: int, *argv: str) -> int:
    """Start a program that is in no file system."""
    writable = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(writable, elf())
    if seals:
        fcntl.fcntl(writable, fcntl.F_ADD_SEALS, seals)
    readable = os.open(f"/proc/self/fd/{writable}", os.O_RDONLY | os.O_CLOEXEC)
    # A file that somebody may still write to cannot be run.
    os.close(writable)
    pid = room.start(*argv, executable=f"/proc/self/fd/{readable}", pass_fds=[readable])
    os.close(readable)
    return pid


@case(4, kernel_thread_masquerade="pid")
def kernel_thread_by_argv(room: Room) -> Planted:
    """a program started as [kworker/0:1]."""
    return {"pid": room.start("[kworker/0:1]", executable=room.program("/opt/run/worker"))}


@kernel_thread_by_argv.twin
def _(room: Room) -> Planted:
    """a web server's worker that sets a title of its own."""
    return {"pid": room.start("nginx: worker process", executable=room.program("/usr/sbin/nginx"))}


@case(4, kernel_thread_masquerade="pid")
def kernel_thread_by_comm(room: Room) -> Planted:
    """a file named kswapd0."""
    return {"pid": room.run("/opt/run/kswapd0")}


@kernel_thread_by_comm.twin
def _(room: Room) -> Planted:
    """a container tool whose name begins with a k as well."""
    return {"pid": room.run("/usr/local/bin/kubelet", "--config=/var/lib/kubelet/config.yaml")}


@case(4, deleted_program="pid")
def deleted(room: Room) -> Planted:
    """a program that deleted itself."""
    pid = room.run("/opt/run/worker")
    os.unlink("/opt/run/worker")
    return {"pid": pid}


@deleted.twin
def _(room: Room) -> Planted:
    """a service whose program an upgrade has replaced."""
    path = room.program("/usr/sbin/labd")
    pid = room.start(path)
    os.rename(room.program("/usr/sbin/labd.dpkg-new"), path)
    return {"pid": pid}


@case(4, memory_only_program="pid")
def memfd(room: Room) -> Planted:
    """a program in an unsealed memfd."""
    return {"pid": from_memory(room, "", 0, "worker")}


@memfd.twin
def _(room: Room) -> Planted:
    """a container runtime's sealed copy of itself."""
    return {"pid": from_memory(room, "runc_cloned:/proc/self/exe", _SEALS, "runc", "init")}


@case(4, odd_place_program="pid")
def in_tmp(room: Room) -> Planted:
    """a program in /tmp."""
    return {"pid": room.run("/tmp/a")}


@in_tmp.twin
def _(room: Room) -> Planted:
    """a program that works in /tmp."""
    return {"pid": room.run("/opt/shop/server", cwd="/tmp")}


@case(4, odd_place_program="pid")
def in_var_tmp_dot_folder(room: Room) -> Planted:
    """a program in a dot folder of /var/tmp."""
    return {"pid": room.run("/var/tmp/.font/run")}


@in_var_tmp_dot_folder.twin
def _(room: Room) -> Planted:
    """a program of a go test, started by go."""
    # The shell under another name, as the parent of the test's program.
    go = room.copy("sh", "/usr/local/go/bin/go")
    program = room.program("/tmp/go-build123456/b001/shop.test")
    return {"pid": room.start(go, "-c", f"{program} & wait"), "exe_path": program}


@case(4, odd_place_program="pid")
def in_shared_memory(room: Room) -> Planted:
    """a program in /dev/shm."""
    return {"pid": room.run("/dev/shm/kdump")}


@in_shared_memory.twin
def _(room: Room) -> Planted:
    """a database with its buffers in /dev/shm."""
    buffers = room.write("/dev/shm/PostgreSQL.1044398136", bytes(4096), 0o600)
    return {"pid": room.run("/usr/lib/postgresql/15/bin/postgres", "-D", "/var/lib/postgresql"), "path": buffers}


@case(4, odd_place_program="pid")
def in_system_dot_folder(room: Room) -> Planted:
    """a program in a dot folder below /usr/lib."""
    return {"pid": room.run("/usr/lib/.cache/updater")}


@in_system_dot_folder.twin
def _(room: Room) -> Planted:
    """a program under a version folder with a dot in its name."""
    return {"pid": room.run("/usr/lib/labd/1.2.3/labd.real")}


@case(4, program_in_data_folder="pid")
def in_uploads(room: Room) -> Planted:
    """a program that the web server's account runs from the uploads."""
    program = room.program("/var/www/html/wp-content/uploads/2026/x")
    return {"pid": room.start(program, user=33, group=33, extra_groups=[])}


@in_uploads.twin
def _(room: Room) -> Planted:
    """a web application in machine code, started by itself from its folder."""
    program = room.program("/srv/www/shop/bin/shop")
    return {"pid": room.start(program, user=33, group=33, extra_groups=[])}


@case(4, program_in_data_folder="pid")
def in_database_folder(room: Room) -> Planted:
    """a program that the database's account runs from the database's folder."""
    program = room.program("/var/lib/postgresql/15/main/pg_worker")
    return {"pid": room.start(program, user=101, group=101, extra_groups=[])}


@in_database_folder.twin
def _(room: Room) -> Planted:
    """the database itself at work in that folder."""
    os.makedirs("/var/lib/postgresql/16/main", exist_ok=True)
    program = room.program("/usr/lib/postgresql/16/bin/postgres")
    return {"pid": room.start(program, cwd="/var/lib/postgresql/16/main", user=101, group=101, extra_groups=[])}


@case(4, hidden_home_program="pid")
def in_home_dot_folder(room: Room) -> Planted:
    """a program in a dot folder of a home."""
    return {"pid": room.run("/root/.configrc5/a/kswapd00")}


@in_home_dot_folder.twin
def _(room: Room) -> Planted:
    """developer tools that install into dot folders."""
    room.run("/root/.vscode-server/bin/node")
    return {"pid": room.run("/root/.cargo/bin/rg", "stratum")}


@case(4, odd_place_program="pid")
def in_chroot(room: Room) -> Planted:
    """a program that only exists inside a chroot in /tmp."""
    room.program("/tmp/.root/bin/a")
    return {"pid": room.start("/bin/a", before=lambda: os.chroot("/tmp/.root"))}


@in_chroot.twin
def _(room: Room) -> Planted:
    """a web server in a chroot of its own."""
    room.program("/var/lib/machines/web/usr/sbin/nginx")
    return {"pid": room.start("/usr/sbin/nginx", before=lambda: os.chroot("/var/lib/machines/web"))}


@case(7, program_file_mismatch="pid")
def swapped_file(room: Room) -> Planted:
    """a running program over whose file an honest one is mounted."""
    pid = room.run("/opt/run/worker")
    room.mount("/bin/true", "/opt/run/worker")
    return {"pid": pid}


@swapped_file.twin
def _(room: Room) -> Planted:
    """a program that was started from a mounted volume."""
    os.makedirs("/srv/volume", exist_ok=True)
    room.program("/srv/data/labd")
    room.mount("/srv/data", "/srv/volume")
    return {"pid": room.start("/srv/volume/labd")}


@case(7, program_file_mismatch="pid")
def renamed(room: Room) -> Planted:
    """a program that says it is passwd."""
    return {"pid": room.start("/usr/bin/passwd", executable=room.program("/opt/run/worker"))}


@renamed.twin
def _(room: Room) -> Planted:
    """a command started through a link that has another name."""
    target = room.program("/usr/libexec/labctl")
    return {"pid": room.start(room.link(target, "/usr/local/bin/labstat"))}
