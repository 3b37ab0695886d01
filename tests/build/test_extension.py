"""The one-file extension: what is in it, that it is the same every time, and that it works alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import pytest

import tables
from build import extension
from build.deliver import PACK, BuildError
from extension.pack.model import load_pack
from tests.support.osquery_wire import Wire, wire_in_folder

# What is built is downloaded first: the others have no network.
pytestmark = pytest.mark.alone
ALONE = ("/usr/bin/env", "-i")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return extension.build(tmp_path_factory.mktemp("dist"))


@pytest.fixture
def alone(built: Path) -> Iterator[Path]:
    """The file by itself in an empty folder that everybody may enter."""
    folder = Path(tempfile.mkdtemp(prefix="minehunt-ext-"))
    folder.chmod(0o755)
    yield Path(shutil.copy(built, folder))
    shutil.rmtree(folder)


@pytest.fixture
def wire() -> Iterator[Wire]:
    with wire_in_folder() as wire:
        yield wire


def names(file: Path) -> list[str]:
    with zipfile.ZipFile(file) as archive:
        return archive.namelist()


def test_it_is_a_script_that_isolates_itself_and_that_only_its_owner_may_change(built: Path) -> None:
    assert built.read_bytes().startswith(b"#!/bin/sh\npython=/usr/lib/minehunt/runtime/python3\n")
    assert b'\nexec $python -IS "$0" "$@"\nPK' in built.read_bytes()
    assert built.stat().st_mode & 0o777 == 0o755


def test_nothing_compiled_and_no_test_is_in_it(built: Path) -> None:
    found = names(built)
    files = [name for name in found if "/" in name and not name.startswith("licences/")]
    assert not [name for name in files if not name.endswith((".py", ".yaml", ".json", ".html", ".css", ".md", ".txt"))]
    assert not [name for name in found if name.startswith(("tests/", "build/")) or "/tests/" in name]
    with zipfile.ZipFile(built) as archive:
        assert not [name for name in found if archive.read(name).startswith((b"\x7fELF", b"MZ"))]


def _python(version: str) -> Optional[str]:
    """That version of Python on this machine; where there is pyenv, what lies on PATH is a script that may name none."""
    if "PYENV_ROOT" not in os.environ:
        return shutil.which(f"python{version}")
    found = Path(os.environ["PYENV_ROOT"], "versions").glob(f"{version}.*/bin/python{version}")
    return next(map(str, found), None)


@pytest.mark.root
@pytest.mark.parametrize("version", ["3.9", "3.13"])
def test_the_oldest_and_the_newest_python_that_fit_run_the_pack(alone: Path, wire: Wire, version: str) -> None:
    python = _python(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    wire.start(program=(*ALONE, python, "-IS", str(alone)))
    # What walks the disk walks it alike on all.
    asked = [query for query in load_pack(PACK).queries() if query.kind != "policy" and "recent_files" not in query.tables]
    answers = {query.name: wire.ask(query.sql).status for query in asked}
    assert {name: status.message for name, status in answers.items() if status.code} == {}


def test_every_dependency_comes_with_its_licence(built: Path) -> None:
    found = names(built)
    carried = {name.partition("/")[0] for name in found if "/" in name} - {"extension", "tables", "packs", "licences"}
    distributions = {"yaml": "pyyaml"}
    for package in carried:
        assert any(name.startswith(f"licences/{distributions.get(package, package)}/") for name in found), package
    assert {"LICENSE", "NOTICE"} <= set(found)


def test_the_same_commit_gives_the_same_bytes(built: Path, tmp_path: Path) -> None:
    assert extension.build(tmp_path).read_bytes() == built.read_bytes()


def test_the_date_of_its_files_can_be_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1600000000")
    with zipfile.ZipFile(extension.build(tmp_path)) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(2020, 9, 13, 12, 26, 40)}


def test_a_bad_date_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(BuildError, match="SOURCE_DATE_EPOCH"):
        extension.build(tmp_path)
    assert not list(tmp_path.iterdir())


def test_alone_it_serves_every_table_to_osquery(alone: Path, wire: Wire) -> None:
    wire.start(program=(*ALONE, str(alone)))
    assert set(wire.core.routes) == set(tables.discover())
    rows = wire.query("SELECT table_name FROM minehunt_status ORDER BY table_name")
    assert [row["table_name"] for row in rows] == sorted(tables.discover())
    for name in tables.discover():
        if name != "recent_files":
            wire.query(f"SELECT * FROM {name} LIMIT 1")
    wire.query(f"SELECT * FROM recent_files WHERE root = '{alone.parent}'")
    assert os.listdir(alone.parent) == [alone.name]


def test_alone_it_runs_the_triage_where_there_is_osquery(alone: Path, wire: Wire) -> None:
    command = [*ALONE, str(alone), "triage", "--socket", wire.socket, "--step", "11", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    assert '"engine": ' in done.stdout


@pytest.mark.parametrize("command", [["triage"], ["query", "SELECT 1"], ["pack", "check"]])
def test_without_osquery_it_says_what_is_missing(alone: Path, command: list[str]) -> None:
    done = subprocess.run([*ALONE, "PATH=/nonexistent", str(alone), *command], capture_output=True, text=True)
    assert done.returncode == 2
    assert "no osquery" in done.stderr and "apsw" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.root
def test_it_serves_from_a_read_only_folder_where_nothing_in_tmp_may_be_executed(alone: Path, wire: Wire) -> None:
    enter = (
        "mount --bind /tmp /tmp; mount -o remount,bind,noexec /tmp; "
        'mount --bind "$0" "$0"; mount -o remount,bind,ro,exec "$0"; exec env -i "$0/minehunt.ext" "$@"'
    )
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", enter, str(alone.parent)]
    wire.start(program=command)
    assert len(wire.query("SELECT table_name FROM minehunt_status")) == len(tables.modules())
    wire.query("SELECT * FROM scheduled_jobs")


@pytest.mark.root
def test_started_by_an_ordinary_user_it_says_why_it_cannot_serve(alone: Path, wire: Wire) -> None:
    os.chmod(wire.folder, 0o755)
    command = ["setpriv", "--reuid=65534", "--clear-groups", str(alone), "--socket", wire.socket, "--timeout", "1"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert done.stderr.strip() and "Traceback" not in done.stderr
