"""What is left on disk: executables in odd places, accounts, SSH keys."""

from __future__ import annotations

from tests.lab.case import case
from tests.lab.room import Planted, Room

_KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIB7PVjVQmHfqqxDsSpWUW3tDpV7cGjC5vDhmy0eVvBGn"


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


def account(room: Room, name: str, uid: int, home: str, shell: str, password: str) -> Planted:
    """An account with an entry in passwd and shadow."""
    room.append("/etc/passwd", f"{name}:x:{uid}:{uid}::{home}:{shell}")
    room.append("/etc/shadow", f"{name}:{password}:20000:0:99999:7:::")
    return {"username": name}


def key(room: Room, home: str, line: str) -> str:
    """A key in an account's authorized_keys."""
    return room.write(f"{home}/.ssh/authorized_keys", line + "\n", 0o600)


@case(13, uid_zero_account="username")
def second_root(room: Room) -> Planted:
    """a second account with uid 0."""
    return account(room, "sysbak", 0, "/root", "/bin/bash", "*")


@second_root.twin
def _(room: Room) -> Planted:
    """an administrator's account."""
    return account(room, "mlee", 1801, "/home/mlee", "/bin/bash", "$6$lab$lab")


@case(13, empty_password="username")
def no_password(room: Room) -> Planted:
    """an account with an empty password."""
    return account(room, "support", 1802, "/home/support", "/bin/bash", "")


@no_password.twin
def _(room: Room) -> Planted:
    """an account that is locked."""
    return account(room, "left", 1803, "/home/left", "/bin/bash", "!")


@case(13, service_account_with_password="username")
def service_with_password(room: Room) -> Planted:
    """a system account that was given a password and a shell."""
    return account(room, "ldap", 181, "/var/lib/ldap", "/bin/bash", "$6$lab$lab")


@service_with_password.twin
def _(room: Room) -> Planted:
    """a system account as packages make them."""
    return account(room, "_labd", 182, "/var/lib/labd", "/usr/sbin/nologin", "*")


@case(14, known_malware_key="username")
def worm_key(room: Room) -> Planted:
    """the comment of the Outlaw worm's key."""
    key(room, "/root", f"ssh-ed25519 {_KEY} mdrfckr")
    return {"username": "root"}


@worm_key.twin
def _(room: Room) -> Planted:
    """an administrator's key."""
    key(room, "/root", f"ssh-ed25519 {_KEY} admin@bastion")
    return {"username": "root"}


@case(14, key_of_service_account="username")
def service_key(room: Room) -> Planted:
    """a key for an account that cannot log in."""
    planted = account(room, "_cache", 183, "/var/lib/cache", "/usr/sbin/nologin", "*")
    key(room, "/var/lib/cache", f"ssh-ed25519 {_KEY} x")
    return planted


@service_key.twin
def _(room: Room) -> Planted:
    """a git server's key for an account with a shell of its own."""
    planted = account(room, "git", 1804, "/srv/git", "/usr/bin/git-shell", "*")
    key(room, "/srv/git", f"ssh-ed25519 {_KEY} developer")
    return planted


@case(14, key_with_dangerous_options="username")
def key_that_preloads(room: Room) -> Planted:
    """a key whose options preload a library."""
    key(room, "/root", f'environment="LD_PRELOAD=/tmp/.lib.so" ssh-ed25519 {_KEY} x')
    return {"username": "root"}


@key_that_preloads.twin
def _(room: Room) -> Planted:
    """a backup key that may run one command."""
    planted = account(room, "backup2", 1805, "/srv/backup", "/bin/sh", "*")
    key(room, "/srv/backup", f'command="/usr/bin/borg serve --restrict-to-path /srv/backup",restrict ssh-ed25519 {_KEY} backup')
    return planted
