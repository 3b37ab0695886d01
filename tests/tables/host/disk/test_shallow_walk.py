"""The walk goes only so deep and so far, and never through a link or a remote file system."""

from __future__ import annotations

import os
from pathlib import Path

from tables.host.disk.files import Files
from tables.host.disk.shallow_walk import Walk


def walked(root: Path, depth: int, max_entries: int = 100, remote: str = "") -> tuple[set[str], str]:
    walk = Walk(Files("/"), max_entries, lambda path: path == remote)
    return {
        found.path[len(str(root)) + 1 :] for found in walk.below(str(root), depth, lambda path: not path.endswith(".no"))
    }, walk.cut


def test_depth_links_and_other_kinds_of_files(tmp_path: Path) -> None:
    for name in ("a", "b.no", ".x/c", ".x/y/d"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(tmp_path / ".x" / "y")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert walked(tmp_path, 0) == ({"a"}, "")
    assert walked(tmp_path, 1) == ({"a", ".x/c"}, "")
    assert walked(tmp_path, 5) == ({"a", ".x/c", ".x/y/d"}, "")
    assert walked(tmp_path, 5, remote=str(tmp_path / ".x")) == ({"a"}, "")
    assert walked(tmp_path / "missing", 5) == (set(), "")


def test_the_bound_counts_for_each_place_and_says_where_it_was_met(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        for number in range(5):
            (tmp_path / folder / str(number)).write_text("x")
    walk = Walk(Files("/"), 3, lambda path: False)
    counts = [len(list(walk.below(str(tmp_path / folder), 0, lambda path: True))) for folder in ("one", "two")]
    assert counts == [3, 3]
    assert walk.cut == str(tmp_path / "one")
