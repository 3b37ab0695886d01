from __future__ import annotations

import base64
import hashlib
import shutil
import sqlite3
import struct
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.host import Host
from tables.host.packages import contents
from tables.host.packages.contents import apk_digests, changed_files
from tables.schema import QueryContext
from tests.support.namespaces import run_in_namespaces
from tests.support.planted_files import link, plant
from tests.tables.host.packages.test_owners import rpm

INFO = "/var/lib/dpkg/info"


def dpkg(root: Path, package: str, files: dict[str, bytes], conffiles: tuple[str, ...] = ()) -> None:
    """A package as dpkg has it when these files are what it brought."""
    plant(root, f"{INFO}/{package}.list", "".join(f"{path}\n" for path in ("/.", *files)))
    sums = "".join(f"{hashlib.md5(data).hexdigest()}  {path.lstrip('/')}\n" for path, data in files.items())
    plant(root, f"{INFO}/{package}.md5sums", sums)
    if conffiles:
        plant(root, f"{INFO}/{package}.conffiles", "".join(f"{path}\n" for path in conffiles))


def ask(root: Path | Host, *paths: str) -> dict[str, bool]:
    return changed_files(root if isinstance(root, Host) else Host(str(root)), paths, QueryContext())


def test_files_that_are_not_what_their_package_brought(tmp_path: Path) -> None:
    dpkg(tmp_path, "cron", {"/usr/sbin/cron": b"\x7fELF cron", "/usr/bin/crontab": b"\x7fELF crontab"})
    plant(tmp_path, "/usr/sbin/cron", b"\x7fELF miner")
    plant(tmp_path, "/usr/bin/crontab", b"\x7fELF crontab")
    plant(tmp_path, "/usr/bin/unpackaged", b"\x7fELF")
    asked = ("/usr/sbin/cron", "/usr/bin/crontab", "/usr/bin/unpackaged", "/usr/bin/missing", "/usr/sbin")
    assert ask(tmp_path, *asked) == {"/usr/sbin/cron": True, "/usr/bin/crontab": False}


def test_conffiles_are_the_administrators(tmp_path: Path) -> None:
    dpkg(tmp_path, "cron", {"/etc/crontab": b"packaged", "/etc/init.d/helper": b"packaged"}, conffiles=("/etc/crontab",))
    plant(tmp_path, "/etc/crontab", b"edited")
    plant(tmp_path, "/etc/init.d/helper", b"edited")
    assert ask(tmp_path, "/etc/crontab", "/etc/init.d/helper") == {"/etc/init.d/helper": True}


def test_both_spellings_of_a_merged_folder_and_each_architecture(tmp_path: Path) -> None:
    plant(tmp_path, "/usr/bin/ls", b"ls")
    plant(tmp_path, "/usr/lib/shared", b"second")
    link(tmp_path, "usr/bin", "/bin")
    dpkg(tmp_path, "coreutils", {"/bin/ls": b"ls"})
    dpkg(tmp_path, "libx:amd64", {"/usr/lib/shared": b"first"})
    dpkg(tmp_path, "libx:i386", {"/usr/lib/shared": b"second"})
    assert ask(tmp_path, "/bin/ls", "/usr/bin/ls", "/usr/lib/shared") == {
        "/bin/ls": False,
        "/usr/bin/ls": False,
        "/usr/lib/shared": False,
    }


def test_a_diverted_file_is_compared_where_it_lies(tmp_path: Path) -> None:
    dpkg(tmp_path, "dash", {"/usr/bin/sh": b"dash"})
    dpkg(tmp_path, "own", {"/usr/bin/sh": b"own"})
    plant(tmp_path, "/var/lib/dpkg/diversions", "/usr/bin/sh\n/usr/bin/sh.distrib\nown\n")
    plant(tmp_path, "/usr/bin/sh", b"own")
    plant(tmp_path, "/usr/bin/sh.distrib", b"dash")
    assert ask(tmp_path, "/usr/bin/sh", "/usr/bin/sh.distrib") == {"/usr/bin/sh": False, "/usr/bin/sh.distrib": False}
    plant(tmp_path, "/usr/bin/sh.distrib", b"own")
    assert ask(tmp_path, "/usr/bin/sh.distrib") == {"/usr/bin/sh.distrib": True}


