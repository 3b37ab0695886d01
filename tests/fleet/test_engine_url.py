"""A database by its URL gives the answers that files give."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from extension.fleet.duck_files import DuckFiles
from extension.fleet.fleet_view import look
from extension.fleet.ibis_engine import IbisEngine
from extension.fleet.names import Names
from extension.fleet.open_engine import EngineRefusedError, open_engine
from extension.fleet.report.document import Document, document
from extension.fleet.sources import TABLE, Source, discover
from tests.fleet.simulate import SAMPLE


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, names: Names) -> tuple[Path, Document]:
    """A database with the sample's results as a warehouse has them, and the report on the sample's files."""
    path = tmp_path_factory.mktemp("database") / "warehouse.duckdb"
    results = DuckFiles(names)
    try:
        loaded = results.load(discover([str(SAMPLE)])[0])
        report = document(look(results.ready(), names), loaded)
        results.run(f"ATTACH '{path}' AS warehouse")
        results.run("""
            CREATE TABLE warehouse.osquery_results AS
            SELECT host::VARCHAR AS host, query::VARCHAR AS query, epoch, counter, unix_time, action::VARCHAR AS action,
                row_key::VARCHAR AS row_key, from_json(row_json, '"MAP(VARCHAR, VARCHAR)"') AS columns
            FROM told JOIN numbered USING (number) JOIN owners USING (sender) LEFT JOIN contents USING (number, row_key)""")
        results.run("DETACH warehouse")
    finally:
        results.close()
    return path, report


def test_the_campaigns_are_those_of_the_files(told: tuple[Path, Document], names: Names) -> None:
    engine = open_engine(f"duckdb://{told[0]}", names, "1GB")
    assert isinstance(engine, IbisEngine)
    try:
        loaded = engine.load([Source("osquery_results", TABLE, "", 0)])
        report = document(look(engine.ready(), names), loaded)
    finally:
        engine.close()
    assert [sorted(host["key"] for host in one["hosts"]) for one in report["campaigns"]] == [
        sorted(host["key"] for host in one["hosts"]) for one in told[1]["campaigns"]
    ]
    for name in ("hosts", "compromised", "incidents"):
        assert report["summary"][name] == told[1]["summary"][name]
    tables = duckdb.connect(str(told[0])).execute("SELECT table_name FROM duckdb_tables()").fetchall()
    assert tables == [("osquery_results",)], "nothing is left there"


def test_what_cannot_be_read_is_told_in_one_line_without_secrets(told: tuple[Path, Document], names: Names) -> None:
    for url, why in (
        ("snowflake://user:secret@account/database", "pip install 'ibis-framework[snowflake]'"),
        ("abacus://user:secret@host", "abacus"),
        (f"duckdb://{told[0].parent}/none/x.duckdb", "cannot connect"),
    ):
        with pytest.raises(EngineRefusedError, match=why.replace("[", "\\[")) as error:
            open_engine(url, names, "1GB")
        assert "secret" not in str(error.value) and "\n" not in str(error.value)
    command = [sys.executable, "-m", "extension", "fleet", "hosts", "--engine", f"duckdb://{told[0]}", "--format", "jsonl"]
    done = subprocess.run([*command, "no_such_table"], capture_output=True, text=True)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and "no_such_table" in done.stderr
    done = subprocess.run([*command, "osquery_results"], capture_output=True, text=True)
    assert done.returncode == 0 and len([json.loads(line) for line in done.stdout.splitlines()]) == told[1]["summary"]["hosts"]
