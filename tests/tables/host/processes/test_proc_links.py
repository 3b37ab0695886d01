"""The number of processes follows from procfs's link count under either convention of the kernel, or is not claimed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Optional

import pytest

from tables.host import Host
from tables.host.processes import proc_links
from tables.host.processes.census import take_census
from tables.host.processes.proc_links import Entries, counts_files
from tables.host.processes.procfs import Procfs
from tables.host.syscalls import DT_DIR

pytestmark = pytest.mark.alone

SAMPLES = Path(__file__).resolve().parents[5] / "shared" / "kernel-samples"
KINDS = {"dir": DT_DIR, "file": 8, "link": 10}


@pytest.mark.parametrize(
    ("links", "entries", "expected"),
    [
        (2, Entries(0, 3), False),  # /proc/sysvipc on Linux 6.12 and 6.18
        (5, Entries(0, 3), True),  # on 5.10.223 and 6.1.176
        (4, Entries(2, 2), False),
        (6, Entries(2, 2), True),
        (3, Entries(0, 3), None),
        (2, Entries(0, 0), None),
        (4, Entries(2, 0), None),
    ],
)
def test_one_folder_tells_the_convention_or_does_not(links: int, entries: Entries, expected: Optional[bool]) -> None:
    assert counts_files(links, entries) is expected


def folder(path: Path, folders: int, files: int) -> None:
    path.mkdir(parents=True)
    for number in range(folders):
        (path / f"folder{number}").mkdir()
    for number in range(files):
        (path / f"file{number}").touch()


def test_folders_that_tell_nothing_leave_it_open(tmp_path: Path) -> None:
    folder(tmp_path / "tty", 2, 0)
    assert proc_links.convention(Procfs.open(str(tmp_path))) is None


@pytest.mark.root
def test_folders_of_a_file_system_that_counts_folders_only_say_so() -> None:
    # tmpfs counts as new kernels' procfs does.
    path = Path("/dev/shm") / f"minehunt-links-{os.getpid()}"
    try:
        folder(path / "sysvipc", 0, 3)
        folder(path / "tty", 2, 2)
        assert proc_links.convention(Procfs.open(str(path))) is False
    finally:
        for item in sorted(path.rglob("*"), reverse=True):
            item.rmdir() if item.is_dir() else item.unlink()
        path.rmdir()


def test_this_kernel_has_one_of_the_two() -> None:
    with os.scandir("/proc/sysvipc") as entries:
        files = sum(1 for _ in entries)
    assert proc_links.convention(Procfs.open()) is (os.stat("/proc/sysvipc").st_nlink == 2 + files)


@pytest.mark.skipif(not SAMPLES.exists(), reason="../shared/kernel-samples is not beside this repository")
@pytest.mark.parametrize(("name", "hidden"), [("clean", 0), ("listing_hook", 1), ("denied_everywhere", 1)])
def test_recorded_kernels_that_count_files(name: str, hidden: int) -> None:
    recorded = json.loads((SAMPLES / f"{name}.json").read_text())
    entries = proc_links.count({entry.encode(): KINDS[kind] for entry, kind in recorded["proc_entries_not_pids"].items()})
    assert counts_files(recorded["sysvipc_nlink"], Entries(0, 3)) is True
    assert proc_links.processes(recorded["proc_nlink"], entries, True) - recorded["listed_pids"] == hidden


def test_an_unknown_convention_is_said_and_nothing_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proc_links, "convention", lambda _: None)
    census = take_census(Host())
    if not census.is_initial_pid_namespace:
        pytest.skip("in a child pid namespace nothing is compared anyway")
    assert census.processes_hidden is None
    assert any("links of /proc" in reason for reason in census.degraded)