def test_a_change_and_an_upgrade_are_seen_by_the_same_host(tmp_path: Path) -> None:
    host = Host(str(tmp_path))
    dpkg(tmp_path, "cron", {"/usr/sbin/cron": b"one"})
    plant(tmp_path, "/usr/sbin/cron", b"one")
    assert ask(host, "/usr/sbin/cron") == {"/usr/sbin/cron": False}
    plant(tmp_path, "/usr/sbin/cron", b"two")
    assert ask(host, "/usr/sbin/cron") == {"/usr/sbin/cron": True}
    (tmp_path / INFO.lstrip("/") / "cron.md5sums").unlink()
    dpkg(tmp_path, "cron", {"/usr/sbin/cron": b"two"})
    assert ask(host, "/usr/sbin/cron") == {"/usr/sbin/cron": False}


def test_a_file_is_read_once_for_each_of_its_states(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(str(tmp_path))
    dpkg(tmp_path, "cron", {"/usr/sbin/cron": b"one"})
    plant(tmp_path, "/usr/sbin/cron", b"one")
    ask(host, "/usr/sbin/cron")
    monkeypatch.setattr(contents, "_hashed", None)
    assert ask(host, "/usr/sbin/cron") == {"/usr/sbin/cron": False}


def test_what_is_too_long_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "_MOST_READ", 6)
    dpkg(tmp_path, "big", {"/usr/bin/big": b"12345", "/usr/bin/small": b"123"})
    plant(tmp_path, "/usr/bin/big", b"other")
    plant(tmp_path, "/usr/bin/small", b"oth")
    query = QueryContext()
    assert changed_files(Host(str(tmp_path)), ["/usr/bin/big", "/usr/bin/small"], query) == {"/usr/bin/small": True}
    assert query.cuts == ("1 long files were not compared with their packages yet, for lack of time or size",)


def test_long_files_are_left_to_who_has_the_time(tmp_path: Path) -> None:
    host = Host(str(tmp_path))
    dpkg(tmp_path, "big", {"/usr/bin/big": b"12345"})
    plant(tmp_path, "/usr/bin/big", b"other")
    assert changed_files(host, ["/usr/bin/big"], QueryContext(), longest=4) == {}
    assert ask(host, "/usr/bin/big") == {"/usr/bin/big": True}
    assert changed_files(host, ["/usr/bin/big"], QueryContext(), longest=4) == {"/usr/bin/big": True}


def test_while_packages_are_installed_nothing_is_called_changed() -> None:
    found = run_in_namespaces(
        """
        import fcntl
        from tables.host.packages.contents import changed_files
        from tables.schema import QueryContext
        mount("tmpfs", "/var/lib/dpkg", "tmpfs", 0)
        mount("tmpfs", "/opt", "tmpfs", 0)
        os.mkdir("/var/lib/dpkg/info")
        for path, text in {
            "/var/lib/dpkg/info/labd.list": "/opt/labd\\n",
            "/var/lib/dpkg/info/labd.md5sums": "d41d8cd98f00b204e9800998ecf8427e  opt/labd\\n",
            "/opt/labd": "other",
        }.items():
            with open(path, "w") as file:
                file.write(text)
        lock = os.open("/var/lib/dpkg/lock", os.O_RDWR | os.O_CREAT)
        fcntl.lockf(lock, fcntl.LOCK_EX)
        host, query = Host(), QueryContext()
        during = changed_files(host, ["/opt/labd"], query)
        fcntl.lockf(lock, fcntl.LOCK_UN)
        answer([during, query.blind, changed_files(host, ["/opt/labd"], QueryContext())])
        """,
        "--mount",
    )
    assert found == [
        {},
        ["packages are being installed: which of their files have changed is known afterwards"],
        {"/opt/labd": True},
    ]


def test_rpms_digests_flags_and_algorithm(tmp_path: Path) -> None:
    path = rpm(tmp_path, ("cronie", "/usr/sbin/crond", "/etc/crontab", "/usr/bin/unverified", "/usr/bin/crontab"))
    digests = [hashlib.sha256(data).hexdigest() for data in (b"crond", b"packaged", b"packaged", b"crontab")]
    _add_tags(path, digests, flags=(0, 1, 0, 0), verify=(0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF))
    for name, content in (("sbin/crond", b"miner"), ("bin/unverified", b"x"), ("bin/crontab", b"crontab")):
        plant(tmp_path, f"/usr/{name}", content)
    plant(tmp_path, "/etc/crontab", b"edited")
    assert ask(tmp_path, "/usr/sbin/crond", "/etc/crontab", "/usr/bin/unverified", "/usr/bin/crontab") == {
        "/usr/sbin/crond": True,
        "/usr/bin/crontab": False,
    }


