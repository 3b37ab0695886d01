"""Every table that reads files answers, or fails with a message, whatever lies at the places it looks at.

The places are found out rather than listed: each table first runs on a nearly empty disk, and all that it asks for there is
planted afterwards, as a file of one hostile kind, or as a folder full of such files where it listed one.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import shutil
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Optional

import pytest

import tables
from extension.serving.runner import TableRunner
from tables.errors import TableError
from tables.host import Host
from tables.host.disk.files import Files
from tables.schema import Table, clean_text

READERS = {name: found for name, found in tables.discover().items() if not found.needs_live}
MARKER = "minehunt-outside-marker"
PASSWD = (
    "root:x:0:0:root:/root:/bin/bash\n"
    "eve:x:1000:1000:Eve:/home/eve:/bin/bash\n"
    "mallory:x:1001:1001::/home/../../../..{outside}:/bin/sh\n"
    "trent:x:1002:1002::{outside}:/bin/sh\n"
    "sybil:x:1003:1003::/home/\udcff\x1b[31m:/bin/sh\n"
)
# Names by which tables choose among a folder's entries.
ENDINGS = (
    "", ".conf", ".d", ".desktop", ".list", ".sh", ".service", ".timer", ".path", ".socket", ".rules", ".hook", ".actions",
    ".action", ".so", ".pth", ".journal", ".gz", ".xz", ".orig", ".fish", ".zsh", ".ko", ".pem", ".yaml", "_Packages",
    "_Packages.lz4", "_InRelease", "-primary.xml.gz", "-updateinfo.xml", ".wants", ".conf.d", ".timer.d",
)  # fmt: skip
SINGLE_FILES = frozenset(
    {
        "/etc/passwd", "/etc/shadow", "/etc/group", "/etc/sudoers", "/etc/crontab", "/etc/anacrontab", "/etc/rc.local",
        "/etc/profile", "/etc/ssh/sshd_config", "/etc/hosts", "/etc/fstab", "/etc/login.defs", "/etc/ld.so.preload",
        "/etc/apt/apt.conf", "/etc/localtime", "/etc/inittab", "/var/log/auth.log", "/var/log/wtmp", "/var/lib/dpkg/status",
        "/root/.bash_history",
    }
)  # fmt: skip
ODD_NAMES = (b"\xff\xfe", b"line\nbreak", b"\x1b[2J", b"-rf", b"." + b"h" * 200, "\u202egpj".encode())
CLIMB = "../" * 40
# What is asked for only where its folder lists it.
LISTED_FIRST = (
    *(
        f"{home}/{name}"
        for home in ("home/eve", "root")
        for name in (
            ".bashrc", ".profile", ".bash_profile", ".zshrc", ".login", ".xsessionrc", ".config/x", ".ssh/x",
            ".gitconfig", ".local/x", ".local/lib/python3.11/site-packages/x.pth",
        )
    ),
    *(f"var/log/{name}" for name in ("auth.log", "auth.log.1", "secure", "messages", "wtmp", "btmp", "journal/1/system.journal")),
    "var/lib/dpkg/status", "var/lib/apt/lists/x_Packages", "etc/rc2.d/S01x", "etc/systemd/system/x.wants/x.service",
    "etc/ssh/sshd_config", "etc/sudoers", "etc/pam.d/passwd", "etc/security/pwquality.conf.d/x.conf", "etc/apt/apt.conf",
    "usr/bin/unattended-upgrade",
)  # fmt: skip


class Place(NamedTuple):
    """What a table asks for: a path, and whether it lists what is there."""

    path: str
    is_listed: bool


class RecordingFiles(Files):
    """Notes every place that is asked for."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.asked: dict[Place, None] = {}

    def locate(self, path: str, follow: bool = True) -> str:
        self.asked.setdefault(Place(os.path.normpath(path), False))
        return super().locate(path, follow)

    def _open(self, path: str, flags: int, follow: bool = True) -> int:
        self.asked.setdefault(Place(os.path.normpath(path), False))
        return super()._open(path, flags, follow)

    def names(self, path: str) -> list[str]:
        self.asked.setdefault(Place(os.path.normpath(path), True))
        return super().names(path)


