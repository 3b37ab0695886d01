"""The osquery engine gives the same answers over the wire as the embedded engine, and cleans up after itself."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from extension.engines import EngineError
from extension.engines.embedded import EmbeddedEngine
from extension.engines.osquery import OsqueryEngine, find_osquery
from extension.pack.model import load_pack, shipped_pack
from extension.triage import run_triage
from tables import discover
from tables.host import Host
from tables.host.settings import Settings
from tests.support.core import Core
from tests.support.stand_in_osqueryd import write_program

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def folder() -> Iterator[Path]:
    # pytest's own folders are too long for a unix socket's path.
    path = Path(tempfile.mkdtemp(prefix="mh-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def core(folder: Path) -> Iterator[Core]:
    core = Core(str(folder / "osquery.em"))
    core.start()
    yield core
    core.stop()


def test_the_whole_pack_answers_over_the_wire_as_in_process(core: Core) -> None:
    engine = OsqueryEngine.attach(core.path, Settings())
    try:
        wired = run_triage(load_pack(shipped_pack()), engine)
    finally:
        engine.close()
    embedded = run_triage(load_pack(shipped_pack()), EmbeddedEngine(Host()))
    assert wired.engine_name == "osquery" and wired.errors == 0
    # What osquery's own tables could not see, osquery does not tell.
    judged = {
        (step.step.step, query.query.name): query.status
        for step in embedded.steps
        for query in step.queries
        if not any(gap.table not in discover() for gap in query.gaps)
    }
    found = {(step.step.step, query.query.name): query.status for step in wired.steps for query in step.queries}
    assert len(judged) > 150 and {name: found[name] for name in judged} == judged


def test_the_extension_it_started_ends_with_it(core: Core) -> None:
    engine = OsqueryEngine.attach(core.path, Settings())
    (extension,) = engine._processes
    assert engine.query("SELECT count(*) AS n FROM minehunt_status")[0]["n"] != "0"
    engine.close()
    assert extension.returncode == 0
    assert os.listdir(Path(core.path).parent) == ["osquery.em"]


def test_a_loaded_extension_is_used_and_left_alone(core: Core) -> None:
    first = OsqueryEngine.attach(core.path, Settings())
    second = OsqueryEngine.attach(core.path, Settings())
    assert second._processes == []
    second.close()
    assert first.query("SELECT 1 AS a FROM process_census") == [{"a": "1"}]
    first.close()


def test_an_error_in_sql_is_a_message(core: Core) -> None:
    engine = OsqueryEngine.attach(core.path, Settings())
    try:
        with pytest.raises(EngineError, match="no such table: no_such_table"):
            engine.query("SELECT * FROM no_such_table")
    finally:
        engine.close()


def test_triage_on_osquery_tells_what_each_query_lacked(core: Core) -> None:
    engine = OsqueryEngine.attach(core.path, Settings())
    try:
        with pytest.raises(EngineError, match="/no/such"):
            engine.query("SELECT path FROM recent_files WHERE root = '/no/such'")
        (row,) = engine.query("SELECT kind, why, question FROM minehunt_gaps WHERE table_name = 'recent_files'")
        assert row["kind"] == "error" and row["question"] == "root = /no/such" and "/no/such" in row["why"]
        result = run_triage(load_pack(shipped_pack()), engine, steps=[14])
        # What was lacking before it began is no part of it.
        assert not any(spot.table == "recent_files" for spot in result.blind_spots)
    finally:
        engine.close()


def test_no_osquery_at_the_socket_is_a_message(folder: Path) -> None:
    with pytest.raises(EngineError, match=r"none\.em"):
        OsqueryEngine.attach(str(folder / "none.em"), Settings())


def executable(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_a_private_osquery_is_started_used_ended_and_its_folder_removed(folder: Path) -> None:
    program = write_program(str(folder / "osqueryd"))
    engine = OsqueryEngine.start(program, Settings())
    work = Path(engine._core.path).parent
    processes = list(engine._processes)
    assert len(engine.query("SELECT * FROM process_census")) == 1
    engine.close()
    assert all(process.returncode is not None for process in processes)
    assert not work.exists()


def test_a_program_that_fails_to_start_is_a_message_and_leaves_nothing(folder: Path) -> None:
    before = set(os.listdir(tempfile.gettempdir()))
    with pytest.raises(EngineError, match="could not be started"):
        OsqueryEngine.start(executable(folder / "osqueryd", "#!/bin/sh\nexit 3\n"), Settings())
    left = {name for name in set(os.listdir(tempfile.gettempdir())) - before if name.startswith("minehunt-")}
    assert not left


def test_osquery_is_found_on_the_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = executable(folder / "osqueryi", "#!/bin/sh\n")
    monkeypatch.setenv("PATH", str(folder))
    assert find_osquery() in (program, *filter(None, [shutil.which("osqueryd", path="/opt/osquery/bin")]))


@pytest.mark.osquery
def test_a_real_osquery_gives_the_same_verdicts() -> None:
    program = find_osquery()
    assert program is not None
    engine = OsqueryEngine.start(program, Settings())
    try:
        result = run_triage(load_pack(shipped_pack()), engine)
    finally:
        engine.close()
    assert result.errors == 0 and result.findings == 0
