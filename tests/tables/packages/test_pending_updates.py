from __future__ import annotations

import gzip
import io
import lzma
import os
import sqlite3
import struct
import tarfile
import time
from contextlib import closing
from pathlib import Path

from tables.host import Host
from tables.packages.pending_updates import PendingUpdate, pending_updates
from tables.schema import QueryContext
from tests.support.planted_files import plant
from tests.support.scans import unseen_by

LISTS = "/var/lib/apt/lists"
STATUS = """Package: openssl
Status: install ok installed
Architecture: amd64
Version: 3.0.16-1~deb12u1
Conffiles:
 /etc/ssl/openssl.cnf 0123
Description: x
 Version: 9 is not a field

Package: libssl3
Status: hold ok installed
Architecture: amd64
Version: 3.0.16-1~deb12u1

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: tzdata
Status: install ok installed
Architecture: all
Version: 2024a-0+deb12u1
"""


def packages(**versions: str) -> str:
    stanzas = (f"Package: {name}\nVersion: {text}\nArchitecture: amd64\nFilename: x\n" for name, text in versions.items())
    return "\n".join(stanzas)


def scan(root: Path) -> tuple[list[PendingUpdate], tuple[str, ...]]:
    host = Host(str(root))
    rows = list(pending_updates.generate(host, QueryContext()))
    return rows, unseen_by(pending_updates, host)


def short(root: Path) -> list[tuple[str, str, bool]]:
    rows, degraded = scan(root)
    assert degraded == ()
    return [(row.package, row.available_version, bool(row.is_security)) for row in rows]


def debian(root: Path) -> None:
    plant(root, "/var/lib/dpkg/status", STATUS)
    plant(root, f"{LISTS}/deb.debian.org_debian_dists_bookworm_InRelease", "Origin: Debian\nLabel: Debian\nSuite: oldstable\n")
    plant(
        root,
        f"{LISTS}/deb.debian.org_debian-security_dists_bookworm-security_InRelease",
        "-----BEGIN PGP SIGNED MESSAGE-----\n\nOrigin: Debian\nLabel: Debian-Security\nSuite: oldstable-security\n",
    )


def test_apt(tmp_path: Path) -> None:
    debian(tmp_path)
    plant(
        tmp_path,
        f"{LISTS}/deb.debian.org_debian_dists_bookworm_main_binary-amd64_Packages",
        packages(openssl="3.0.18-1", tzdata="2024a-0+deb12u1", gone="2", libssl3="3.0.9-1")
        + "\nPackage: tzdata\nVersion: 2026b-0+deb12u1\nArchitecture: all\n",
    )
    security = f"{LISTS}/deb.debian.org_debian-security_dists_bookworm-security_main_binary-amd64_Packages.xz"
    plant(tmp_path, security, lzma.compress(packages(libssl3="3.0.17-1~deb12u2", openssl="3.0.17-1~deb12u2").encode()))
    rows, degraded = scan(tmp_path)
    assert degraded == ()
    assert [
        (row.package, row.installed_version, row.available_version, row.is_security, row.is_held, row.origin) for row in rows
    ] == [
        ("libssl3", "3.0.16-1~deb12u1", "3.0.17-1~deb12u2", True, True, "Debian-Security oldstable-security"),
        # The newest comes from elsewhere, but a security update is among what is missing.
        ("openssl", "3.0.16-1~deb12u1", "3.0.18-1", True, False, "Debian oldstable"),
        ("tzdata", "2024a-0+deb12u1", "2026b-0+deb12u1", False, False, "Debian oldstable"),
    ]
    assert (rows[0].cache_path, rows[0].cache_mtime) == (security, int((tmp_path / security[1:]).stat().st_mtime))


def test_backports_are_not_pending(tmp_path: Path) -> None:
    debian(tmp_path)
    plant(tmp_path, f"{LISTS}/x_dists_bookworm-backports_InRelease", "Suite: oldstable-backports\nNotAutomatic: yes\n")
    plant(tmp_path, f"{LISTS}/x_dists_bookworm-backports_main_binary-amd64_Packages", packages(openssl="3.5"))
    assert short(tmp_path) == []


def test_a_host_without_a_cache_is_not_called_up_to_date(tmp_path: Path) -> None:
    debian(tmp_path)
    assert scan(tmp_path) == ([], ("no package cache for deb packages: whether updates are pending is not known",))