class Opens:
    """What this process opened in a folder meanwhile, by fanotify(7), which takes root; without, nothing is known."""

    _NONBLOCK_CLOEXEC, _ADD = 0x03, 0x01
    _OPEN_OF_CHILDREN_AND_FOLDERS = 0x20 | 0x0800_0000 | 0x4000_0000
    # struct fanotify_event_metadata: length, version, mask, descriptor, pid.
    _EVENT = struct.Struct("=IBxHQii")

    def __init__(self, folder: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.fanotify_init(self._NONBLOCK_CLOEXEC, os.O_RDONLY | os.O_CLOEXEC)
        if self.fd >= 0:
            mask = ctypes.c_uint64(self._OPEN_OF_CHILDREN_AND_FOLDERS)
            assert libc.fanotify_mark(self.fd, self._ADD, mask, -100, os.fsencode(folder)) == 0

    def names(self) -> list[str]:
        """The paths that were opened."""
        found = []
        while self.fd >= 0:
            try:
                data = os.read(self.fd, self._EVENT.size)
            except BlockingIOError:
                break
            *_, fd, pid = self._EVENT.unpack(data)
            if pid == os.getpid():
                found.append(os.readlink(f"/proc/self/fd/{fd}"))
            os.close(fd)
        return found

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)


class Disk:
    """A tree with one hostile object planted at all places."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "disk"
        self.outside = folder / "outside"
        self.stock = folder / "stock"
        for made in (self.root, self.outside, self.stock):
            made.mkdir(parents=True)
        for name in ("passwd", "authorized_keys", "crontab", "x.service", ".bash_history"):
            (self.outside / name).write_text(f"* * * * * root {MARKER}\n[Service]\nExecStart=/{MARKER}\n")

    def plant_passwd(self) -> None:
        etc = self.root / "etc"
        etc.mkdir(exist_ok=True)
        (etc / "passwd").write_bytes(PASSWD.format(outside=self.outside).encode("utf-8", "surrogateescape"))

    def below(self, path: str) -> Optional[Path]:
        """Where to plant what the disk calls `path`; None where something else is in the way."""
        found = self.root / path.lstrip("/")
        if not os.fsencode(found).isascii() and "\udcff" not in str(found):
            return None
        try:
            # A link planted before may lead out of the disk, where nothing may be planted.
            if not found.parent.resolve().is_relative_to(self.root.resolve()):
                return None
            found.parent.mkdir(parents=True, exist_ok=True)
        except (OSError, RuntimeError):
            return None
        return None if os.path.lexists(found) else found


Plant = Callable[[Disk, Path], None]


def repeated(pattern: str, length: int) -> bytes:
    unit = os.fsencode(pattern)
    return (unit * (length // len(unit) + 1))[:length]


def content(data: bytes) -> Plant:
    """A file of `data`, stored once."""

    def plant(disk: Disk, path: Path) -> None:
        kept = disk.stock / "content"
        if not kept.exists():
            kept.write_bytes(data)
            kept.chmod(0o755)
        os.link(kept, path)

    return plant


def link(target: Callable[[Disk, Path], str]) -> Plant:
    return lambda disk, path: os.symlink(target(disk, path), path)


def garbage(disk: Disk, path: Path) -> None:
    """Random bytes, other ones in each file, behind what some of the formats begin with."""
    chance = random.Random(os.fsencode(path.relative_to(disk.root)))
    path.write_bytes(chance.choice(HEADS) + chance.randbytes(chance.choice((0, 1, 40, 384, 5000))))
    path.chmod(0o755)


def at_odd_times(disk: Disk, path: Path) -> None:
    """Garbage last changed before all calendars, or long after them."""
    garbage(disk, path)
    os.utime(path, ns=random.Random(os.fsencode(path.name)).choice(ODD_TIMES))


def repetitions(disk: Disk, path: Path) -> None:
    """A text over and over, another one in each file."""
    chosen = random.Random(os.fsencode(path.relative_to(disk.root))).randrange(len(REPEATED))
    # Long where there is one such file, short where a folder is full of them.
    length = 2048 if path.name.startswith("x") else 1 << 14
    kept = disk.stock / f"{chosen}-{length}"
    if not kept.exists():
        kept.write_bytes(repeated(REPEATED[chosen], length))
        kept.chmod(0o755)
    os.link(kept, path)


def self_including(disk: Disk, path: Path) -> None:
    """Every way in which some format includes another file, and that file is itself, or has a name that can be none."""
    own = "/" + str(path.relative_to(disk.root))
    folder = os.path.dirname(own)
    lines = [
        f"Include {own}", f"Include {folder}/*", f"@include {own}", f"@includedir {folder}", f"#include {own}", f"include {own}",
        f"#includedir {folder}", f"auth include {own}", f"auth substack {path.name}", f"source {own}", f". {own}", own,
        f"source-directory {folder}", f"source {folder}/*", "User_Alias A = A, B", "User_Alias B = A", "Cmnd_Alias A = A",
        "[include]", f"path = {own}", f"[Service]\nExecStart={own}\nEnvironmentFile={own}", f"hooksPath = {folder}",
        f"* * * * * root run-parts {folder}", f"alias x={own}", f"AuthorizedKeysFile {own}", f"LD_PRELOAD={own}",
        "Include /a\0b", "@include /a\0b", "auth include a\0b", "auth optional /a\0b.so", "[core]\nhooksPath = /a\0b", "/a\0b",
        "* * * * * root run-parts /a\0b", "* * * * * root /a\0b", "[Service]\nExecStart=/a\0b", "AuthorizedKeysFile /a\0b %h/\0",
        "TryExec=/a\0b", "[Desktop Entry]\nExec=/a\0b", "LD_PRELOAD=/a\0b", "TrustedUserCAKeys /a\0b",
    ]  # fmt: skip
    path.write_bytes(os.fsencode("\n".join(lines) + "\n"))
    path.chmod(0o755)


HEADS = (
    b"", b"#!/bin/sh\n", b"\x1f\x8b\x08\x00", b"\xfd7zXZ\x00", b"BZh9", b"\x04\x22\x4d\x18", b"LPKSHHRH", b"\x7fELF",
    b"SQLite format 3\x00", b"\x28\xb5\x2f\xfd", b"TZif2", b"[Service]\nExecStart=", b"ssh-rsa ", b"* * * * * ", b"#1795436646\n",
)  # fmt: skip
REPEATED = (
    "\0", " ", "\n", "a", "a\\\n", "\\", '"', "'a", "[(", "$(`", "{${a:-", "a=", "a,", ":", "a ", "#", "* ", "a\r",
    "\x1b[2J\u202e\n",
    "\udcff\udcc3", "cat <<A\n", "[a]\nb=c\n", "9", "a;", "a|", "Nov 23 15:47:01 h sshd[1]: Failed password for  from ",
    "Nov 23 15:47:01 h sshd[1]: Failed password for a from 1.2.3.4 port 5 ssh2\n", "ALL ALL=(ALL) NOPASSWD: ", 'command="\\"',
    'ssh-rsa "', "* * * * * root a\n", "#1795436646\na\n", "- cmd: a\n  when: 1795436646\n", ": 1795436646:0;a\\\n", 'A::B { "',
    "Package: a\nVersion: 1\n\n", "User_Alias A = B : B = A\n", "RUN+=\"a\"", "Match User a\n", "root:x:0:0::/:\n", "%",
)  # fmt: skip
_YEARS = 31_536_000 * 10**9
ODD_TIMES = ((0, -3000 * _YEARS // 40), (0, 250 * _YEARS), (0, 290 * _YEARS), (0, -1))
KINDS: dict[str, Plant] = {
    "binary_garbage": garbage,
    "odd_times": at_odd_times,
    "fifos": lambda disk, path: os.mkfifo(path),
    "folders_for_files": lambda disk, path: path.mkdir(),
    "links_to_themselves": link(lambda disk, path: path.name),
    "links_in_a_circle": link(lambda disk, path: f"{CLIMB}{path.parent.relative_to(disk.root)}/./{path.name}"),
    "links_out_by_path": link(lambda disk, path: str(disk.outside / "passwd")),
    "links_out_by_climbing": link(lambda disk, path: CLIMB + str(disk.outside / "passwd").lstrip("/")),
    "links_to_a_folder_outside": link(lambda disk, path: str(disk.outside)),
    "links_to_devices": link(lambda disk, path: "/dev/zero"),
    "self_including": self_including,
    "empty": content(b""),
    "repetitions": repetitions,
}


def places(scratch: Path) -> tuple[Place, ...]:
    """All that the tables ask for, on a disk that has accounts, a few files, and the folders that were asked for before."""
    disk = Disk(scratch)
    disk.plant_passwd()
    for name in LISTED_FIRST:
        path = disk.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("Package: x\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\n")
    asked: dict[Place, None] = {}
    for _ in range(2):
        for table in READERS.values():
            host = Host(str(disk.root))
            host.files = RecordingFiles(str(disk.root))
            with contextlib.suppress(TableError):
                TableRunner(table, host).generate(None)
            asked.update(host.files.asked)
        for place in asked:
            found = disk.below(place.path) if place.is_listed else None
            if found is not None:
                found.mkdir()
    shutil.rmtree(scratch)
    return tuple(asked)


def planted(disk: Disk, plant: Plant, asked: Iterable[Place], endings: Sequence[str]) -> None:
    """Plant one kind of object at every place; in the folders that are listed, under several names."""
    folders = sorted({place.path for place in asked if place.is_listed})
    for folder in folders:
        made = disk.below(folder)
        if made is not None:
            made.mkdir()
    for place in asked:
        found = disk.below(place.path) if place.path not in folders else None
        if found is not None:
            plant(disk, found)
    for folder in folders:
        chance = random.Random(os.fsencode(folder))
        names = [os.fsencode(f"x{ending}") for ending in chance.sample(endings, min(len(endings), 6))]
        for name in [*names, chance.choice(ODD_NAMES)]:
            found = disk.root / folder.lstrip("/") / os.fsdecode(name)
            if found.parent.is_dir() and not os.path.lexists(found):
                plant(disk, found)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, ...]:
    return places(tmp_path_factory.mktemp("places") / "scratch")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path / "hostile")
    yield made
    shutil.rmtree(made.root.parent)


def check(table: Table, disk: Disk) -> None:
    """One scan: clean rows or a message, within its budget, and nothing outside of the disk opened."""
    host = Host(str(disk.root))
    opens = Opens(disk.outside)
    try:
        rows = TableRunner(table, host).generate(None)
        said = [value for row in rows for value in row.values()]
    except TableError as error:
        assert "internal error" not in str(error), "a defect"
        assert "no answer within" not in str(error), "it passed its deadline without noticing"
        said = [clean_text(str(error))]
        assert len(said[0]) > len(table.name) + 2, "a failure says why"
    finally:
        opened = opens.names()
        opens.close()
    assert not opened, f"{opened} were opened outside of the disk"
    assert not [text for text in said if text != clean_text(text)]
    assert not [text for text in said if MARKER in text]


@pytest.mark.root
def test_what_is_opened_is_noticed(tmp_path: Path) -> None:
    opens = Opens(tmp_path)
    (tmp_path / "a").write_text("")
    os.listdir(tmp_path)
    assert opens.names() == [str(tmp_path / "a"), str(tmp_path)]
    opens.close()


def test_the_places_are_found(asked: tuple[Place, ...]) -> None:
    paths = {place.path for place in asked}
    assert {"/etc/passwd", "/etc/crontab", "/root/.ssh/authorized_keys", "/home/eve/.bashrc", "/var/log/wtmp"} <= paths
    assert Place("/etc/sudoers.d", True) in asked or "/etc/sudoers" in paths


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_lies_there(kind: str, asked: tuple[Place, ...], disk: Disk) -> None:
    disk.plant_passwd()
    planted(disk, KINDS[kind], asked, ENDINGS)
    for table in READERS.values():
        check(table, disk)


@pytest.mark.parametrize(
    "kind", ["binary_garbage", "fifos", "folders_for_files", "links_out_by_path", "self_including", "repetitions"]
)
def test_whatever_the_account_files_are(kind: str, asked: tuple[Place, ...], disk: Disk) -> None:
    planted(disk, KINDS[kind], [place for place in asked if os.path.dirname(place.path) == "/etc" and not place.is_listed], ())
    for table in READERS.values():
        check(table, disk)


def test_lines_of_megabytes(asked: tuple[Place, ...], disk: Disk) -> None:
    planted(disk, content(b"a" * (5 << 20)), [place for place in asked if place.path in SINGLE_FILES], ())
    for table in READERS.values():
        check(table, disk)


@pytest.mark.parametrize("pattern", ["\0", "#\n", "a", "[(", "#1795436646\na\n"])
def test_one_account_cannot_silence_a_table(pattern: str, asked: tuple[Place, ...], disk: Disk) -> None:
    disk.plant_passwd()
    of_eve = [place for place in asked if place.path.startswith("/home/eve/")]
    planted(disk, content(repeated(pattern, 1 << 19)), of_eve, ENDINGS[:1])
    for table in READERS.values():
        TableRunner(table, Host(str(disk.root))).generate(None)
