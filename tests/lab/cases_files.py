"""What a miner leaves on disk: fresh programs among the system's, forged times, files that even root cannot remove."""

from __future__ import annotations

import fcntl
import os
import struct

from tables.host.disk.inode_flags import APPEND, IMMUTABLE
from tests.lab.case import case
from tests.lab.room import Planted, Room

# include/uapi/linux/fs.h
_GETFLAGS, _SETFLAGS = 0x8008_6601, 0x4008_6602


def _mark(path: str, flags: int) -> None:
    """Set or clear (by a negative number) flags of an inode, as chattr does."""
    fd = os.open(path, os.O_RDONLY)
    try:
        before = struct.unpack_from("=I", fcntl.ioctl(fd, _GETFLAGS, bytes(8)))[0]
        after = before | flags if flags > 0 else before & ~-flags
        fcntl.ioctl(fd, _SETFLAGS, struct.pack("=Q", after))
    finally:
        os.close(fd)


def marked(room: Room, path: str, flags: int) -> str:
    """Mark a file or folder, and take the mark off again before it is removed."""
    _mark(path, flags)
    room.afterwards(_mark, path, -flags)
    return path


@case(12, fresh_elf_in_system_folder="path")
def fresh_program_among_the_systems(room: Room) -> Planted:
    """a new program in /usr/bin that no package owns."""
    return {"path": room.program("/usr/bin/kworkerds")}


@fresh_program_among_the_systems.twin
def _(room: Room) -> Planted:
    """a packaged program that an upgrade has written anew, with its digest."""
    room.append("/usr/bin/sort", "")
    room.package("lab-upgrade", "/usr/bin/sort")
    return {"path": "/usr/bin/sort"}


@case(12, fresh_elf_in_system_folder="path")
def fresh_library_beside_libc(room: Room) -> Planted:
    """a new library in /usr/lib that no package owns."""
    return {"path": room.program("/usr/lib/libprocesshider.so", mode=0o644)}


@fresh_library_beside_libc.twin
def _(room: Room) -> Planted:
    """a program of the administrator's in /usr/local/bin, and a module built for the kernel."""
    module = room.program("/usr/lib/modules/6.1.0-lab/updates/dkms/lab.ko", mode=0o644)
    return {"path": (room.program("/usr/local/bin/terraform"), module)}


@case(12, fresh_hidden_elf="path")
def hidden_program_deep_in_var_tmp(room: Room) -> Planted:
    """a program several folders below a dot folder of /var/tmp."""
    return {"path": room.program("/var/tmp/.x/64/bin/run")}


@hidden_program_deep_in_var_tmp.twin
def _(room: Room) -> Planted:
    """a build tree in /var/tmp with a virtual environment."""
    return {"path": (room.program("/var/tmp/build/obj/tool"), room.program("/var/tmp/build/.venv/lib/python3.11/ext.so"))}


@case(12, fresh_hidden_elf="path")
def hidden_program_below_share(room: Room) -> Planted:
    """a program in a dot folder below /usr/share."""
    return {"path": room.program("/usr/share/fonts/.cache-a/fc")}


@hidden_program_below_share.twin
def _(room: Room) -> Planted:
    """a font cache's marker file."""
    return {"path": room.write("/usr/share/fonts/.uuid", "7f3c\n")}


@case(12, timestomped_program="path", fresh_elf_in_system_folder="path")
def program_with_the_time_of_ls(room: Room) -> Planted:
    """a program in /usr/sbin with the time of /bin/ls (touch -r)."""
    path = room.program("/usr/sbin/irqd")
    lent = os.stat("/bin/ls").st_mtime_ns
    os.utime(path, ns=(lent, lent))
    return {"path": path}


@program_with_the_time_of_ls.twin
def _(room: Room) -> Planted:
    """what tar unpacked, with the times that it had, a copy of ls made with cp -p, and a container's root folder."""
    unpacked = room.program("/opt/jdk-21/bin/java")
    os.utime(unpacked, ns=(1_700_000_000 * 10**9,) * 2)
    copy = room.copy("ls", "/srv/chroot/bin/ls")
    lent = os.stat("/bin/ls").st_mtime_ns
    os.utime(copy, ns=(lent, lent))
    # All programs of one package have the time at which it was built.
    siblings = [path for path in ("/bin/rm", "/usr/bin/env", "/usr/bin/sort") if os.stat(path).st_mtime_ns == lent]
    copies = [room.copy(os.path.basename(path), f"/srv/roots/web{path}") for path in siblings]
    for path in copies:
        os.utime(path, ns=(lent, lent))
    return {"path": (unpacked, copy, *copies)}


@case(12, immutable_persistence_file="path")
def immutable_crontab(room: Room) -> Planted:
    """a crontab that not even root can change."""
    path = room.write("/var/spool/cron/crontabs/www-data", "# m h dom mon dow command\n", 0o600)
    return {"path": marked(room, path, IMMUTABLE)}


@immutable_crontab.twin
def _(room: Room) -> Planted:
    """a crontab without marks."""
    return {"path": room.write("/var/spool/cron/crontabs/backup", "# m h dom mon dow command\n", 0o600)}


@case(12, immutable_persistence_file="path")
def immutable_program_in_tmp(room: Room) -> Planted:
    """a program in /tmp that cannot be removed."""
    return {"path": marked(room, room.program("/tmp/kinsing0"), IMMUTABLE)}


@immutable_program_in_tmp.twin
def _(room: Room) -> Planted:
    """a log that can only grow, where logs are kept."""
    return {"path": marked(room, room.write("/var/log/audit-lab.log", "\n"), APPEND)}


@case(12, immutable_persistence_file="path")
def immutable_program_deeper_in_tmp(room: Room) -> Planted:
    """a program in folders of /var/tmp that cannot be removed."""
    return {"path": marked(room, room.program("/var/tmp/.xri/bin/xri"), IMMUTABLE)}


@immutable_program_deeper_in_tmp.twin
def _(room: Room) -> Planted:
    """a program in folders of /var/tmp like any other file."""
    return {"path": room.write("/var/tmp/build/bin/tool", "#!/bin/sh\n", 0o755)}


@case(12, immutable_persistence_file="path")
def append_only_keys(room: Room) -> Planted:
    """an authorized_keys file from which no key can be taken."""
    path = room.write("/root/.ssh/authorized_keys", "# none\n", 0o600)
    return {"path": marked(room, path, APPEND)}


@append_only_keys.twin
def _(room: Room) -> Planted:
    """a resolv.conf kept from being overwritten by DHCP clients."""
    room.append("/etc/resolv.conf", "nameserver 192.0.2.53")
    return {"path": marked(room, "/etc/resolv.conf", IMMUTABLE)}
