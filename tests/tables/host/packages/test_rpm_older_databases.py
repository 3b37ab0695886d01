"""Berkeley DB and NDB: written here by their formats' descriptions, by Berkeley DB itself, and read by rpm itself."""

from __future__ import annotations

import os
import shutil
import sqlite3
import struct
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.host import Host
from tables.host.packages.owners import OwnerUnknown, owners
from tables.host.packages.rpm_older_databases import berkeley_headers, ndb_headers
from tests.support.planted_files import plant
from tests.support.rpm_databases import PAGE, berkeley, ndb
from tests.tables.host.packages.test_owners import rpm_header

# A small one, and one whose header takes many pages, as those of kernels do.
BASH = rpm_header("bash", "/usr/bin/bash", "/etc/bashrc")
KERNEL = rpm_header("kernel", *(f"/usr/lib/modules/{number}/a rather long name of a module.ko" for number in range(2000)))
OTHERS = [rpm_header(f"package{number}", f"/usr/bin/program{number}") for number in range(60)]
ALL = [BASH, KERNEL, *OTHERS]
SPEC = """Name: planted
Version: 1
Release: 1
Summary: Planted
License: none
BuildArch: noarch
%description
Planted.
%install
mkdir -p %{buildroot}/usr/bin
echo planted > %{buildroot}/usr/bin/planted
%files
/usr/bin/planted
"""
WRITERS = {"Packages": berkeley, "Packages.db": ndb}


def reading(data: bytes) -> Callable[[int, int], bytes]:
    return lambda size, offset: data[offset : offset + size]


@pytest.mark.parametrize(
    ("data", "headers"),
    [(berkeley(ALL), berkeley_headers), (berkeley(ALL, ">"), berkeley_headers), (ndb(ALL, 2), ndb_headers)],
    ids=["berkeley", "berkeley, of a big-endian host", "ndb"],
)
def test_every_header_is_read_whole(data: bytes, headers: Callable[..., Sequence[bytes]]) -> None:
    assert sorted(headers(reading(data), 1 << 28)) == sorted(ALL)
    assert sorted(headers(reading(data), 1000)) == sorted(blob for blob in ALL if len(blob) <= 1000)


@pytest.mark.parametrize("folder", ["/var/lib/rpm", "/usr/lib/sysimage/rpm"])
@pytest.mark.parametrize("name", WRITERS)
def test_files_have_the_owner_that_such_a_database_says(tmp_path: Path, name: str, folder: str) -> None:
    plant(tmp_path, f"{folder}/{name}").write_bytes(WRITERS[name](ALL))
    asked = ["/usr/bin/bash", "/usr/bin/program59", "/usr/bin/xmrig", "/usr/lib/modules/1999/a rather long name of a module.ko"]
    assert owners(Host(str(tmp_path)), asked) == dict(zip(asked, ["bash", "package59", None, "kernel"]))


@pytest.mark.skipif(shutil.which("db5.3_load") is None, reason="no db5.3_load on PATH (Debian's db5.3-util)")
def test_what_berkeley_db_itself_writes_is_read(tmp_path: Path) -> None:
    lines = [f" {struct.pack('<I', number).hex()}\n {blob.hex()}\n" for number, blob in enumerate(ALL, 1)]
    dump = "VERSION=3\nformat=bytevalue\ntype=hash\ndb_pagesize=4096\nHEADER=END\n" + "".join(lines) + "DATA=END\n"
    subprocess.run(["db5.3_load", str(tmp_path / "Packages")], input=dump, text=True, check=True)
    assert sorted(berkeley_headers(reading((tmp_path / "Packages").read_bytes()), 1 << 28)) == sorted(ALL)


