from __future__ import annotations

import os
import shutil
import sqlite3
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.host import Host
from tables.host.packages.owners import OwnerUnknown, apk_owners, owners, parse_diversions
from tables.host.packages.rpm_database import parse_header
from tests.support.planted_files import plant

FILE_TAGS = (1000, 1116, 1117, 1118)


def dpkg(root: Path, package: str, *paths: str) -> None:
    plant(root, f"/var/lib/dpkg/info/{package}.list", "".join(f"{path}\n" for path in ("/.", *paths)))


def rpm_header(name: str, *paths: str) -> bytes:
    """A package header with the name and the files of a package, as rpm stores it."""
    folders = sorted({path.rpartition("/")[0] + "/" for path in paths})
    values: list[tuple[int, int, int, bytes]] = [
        (1000, 6, 1, name.encode() + b"\0"),
        (1116, 4, len(paths), b"".join(struct.pack(">I", folders.index(path.rpartition("/")[0] + "/")) for path in paths)),
        (1117, 8, len(paths), b"".join(os.fsencode(path.rpartition("/")[2]) + b"\0" for path in paths)),
        (1118, 8, len(folders), b"".join(os.fsencode(folder) + b"\0" for folder in folders)),
    ]
    index = data = b""
    for tag, kind, count, value in values:
        index += struct.pack(">IIII", tag, kind, len(data), count)
        data += value
    return struct.pack(">II", len(values), len(data)) + index + data


def rpm(root: Path, *packages: tuple[str, ...]) -> Path:
    path = root / "var/lib/rpm/rpmdb.sqlite"
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)")
        database.execute("CREATE TABLE Basenames (key TEXT NOT NULL, hnum INTEGER NOT NULL, idx INTEGER NOT NULL)")
        for number, (name, *paths) in enumerate(packages, 1):
            database.execute("INSERT INTO Packages VALUES (?, ?)", (number, rpm_header(name, *paths)))
            for index, file in enumerate(paths):
                base = os.fsencode(file.rpartition("/")[2])
                database.execute("INSERT INTO Basenames VALUES (CAST(? AS TEXT), ?, ?)", (base, number, index))
    database.close()
    return path


def ask(root: Path, *paths: str) -> dict[str, str | None]:
    return owners(Host(str(root)), paths)


def test_dpkg(tmp_path: Path) -> None:
    dpkg(tmp_path, "libc6:amd64", "/usr/lib/x86_64-linux-gnu/libc.so.6")
    dpkg(tmp_path, "coreutils", "/bin/ls", "/usr/bin/env")
    assert ask(tmp_path, "/usr/lib/x86_64-linux-gnu/libc.so.6", "/bin/ls", "/usr/bin/l", "/usr/bin/env\n") == {
        "/usr/lib/x86_64-linux-gnu/libc.so.6": "libc6",
        "/bin/ls": "coreutils",
        "/usr/bin/l": None,
        "/usr/bin/env\n": None,
    }


def test_dpkgs_own_files_of_a_package_are_the_packages(tmp_path: Path) -> None:
    dpkg(tmp_path, "libc6:amd64", "/usr/lib/x86_64-linux-gnu/libc.so.6")
    dpkg(tmp_path, "openssh-client", "/usr/bin/ssh")
    info = "/var/lib/dpkg/info"
    assert ask(
        tmp_path,
        f"{info}/openssh-client.postinst",
        f"{info}/libc6:amd64.preinst",
        f"{info}/libc6.preinst",
        f"{info}/openssh-server.postinst",
        f"{info}/x/openssh-client.postinst",
        "/tmp/openssh-client.postinst",
    ) == {
        f"{info}/openssh-client.postinst": "openssh-client",
        f"{info}/libc6:amd64.preinst": "libc6",
        f"{info}/libc6.preinst": None,
        f"{info}/openssh-server.postinst": None,
        f"{info}/x/openssh-client.postinst": None,
        "/tmp/openssh-client.postinst": None,
    }


