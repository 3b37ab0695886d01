from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import pytest

from tables.host.disk import kept_walks
from tables.host.disk.folder_reader import FolderReader, Plan
from tables.host.disk.kept_walks import KeptWalks
from tables.host.disk.tree_walk import TreeWalk

REGULAR = frozenset({"regular"})
ELF = b"\x7fELF" + bytes(60)


def never() -> bool:
    return False


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("usr/bin/a", "usr/lib/deep/b", "tmp/c", "tmp/.x/d", "etc/e", "f"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(ELF)
        path.with_name(f"{path.name}.txt").write_bytes(b"text")
    return tmp_path


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each folder was read."""
    counted: Counter[str] = Counter()
    real = FolderReader._listings

    def count(self: FolderReader, fd: int, prefix: str) -> Iterator[None]:
        counted[prefix] += 1
        return real(self, fd, prefix)

    monkeypatch.setattr(FolderReader, "_listings", count)
    return counted


class Asker:
    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self.kept = KeptWalks()
        self.walk: Optional[TreeWalk] = None

    def ask(self, folder: str, days: int = 2, programs_only: bool = False, closed: tuple[str, ...] = ()) -> set[str]:
        here = str(self.tree / folder) if folder else str(self.tree)
        since = int(time.time()) - days * 86400
        plan = Plan({str(self.tree / one): None for one in closed}, REGULAR, since)
        files, self.walk = self.kept.walk(here, plan, programs_only, never, 1)
        return {str(Path(file.path).relative_to(self.tree)) for file in files}


def below(tree: Path, folder: str, programs_only: bool) -> set[str]:
    found = (path for path in (tree / folder).rglob("*") if path.is_file())
    return {str(path.relative_to(tree)) for path in found if not (programs_only and path.suffix)}


QUESTIONS = (("usr", 7, True), ("tmp", 7, False), ("", 2, True), ("usr/lib", 7, False), ("etc", 1, True))


@pytest.mark.parametrize("order", list(itertools.permutations(QUESTIONS))[::5])
def test_each_folder_is_read_once_in_whatever_order_one_asks(
    tree: Path, listed: Counter[str], order: tuple[tuple[str, int, bool], ...]
) -> None:
    asker = Asker(tree)
    for folder, days, programs_only in order:
        assert asker.ask(folder, days, programs_only) == below(tree, folder, programs_only)
    assert set(listed.values()) == {1}
    assert len(listed) == 8


def test_a_walk_that_closed_other_folders_does_not_serve(tree: Path, listed: Counter[str]) -> None:
    asker = Asker(tree)
    assert "tmp/c" not in asker.ask("", closed=("tmp",))
    assert "tmp/c" in asker.ask("tmp")
    assert "usr/bin/a" in asker.ask("usr")
    assert "usr/lib/deep/b" not in asker.ask("usr", closed=("usr/lib/deep",))
    assert listed[f"{tree}/usr/bin/"] == 2
    assert listed[f"{tree}/usr/lib/deep/"] == 1


def test_a_part_that_closed_other_folders_is_read_again(tree: Path, listed: Counter[str]) -> None:
    asker = Asker(tree)
    asker.ask("usr", closed=("usr/lib",))
    assert "usr/lib/deep/b" in asker.ask("")
    assert listed[f"{tree}/usr/bin/"] == 2


def test_a_longer_span_of_time_is_walked_for(tree: Path, listed: Counter[str]) -> None:
    asker = Asker(tree)
    asker.ask("usr", 7)
    asker.ask("usr", 8)
    asker.ask("usr", 8)
    assert listed[f"{tree}/usr/bin/"] == 2


def test_what_is_too_old_is_walked_for_again(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asker = Asker(tree)
    asker.ask("tmp")
    (tree / "tmp/new").write_bytes(ELF)
    assert "tmp/new" not in asker.ask("tmp")
    monkeypatch.setattr(kept_walks, "_KEPT_SECONDS", 0.0)
    assert "tmp/new" in asker.ask("tmp")


@pytest.mark.parametrize(("most", "most_other"), [(0, 0), (0, 9000), (9000, 0), (900, 300)])
def test_what_would_take_too_much_memory_is_not_kept_but_answered(
    tree: Path, monkeypatch: pytest.MonkeyPatch, most: int, most_other: int
) -> None:
    monkeypatch.setattr(kept_walks, "_MOST_BYTES", most)
    monkeypatch.setattr(kept_walks, "_MOST_OTHER_BYTES", most_other)
    asker = Asker(tree)
    for _ in range(2):
        for folder, programs_only in (("", True), ("usr", True), ("usr", False), ("tmp", False), ("", False)):
            assert asker.ask(folder, 2, programs_only) == below(tree, folder, programs_only)
    for walked in asker.kept._kept:
        assert walked.size <= most
        assert walked.others is None or walked.other_size <= most_other


def test_a_part_still_serves_where_the_whole_has_too_many_files(
    tree: Path, listed: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_walks, "_MOST_OTHER_BYTES", 500)
    asker = Asker(tree)
    for folder, programs_only in (("tmp", False), ("", True), ("tmp", False), ("usr", True)):
        assert asker.ask(folder, 2, programs_only) == below(tree, folder, programs_only)
    assert set(listed.values()) == {1}
    assert [walked.others is None for walked in asker.kept._kept] == [False, True]


def test_what_could_not_be_read_is_said_of_what_it_lies_below(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = FolderReader._listings

    def refuse(self: FolderReader, fd: int, prefix: str) -> Iterator[None]:
        if prefix.endswith("/.x/"):
            raise PermissionError(13, "Permission denied")
        return real(self, fd, prefix)

    monkeypatch.setattr(FolderReader, "_listings", refuse)
    asker = Asker(tree)
    lost = [(str(tree / "tmp/.x"), "Permission denied")]
    for folder, expected in (("tmp", lost), ("", lost), ("tmp", lost), ("usr", [])):
        asker.ask(folder)
        assert asker.walk is not None
        assert (asker.walk.lost, asker.walk.lost_count) == (expected, len(expected))


def test_a_cut_walk_is_not_kept(tree: Path, listed: Counter[str]) -> None:
    kept = KeptWalks()
    plan = Plan({}, REGULAR, 0)
    files, walk = kept.walk(str(tree), plan, False, lambda: True, 1)
    assert list(files) == []
    assert walk.cut
    files, walk = kept.walk(str(tree), plan, False, never, 1)
    assert len(list(files)) == 12
