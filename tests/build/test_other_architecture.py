"""The offline archive for another processor, run by an emulator of programs (qemu-user)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from build import debian, extension, offline, runtime
from tests.support.private_runtime import MACHINE, ON_DEBIAN, fetch_packages

OTHER = next(name for name in debian.ARCHITECTURES if name != MACHINE)
EMULATOR = f"qemu-{OTHER}-static"
# What it is made of is downloaded first: the others have no network.
pytestmark = [
    pytest.mark.alone,
    pytest.mark.root,
    ON_DEBIAN,
    pytest.mark.skipif(shutil.which(EMULATOR) is None, reason=f"no {EMULATOR} on PATH"),
]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("other")
    fetch_packages()
    (archive,) = offline.build(folder, extension.build(folder), [OTHER])
    with tarfile.open(archive) as packed:
        packed.extractall(folder)
    return folder / archive.name.partition(".")[0]


def run(unpacked: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Start minehunt as the archive's own launcher does, by the emulator."""
    home = unpacked / "runtime"
    loader = [EMULATOR, str(runtime.loader_of(home / "lib")), "--library-path", str(home / "lib")]
    command = [*loader, str(home / runtime.PYTHON), "-IS", "-B", str(unpacked / "program"), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_it_triages(unpacked: Path) -> None:
    done = run(unpacked, "triage", "--step", "1", "--step", "2", "--step", "13", "--format", "json", "--engine", "embedded")
    assert done.returncode in (0, 1), done.stderr
    report = json.loads(done.stdout)
    assert report["host"]["architecture"] == OTHER
    queries = [query for step in report["steps"] for query in step["queries"]]
    assert not [query for query in queries if query["error"]]
    assert {step["step"] for step in report["steps"]} == {1, 2, 13}
    (tree,) = (query for query in queries if query["name"] == "process_tree")
    assert str(os.getpid()) in {row["pid"] for row in tree["rows"]}


def test_it_lists_folders_by_the_kernels_own_number_of_the_call(unpacked: Path, tmp_path: Path) -> None:
    """Calls by number are others on each architecture (asm-generic/unistd.h, arch/x86/entry/syscalls)."""
    (tmp_path / "new").write_bytes(b"\x7fELF")
    sql = f"SELECT path, is_elf FROM recent_files WHERE root = '{tmp_path}' AND kind = 'regular'"
    done = run(unpacked, "query", "--engine", "embedded", "--format", "json", sql)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [{"path": f"{tmp_path}/new", "is_elf": "1"}]