def test_merged_folders_are_one(tmp_path: Path) -> None:
    dpkg(tmp_path, "coreutils", "/bin/ls", "/usr/bin/env", "/lib/modules/1/a.ko")
    assert ask(tmp_path, "/usr/bin/ls") == {"/usr/bin/ls": None}, "two folders"
    for name in ("bin", "lib"):
        (tmp_path / name).symlink_to(f"usr/{name}")
    assert set(
        ask(tmp_path, "/usr/bin/ls", "/bin/ls", "/bin/env", "/usr/lib/modules/1/a.ko", "/lib/modules/1/a.ko").values()
    ) == {"coreutils"}


def test_sbin_merged_into_bin(tmp_path: Path) -> None:
    (tmp_path / "usr").mkdir()
    (tmp_path / "usr/sbin").symlink_to("bin")
    (tmp_path / "sbin").symlink_to("usr/sbin")
    rpm(tmp_path, ("iproute", "/usr/sbin/ip"), ("procps", "/usr/bin/ps"))
    assert ask(tmp_path, "/usr/bin/ip", "/sbin/ps") == {"/usr/bin/ip": "iproute", "/sbin/ps": "procps"}


def test_diversions(tmp_path: Path) -> None:
    dpkg(tmp_path, "libpq-dev", "/usr/bin/pg_config")
    dpkg(tmp_path, "postgresql-common", "/usr/bin/pg_config")
    dpkg(tmp_path, "tool", "/usr/bin/tool")
    plant(
        tmp_path,
        "/var/lib/dpkg/diversions",
        "/usr/bin/pg_config\n/usr/bin/pg_config.libpq-dev\npostgresql-common\n/usr/bin/tool\n/usr/bin/tool.real\n:\n",
    )
    assert ask(tmp_path, "/usr/bin/pg_config", "/usr/bin/pg_config.libpq-dev", "/usr/bin/tool", "/usr/bin/tool.real") == {
        "/usr/bin/pg_config": "postgresql-common",
        "/usr/bin/pg_config.libpq-dev": "libpq-dev",
        # What an administrator put in the place of a package's file is no package's.
        "/usr/bin/tool": None,
        "/usr/bin/tool.real": "tool",
    }


def test_rpm(tmp_path: Path) -> None:
    odd = os.fsdecode(b"/opt/\xff/caf\xe9")
    rpm(tmp_path, ("bash", "/usr/bin/bash", "/usr/share/doc/bash/README"), ("zsh", "/usr/share/doc/zsh/README", odd))
    assert ask(tmp_path, "/usr/share/doc/zsh/README", "/usr/bin/bash", "/usr/bin/README", odd) == {
        "/usr/share/doc/zsh/README": "zsh",
        "/usr/bin/bash": "bash",
        "/usr/bin/README": None,
        odd: "zsh",
    }


def test_changes_that_rpm_has_pending_leave_the_rest_uncertain(tmp_path: Path) -> None:
    path = rpm(tmp_path, ("bash", "/usr/bin/bash"))
    path.with_name("rpmdb.sqlite-wal").write_bytes(b"pending")
    assert ask(tmp_path, "/usr/bin/bash", "/usr/bin/new") == {"/usr/bin/bash": "bash"}


def test_apk(tmp_path: Path) -> None:
    plant(
        tmp_path,
        "/lib/apk/db/installed",
        "P:busybox\nV:1\nF:bin\nR:busybox\nF:\nR:init\n\nP:musl\nF:lib\nR:ld-musl-x86_64.so.1\nZ:x\n\n",
    )
    assert ask(tmp_path, "/bin/busybox", "/init", "/lib/ld-musl-x86_64.so.1", "/bin/sh") == {
        "/bin/busybox": "busybox",
        "/init": "busybox",
        "/lib/ld-musl-x86_64.so.1": "musl",
        "/bin/sh": None,
    }


def test_an_installed_package_is_seen_at_once(tmp_path: Path) -> None:
    dpkg(tmp_path, "a", "/usr/bin/a")
    host = Host(str(tmp_path))
    assert owners(host, ["/usr/bin/b"]) == {"/usr/bin/b": None}
    dpkg(tmp_path, "b", "/usr/bin/b")
    assert owners(host, ["/usr/bin/b"]) == {"/usr/bin/b": "b"}


