"""Queries recorded on a real osquery 5.23: over the wire, ours gives the same requests, rows and errors."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.osquery_wire import EXTENSION, REPOSITORY, TEST_TABLES, Wire, wire_in_folder

RECORDED = REPOSITORY.parent / "shared" / "osquery-wire-samples.json"
SAMPLES: list[dict[str, Any]] = json.loads(RECORDED.read_text()) if RECORDED.exists() else []
TABLES = ("--tables", "wire,wire_required,numbered,scans,raising,missing")
Terms = dict[str, list[tuple[int, str]]]

# Facts of the same recording, kept here so that they are checked without it: SQL, the pushed-down terms of each
# generate request, and the first column of the rows.
FACTS: list[tuple[str, list[Terms], list[str]]] = [
    ("SELECT k FROM wire", [{}], ["1", "2", "3"]),
    ("SELECT k FROM wire WHERE k = '2'", [{"k": [(2, "2")]}], ["2"]),
    ("SELECT k FROM wire WHERE pid IN (1, 3)", [{"pid": [(2, "1")]}, {"pid": [(2, "3")]}], ["1", "3"]),
    ("SELECT k FROM wire WHERE path IN ('/p1', '/p2')", [{"path": [(2, "/p1"), (2, "/p2")]}], ["1", "2"]),
    ("SELECT k FROM wire WHERE path LIKE '/p%'", [{"path": [(65, "/p%")]}], ["1", "2", "3"]),
    ("SELECT k FROM wire WHERE path GLOB '/p*'", [{"path": [(66, "/p*")]}], ["1", "2", "3"]),
    ("SELECT k FROM wire WHERE n > 1 AND n <= 3", [{"n": [(4, "1"), (8, "3")]}], ["2", "3"]),
    ("SELECT k FROM wire WHERE d = 1.5", [{}], ["1", "2", "3"]),
    ("SELECT k FROM wire WHERE u = 2", [{}], ["2"]),
    ("SELECT k FROM wire LIMIT 1", [{"k": [(73, "1")]}], ["1"]),
    ("SELECT k FROM wire WHERE k = '1' OR k = '2'", [{"k": [(2, "1")]}, {"k": [(2, "2")]}], ["1", "2"]),
    ("SELECT k FROM wire WHERE k IS NULL", [{}], []),
    ("SELECT k FROM wire WHERE k != '1'", [{"k": [(68, "1")]}], ["2", "3"]),
    ("SELECT count(*) FROM wire", [{}], ["3"]),
    ("SELECT v FROM wire_required WHERE path = '/x'", [{"path": [(2, "/x")]}], ["x"]),
    ("SELECT path FROM wire_required WHERE path IN ('/x', '/y')", [{"path": [(2, "/x")]}, {"path": [(2, "/y")]}], ["/x", "/y"]),
    # What a row leaves out: '' as a text, NULL as a number.
    ("SELECT typeof(text) || ' ' || typeof(raw) FROM missing", [{}], ["text text"]),
    (
        "SELECT concat_ws(' ', typeof(whole), typeof(big), typeof(unsigned), typeof(real)) FROM missing",
        [{}],
        ["null null null null"],
    ),
    ("SELECT count(*) FROM missing WHERE text = '' AND raw = '' AND text IS NOT NULL", [{}], ["1"]),
    ("SELECT coalesce(text, 'none') || coalesce(nullif(text, ''), 'none') FROM missing", [{}], ["none"]),
    ("SELECT count(*) FROM missing WHERE whole IS NULL AND big IS NULL AND unsigned IS NULL AND real IS NULL", [{}], ["1"]),
    (
        "SELECT w.path FROM wire w CROSS JOIN wire_required r ON r.path = w.path",
        [{}, {"path": [(2, "/p1")]}, {"path": [(2, "/p2")]}, {"path": [(2, "/p3")]}],
        ["/p1", "/p2", "/p3"],
    ),
]
REFUSED = [
    ("SELECT * FROM wire_required", "Table wire_required was queried without a required column in the WHERE clause"),
    ("INSERT INTO wire(k) VALUES ('z')", "datatype mismatch"),
    ("INSERT INTO numbered VALUES (1, 1)", "table numbered may not be modified"),
]


@pytest.fixture(scope="module")
def served() -> Iterator[Wire]:
    with wire_in_folder() as wire:
        wire.start(*TABLES, program=TEST_TABLES)
        yield wire


def requests_for(wire: Wire, sql: str) -> tuple[list[dict[str, Any]], Any]:
    """The requests core sent while it ran `sql`, their context decoded, and its answer."""
    before = len(wire.core.requests)
    answer = wire.ask(sql)
    return [{**request, "context": json.loads(request["context"])} for _, request in wire.core.requests[before:]], answer


def comparable(request: dict[str, Any]) -> dict[str, Any]:
    """The request without the order of its used columns, which osquery leaves open."""
    context = request["context"]
    return {**request, "context": {**context, "colsUsed": set(context["colsUsed"])}}


@pytest.mark.skipif(not SAMPLES, reason="../shared/osquery-wire-samples.json, the whole recording, is not beside this repository")
@pytest.mark.parametrize("sample", SAMPLES, ids=[sample["sql"] for sample in SAMPLES])
def test_recorded_queries(served: Wire, sample: dict[str, Any]) -> None:
    sent, answer = requests_for(served, sample["sql"])
    assert [comparable(request) for request in sent] == [comparable(request) for request in sample["requests"]]
    errors = [line.removeprefix("Error: ") for line in sample["stderr"] if line.startswith("Error: ")]
    assert (answer.status.message if answer.status.code else None) == (errors[0] if errors else None)
    if "table_xinfo" in sample["sql"]:
        # The recording ends after the first four columns.
        assert answer.response[: len(sample["rows"])] == sample["rows"]
    elif "processes" not in sample["sql"]:
        # A row of `processes` is one of the recording's own host.
        assert answer.response == sample["rows"]


@pytest.mark.parametrize(("sql", "terms", "rows"), FACTS, ids=[sql for sql, _, _ in FACTS])
def test_what_is_pushed_down(served: Wire, sql: str, terms: list[Terms], rows: list[str]) -> None:
    sent, answer = requests_for(served, sql)
    pushed = [
        {c["name"]: [(t["op"], t["expr"]) for t in c["list"]] for c in r["context"]["constraints"] if c["list"]} for r in sent
    ]
    assert pushed == terms
    assert [next(iter(row.values())) for row in answer.response] == rows


@pytest.mark.parametrize(("sql", "message"), REFUSED)
def test_what_is_refused(served: Wire, sql: str, message: str) -> None:
    assert served.error(sql) == message


# The same against a real osquery, where there is one.


@pytest.fixture(scope="module")
def osqueryi() -> Iterator[Any]:
    """Runs SQL in osqueryi with an extension: (program, sql) → finished process."""
    # osquery refuses extensions that lie directly in a folder like /tmp.
    folder = Path(tempfile.mkdtemp(prefix="minehunt-osquery-"))

    def run(program: tuple[str, ...], sql: str) -> subprocess.CompletedProcess[str]:
        wrapper = folder / f"extension{abs(hash(program))}.ext"
        wrapper.write_text(f'#!/bin/sh\ncd {shlex.quote(str(REPOSITORY))} && exec {shlex.join(program)} "$@"\n')
        wrapper.chmod(0o755)
        flags = [f"--extensions_socket={folder}/s", "--extensions_require=minehunt", "--extensions_timeout=10"]
        command = ["osqueryi", "--json", "--disable_database", f"--extension={wrapper}", *flags, sql]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)

    try:
        yield run
    finally:
        shutil.rmtree(folder)


@pytest.mark.osquery
@pytest.mark.parametrize(("sql", "rows"), [(sql, rows) for sql, _, rows in FACTS], ids=[sql for sql, _, _ in FACTS])
def test_the_same_rows_in_osquery(osqueryi: Any, sql: str, rows: list[str]) -> None:
    done = osqueryi((*TEST_TABLES, *TABLES), sql)
    assert done.returncode == 0, done.stderr
    assert [next(iter(row.values())) for row in json.loads(done.stdout)] == rows


@pytest.mark.osquery
@pytest.mark.parametrize(("sql", "message"), [*REFUSED, ("SELECT * FROM raising", "raising: internal error: ValueError")])
def test_the_same_refusals_in_osquery(osqueryi: Any, sql: str, message: str) -> None:
    done = osqueryi((*TEST_TABLES, *TABLES), sql)
    assert done.returncode != 0
    assert message in done.stderr


@pytest.mark.osquery
def test_a_join_in_osquery_costs_one_scan(osqueryi: Any) -> None:
    done = osqueryi(
        (*TEST_TABLES, *TABLES),
        "WITH RECURSIVE o(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM o WHERE i < 500), "
        "joined AS MATERIALIZED (SELECT count(*) AS n FROM o CROSS JOIN numbered ON number = i) "
        "SELECT n, calls, scans FROM joined CROSS JOIN scans WHERE table_name = 'numbered'",
    )
    assert json.loads(done.stdout) == [{"n": "500", "calls": "500", "scans": "1"}], done.stderr


@pytest.mark.osquery
def test_the_extension_in_osquery_answers_for_every_table(osqueryi: Any) -> None:
    import tables

    done = osqueryi(EXTENSION, "SELECT table_name FROM minehunt_status ORDER BY table_name")
    assert [row["table_name"] for row in json.loads(done.stdout)] == sorted(tables.discover()), done.stderr
