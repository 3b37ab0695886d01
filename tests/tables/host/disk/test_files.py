"""Reads stay below the root folder, never block, and say what they could not read."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest

from tables.host.disk.files import Files, Unreadable


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    (tmp_path / "outside").write_text("secret")
    root = tmp_path / "disk"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "real").write_text("inside")
    (root / "etc" / "absolute").symlink_to("/etc/real")
    (root / "etc" / "escape").symlink_to("../../outside")
    (root / "etc" / "loop").symlink_to("loop")
    (root / "link").symlink_to("/etc")
    return root


def test_links_are_resolved_inside_the_root_folder(disk: Path) -> None:
    files = Files(str(disk))
    assert files.read("/etc/absolute") == b"inside"
    assert files.read("/link/real") == files.read("/link/../etc/./real") == b"inside"
    assert files.names("/link") == ["absolute", "escape", "loop", "real"]
    assert stat.S_ISDIR(files.stat("/link").st_mode)
    assert stat.S_ISLNK(files.stat("/link", follow=False).st_mode)


@pytest.mark.parametrize("path", ["/etc/escape", "/../outside", "/etc/../../outside"])
def test_no_path_leaves_the_root_folder(disk: Path, path: str) -> None:
    with pytest.raises(Unreadable) as caught:
        Files(str(disk)).read(path)
    assert caught.value.is_missing


def test_a_link_loop_is_an_error_that_names_the_path(disk: Path) -> None:
    with pytest.raises(Unreadable, match="/etc/loop"):
        Files(str(disk)).read("/etc/loop")


def test_fifos_devices_folders_and_sockets_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/zero"), tmp_path):
        with pytest.raises(Unreadable, match="not a regular file"):
            Files().read(str(path))


def test_a_read_ends_at_its_limit_and_a_hash_gives_up_there(tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(b"x" * 200_000)
    assert len(Files().read(str(big), limit=70_000)) == 70_000
    assert Files().sha256(str(big)) == hashlib.sha256(b"x" * 200_000).hexdigest()
    assert Files().sha256(str(big), limit=100) is None


def test_bytes_that_are_no_utf8_survive(tmp_path: Path) -> None:
    (tmp_path / "odd").write_bytes(b"\xff\xfe")
    assert Files().read_text(str(tmp_path / "odd")).encode("utf-8", "surrogateescape") == b"\xff\xfe"


def test_missing_folders_are_empty_and_missing_files_are_said(tmp_path: Path) -> None:
    files = Files()
    assert files.names(str(tmp_path / "none")) == [] and not files.exists(str(tmp_path / "none"))
    with pytest.raises(Unreadable, match="none") as caught:
        files.stat(str(tmp_path / "none"))
    assert caught.value.is_missing
    (tmp_path / "dangling").symlink_to("nowhere")
    assert files.exists(str(tmp_path / "dangling"))


@pytest.mark.parametrize(("mode", "trusted"), [(0o600, True), (0o644, True), (0o646, False), (0o666, False), (0o622, False)])
def test_steering_files_that_others_may_write_are_refused(tmp_path: Path, mode: int, trusted: bool) -> None:
    file = tmp_path / "list.txt"
    file.write_text("x")
    file.chmod(mode)
    if trusted:
        assert Files().read_trusted(str(file)) == "x"
    else:
        with pytest.raises(Unreadable, match=r"refused: writable by others"):
            Files().read_trusted(str(file))


@pytest.mark.root
@pytest.mark.parametrize(("mode", "group", "trusted"), [(0o664, 0, True), (0o644, 12345, True), (0o664, 12345, False)])
def test_steering_files_that_a_foreign_group_may_write_are_refused(tmp_path: Path, mode: int, group: int, trusted: bool) -> None:
    file = tmp_path / "list.txt"
    file.write_text("x")
    os.chown(file, 0, group)
    file.chmod(mode)
    if trusted:
        assert Files().read_trusted(str(file)) == "x"
    else:
        with pytest.raises(Unreadable, match=r"list\.txt: refused: writable by others \(mode 0664; chmod go-w\)"):
            Files().read_trusted(str(file))


@pytest.mark.root
def test_steering_files_of_other_owners_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_text("x")
    os.chown(file, 12345, 0)
    with pytest.raises(Unreadable, match="refused: owned by uid 12345"):
        Files().read_trusted(str(file))


@pytest.mark.parametrize("root", ["/", "disk"])
@pytest.mark.parametrize("path", ["/etc/a\0b", "\0", "/\ud800", "/etc/\udc00\0"])
def test_text_that_can_be_no_path_is_a_missing_file(disk: Path, root: str, path: str) -> None:
    files = Files("/" if root == "/" else str(disk))
    for look in (files.read, files.stat, files.sha256, files.real_path):
        with pytest.raises(Unreadable) as error:
            look(path)
        assert error.value.is_missing
    assert not files.exists(path) and files.names(path) == []


def test_a_failure_names_the_file_once(disk: Path) -> None:
    with pytest.raises(Unreadable, match=r"^/etc/loop: [^/]+$"):
        Files(str(disk)).read("/etc/loop")
