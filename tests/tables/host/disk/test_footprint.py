"""Whatever can change what a scan reads, by path, is noticed; and nothing that the scan opens is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import tables
from tables.host.disk.files import Files, Unreadable
from tables.host.disk.footprint import collected, footprint
from tests.support.strace import STRACE, calls

_ON_FILES = sorted(table.name for table in tables.discover().values() if table.rests_on_files)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("before")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "folder").mkdir()
    (tmp_path / "way").symlink_to("folder")
    return tmp_path


def look(folder: Path) -> None:
    files = Files()
    files.read(f"{folder}/file")
    files.link_target(f"{folder}/link")
    files.names(f"{folder}/folder")
    files.names(f"{folder}/missing/folder")
    files.names(f"{folder}/file")
    files.exists(f"{folder}/missing/file")
    files.stat(f"{folder}/link")
    files.real_path(f"{folder}/way/x")
    with pytest.raises(Unreadable):
        files.read(f"{folder}/folder")
    with pytest.raises(Unreadable):
        files.read("/no\0path")


def test_what_did_not_change_still_holds(folder: Path) -> None:
    with footprint() as seen:
        look(folder)
    look(folder)
    (folder / "other").write_text("not looked at")
    assert seen.is_whole and seen.holds()
    assert collected() is None


def _relink(folder: Path) -> None:
    (folder / "link").unlink()
    (folder / "link").symlink_to("./file")


def _detour(folder: Path) -> None:
    (folder / "way").unlink()
    (folder / "way").symlink_to(".")


def _same_size_and_time(folder: Path) -> None:
    before = (folder / "file").stat()
    (folder / "file").write_text("beforE")
    os.utime(folder / "file", ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [
        _same_size_and_time,
        _relink,
        _detour,
        lambda folder: (folder / "file").unlink(),
        lambda folder: (folder / "file").chmod(0o600),
        lambda folder: (folder / "file").rename(folder / "folder" / "file"),
        lambda folder: (folder / "folder" / ".new").write_text(""),
        lambda folder: (folder / "missing" / "folder").mkdir(parents=True),
        lambda folder: (folder / "folder").rmdir(),
    ],
)
def test_each_change_of_what_was_looked_at_is_noticed(folder: Path, change: Callable[[Path], object]) -> None:
    with footprint() as seen:
        look(folder)
    assert seen.holds()
    change(folder)
    assert not seen.holds()


def test_what_changes_meanwhile_is_noticed(folder: Path) -> None:
    with footprint() as seen:
        Files().read(f"{folder}/file")
        (folder / "file").write_text("meanwhile, and longer")
        Files().stat(f"{folder}/file")
    assert not seen.is_whole and not seen.holds()


def test_the_kernels_own_files_are_compared_by_what_they_say() -> None:
    name = Path("/proc/thread-self/comm")
    before = name.read_text()
    with footprint() as seen:
        Files().read(str(name))
        Files().names("/proc/self/ns")
        Files().exists("/proc/self/exe")
    assert seen.holds()
    try:
        name.write_text("another")
        assert not seen.holds()
    finally:
        name.write_text(before)


_SCAN = """
import json, os, sys, tables
from tables.host import Host
from tables.host.disk.footprint import footprint
from tables.schema import QueryContext
table, host = tables.discover()[sys.argv[1]], Host()
list(table.generate(host, QueryContext(budget_seconds=120)))
os.path.exists("/the scan begins")
with footprint() as seen:
    list(table.generate(host, QueryContext(budget_seconds=120)))
os.path.exists("/the scan ends")
print(json.dumps([seen.is_whole, seen.holds(), list(seen.paths())]))
"""


@pytest.mark.root
@pytest.mark.skipif(STRACE is None, reason="no strace")
@pytest.mark.parametrize("table", _ON_FILES)
def test_a_table_that_rests_on_files_opens_no_other(table: str, tmp_path: Path) -> None:
    log = tmp_path / "strace"
    traced = "trace=open,openat,openat2,stat,newfstatat,connect,socket,fork,vfork,clone3"
    command = [str(STRACE), "-f", "-qq", "-s", "4096", "-e", traced, "-o", str(log), sys.executable, "-c", _SCAN, table]
    done = subprocess.run(command, capture_output=True, check=True, text=True, timeout=300)
    is_whole, holds, paths = json.loads(done.stdout)
    assert is_whole and holds
    seen = list(calls(log))
    (begin,) = (number for number, call in enumerate(seen) if call.path == "/the scan begins")
    (end,) = (number for number, call in enumerate(seen) if call.path == "/the scan ends")
    within = seen[begin + 1 : end]
    assert not [call for call in within if call.name in ("connect", "socket", "fork", "vfork", "clone", "clone3")]
    opened = {call.path for call in within if call.name.startswith("open")}
    assert len(opened) > 50
    assert opened <= set(paths)
