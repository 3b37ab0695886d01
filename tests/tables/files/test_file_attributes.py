from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from extension.engines.embedded import EmbeddedEngine
from extension.pack.model import load_pack, shipped_pack
from tables.files.file_attributes import FileAttributes, file_attributes
from tables.host import Host
from tables.host.disk.inode_flags import APPEND, IMMUTABLE
from tables.schema import Constraint, QueryContext

_SETFLAGS = 0x4008_6602
NET_RAW = struct.pack("<5I", 0x0200_0001, 1 << 13, 0, 0, 0)


def write(path: Path, content: bytes = b"", mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
    return path


def scan(host: Host, *paths: str) -> dict[str, FileAttributes]:
    constraints = {"path": [Constraint(2, path) for path in paths]} if paths else {}
    rows = file_attributes.generate(host, QueryContext(constraints))
    return {row.path: row for row in rows if isinstance(row, FileAttributes)}


class Marker:
    def __init__(self) -> None:
        self.marked: list[Path] = []

    def __call__(self, path: Path, flags: int) -> None:
        fd = os.open(path, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _SETFLAGS, struct.pack("=Q", flags))
        except OSError as error:
            pytest.skip(f"no inode flags on the file system of {path}: {error.strerror}")
        finally:
            os.close(fd)
        self.marked.append(path)


@pytest.fixture
def mark() -> Iterator[Marker]:
    marker = Marker()
    yield marker
    for path in list(marker.marked):
        marker(path, 0)


@pytest.mark.root
def test_marks_are_seen(tmp_path: Path, mark: Marker) -> None:
    mark(write(tmp_path / "var/spool/cron/crontabs/root"), IMMUTABLE)
    mark(write(tmp_path / "root/.ssh/authorized_keys"), APPEND)
    write(tmp_path / "etc/passwd", b"root:x:0:0::/root:/bin/sh\n")
    (tmp_path / "etc/cron.d").mkdir()
    mark(tmp_path / "etc/cron.d", IMMUTABLE)
    rows = scan(Host(str(tmp_path)))
    assert set(rows) == {"/var/spool/cron/crontabs/root", "/root/.ssh/authorized_keys", "/etc/cron.d"}
    assert (rows["/var/spool/cron/crontabs/root"].is_immutable, rows["/root/.ssh/authorized_keys"].is_append_only) == (True, True)
    assert "i" in (rows["/etc/cron.d"].flags or "")


@pytest.mark.root
def test_capabilities_and_setuid_are_seen(tmp_path: Path) -> None:
    os.setxattr(write(tmp_path / "usr/bin/ping", b"x", 0o755), "security.capability", NET_RAW)
    write(tmp_path / "usr/bin/su", b"x", 0o4755)
    write(tmp_path / "usr/bin/wall", b"x", 0o2755)
    write(tmp_path / "usr/bin/ls", b"x", 0o755)
    (tmp_path / "tmp").mkdir(mode=0o1777)
    rows = scan(Host(str(tmp_path)))
    assert set(rows) == {"/usr/bin/ping", "/usr/bin/su", "/usr/bin/wall"}
    assert rows["/usr/bin/ping"].capabilities == "cap_net_raw=ep"
    assert (rows["/usr/bin/su"].is_setuid, rows["/usr/bin/wall"].is_setgid) == (True, True)


def test_a_named_path_is_always_answered(tmp_path: Path) -> None:
    write(tmp_path / "etc/crontab")
    os.mkfifo(tmp_path / "fifo")
    os.symlink("/etc/crontab", tmp_path / "link")
    rows = scan(Host(str(tmp_path)), "/etc/crontab", "/fifo", "/link", "/missing", "relative", "/etc", "/")
    assert {path: row.kind for path, row in rows.items()} == {
        "/etc/crontab": "regular",
        "/fifo": "fifo",
        "/link": "symlink",
        "/etc": "directory",
        "/": "directory",
    }


def test_a_list_and_a_join_reach_the_table(tmp_path: Path) -> None:
    write(tmp_path / "etc/a")
    write(tmp_path / "etc/b")
    engine = EmbeddedEngine(Host(str(tmp_path)))
    assert len(engine.query("SELECT path FROM file_attributes WHERE path IN ('/etc/a', '/etc/b', '/etc/c')")) == 2
    joined = "WITH p(path) AS (VALUES ('/etc/a'), ('/etc/b')) SELECT a.path FROM p JOIN file_attributes a ON a.path = p.path"
    assert len(engine.query(joined)) == 2


@pytest.mark.root
def test_a_merged_folder_is_looked_at_once_and_links_lead_nowhere(tmp_path: Path) -> None:
    write(tmp_path / "usr/bin/su", b"x", 0o4755)
    os.symlink("usr/bin", tmp_path / "bin")
    os.symlink("/usr/bin", tmp_path / "sbin")
    assert list(scan(Host(str(tmp_path)))) == ["/usr/bin/su"]


def test_the_live_host() -> None:
    rows = scan(Host())
    assert not any(row.is_immutable or row.is_append_only for row in rows.values())


def test_setuid_programs_are_seen_in_hidden_folders_and_data_folders(tmp_path: Path) -> None:
    write(tmp_path / "etc/passwd", b"root:x:0:0::/root:/bin/bash\n")
    for path in (
        "var/tmp/.x/sh",
        "var/tmp/x/y/z/sh",
        "var/tmp/x/y/z/too/deep",
        "usr/lib/.cache/a",
        "usr/lib/.cache/b/c",
        "usr/share/b",
        "var/lib/.c/d",
        "usr/share/doc/e",
        "root/.config/f",
        "opt/g/h",
    ):
        write(tmp_path / path, mode=0o4755)
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp/.link").symlink_to("/usr/share/doc")
    assert sorted(scan(Host(str(tmp_path)))) == [
        "/usr/lib/.cache/a",
        "/usr/lib/.cache/b/c",
        "/usr/share/b",
        "/var/lib/.c/d",
        "/var/tmp/.x/sh",
        "/var/tmp/x/y/z/sh",
    ]


@pytest.mark.root
def test_rights_that_wait_are_reported(tmp_path: Path) -> None:
    write(tmp_path / "etc/passwd", b"root:x:0:0::/root:/bin/bash\n")
    packaged = ("usr/bin/bash", "usr/bin/sudo", "usr/bin/ping", "usr/bin/newuidmap", "usr/bin/perl")
    write(tmp_path / "var/lib/dpkg/info/base.list", "".join(f"/{path}\n" for path in packaged).encode())
    for path in ("usr/bin/bash", "usr/bin/sudo", "usr/share/.x/sysd", "usr/local/bin/find"):
        write(tmp_path / path, mode=0o4755)
    for path, bits in (
        ("usr/bin/ping", 1 << 13),
        ("usr/bin/newuidmap", 1 << 7),
        ("usr/bin/perl", 1 << 7),
        ("opt/x", (1 << 32) - 1),
        ("usr/local/bin/mtr-packet", 1 << 13),
    ):
        file = write(tmp_path / path, mode=0o755)
        high = 0xFFFF_FFFF if path == "opt/x" else 0
        os.setxattr(file, "security.capability", struct.pack("<5I", 0x0200_0001, bits, 0, high, 0))
    engine = EmbeddedEngine(Host(str(tmp_path)))
    queries = {query.name: query.sql for query in load_pack(shipped_pack()).queries()}
    reported = {
        name: sorted(str(row["path"]) for row in engine.query(queries[name]))
        for name in ("setuid_interpreter", "unpackaged_setuid_program", "dangerous_file_capability")
    }
    assert reported == {
        "setuid_interpreter": ["/usr/bin/bash", "/usr/local/bin/find"],
        "unpackaged_setuid_program": ["/usr/share/.x/sysd"],
        "dangerous_file_capability": ["/opt/x", "/usr/bin/perl"],
    }