def test_old_and_unreadable_caches_are_said(tmp_path: Path) -> None:
    debian(tmp_path)
    cache = plant(tmp_path, f"{LISTS}/x_Packages.zst", b"\x28\xb5\x2f\xfd" + bytes(9))
    old = time.time() - 30 * 86400
    os.utime(cache, (old, old))
    day = time.strftime("%Y-%m-%d", time.gmtime(old))
    rows, degraded = scan(tmp_path)
    assert rows == []
    assert degraded[0] == f"the deb package cache is of {day}: newer updates are not known"
    assert degraded[1].endswith("x_Packages.zst: compressed with zstd, which Python cannot read")


def test_no_package_manager(tmp_path: Path) -> None:
    assert scan(tmp_path) == ([], ("no database of dpkg, rpm or apk",))


def header(**tags: str) -> bytes:
    numbers = {"name": 1000, "version": 1001, "release": 1002, "arch": 1022}
    index, data = b"", b""
    for name, value in tags.items():
        index += struct.pack(">IIII", numbers[name], 6, len(data), 1)
        data += value.encode() + b"\0"
    return struct.pack(">II", len(tags), len(data)) + index + data


def enterprise_linux(root: Path, *headers: bytes) -> None:
    path = plant(root, "/var/lib/rpm/rpmdb.sqlite", b"")
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB)")
        database.executemany("INSERT INTO Packages (blob) VALUES (?)", [(blob,) for blob in headers])
        database.commit()


def listed(name: str, version: str, release: str, arch: str = "x86_64") -> str:
    return (
        f'<package type="rpm">\n  <name>{name}</name>\n  <arch>{arch}</arch>\n'
        f'  <version epoch="0" ver="{version}" rel="{release}"/>\n</package>\n'
    )


def test_dnf(tmp_path: Path) -> None:
    enterprise_linux(
        tmp_path,
        header(name="openssh", version="8.7p1", release="38.el9", arch="x86_64"),
        header(name="kernel-core", version="5.14.0", release="362.el9", arch="x86_64"),
        header(name="kernel-core", version="5.14.0", release="427.el9", arch="x86_64"),
        header(name="nodejs", version="16.0", release="1.el9", arch="x86_64"),
        header(name="gpg-pubkey", version="1", release="1"),
    )
    folder = "/var/cache/dnf/baseos-0123456789abcdef/repodata"
    primary = (
        listed("openssh", "8.7p1", "45.el9") + listed("openssh", "8.7p1", "40.el9")
        + listed("openssh", "9.9p1", "1.el9", "aarch64")
        + listed("kernel-core", "5.14.0", "427.el9") + listed("nodejs", "20.0", "1.module_el9+1") + listed("vim", "9", "1")
    )  # fmt: skip
    plant(tmp_path, f"{folder}/0a-primary.xml.gz", gzip.compress(primary.encode()))
    info = (
        '<update from="x" type="bugfix"><pkglist><package name="kernel-core" version="5.14.0" release="427.el9" epoch="0"/>'
        "</pkglist></update>\n"
        '<update status="final" type="security" version="1"><pkglist>\n'
        '<package name="openssh" version="8.7p1" release="40.el9" epoch="0" arch="x86_64" src="x">\n</package>'
        "</pkglist></update>\n"
    )
    plant(tmp_path, f"{folder}/0b-updateinfo.xml.gz", gzip.compress(info.encode()))
    rows, degraded = scan(tmp_path)
    assert degraded == ()
    assert [(row.package, row.installed_version, row.available_version, row.is_security, row.origin) for row in rows] == [
        ("openssh", "8.7p1-38.el9", "8.7p1-45.el9", True, "baseos")
    ]


def test_apk(tmp_path: Path) -> None:
    plant(tmp_path, "/lib/apk/db/installed", "C:Q1\nP:busybox\nV:1.36.1-r15\nA:x86_64\n\nP:musl\nV:1.2.4-r2\nA:x86_64\n")
    text = b"C:Q1\nP:busybox\nV:1.36.1-r20\nA:x86_64\n\nC:Q2\nP:musl\nV:1.2.4-r2\nA:x86_64\n\n"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, data in (("DESCRIPTION", b"v3.19\n"), ("APKINDEX", text)):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    plant(tmp_path, "/var/cache/apk/APKINDEX.0a1b2c3d.tar.gz", packed.getvalue())
    assert short(tmp_path) == [("busybox", "1.36.1-r20", False)]


def test_this_host_is_read() -> None:
    host = Host()
    rows = list(pending_updates.generate(host, QueryContext()))
    assert rows or unseen_by(pending_updates, host) or host.files.exists("/var/lib/dpkg/status")
