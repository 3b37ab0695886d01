from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tables.host.disk import folder_reader, forked_readers
from tables.host.disk.folder_reader import Part, Plan
from tables.host.disk.forked_readers import ForkedReaders
from tables.host.disk.tree_walk import TreeWalk
from tests.support.osquery_wire import children, wait_until

ELF = b"\x7fELF" + bytes(60)
REGULAR = frozenset({"regular"})
HOUR_AGO = int(time.time()) - 3600
FOLDERS = 60


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    for number in range(FOLDERS):
        folder = root / f"{number % 5}/{number}"
        folder.mkdir(parents=True)
        for file in range(9):
            (folder / f"f{file}").write_bytes(b"text")
        (folder / "elf").write_bytes(ELF)
        (folder / "script").write_bytes(b"#!/bin/sh\n")
        (folder / "tool").write_bytes(b"")
        (folder / "tool").chmod(0o755)
    return root


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part ends soon, so that even a small tree is read in many."""
    monkeypatch.setattr(folder_reader, "_PART_FILES", 7)
    monkeypatch.setattr(folder_reader, "_PART_SECONDS", 0.0005)


def never() -> bool:
    return False


def walked(tree: Path, readers: int, programs_only: bool = False, **plan: Any) -> tuple[list[str], TreeWalk]:
    walk = TreeWalk(Plan(plan.pop("closed", {}), REGULAR, HOUR_AGO, **plan), never, readers, programs_only)
    return sorted(found[0] for part in walk.below(str(tree)) for found in part.programs + part.others), walk


@pytest.mark.usefixtures("small_parts")
def test_several_processes_find_what_one_finds(tree: Path) -> None:
    alone, _ = walked(tree, 1)
    assert alone == sorted(str(path) for path in tree.rglob("*") if path.is_file())
    for readers in (2, 5):
        found, walk = walked(tree, readers)
        assert found == alone
        assert (walk.cut, walk.lost) == ("", [])


@pytest.mark.usefixtures("small_parts")
def test_descriptors_may_have_large_numbers(tree: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    held = []
    try:
        # select(2) knows none above 1023.
        while not held or held[-1] < 1024:
            held.append(os.open(os.devnull, os.O_RDONLY))
        found, walk = walked(tree, 3)
    finally:
        for fd in held:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (found, walk.cut) == (walked(tree, 1)[0], "")


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("readers", [1, 3])
def test_programs_alone_are_told_by_their_mode_or_their_first_bytes(tree: Path, readers: int) -> None:
    found, _ = walked(tree, readers, programs_only=True)
    assert {os.path.basename(path) for path in found} == {"elf", "script", "tool"}
    assert len(found) == 3 * FOLDERS


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("readers", [1, 3])
def test_closed_folders_are_not_entered(tree: Path, readers: int) -> None:
    found, _ = walked(tree, readers, closed={str(tree / "3"): None, str(tree / "4"): "999:999"})
    assert {Path(path).relative_to(tree).parts[0] for path in found} == {"0", "1", "2", "4"}


def test_what_changed_after_the_end_is_not_found(tree: Path) -> None:
    assert walked(tree, 1, until_ns=HOUR_AGO * 10**9)[0] == []


@pytest.mark.usefixtures("small_parts")
def test_a_killed_reader_is_said_and_the_walk_goes_on(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Struck(ForkedReaders):
        def __init__(self, plan: Plan, count: int) -> None:
            super().__init__(plan, count)
            self.struck = False

        def hand_out(self, pending: list[str], programs_only: bool) -> None:
            if not self.struck and self.pids:
                self.struck = True
                os.kill(self.pids[0], signal.SIGSTOP)
                super().hand_out(pending, programs_only)
                os.kill(self.pids[0], signal.SIGKILL)
            else:
                super().hand_out(pending, programs_only)

    monkeypatch.setattr("tables.host.disk.tree_walk.ForkedReaders", Struck)
    whole, _ = walked(tree, 1)
    found, walk = walked(tree, 2)
    assert "a process that reads the disk ended (signal 9); not all was read below /" in walk.cut
    assert set(found) < set(whole)


@pytest.mark.usefixtures("small_parts")
def test_without_readers_left_this_process_reads_on(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_fork() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    whole, _ = walked(tree, 1)
    monkeypatch.setattr(os, "fork", no_fork)
    found, walk = walked(tree, 2)
    assert (found, walk.cut) == (whole, "")


@pytest.mark.usefixtures("small_parts")
def test_an_error_in_a_reader_is_said(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(forked_readers, "FolderReader", fail)
    _, walk = walked(tree, 2)
    assert "a process that reads the disk ended (status 1)" in walk.cut


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("readers", [1, 2])
def test_a_walk_that_must_stop_says_where(tree: Path, readers: int) -> None:
    parts: list[Part] = []
    walk = TreeWalk(Plan({}, REGULAR, HOUR_AGO), lambda: len(parts) > 2, readers)
    parts.extend(walk.below(str(tree)))
    assert walk.cut.startswith(f"stopped in {tree}")


@pytest.mark.usefixtures("small_parts")
def test_readers_are_gone_with_the_walk(tree: Path) -> None:
    parts = TreeWalk(Plan({}, REGULAR, HOUR_AGO), never, 3).below(str(tree))
    wait_until(lambda: next(parts) is not None and len(children(os.getpid())) >= 3, "three processes read")
    parts.close()  # type: ignore[attr-defined]
    assert children(os.getpid()) == []


def test_readers_die_with_their_parent(tree: Path) -> None:
    code = (
        "import sys, time; from tables.host.disk import forked_readers as f; from tables.host.disk.folder_reader import Plan\n"
        "readers = f.ForkedReaders(Plan({}, frozenset({'regular'}), 0), 2); print(*readers.pids, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        parent.kill()
        parent.wait()
    assert len(pids) == 2
    wait_until(lambda: not any(is_running(pid) for pid in pids), "the readers end with their parent")


@pytest.mark.usefixtures("small_parts")
def test_what_cannot_be_read_is_counted(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def refuse(path: Any, *arguments: Any, **options: Any) -> int:
        if str(path).startswith(str(tree / "2") + "/"):
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    for readers in (1, 2):
        _, walk = walked(tree, readers)
        assert walk.lost_count == FOLDERS // 5
        assert len(walk.lost) == folder_reader.MAX_LOST
        assert {why for _, why in walk.lost} == {"Permission denied"}


@pytest.mark.parametrize("readers", [1, 2])
def test_too_many_waiting_folders_are_said(tree: Path, monkeypatch: pytest.MonkeyPatch, readers: int, small_parts: None) -> None:
    for module in ("folder_reader", "tree_walk"):
        monkeypatch.setattr(f"tables.host.disk.{module}.MAX_PENDING", 3)
    _, walk = walked(tree, readers)
    assert "folders were waiting at " in walk.cut


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
