"""Files written whole or not at all, for their owner only, and never in place of something else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from extension import private_file


def test_a_file_is_replaced_whole_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    path.chmod(0o644)
    private_file.write(path, "报告\n")
    assert path.read_text() == "报告\n" and path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["report.html"]


def test_checking_leaves_what_is_there_alone(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    private_file.check(path)
    assert os.listdir(tmp_path) == []
    path.write_text("old")
    private_file.check(path)
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["report.html"]


@pytest.mark.parametrize("step", [private_file.check, lambda path: private_file.write(path, "x")])
def test_devices_pipes_and_folders_are_refused(tmp_path: Path, step: object) -> None:
    (tmp_path / "link").symlink_to("/dev/null")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    before = sorted(os.listdir(tmp_path))
    for name in ("link", "folder", "pipe"):
        with pytest.raises(FileExistsError, match="no regular file"):
            step(tmp_path / name)  # type: ignore[operator]
    with pytest.raises(FileExistsError):
        step(Path("/dev/null"))  # type: ignore[operator]
    with pytest.raises(FileNotFoundError):
        step(tmp_path / "no" / "folder")  # type: ignore[operator]
    assert sorted(os.listdir(tmp_path)) == before


def test_a_link_is_replaced_not_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("precious")
    link.symlink_to(target)
    private_file.check(link)
    private_file.write(link, "report")
    assert target.read_text() == "precious" and not link.is_symlink() and link.read_text() == "report"


def test_what_cannot_be_written_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        private_file.write(path, "new \ud800")
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["report.html"]
