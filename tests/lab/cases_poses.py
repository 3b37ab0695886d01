"""Processes that go by the title of a program that everybody has running, and those that set such titles by right."""

from __future__ import annotations

import os
import sys

from tests.lab.case import case
from tests.lab.room import Planted, Room

_SET_COMM = "import ctypes, sys; ctypes.CDLL(None).prctl(15, b'{}'); sys.stdin.read()"


@case(7, program_file_mismatch="pid")
def login_helper(room: Room) -> Planted:
    """a program started as (sd-pam)."""
    return {"pid": room.start("(sd-pam)", executable=room.program("/opt/run/worker"))}


@login_helper.twin
def _(room: Room) -> Planted:
    """systemd's own helper, and squid's, which has its title in parentheses as well."""
    room.start("(squid-1)", executable=room.program("/usr/sbin/squid"))
    return {"pid": room.start("(sd-pam)", executable=room.program("/usr/local/lib/systemd/systemd-executor"))}


@case(7, program_file_mismatch="pid")
def ssh_session(room: Room) -> Planted:
    """a shell titled as an ssh session, where no sshd is installed."""
    return {"pid": room.start("sshd: root@pts/0", "-c", "read hold", executable=room.copy("bash", "/opt/run/bash"))}


@ssh_session.twin
def _(room: Room) -> Planted:
    """an ssh session of the program that newer OpenSSH has for it."""
    return {"pid": room.start("sshd: root@pts/0", executable=room.program("/usr/lib/openssh/sshd-session"))}


@case(7, program_file_mismatch="pid")
def web_servers_worker(room: Room) -> Planted:
    """a file named java that goes by a web server's title."""
    return {"pid": room.start("nginx: worker process", executable=room.program("/opt/java"))}


@web_servers_worker.twin
def _(room: Room) -> Planted:
    """a web server's worker of a build of one's own, and a pool of PHP."""
    room.start("php-fpm: pool www", executable=room.program("/opt/php/sbin/php-fpm8.2"))
    return {"pid": room.start("nginx: worker process", executable=room.program("/usr/local/openresty/nginx/sbin/nginx"))}


@case(7, program_file_mismatch="pid")
def interpreter_named_sshd(room: Room) -> Planted:
    """Python that has named itself sshd."""
    python = os.path.realpath(sys.executable)
    return {"pid": room.start(python, "-c", _SET_COMM.format("sshd"))}


@interpreter_named_sshd.twin
def _(room: Room) -> Planted:
    """Python that has named itself after the service whose script it runs."""
    python = os.path.realpath(sys.executable)
    return {"pid": room.start(python, "-c", _SET_COMM.format("fail2ban-server"))}


@case(7, program_file_mismatch="pid")
def login_shell_file(room: Room) -> Planted:
    """a program whose file is named -bash."""
    return {"pid": room.start("./-bash", executable=room.program("/opt/run/-bash"))}


@login_shell_file.twin
def _(room: Room) -> Planted:
    """a login shell."""
    return {"pid": room.start("-bash", "-c", "read hold", executable="/bin/bash")}


@case(7, program_file_mismatch="pid")
def database_backend(room: Room) -> Planted:
    """a program titled as a backend of PostgreSQL."""
    return {"pid": room.start("postgres: checkpointer", executable=room.program("/opt/run/pg"))}


@database_backend.twin
def _(room: Room) -> Planted:
    """Redis, which Debian starts by a link to another program of its package."""
    target = room.program("/usr/bin/redis-check-rdb")
    link = room.link(target, "/usr/bin/redis-server")
    return {"pid": room.start("redis-server 127.0.0.1:6379", executable=link)}