def _add_tags(path: Path, digests: list[str], flags: tuple[int, ...], verify: tuple[int, ...]) -> None:
    """Put into the only header what rpm keeps beside the names: digests, flags, what is verified, SHA-256 as the algorithm."""
    with closing(sqlite3.connect(path)) as database, database:
        (blob,) = database.execute("SELECT blob FROM Packages").fetchone()
        count, _ = struct.unpack_from(">II", blob)
        index, data = blob[8 : 8 + count * 16], blob[8 + count * 16 :]
        more = [
            (1035, 8, len(digests), b"".join(digest.encode() + b"\0" for digest in digests)),
            (1037, 4, len(flags), struct.pack(f">{len(flags)}I", *flags)),
            (1045, 4, len(verify), struct.pack(f">{len(verify)}I", *verify)),
            (5011, 4, 1, struct.pack(">I", 8)),
        ]
        for tag, kind, number, value in more:
            index += struct.pack(">IIII", tag, kind, len(data), number)
            data += value
        header = struct.pack(">II", count + len(more), len(data)) + index + data
        database.execute("UPDATE Packages SET blob = ?", (header,))


@pytest.mark.skipif(shutil.which("rpmbuild") is None, reason="rpm's own database needs rpmbuild")
def test_rpm_itself_agrees(tmp_path: Path) -> None:
    spec = plant(
        tmp_path,
        "/x.spec",
        "Name: labtool\nVersion: 1\nRelease: 1\nSummary: x\nLicense: x\nBuildArch: noarch\n%description\nx\n%install\n"
        "mkdir -p %{buildroot}/usr/bin %{buildroot}/etc\necho one >%{buildroot}/usr/bin/labtool\n"
        "echo two >%{buildroot}/usr/bin/labother\necho c >%{buildroot}/etc/lab.conf\n"
        "%files\n/usr/bin/labtool\n/usr/bin/labother\n%config /etc/lab.conf\n",
    )
    root = tmp_path / "root"
    options = ["--define", f"_topdir {tmp_path}/top"]
    subprocess.run(["rpmbuild", "-bb", *options, spec], check=True, capture_output=True)
    (package,) = (tmp_path / "top").rglob("*.rpm")
    install = ["rpm", "--root", root, "--dbpath", "/var/lib/rpm", "--define", "_db_backend sqlite", "--nodeps", "-i", package]
    subprocess.run(install, check=True, capture_output=True)
    for path in ("usr/bin/labtool", "etc/lab.conf"):
        (root / path).write_text("changed\n")
    assert ask(root, "/usr/bin/labtool", "/usr/bin/labother", "/etc/lab.conf") == {
        "/usr/bin/labtool": True,
        "/usr/bin/labother": False,
    }


def test_apk(tmp_path: Path) -> None:
    digest = base64.b64encode(hashlib.sha1(b"busybox").digest()).decode()
    installed = f"P:busybox\nF:bin\nR:busybox\na:0:0:755\nZ:Q1{digest}\nR:other\nZ:Q1{digest}\nF:etc\nR:conf\nZ:Q1{digest}\n\n"
    plant(tmp_path, "/lib/apk/db/installed", installed)
    plant(tmp_path, "/bin/busybox", b"busybox")
    plant(tmp_path, "/bin/other", b"changed")
    plant(tmp_path, "/etc/conf", b"changed")
    assert ask(tmp_path, "/bin/busybox", "/bin/other", "/etc/conf") == {"/bin/busybox": False, "/bin/other": True}


def test_no_database_is_said(tmp_path: Path) -> None:
    query = QueryContext()
    assert changed_files(Host(str(tmp_path)), ["/usr/bin/ls"], query) == {}
    assert query.untold


@given(st.binary(), st.sampled_from([b"", b"Z:Q1", b"F:bin\nR:x\nZ:Q1"]))
def test_any_bytes_are_taken_of_apk(data: bytes, head: bytes) -> None:
    list(apk_digests(head + data, ["/bin/x"]))
