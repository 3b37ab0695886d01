from __future__ import annotations

import os
import shutil
import struct
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.host.disk.footprint import file_key
from tables.host.processes.binary_strings import MAX_SEARCHED, BinaryCache, BinaryFacts, Needles, examine_fd, packer_of
from tables.host.processes.procfs import Procfs
from tests.support.planted_programs import SHELL, Planter, copy_shell

NEEDLES = Needles(b"stratum", {"url": (b"stratum+tcp://", b"stratum+ssl://"), "host": (b"donate.example",)})
NOTHING = BinaryFacts(frozenset(), None)


def examine(path: Path, seconds: float = 60) -> BinaryFacts | None:
    fd = os.open(path, os.O_RDONLY)
    try:
        return examine_fd(fd, os.fstat(fd).st_size, NEEDLES, time.monotonic() + seconds)
    finally:
        os.close(fd)


@pytest.mark.parametrize("at", [0, 1, (1 << 20) - 5, (1 << 20) - 1, 1 << 20, (3 << 20) + 7])
def test_strings_are_found_wherever_they_are(tmp_path: Path, at: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\0" * at + b"stratum+ssl://" + b"\0" * 99 + b"donate.example")
    assert examine(path) == BinaryFacts(frozenset({"url", "host"}), None)


def test_a_file_without_the_common_string_has_no_marks(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"donate.example")
    assert examine(path) == NOTHING


def test_a_padded_file_is_searched_as_far_as_the_bound(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.write(b"stratum+tcp://")
        file.truncate(2 * MAX_SEARCHED)
    assert examine(path) == BinaryFacts(frozenset({"url"}), None)


def test_a_search_that_ran_out_of_time_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"stratum+tcp://")
    assert examine(path, seconds=-1) is None


def elf(sections: int, body: bytes) -> bytes:
    header = b"\x7fELF\x02\x01\x01" + b"\0" * 9 + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 64, 0, 0, 64, 56, 1, 64, sections, 0)
    return header.ljust(4096, b"\0") + body


def packer(data: bytes) -> str | None:
    return packer_of(data[:4096], data[-4096:], data[4096 : 4096 + (64 << 10)])


def test_packed_files_are_told_from_others() -> None:
    dense, plain = os.urandom(64 << 10), b"\x48\x89\xe5\xc3" * 8192
    assert packer(elf(0, dense)) == "unknown"
    assert packer(elf(0, b"UPX!" + dense)) == "unknown"
    assert packer(elf(0, dense + b"UPX!" + b"\0" * 32)) == "UPX"
    assert packer(elf(0, plain)) is None
    assert packer(elf(30, dense)) is None
    assert packer(b"#!/bin/sh\n# UPX!\n") is None
    assert packer(Path(SHELL).read_bytes()) is None


@given(st.binary(max_size=300))
def test_any_bytes_can_be_asked_for_a_packer(data: bytes) -> None:
    assert packer_of(b"\x7fELF" + data, data, data) in (None, "UPX", "unknown")


def test_a_file_is_remembered_until_it_changes(tmp_path: Path) -> None:
    procfs = Procfs.open("/proc")
    cache = BinaryCache(NEEDLES)
    planter = Planter()
    program = copy_shell(tmp_path / "worker")
    try:
        pid = planter(program)
        key = file_key(procfs.stat(f"{pid}/exe"))
        assert cache.known(key) is None
        assert cache.examine(procfs, pid, key, time.monotonic() + 60) == NOTHING
        assert cache.known(key) == NOTHING
        os.utime(program, ns=(1, 1))
        assert cache.known(file_key(procfs.stat(f"{pid}/exe"))) is None
        assert cache.examine(procfs, pid, key, time.monotonic() + 60) is None, "not the file that was asked for"
    finally:
        planter.clean()
        procfs.close()
        shutil.rmtree(tmp_path)
