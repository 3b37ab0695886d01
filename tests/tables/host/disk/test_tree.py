"""No path leads out of a root folder, however links and folders are exchanged, with the kernel's help and without it."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tables.host.disk import tree
from tables.host.disk.files import Files, Unreadable
from tables.host.disk.tree import PATH, open_in_root, walk
from tests.support.namespaces import run_in_namespaces

READ = os.O_RDONLY | os.O_NONBLOCK


@pytest.fixture(params=["openat2", "walk"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A root folder with links of all kinds, and a file of the same name as one inside beside it."""
    if request.param == "walk":
        # A number that no kernel has a call for.
        monkeypatch.setattr(tree, "_OPENAT2", 100_000)
    inside = tmp_path / "root"
    (inside / "app").mkdir(parents=True)
    (inside / "data").mkdir()
    (inside / "data/c.json").write_text("inside")
    (tmp_path / "c.json").write_text("outside")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/c.json").write_text("outside")
    for name, target in {
        "app/abs.json": "/data/c.json",
        "app/rel.json": "../data/c.json",
        "app/up.json": "../../../../data/c.json",
        "app/loop": "loop",
        "app/folder": "/data",
        "host": str(tmp_path),
        "gone": "/nowhere",
    }.items():
        (inside / name).symlink_to(target)
    fd = os.open(inside, PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def read(root: int, path: str) -> str:
    fd = open_in_root(root, path, READ)
    try:
        return os.read(fd, 100).decode()
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    "path",
    ["/data/c.json", "data/c.json", "/app/abs.json", "/app/rel.json", "/app/up.json", "/../../data/c.json", "/app/folder/c.json"],
)
def test_links_are_followed_inside(root: int, path: str) -> None:
    assert read(root, path) == "inside"


@pytest.mark.parametrize(
    ("path", "code"),
    [("/app/loop", errno.ELOOP), ("/gone", errno.ENOENT), ("/host/c.json", errno.ENOENT), ("/data/c.json/x", errno.ENOTDIR)],
)
def test_what_is_not_there_is_the_error_of_open(root: int, path: str, code: int) -> None:
    with pytest.raises(OSError) as error:
        read(root, path)
    assert error.value.errno == code


def test_a_link_itself_can_be_looked_at(root: int) -> None:
    fd = open_in_root(root, "/app/abs.json", PATH, follow=False)
    assert os.readlink("", dir_fd=fd) == "/data/c.json"
    os.close(fd)
    with pytest.raises(OSError):
        open_in_root(root, "/app/abs.json", READ, follow=False)


def test_a_walk_tells_the_path_inside(root: int) -> None:
    found = walk(root, "/app/../app/abs.json")
    os.close(found.fd)
    assert found.path == "/data/c.json"


def test_descriptors_do_not_leak(root: int) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for path in ("/app/abs.json", "/app/loop", "/gone") * 3:
        with contextlib.suppress(OSError):
            os.close(open_in_root(root, path, READ))
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_exchange_of_folder_and_link_leads_nowhere_else(root: int, tmp_path: Path) -> None:
    files = Files(str(tmp_path / "root"))
    files._folder = os.dup(root)
    done = threading.Event()

    def exchange() -> None:
        inside = tmp_path / "root"
        while not done.is_set():
            os.rename(inside / "data", inside / "aside")
            os.symlink(tmp_path / "data", inside / "data")
            time.sleep(0.0001)
            os.unlink(inside / "data")
            os.rename(inside / "aside", inside / "data")
            time.sleep(0.0001)

    thread = threading.Thread(target=exchange)
    thread.start()
    seen = []
    end = time.monotonic() + 20
    try:
        while len(seen) < 1000 and time.monotonic() < end:
            with contextlib.suppress(Unreadable):
                seen.append(files.read_text("/data/c.json"))
    finally:
        done.set()
        thread.join()
        os.close(files._folder)
    assert set(seen) == {"inside"}


@pytest.mark.root
def test_a_miner_s_configuration_is_read_inside_its_root() -> None:
    config = '{"pools": [{"url": "NAME.example.org:3333", "user": "x", "algo": "rx/0"}], "donate-level": 1, "cpu": true}'
    body = f"""
    from tests.lab.programs import elf
    root = folder + "/root"
    for name in ("app", "srv"):
        os.makedirs(f"{{root}}/{{name}}")
    open(root + "/app/worker", "wb").write(elf(b"", False, 0))
    os.chmod(root + "/app/worker", 0o755)
    open(root + "/srv/c.json", "w").write({config.replace("NAME", "inside")!r})
    os.symlink("/srv/c.json", root + "/app/abs.json")
    # The host's own file of the name that the link has.
    mount("none", "/srv", "tmpfs", 0)
    open("/srv/c.json", "w").write({config.replace("NAME", "outside")!r})
    enter = lambda: (os.chroot(root), os.chdir("/"))
    process = start("worker", "-c", "/app/abs.json", executable="/app/worker", preexec_fn=enter)
    time.sleep(0.3)
    answer([process.pid, query("SELECT pid, pools FROM miner_configs")])
    """
    pid, rows = run_in_namespaces(body)
    (row,) = [row for row in rows if row["pid"] == str(pid)]
    assert "inside.example.org" in row["pools"] and "outside" not in row["pools"]
