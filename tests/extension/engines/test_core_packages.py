"""The core tables about packages: deb_packages, rpm_packages, apt_sources."""

from __future__ import annotations

import shutil
import sqlite3
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extension.engines import EngineError
from extension.engines.core import apt, deb, rpm
from extension.engines.embedded import EmbeddedEngine
from tables.host import Host
from tests.support.core_tables import PlantedHost

BASH = """Package: bash
Essential: yes
Status: install ok installed
Priority: required
Section: shells
Installed-Size: 7164
Maintainer: Matthias Klose <doko@debian.org>
Architecture: amd64
Source: bash (5.2.15-2)
Version: 5.2.15-2+b8
Description: GNU Bourne Again SHell
 Version: not this one

"""


@pytest.fixture
def planted(tmp_path: Path) -> PlantedHost:
    return PlantedHost(tmp_path)


def test_deb_packages_as_recorded(planted: PlantedHost) -> None:
    planted.plant("/var/lib/dpkg/status", BASH)
    assert planted.query("SELECT * FROM deb_packages WHERE name='bash'") == [
        {"admindir": "/var/lib/dpkg", "arch": "amd64", "maintainer": "Matthias Klose <doko@debian.org>", "name": "bash",
         "priority": "required", "revision": "2+b8", "section": "shells", "size": "7164", "source": "bash (5.2.15-2)",
         "status": "install ok installed", "version": "5.2.15-2+b8"}
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("written", "version", "revision"),
    [("1:2.0-3", "1:2.0-3", "3"), ("0:2.0-3", "2.0-3", "3"), ("2.0", "2.0", ""), ("1.0-rc1-2", "1.0-rc1-2", "2"), ("", "", "")],
)
def test_deb_versions(written: str, version: str, revision: str) -> None:
    row = deb.package_row({"package": "p", "status": "install ok installed", "version": written})
    assert row is not None
    assert (row["version"], row["revision"], row["priority"]) == (version, revision, "unknown")


def test_deb_states_and_other_folders(planted: PlantedHost) -> None:
    states = (
        "install ok installed",
        "deinstall ok config-files",
        "deinstall ok not-installed",
        "install reinstreq half-installed",
    )
    planted.plant(
        "/srv/dpkg/status",
        "".join(f"Package: p{n}\nStatus: {s}\nInstalled-Size: {'9' * 5000}\n\n" for n, s in enumerate(states))
        + "Package: none\n",
    )
    assert planted.query("SELECT * FROM deb_packages") == []
    rows = planted.query("SELECT name, status, size, admindir FROM deb_packages WHERE admindir IN ('/srv/dpkg', '/none')")
    assert [row["name"] for row in rows] == ["p0", "p1", "p3"]
    assert {(row["size"], row["admindir"]) for row in rows} == {("", "/srv/dpkg")}


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="no dpkg on this machine to compare with")
def test_live_packages_agree_with_dpkg_query() -> None:
    shown = "${Package}|${Version}|${Architecture}|${Installed-Size}|${Status}|${Section}|${Priority}|${Maintainer}\n"
    told = subprocess.run(["dpkg-query", "-W", "-f", shown], capture_output=True, text=True, check=True).stdout.splitlines()
    names = ("name", "version", "arch", "size", "status", "section", "priority", "maintainer")
    rows = EmbeddedEngine(Host()).query("SELECT * FROM deb_packages")
    assert sorted("|".join(row[name] for name in names) for row in rows) == sorted(told)


def header(*entries: tuple[int, int, bytes]) -> bytes:
    """A package header: index entries (tag, type, one value), as rpm stores it."""
    index, data = b"", b""
    for tag, kind, value in entries:
        index += struct.pack(">IIII", tag, kind, len(data), 1)
        data += value
    return struct.pack(">II", len(entries), len(data)) + index + data


XMRIG = header(
    (63, 7, b"\0" * 16), (1000, 6, b"xmrig\0"), (1001, 6, b"6.21.0\0"), (1002, 6, b"1.el9\0"), (1003, 4, struct.pack(">I", 2)),
    (1008, 4, struct.pack(">I", 1795436638)), (1009, 4, struct.pack(">I", 7340032)), (1011, 6, b"Example\0"),
    (1016, 9, b"Applications/System\0"), (1022, 6, b"x86_64\0"), (1044, 6, b"xmrig-6.21.0-1.el9.src.rpm\0"),
    (269, 6, b"da39a3ee5e6b4b0d3255bfef95601890afd80709\0"),
)  # fmt: skip


def plant_rpm(planted: PlantedHost, path: str, *blobs: bytes) -> None:
    target = planted.plant(path, b"")
    database = sqlite3.connect(target)
    database.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)")
    database.executemany("INSERT INTO Packages (blob) VALUES (?)", [(blob,) for blob in blobs])
    database.commit()
    database.close()


