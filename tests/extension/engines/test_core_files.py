"""The core tables about files: file, hash, suid_bin, and what `path LIKE` finds."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from extension.engines import EngineError
from extension.engines.core.files import file_name, parent_folder
from extension.engines.core.reading import READ_MAX, split
from extension.engines.embedded import EmbeddedEngine
from tables.host import Host
from tests.support.core_tables import PlantedHost


@pytest.fixture
def planted(tmp_path: Path) -> PlantedHost:
    return PlantedHost(tmp_path)


@pytest.fixture(scope="module")
def live() -> EmbeddedEngine:
    return EmbeddedEngine(Host())


def paths(host: PlantedHost, pattern: str, table: str = "file") -> set[str]:
    return {row["path"] for row in host.query(f"SELECT path FROM {table} WHERE path LIKE '{pattern}'")}


def test_file_agrees_with_stat(live: EmbeddedEngine) -> None:
    (row,) = live.query("SELECT * FROM file WHERE path='/etc/passwd'")
    told = subprocess.run(
        ["stat", "-c", "%i %u %g %04a %s %o %Y %Z %h", "/etc/passwd"], capture_output=True, text=True, check=True
    ).stdout.split()
    names = ("inode", "uid", "gid", "mode", "size", "block_size", "mtime", "ctime", "hard_links")
    assert [row[name] for name in names] == told
    assert row["path"] == "/etc/passwd" and row["directory"] == "/etc" and row["filename"] == "passwd"
    # As recorded from osquery 5.23: no birth time on Linux, and the device number is that of a device file.
    assert (row["btime"], row["device"], row["symlink"], row["symlink_target_path"]) == ("0", "0", "0", "")
    assert row["type"] == "regular"


def test_a_link_shows_its_target(live: EmbeddedEngine) -> None:
    (row,) = live.query("SELECT * FROM file WHERE path='/proc/self'")
    assert row["symlink_target_path"].isdigit()
    # As recorded: the numbers are those of the folder that the link leads to.
    assert (row["type"], row["symlink"], row["mode"], row["size"]) == ("directory", "1", "0555", "0")


def test_device_number_and_types(planted: PlantedHost) -> None:
    planted.path("/t").mkdir()
    planted.plant("/t/plain", "x", 0o4755)
    os.mkfifo(planted.path("/t/fifo"))
    planted.path("/t/gone").symlink_to("nowhere")
    planted.path("/t/loop").symlink_to("loop")
    planted.path("/t/link").symlink_to("/t/plain")
    os.mknod(planted.path("/t/sock"), stat.S_IFSOCK | 0o600)
    rows = {row["filename"]: row for row in planted.query("SELECT * FROM file WHERE directory = '/t'")}
    assert {name: row["type"] for name, row in rows.items()} == {
        "plain": "regular", "fifo": "fifo", "gone": "unknown", "loop": "error", "link": "regular", "sock": "socket",
    }  # fmt: skip
    assert rows["plain"]["mode"] == "4755"
    assert (rows["link"]["symlink_target_path"], rows["link"]["size"]) == ("/t/plain", "1")
    (null,) = EmbeddedEngine(Host()).query("SELECT device, type FROM file WHERE path = '/dev/null'")
    assert null == {"device": str(os.makedev(1, 3)), "type": "character"}


def test_a_path_or_directory_is_required(live: EmbeddedEngine) -> None:
    for table in ("file", "hash"):
        with pytest.raises(EngineError, match=f"Table {table} was queried without a required column"):
            live.query(f"SELECT * FROM {table}")
    assert live.query("SELECT * FROM file WHERE path = '/no/such/file'") == []


@pytest.fixture
def tree(planted: PlantedHost) -> PlantedHost:
    for path in ("/d/a.sh", "/d/.hidden", "/d/sub/.deep", "/d/sub/b.sh", "/d/.cache/c", "/d/it's", "/d/x_y", "/d/xzy"):
        planted.plant(path, path)
    planted.path("/d/to-sub").symlink_to("sub")
    planted.path("/d/sub/up").symlink_to("..")
    return planted


def test_directory_includes_dotfiles(tree: PlantedHost) -> None:
    found = {row["path"] for row in tree.query("SELECT path FROM file WHERE directory = '/d'")}
    assert found == {"/d/a.sh", "/d/.hidden", "/d/sub", "/d/.cache", "/d/it's", "/d/x_y", "/d/xzy", "/d/to-sub"}
    assert tree.query("SELECT path, directory FROM file WHERE directory = '/d/.cache/'") == [
        {"path": "/d/.cache/c", "directory": "/d/.cache/"}
    ]


def test_like_is_a_shell_pattern(tree: PlantedHost) -> None:
    assert paths(tree, "/d/%") == {"/d/a.sh", "/d/sub/", "/d/it's", "/d/x_y", "/d/xzy", "/d/to-sub/"}
    assert paths(tree, "/d/.%") == {"/d/./", "/d/../", "/d/.hidden", "/d/.cache/"}
    assert paths(tree, "/d/%.sh") == {"/d/a.sh"}
    assert paths(tree, "/%/sub/%.sh") == {"/d/sub/b.sh"}
    assert paths(tree, "/d/%/b.sh") == {"/d/sub/b.sh", "/d/to-sub/b.sh"}
    assert paths(tree, "/d/a.sh") == {"/d/a.sh"}
    assert paths(tree, "/d/x_y") == {"/d/x_y"}
    assert paths(tree, "/d/%/") == {"/d/sub/", "/d/to-sub/"}
    assert paths(tree, "/none/%") == paths(tree, "/d/a.sh/%") == set()


def test_double_percent_goes_below(tree: PlantedHost) -> None:
    found = paths(tree, "/d/%%")
    # Dotfiles only below the first level; the link back up is listed, and what it leads to once.
    assert "/d/sub/.deep" in found and "/d/sub/up/" in found and "/d/.hidden" not in found
    assert sum(path.endswith("/.deep") for path in found) == 1
    # /d is reached again through sub/up, as a folder not yet seen.
    assert "/d/sub/up/.hidden" in found


def test_a_folder_found_by_pattern_has_a_dot_for_its_name(tree: PlantedHost) -> None:
    (row,) = tree.query("SELECT path, directory, filename FROM file WHERE path LIKE '/d/su%'")
    assert row == {"path": "/d/sub/", "directory": "/d/sub", "filename": "."}


def test_directory_like_and_in_lists(tree: PlantedHost) -> None:
    rows = tree.query("SELECT path, directory FROM file WHERE directory LIKE '/d/s%'")
    assert {(row["path"], row["directory"]) for row in rows} == {
        ("/d/sub/.deep", "/d/sub/"), ("/d/sub/b.sh", "/d/sub/"), ("/d/sub/up", "/d/sub/")
    }  # fmt: skip
    assert len(tree.query("SELECT 1 FROM file WHERE path IN ('/d/a.sh', '/d/xzy', '/d/none')")) == 2


def test_a_link_does_not_leave_the_root(planted: PlantedHost) -> None:
    planted.path("/etc/out").symlink_to("/etc/passwd")
    planted.path("/etc/up").symlink_to("../../../../../../../../etc/passwd")
    size = str(planted.path("/etc/passwd").stat().st_size)
    assert [row["size"] for row in planted.query("SELECT size FROM file WHERE path IN ('/etc/out', '/etc/up')")] == [size, size]


def test_hash_as_recorded(planted: PlantedHost) -> None:
    planted.plant("/etc/debian_version", "12.11\n")
    assert planted.query("SELECT path, sha256, md5 FROM hash WHERE path='/etc/debian_version'") == [
        {"path": "/etc/debian_version", "md5": "8031d1483ffa9c819e6be94c6c77fd2a",
         "sha256": "f185f08f3d73e2132ff373d55bd6cf50497c760fb117de86f5bf006825649ef3"}
    ]  # fmt: skip


def test_hash_agrees_with_coreutils(live: EmbeddedEngine) -> None:
    for column in ("md5", "sha1", "sha256"):
        told = subprocess.run([f"{column}sum", "/bin/sh"], capture_output=True, text=True, check=True).stdout.split()[0]
        assert live.query(f"SELECT {column} FROM hash WHERE path = '/bin/sh'") == [{column: told}]


def test_hash_of_a_deleted_program(tmp_path: Path, live: EmbeddedEngine) -> None:
    program = tmp_path / "gone"
    shutil.copy2("/bin/sleep", program)
    expected = hashlib.sha256(program.read_bytes()).hexdigest()
    with subprocess.Popen([program, "60"]) as process:
        try:
            program.unlink()
            (row,) = live.query(f"SELECT sha256 FROM hash WHERE path = '/proc/{process.pid}/exe'")
        finally:
            process.kill()
    assert row["sha256"] == expected


def test_hash_limits(tree: PlantedHost) -> None:
    os.mkfifo(tree.path("/d/fifo"))
    with tree.path("/d/sub/huge").open("wb") as huge:
        huge.truncate(READ_MAX + 1)
    rows = {row["path"]: row["sha256"] for row in tree.query("SELECT * FROM hash WHERE directory IN ('/d', '/d/sub')")}
    assert rows["/d/sub/huge"] == ""
    assert rows["/d/a.sh"] == hashlib.sha256(b"/d/a.sh").hexdigest()
    assert "/d/fifo" not in rows and "/d/sub" not in rows
    assert "/d/sub/huge" in tree.gaps("hash")
    assert paths(tree, "/d/%.sh", "hash") == {"/d/a.sh"}


def test_hash_follows_a_change_that_keeps_the_mtime(planted: PlantedHost) -> None:
    path = planted.plant("/f", "before")
    first = planted.query("SELECT md5, sha256 FROM hash WHERE path = '/f'")
    kept = path.stat()
    path.write_bytes(b"after!")
    os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    assert planted.query("SELECT md5, sha256 FROM hash WHERE path = '/f'") != first


def test_suid_bin(planted: PlantedHost) -> None:
    planted.plant("/usr/bin/both", "", 0o6755)
    planted.plant("/usr/bin/plain", "", 0o755)
    planted.plant("/tmp/.x/deep/s", "", 0o4755)
    planted.plant("/opt/unseen", "", 0o4755)
    planted.path("/bin").symlink_to("usr/bin")
    planted.path("/usr/bin/link").symlink_to("both")
    planted.path("/tmp/loop").symlink_to(".")
    owner, group = os.getuid(), os.getgid()
    planted.plant("/etc/passwd", f"me:x:{owner}:{group}::/:\n")
    planted.plant("/etc/group", "")
    rows = planted.query("SELECT * FROM suid_bin")
    expected = {"username": "me", "groupname": str(group), "permissions": "SG"}
    assert {row["path"]: row["permissions"] for row in rows} == {
        "/bin/both": "SG", "/bin/link": "SG", "/usr/bin/both": "SG", "/usr/bin/link": "SG", "/tmp/.x/deep/s": "S",
    }  # fmt: skip
    assert {"path": "/usr/bin/both", **expected} in rows


def test_live_suid_bin_agrees_with_find(live: EmbeddedEngine) -> None:
    found = subprocess.run(
        ["find", "/usr/bin/", "/usr/sbin/", "-type", "f", "-perm", "/6000"], capture_output=True, text=True, check=False
    ).stdout.split()
    listed = {row["path"] for row in live.query("SELECT path FROM suid_bin")}
    assert found and set(found) <= listed


@pytest.mark.parametrize(
    ("path", "name", "parent"),
    [("/a/b", "b", "/a"), ("/a", "a", "/"), ("/", "/", ""), ("/a/", ".", "/a"), ("/a//b", "b", "/a"), ("a", "a", "")],
)
def test_path_parts(path: str, name: str, parent: str) -> None:
    assert (file_name(path), parent_folder(path)) == (name, parent)


@given(st.text("/.a%*[\\{~_?\n\0é", max_size=12))
@example("/?/.%")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_any_pattern_is_answered(tree_host: PlantedHost, pattern: str) -> None:
    quoted = pattern.replace("'", "''").replace("\0", "")
    for row in tree_host.query(f"SELECT path FROM file WHERE path LIKE '{quoted}' LIMIT 50"):
        assert tree_host.path(row["path"].replace("\\x0A", "\n")).exists()


@pytest.fixture(scope="module")
def tree_host(tmp_path_factory: pytest.TempPathFactory) -> PlantedHost:
    host = PlantedHost(tmp_path_factory.mktemp("tree"))
    for path in ("/a/a", "/a/.a/a", "/a/%", "/a/a\na", "/.a/é", "/_/a*"):
        host.plant(path, "")
    return host


@given(st.text(" \t\n:=ab\v"), st.sampled_from(["\n", " \t", ":", "="]))
def test_split_never_loses_text(text: str, delimiters: str) -> None:
    pieces = split(text, delimiters)
    kept = [char for char in text if char not in delimiters and not char.isspace()]
    assert [char for piece in pieces for char in piece if not char.isspace()] == kept
    assert not any(set(piece) & set(delimiters) for piece in pieces)
