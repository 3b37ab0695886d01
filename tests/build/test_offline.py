"""What carries its own Python: the offline archive and the runtime package, in roots that have a shell and nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from build import debian, extension, offline, runtime_package
from build.deliver import BuildError
from tests.support.busybox import install_busybox, libraries
from tests.support.osquery_wire import Wire, wire_in_folder
from tests.support.private_runtime import MACHINE, ON_DEBIAN, fetch_packages

# What it is made of is downloaded first: the others have no network.
pytestmark = [pytest.mark.alone, ON_DEBIAN]
ENTER = """
for folder in proc sys dev; do mount --rbind /$folder "$0/$folder"; done
mount --bind "$0/media" "$0/media"; mount -o "remount,bind,$1" "$0/media"; shift
exec chroot "$0" "$@"
"""


@pytest.fixture(scope="module", autouse=True)
def one_architecture() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(debian, "ARCHITECTURES", {MACHINE: debian.ARCHITECTURES[MACHINE]})
        fetch_packages()
        yield


@pytest.fixture(scope="module")
def extension_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return extension.build(tmp_path_factory.mktemp("extension"))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, extension_file: Path) -> Path:
    return offline.build(tmp_path_factory.mktemp("offline"), extension_file)[0]


def make_root(folder: Path) -> Path:
    """A root folder with busybox, which is one static program, and an account."""
    if shutil.which("busybox") is None or libraries():
        pytest.skip("no static busybox on PATH (busybox-static)")
    for name in ("dev", "etc", "media", "proc", "sys", "tmp"):
        (folder / name).mkdir(parents=True)
    install_busybox(folder, "sh")
    # Where this machine has musl, it is the root's C library, as Alpine's.
    for loader in Path("/lib").glob("ld-musl-*"):
        (folder / "lib").mkdir(exist_ok=True)
        shutil.copy(loader, folder / "lib")
    (folder / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    # With glibc's own loader every program would say that this cannot be preloaded.
    (folder / "etc/ld.so.preload").write_text("/lib/no-such-library.so\n")
    return folder


def enter(root: Path, options: str, *command: str) -> subprocess.CompletedProcess[str]:
    argv = ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-ec", ENTER, str(root), options, *command]
    return subprocess.run(argv, capture_output=True, text=True)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, archive: Path) -> Path:
    folder = make_root(tmp_path_factory.mktemp("root") / "host")
    with tarfile.open(archive) as packed:
        packed.extractall(folder / "media")
    return folder


@pytest.mark.root
def test_a_host_with_a_shell_and_nothing_else_is_triaged_from_a_read_only_medium_without_a_network(root: Path) -> None:
    done = enter(root, "ro", f"/media/minehunt-triage-{MACHINE}/minehunt", "triage", "--format", "json")
    assert done.returncode in (0, 1), done.stderr
    report = json.loads(done.stdout)
    assert [step["step"] for step in report["steps"]] == list(range(1, 19))
    assert report["engine"]["name"] == "embedded"
    queries = [query for step in report["steps"] for query in step["queries"]]
    assert not [query for query in queries if query.get("error")]
    assert "ld.so" not in done.stderr and "Traceback" not in done.stderr


@pytest.mark.root
def test_a_medium_from_which_nothing_may_run_is_said_in_one_line(root: Path) -> None:
    done = enter(root, "ro,noexec", "/bin/sh", f"/media/minehunt-triage-{MACHINE}/minehunt", "triage")
    assert done.returncode == 2
    assert done.stdout == "" and done.stderr.count("\n") == 1 and "noexec" in done.stderr


def test_all_that_is_carried_comes_with_its_licence(archive: Path) -> None:
    with tarfile.open(archive) as packed:
        names = [name.partition("/")[2] for name in packed.getnames()]
        owners = {(entry.uname, entry.uid, entry.mode & 0o022) for entry in packed.getmembers()}
    assert owners == {("root", 0, 0)}
    licences = {name.split("/")[1] for name in names if name.startswith("licences/")}
    for package in debian.PACKAGES:
        # libpython3.11-* and python3.11-minimal link to each other's documents.
        assert f"debian-{package}" in licences or "python3.11" in package, package
    assert "debian-libpython3.11-minimal" in licences
    for distribution in (*offline._PACKAGES, *extension._CARRIED):
        assert distribution in licences, distribution
    assert {"LICENSE", "NOTICE", "README"} <= set(names)


def test_the_same_commit_gives_the_same_archive(archive: Path, extension_file: Path, tmp_path: Path) -> None:
    assert offline.build(tmp_path, extension_file)[0].read_bytes() == archive.read_bytes()


@pytest.fixture
def wire() -> Iterator[Wire]:
    with wire_in_folder() as wire:
        yield wire


@pytest.mark.root
def test_the_extension_serves_where_only_the_runtime_package_is_installed(
    extension_file: Path, wire: Wire, tmp_path: Path
) -> None:
    root = make_root(tmp_path / "host")
    for file in runtime_package.build(tmp_path):
        if file.suffix == ".deb":
            subprocess.run(["dpkg-deb", "--extract", str(file), str(root)], check=True)
        elif file.suffix == ".gz":
            with tarfile.open(file) as packed:
                packed.extractall(tmp_path / "unpacked")
        else:
            listed = subprocess.run(["rpm", "-qlp", str(file)], capture_output=True, text=True, check=True).stdout
            assert "/usr/lib/minehunt/runtime/python3\n" in listed
    compare = ["diff", "-r", str(root / "usr/lib/minehunt"), str(tmp_path / "unpacked/usr/lib/minehunt")]
    assert subprocess.run(compare, capture_output=True, text=True).stdout == ""
    shutil.copy(extension_file, root / "usr/lib/minehunt")
    inside = root / wire.folder.lstrip("/") if isinstance(wire.folder, str) else root / str(wire.folder).lstrip("/")
    inside.mkdir(parents=True)
    script = f'mount --rbind "{wire.folder}" "{inside}"\n{ENTER}'
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script, str(root), "ro"]
    wire.start(program=(*command, "/usr/lib/minehunt/minehunt.ext"))
    assert wire.query("SELECT table_name FROM minehunt_status")
    assert wire.query("SELECT pid FROM process_tree LIMIT 1")


def test_a_package_with_another_hash_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    entry = debian.locked(debian.ARCHITECTURES[MACHINE])[0]
    (tmp_path / f"{entry.name}_1_{entry.architecture}.deb").write_bytes(b"another")
    monkeypatch.setattr(debian, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(debian.Apt, "__init__", lambda apt, folder: None)
    monkeypatch.setattr(debian.Apt, "download", lambda apt, package: next(tmp_path.glob("*.deb")))
    with pytest.raises(BuildError, match=r"SHA-256 .*runtime\.lock"):
        debian.fetch([entry])
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize("line", ["libc6 2.36 amd64", "libc6 2.36 amd64 " + "0" * 63])
def test_a_line_that_locks_nothing_is_named(line: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "runtime.lock").write_text(f"# packages\n{line}\n")
    monkeypatch.setattr(debian, "LOCK", tmp_path / "runtime.lock")
    with pytest.raises(BuildError, match=r"runtime\.lock: line 2"):
        debian.locked("amd64")