@pytest.mark.parametrize("folder", ["/var/lib/rpm", "/usr/lib/sysimage/rpm"])
def test_rpm_packages(planted: PlantedHost, folder: str) -> None:
    plant_rpm(planted, f"{folder}/rpmdb.sqlite", XMRIG, header((1000, 6, b"gpg-pubkey\0")), b"", b"\xff" * 40)
    before = sorted(path.name for path in planted.path(folder).iterdir())
    rows = planted.query("SELECT * FROM rpm_packages")
    assert rows[0] == {
        "arch": "x86_64", "epoch": "2", "install_time": "1795436638", "name": "xmrig", "package_group": "Applications/System",
        "release": "1.el9", "sha1": "da39a3ee5e6b4b0d3255bfef95601890afd80709", "size": "7340032",
        "source": "xmrig-6.21.0-1.el9.src.rpm", "vendor": "Example", "version": "6.21.0",
    }  # fmt: skip
    assert rows[1]["name"] == "gpg-pubkey" and rows[1]["epoch"] == rows[1]["vendor"] == ""
    assert planted.query("SELECT version FROM rpm_packages WHERE name = 'xmrig'") == [{"version": "6.21.0"}]
    assert sorted(path.name for path in planted.path(folder).iterdir()) == before
    assert planted.gaps("rpm_packages") == ""


def test_rpm_changes_in_the_log_are_a_gap(planted: PlantedHost) -> None:
    plant_rpm(planted, "/var/lib/rpm/rpmdb.sqlite", XMRIG)
    planted.plant("/var/lib/rpm/rpmdb.sqlite-wal", b"pending")
    assert len(planted.query("SELECT * FROM rpm_packages")) == 1
    assert "rpmdb.sqlite-wal" in planted.gaps("rpm_packages")


@pytest.mark.parametrize(
    ("path", "contents", "message"),
    [
        ("/var/lib/rpm/Packages", "", "/var/lib/rpm/Packages: not a Berkeley DB hash table"),
        ("/usr/lib/sysimage/rpm/Packages.db", "", "/usr/lib/sysimage/rpm/Packages.db: not a database in rpm's NDB format"),
        ("/var/lib/rpm/rpmdb.sqlite", "no database at all" * 100, "/var/lib/rpm/rpmdb.sqlite: file is not a database"),
        ("/var/lib/rpm/rpmdb.sqlite", "", "/var/lib/rpm/rpmdb.sqlite: no such table"),
    ],
)
def test_rpm_databases_that_cannot_be_read(planted: PlantedHost, path: str, contents: str, message: str) -> None:
    planted.plant(path, contents)
    with pytest.raises(EngineError, match=message):
        planted.query("SELECT * FROM rpm_packages")


def test_no_rpm_is_no_error(planted: PlantedHost) -> None:
    assert planted.query("SELECT * FROM rpm_packages") == []


@given(st.binary(max_size=400) | st.binary(max_size=60).map(lambda tail: struct.pack(">II", 2, 16) + tail))
def test_rpm_header_parser_takes_anything(blob: bytes) -> None:
    assert set(rpm.parse_header(blob)) <= set(rpm._TAGS.values())


def test_apt_sources(planted: PlantedHost) -> None:
    planted.plant(
        "/etc/apt/sources.list",
        "# deb http://no/ x\ndeb [arch=amd64 signed-by=/k] https://pool.example.org/apt/ stable main # c\n"
        "deb-src https://pool.example.org/apt stable main\ndeb https://unfetched.example.org stable main\n",
    )
    planted.plant(
        "/etc/apt/sources.list.d/own.sources",
        "Types: deb deb-src\nURIs: http://deb.example.org/debian\nSuites: one two/sub\n\n"
        "Types: deb\nEnabled: yes\nURIs: http://deb.example.org/debian\nSuites: one\n\n"
        "Types: deb-src\nURIs: http://x/\nSuites: y\n",
    )
    planted.plant("/etc/apt/sources.list.d/ignored.bak", "deb https://pool.example.org/apt stable main\n")
    release = "Origin: Example\nCodename: stable\nVersion: 12.1\nDate: Sat, 1 Jan 2026 10:00:00 UTC\n"
    release += "-----BEGIN PGP SIGNATURE-----\nVersion: 9\n"
    planted.plant("/var/lib/apt/lists/pool.example.org_apt_dists_stable_InRelease", release)
    planted.plant("/var/lib/apt/lists/deb.example.org_debian_dists_one_Release", "Components: main\nArchitectures: amd64\n")
    planted.plant("/var/lib/apt/lists/deb.example.org_debian_two_sub_Release", "")
    rows = planted.query("SELECT * FROM apt_sources")
    assert rows[0] == {
        "name": "pool.example.org/apt stable", "source": "/etc/apt/sources.list", "base_uri": "https://pool.example.org/apt",
        "release": "stable", "version": "12.1", "maintainer": "Example", "components": "", "architectures": "",
    }  # fmt: skip
    assert [row["name"] for row in rows[1:]] == ["deb.example.org/debian one", "deb.example.org/debian two/sub"]
    assert (rows[1]["components"], rows[1]["architectures"]) == ("main", "amd64")


CONTROL = st.lists(
    st.sampled_from(["deb ", "[", "]", "://", "/", "#", ":", " ", "\n", "\t", "URIs:", "Suites:", "x"]) | st.text(max_size=4)
)


@given(CONTROL.map("".join))
def test_control_parsers_take_anything(text: str) -> None:
    for stanza in deb.parse_stanzas(text):
        deb.package_row(stanza)
    for line in text.split("\n"):
        apt.parse_source_line(line)
    assert all("://" in source.base_uri for source in apt.parse_deb822(text))
    assert set(apt.parse_release(text)) <= {"release", "version", "maintainer", "components", "architectures"}