def test_no_database_is_not_no_owner(tmp_path: Path) -> None:
    with pytest.raises(OwnerUnknown, match="no database of dpkg, rpm or apk"):
        ask(tmp_path, "/bin/ls")


@pytest.mark.parametrize(("name", "kind"), [("Packages", "Berkeley DB"), ("Packages.db", "NDB")])
def test_an_older_rpm_database_that_is_broken_is_named(tmp_path: Path, name: str, kind: str) -> None:
    plant(tmp_path, f"/var/lib/rpm/{name}")
    with pytest.raises(OwnerUnknown, match=f"/var/lib/rpm/{name}: .*{kind}"):
        ask(tmp_path, "/bin/ls")


@pytest.mark.parametrize("contents", ["no database at all" * 100, ""])
def test_a_broken_rpm_database_is_named(tmp_path: Path, contents: str) -> None:
    plant(tmp_path, "/var/lib/rpm/rpmdb.sqlite", contents)
    with pytest.raises(OwnerUnknown, match=r"/var/lib/rpm/rpmdb\.sqlite"):
        ask(tmp_path, "/bin/ls")


def test_a_fifo_in_the_database_is_not_waited_for(tmp_path: Path) -> None:
    dpkg(tmp_path, "a", "/usr/bin/a")
    os.mkfifo(tmp_path / "var/lib/dpkg/info/b.list")
    with pytest.raises(OwnerUnknown, match=r"b\.list: not a regular file"):
        ask(tmp_path, "/usr/bin/a")


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="no dpkg on this host")
def test_this_host_agrees_with_dpkg() -> None:
    paths = [
        os.path.realpath(path) for name in ("sh", "tar", "dpkg", "env") if (path := shutil.which(name, path="/usr/bin:/bin"))
    ]
    found = owners(Host(), [*paths, "/usr/bin/minehunt-test-is-not-there"])
    assert found.pop("/usr/bin/minehunt-test-is-not-there") is None
    for path, package in found.items():
        said = subprocess.run(
            ["dpkg-query", "--search", path, path.replace("/usr/bin", "/bin")], capture_output=True, text=True, check=False
        )
        assert f"{package}:" in said.stdout, path


def test_header_values_outside_the_data_are_left_out() -> None:
    blob = rpm_header("bash", "/usr/bin/bash", "/etc/bashrc")
    assert parse_header(blob, FILE_TAGS) == {1000: ["bash"], 1116: [1, 0], 1117: ["bash", "bashrc"], 1118: ["/etc/", "/usr/bin/"]}
    assert parse_header(blob[:-1], FILE_TAGS) == {}
    endless = struct.pack(">IIIIII", 1, 4, 1116, 4, 0, 0xFFFFFFFF) + struct.pack(">I", 7)
    assert parse_header(endless, FILE_TAGS) == {1116: [7]}


@given(st.binary(max_size=600))
def test_parsers_take_anything(data: bytes) -> None:
    parse_header(data, FILE_TAGS)
    parse_header(struct.pack(">II", 2, max(0, len(data) - 32)) + data, FILE_TAGS)
    list(parse_diversions(data))
    list(apk_owners(data, ["/bin/sh"]))


def test_an_rpm_database_that_is_a_fifo_or_a_link_out_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "disk/var/lib/rpm").mkdir(parents=True)
    path = tmp_path / "disk/var/lib/rpm/rpmdb.sqlite"
    os.mkfifo(path)
    with pytest.raises(OwnerUnknown, match="not a regular file"):
        ask(tmp_path / "disk", "/usr/bin/a")
    path.unlink()
    (tmp_path / "outside").write_bytes(b"SQLite format 3\0")
    path.symlink_to(tmp_path / "outside")
    with pytest.raises(OwnerUnknown):
        ask(tmp_path / "disk", "/usr/bin/a")