@pytest.mark.skipif(shutil.which("rpmbuild") is None, reason="no rpmbuild on PATH (Debian's rpm)")
def test_rpm_itself_reads_the_database_that_is_written_here(tmp_path: Path) -> None:
    spec = plant(tmp_path, "/planted.spec", SPEC)
    subprocess.run(["rpmbuild", "-bb", "--define", f"_topdir {tmp_path}", str(spec)], check=True, capture_output=True)
    (package,) = tmp_path.glob("RPMS/*/*.rpm")
    installed = tmp_path / "root/var/lib/rpm"
    options = ["--root", str(tmp_path / "root"), "--dbpath", "/var/lib/rpm", "--nodeps", "--justdb", "--force-debian"]
    subprocess.run(["rpm", *options, "-i", str(package)], check=True, capture_output=True)
    with sqlite3.connect(installed / "rpmdb.sqlite") as database:
        blobs = [bytes(blob) for (blob,) in database.execute("SELECT blob FROM Packages")]
    old = plant(tmp_path, "/old/var/lib/rpm/Packages", berkeley(blobs))
    command = ["rpm", "--dbpath", str(old.parent), "--define", "_db_backend bdb_ro", "-qa", "--qf", "%{NAME} [%{FILENAMES}]\n"]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "planted /usr/bin/planted\n"
    assert owners(Host(str(tmp_path / "old")), ["/usr/bin/planted"]) == {"/usr/bin/planted": "planted"}


@pytest.mark.parametrize("name", WRITERS)
def test_a_database_that_ends_early_is_named_and_no_clean_answer(tmp_path: Path, name: str) -> None:
    whole = WRITERS[name](ALL)
    file = plant(tmp_path, f"/var/lib/rpm/{name}")
    for size in (0, 100, 600, PAGE + 100, len(whole) // 2, len(whole) - 20):
        file.write_bytes(whole[:size])
        with pytest.raises(OwnerUnknown, match=f"/var/lib/rpm/{name}: "):
            owners(Host(str(tmp_path)), ["/usr/bin/bash"])


@given(st.lists(st.tuples(st.integers(0, 4 * PAGE), st.integers(0, 255)), max_size=20), st.sampled_from(sorted(WRITERS)))
def test_broken_bytes_are_a_message_or_another_answer(changes: list[tuple[int, int]], name: str) -> None:
    data = bytearray(WRITERS[name]([BASH, KERNEL[:9000]]))
    for position, byte in changes:
        data[position % len(data)] = byte
    headers = berkeley_headers if name == "Packages" else ndb_headers
    try:
        assert sum(map(len, headers(reading(bytes(data)), 1 << 28))) <= len(data)
    except ValueError as error:
        assert str(error)


def test_values_that_share_pages_do_not_multiply_the_time() -> None:
    """Hundreds of entries that name one chain, and a package within another."""
    data = bytearray(berkeley([KERNEL, *OTHERS]))
    entry = struct.pack("<B3xII", 3, 3, len(KERNEL))
    offsets = []
    end = PAGE
    while len(offsets) < 400:
        end -= 5
        offsets.append(end)
        end -= 12
        offsets.append(end)
        if end - 12 - 5 < 26 + 2 * len(offsets) + 4:
            break
    page = bytearray(PAGE)
    page[:26] = struct.pack("<8xIIIHHBB", 1, 0, 0, len(offsets), end, 0, 13)
    struct.pack_into(f"<{len(offsets)}H", page, 26, *offsets)
    for value in offsets[1::2]:
        page[value : value + 12] = entry
    data[PAGE : 2 * PAGE] = page
    with pytest.raises(ValueError, match=r"two|broken"):
        list(berkeley_headers(reading(bytes(data)), 1 << 28))
    overlapping = bytearray(ndb([KERNEL, BASH]))
    struct.pack_into("<4sIII", overlapping, 64, b"Slot", 2, PAGE // 16 + 1, 4)
    with pytest.raises(ValueError, match="of two"):
        list(ndb_headers(reading(bytes(overlapping)), 1 << 28))


@pytest.mark.parametrize("name", WRITERS)
def test_a_long_file_that_holds_nothing_is_refused_at_once(tmp_path: Path, name: str) -> None:
    data = bytearray(WRITERS[name]([BASH]))
    struct.pack_into("<I", data, 32 if name == "Packages" else 12, 0xFFFFFFFF)
    file = plant(tmp_path, f"/var/lib/rpm/{name}")
    file.write_bytes(data)
    os.truncate(file, 1 << 40)
    started = time.monotonic()
    with pytest.raises(OwnerUnknown, match="more than are read"):
        owners(Host(str(tmp_path)), ["/usr/bin/bash"])
    assert time.monotonic() - started < 5
