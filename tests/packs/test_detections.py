"""Every detection on recorded hosts: silent on clean ones, and exactly the planted rows on the others.

hosts/*.yaml are clean hosts: rows of osquery's and minehunt's tables. cases/*.yaml hold, by query name, a list of cases:

    fires:  what was planted, in words      or   silent: what innocent thing looks like it
    host:   the clean host it is planted on (a file of hosts/, without .yaml)
    plant:  {table: [rows]}                 added to that host's rows
    rows:   [{column: value}]               fires only: one mapping for each row that must come back
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import tables
from extension.pack.model import Query, load_pack
from tests.support.recorded_host import RecordedHost, Rows

HERE = Path(__file__).parent
PACK = [query for folder in sorted((HERE.parents[1] / "packs").glob("*/")) for query in load_pack(folder).queries()]
QUERIES = {query.name: query for query in PACK}
DETECTIONS = [query for query in PACK if query.kind == "detection"]
HOSTS: dict[str, Rows] = {file.stem: yaml.safe_load(file.read_text()) for file in sorted(HERE.glob("hosts/*.yaml"))}
CASES: dict[str, list[dict[str, Any]]] = {}
for _file in sorted(HERE.glob("cases/*.yaml")):
    for _name, _cases in yaml.safe_load(_file.read_text()).items():
        assert _name not in CASES, f"{_name} has cases in two files"
        CASES[_name] = _cases
VOLATILE = {
    column.name for table in tables.discover().values() for column in table.columns if "changes with every" in column.description
}
CASE_LIST = [(name, case) for name, cases in CASES.items() for case in cases]


def run(query: Query, *layers: Rows) -> list[dict[str, str]]:
    host = RecordedHost(*layers)
    try:
        return host.query(query.sql)
    finally:
        host.close()


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("query", DETECTIONS, ids=lambda query: query.name)
def test_silent_on_a_clean_host(query: Query, host: str) -> None:
    assert run(query, HOSTS[host]) == []


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("query", [query for query in PACK if query.kind != "detection"], ids=lambda query: query.name)
def test_runs_on_a_clean_host(query: Query, host: str) -> None:
    rows = run(query, HOSTS[host])
    assert len(rows) == len({tuple(row.items()) for row in rows})


@pytest.mark.parametrize(
    ("name", "case"), CASE_LIST, ids=[f"{name}: {case.get('fires') or case.get('silent')}" for name, case in CASE_LIST]
)
def test_case(name: str, case: dict[str, Any]) -> None:
    assert case.keys() <= {"fires", "silent", "host", "plant", "rows"}
    assert ("fires" in case) != ("silent" in case)
    rows = run(QUERIES[name], HOSTS[case["host"]], case["plant"])
    expected = [{column: str(value) for column, value in row.items()} for row in case.get("rows", [])]
    assert bool(expected) == ("fires" in case)
    assert len(rows) == len(expected), rows
    for wanted in expected:
        assert any(wanted.items() <= row.items() for row in rows), (wanted, rows)


@pytest.mark.parametrize("query", DETECTIONS, ids=lambda query: query.name)
def test_every_detection_must_fire_and_must_stay_silent(query: Query) -> None:
    kinds = ["fires" if "fires" in case else "silent" for case in CASES.get(query.name, [])]
    assert kinds.count("fires") >= 1
    assert kinds.count("silent") >= 3


@pytest.mark.parametrize("query", [query for query in PACK if query.kind == "policy"], ids=lambda query: query.name)
def test_every_policy_can_pass_and_can_fail(query: Query) -> None:
    kinds = ["fires" if "fires" in case else "silent" for case in CASES.get(query.name, [])]
    passing = kinds.count("fires") + sum(bool(run(query, rows)) for rows in HOSTS.values())
    failing = kinds.count("silent") + sum(not run(query, rows) for rows in HOSTS.values())
    assert passing >= 1 and failing >= 3


@pytest.mark.parametrize("query", [query for query in PACK if query.kind != "detection"], ids=lambda query: query.name)
def test_no_query_is_dead(query: Query) -> None:
    assert any("fires" in case for case in CASES.get(query.name, [])) or any(run(query, rows) for rows in HOSTS.values())


@pytest.mark.parametrize("query", [query for query in PACK if not query.snapshot], ids=lambda query: query.name)
def test_a_differential_query_selects_nothing_that_changes_with_every_call(query: Query) -> None:
    host = RecordedHost()
    columns = host.column_names(query.sql)
    host.close()
    assert not VOLATILE & set(columns)


def test_no_query_has_the_name_of_another_packs() -> None:
    assert len(QUERIES) == len(PACK)


def test_cases_name_queries_that_exist() -> None:
    assert CASES.keys() <= QUERIES.keys()
