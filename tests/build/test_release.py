"""A release is refused for a tree that its tag would not name; else it is built and tagged."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from build import release
from build.deliver import BuildError


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout in which only the builders are left out."""
    monkeypatch.setattr(release, "ROOT", tmp_path)
    monkeypatch.setattr("build.release.dist.build", built)
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "test@example.org")
    (tmp_path / "CHANGELOG.md").write_text(
        f"# Changelog\n\n## {release.__version__} (2026-11-29)\n\n- Mends.\n\n## 0.0.1 (2026-01-01)\n"
    )
    (tmp_path / ".gitignore").write_text("dist/\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def built(folder: Path, left_out: str = "") -> str:
    folder.mkdir()
    return left_out


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout


def test_it_builds_and_tags_with_the_notes_of_this_version(tree: Path) -> None:
    assert release.release() == release.TAG
    assert (tree / "dist").is_dir()
    notes = git(tree, "tag", "-l", "--format=%(contents)", release.TAG)
    assert "- Mends." in notes and "0.0.1" not in notes
    with pytest.raises(BuildError, match="exists"):
        release.release()


def test_one_without_the_offline_archives_is_none(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("build.release.dist.build", lambda folder: built(folder, "apt has no such version"))
    with pytest.raises(BuildError, match="no such version"):
        release.release()
    assert not git(tree, "tag")


def test_an_unclean_tree_is_refused(tree: Path) -> None:
    (tree / "new").touch()
    with pytest.raises(BuildError, match="not committed"):
        release.release()
    assert not git(tree, "tag")


def test_a_version_without_dated_notes_is_refused(tree: Path) -> None:
    (tree / "CHANGELOG.md").write_text(f"## {release.__version__} (unreleased)\n")
    git(tree, "commit", "-qam", "undated")
    with pytest.raises(BuildError, match="CHANGELOG"):
        release.release()
    assert not git(tree, "tag") and not (tree / "dist").exists()
