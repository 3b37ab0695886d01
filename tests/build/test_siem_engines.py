"""Every rule run by an engine of its language, on lines under every name, removed ones, decoys and hostile values."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from build.siem import deliverable
from build.siem.elastic import LOGS, MANAGER
from build.siem.rules import Rule, all_rules
from tests.support import logql, lucene, opensearch
from tests.support.osquery_log import flattened
from tests.support.siem_lines import corpus, expected, filebeat, osquery_manager, wazuh

RULES = all_rules()
LINES = corpus(RULES)
EXPECTED = expected(LINES, RULES)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("siem")
    deliverable.build(folder)
    return folder


def queries(built: Path, name: str) -> dict[str, str]:
    found: dict[str, str] = yaml.safe_load((built / f"queries/{name}.yml").read_text(encoding="utf-8"))
    return found


def kibana(built: Path) -> dict[str, str]:
    lines = (built / "elastic/kibana_rules.ndjson").read_text(encoding="utf-8").splitlines()
    names = {rule.id: name for name, rule in RULES.items()}
    return {names[rule["rule_id"]]: rule["query"] for rule in map(json.loads, lines)}


def elastalert(built: Path) -> dict[str, str]:
    files = {path.stem.removeprefix("minehunt_"): path for path in (built / "elastalert").iterdir()}
    rules = {name: yaml.safe_load(path.read_text(encoding="utf-8")) for name, path in files.items()}
    return {name: rule["filter"][0]["query"]["query_string"]["query"] for name, rule in rules.items()}


@pytest.mark.skipif(bool(lucene.why_not()), reason=lucene.why_not() or "Lucene is there")
def test_lucene_finds_exactly_what_shall_alert(built: Path) -> None:
    indices = {
        "osqueryd's logs": [filebeat(line.text) for line in LINES],
        "Osquery Manager": [osquery_manager(line, RULES) for line in LINES],
        "Wazuh": [wazuh(line.text) for line in LINES],
    }
    asked = {
        "a search": (queries(built, "elastic_lucene"), {"osqueryd's logs"}),
        "Kibana": (kibana(built), {"osqueryd's logs", "Osquery Manager"}),
        "ElastAlert": (elastalert(built), {"osqueryd's logs"}),
        "a search in Wazuh": (queries(built, "wazuh_lucene"), {"Wazuh"}),
    }
    everything = [document for documents in indices.values() for document in documents]
    found = lucene.search(
        {f"{by}/{rule}": query for by, (all_of, _) in asked.items() for rule, query in all_of.items()}, everything
    )
    for by, (_, there) in asked.items():
        shall = {
            rule: {place * len(LINES) + number for place, index in enumerate(indices) if index in there for number in numbers}
            for rule, numbers in EXPECTED.items()
        }
        assert {rule: found[f"{by}/{rule}"] for rule in RULES} == shall, by


def test_a_server_finds_exactly_what_shall_alert_by_the_indices_of_the_rules(built: Path) -> None:
    pytest.importorskip("osmem_server", reason="no server: pip install osmem-server")
    indices = {
        "filebeat-8": [filebeat(line.text) for line in LINES],
        "logs-osquery.result-default": [filebeat(line.text) for line in LINES],
        "logs-osquery_manager.result-default": [osquery_manager(line, RULES) for line in LINES],
        "another": [filebeat(line.text) for line in LINES],
    }
    asked = {f"Kibana/{rule}": (",".join([*LOGS, MANAGER]), query) for rule, query in kibana(built).items()}
    asked |= {f"ElastAlert/{rule}": (",".join(LOGS), query) for rule, query in elastalert(built).items()}
    shall = {
        f"{by}/{rule}": {f"{index}/{number}" for index in list(indices)[:count] for number in EXPECTED[rule]}
        for by, count in (("Kibana", 3), ("ElastAlert", 2))
        for rule in RULES
    }
    assert opensearch.search(asked, indices) == shall


@pytest.mark.parametrize("dialect", ["duckdb", "clickhouse"])
def test_sql_finds_exactly_what_shall_alert(built: Path, tmp_path: Path, dialect: str) -> None:
    keys = ("name", "action")
    events = [(number, event) for number, line in enumerate(LINES) for event in flattened(line.text)]
    rows = [{"number": number, **{key: event.get(key) or "" for key in keys}} for number, event in events]
    table = tmp_path / "rows.json"
    table.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    ask = {"duckdb": _duckdb, "clickhouse": _clickhouse}[dialect](table)
    found = {rule: {int(row["number"]) for row in ask(query)} for rule, query in queries(built, dialect).items()}
    assert found == EXPECTED


def _duckdb(table: Path) -> Callable[[str], Any]:
    duckdb = pytest.importorskip("duckdb", reason="DuckDB comes with minehunt[fleet]")
    connection = duckdb.connect()
    connection.execute(f"CREATE TABLE logs AS SELECT * FROM read_json('{table}')")
    return lambda query: [{"number": row[0]} for row in connection.execute(query).fetchall()]


def _clickhouse(table: Path) -> Callable[[str], Any]:
    chdb = pytest.importorskip("chdb.session", reason="chdb, ClickHouse in a process, is half a gigabyte: pip install chdb")
    session = chdb.Session()
    session.query(f"CREATE TABLE logs ENGINE = Memory AS SELECT * FROM file('{table}', JSONEachRow)")
    return lambda query: [json.loads(line) for line in str(session.query(query, "JSONEachRow")).splitlines()]


def test_esqls_grammar_takes_every_query(built: Path) -> None:
    esql = pytest.importorskip("esql", reason="no ES|QL: pip install detection-rules-esql-py, with Python 3.12 or newer")
    for query in queries(built, "elastic_esql").values():
        tree = esql.parse_query(query)
        assert sorted(esql.get_unique_fields(tree)) == ["osquery.result.action", "osquery.result.name"]
    with pytest.raises(esql.errors.EsqlSyntaxError):
        esql.parse_query("from logs | where (name like")


# Alone: what it runs is downloaded first, and the others have no network.
@pytest.mark.alone
def test_loki_finds_exactly_what_shall_alert(built: Path, tmp_path: Path) -> None:
    pytest.importorskip("re2", reason="no RE2: pip install google-re2")
    if why := logql.install(tmp_path):
        pytest.skip(why)
    (group,) = yaml.safe_load((built / "loki/minehunt.yaml").read_text(encoding="utf-8"))["groups"]
    ruler = {rule["alert"].removeprefix("minehunt_"): rule["expr"] for rule in group["rules"]}
    rows = {rule["alert"].removeprefix("minehunt_"): rule["annotations"]["rows"] for rule in group["rules"]}
    for asked in (ruler, rows, queries(built, "loki")):
        found = {}
        for name, tree in zip(asked, logql.trees(tmp_path, list(asked.values()))):
            assert not list(logql.nodes(tree, "error")), asked[name]
            found[name] = logql.finds(tree, [line.text for line in LINES])
        assert found == EXPECTED


def test_panthers_detections_alert_exactly_on_what_they_shall(built: Path) -> None:
    found = {}
    events = [json.loads(line.text) for line in LINES]
    keys = set()
    for name in RULES:
        path = built / f"panther/rules/minehunt_{name}.py"
        specification = importlib.util.spec_from_file_location(name, path)
        assert specification and specification.loader
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
        found[name] = {number for number, event in enumerate(events) if module.rule(event)}
        (title,) = {module.title(events[number]) for number in found[name]}
        assert title == f"{RULES[name].title} on host-1"
        keys |= {module.dedup(events[number]) for number in found[name]}
    assert found == EXPECTED
    # Two different rows under each of four names.
    assert len(keys) == 8 * len(RULES)


@pytest.mark.skipif(
    shutil.which("panther_analysis_tool") is None, reason="no panther_analysis_tool: pip install panther-analysis-tool"
)
def test_panthers_own_tool_takes_and_tests_them(built: Path) -> None:
    command = ["panther_analysis_tool", "--skip-version-check", "test", "--path", str(built / "panther"), "--minimum-tests", "2"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert re.search(rf"Passed: {len(RULES)}\s+Skipped: 0\s+Failed: 0\s+Invalid: 0", done.stdout), done.stdout[-500:]


@pytest.mark.skipif(shutil.which("elastalert-test-rule") is None, reason="no ElastAlert 2: pip install elastalert2")
def test_elastalerts_own_loader_takes_every_rule(built: Path, tmp_path: Path) -> None:
    python = Path(str(shutil.which("elastalert-test-rule"))).with_name("python3")
    program = """
import datetime, sys, pathlib
from elastalert.loaders import FileRulesLoader
base = {"buffer_time": datetime.timedelta(minutes=1), "run_every": datetime.timedelta(minutes=1), "alert": []}
loader = FileRulesLoader({**base, "rules_folder": sys.argv[1]})
for path in pathlib.Path(sys.argv[1]).iterdir():
    rule = loader.load_configuration(str(path), {**base, "es_host": "localhost", "es_port": 1, "writeback_index": "x"})
    print(rule["name"])
"""
    command = [str(python), "-c", program, str(built / "elastalert")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == sorted(rule.title for rule in RULES.values())


def _wazuh(rules: list[ET.Element], parent: str, fields: Mapping[str, str]) -> set[str]:
    """The descriptions of a parent's rules whose every pattern matches; nothing where the parent's own do not."""
    (base,) = [rule for rule in rules if rule.get("id") == parent]
    if not _all_match(base, fields):
        return set()
    below = [rule for rule in rules if rule.findtext("if_sid") == parent]
    return {str(rule.findtext("description")).split(" on $(")[0] for rule in below if _all_match(rule, fields)}


def _all_match(rule: ET.Element, fields: Mapping[str, str]) -> bool:
    asked = [(str(field.get("name")), str(field.text)) for field in rule.findall("field")]
    asked += [("action", str(field.text)) for field in rule.findall("action")]
    return all(re.search(pattern, fields.get(name, "")) for name, pattern in asked)


@pytest.mark.parametrize(("parent", "prefix"), [("100500", "osquery."), ("100501", "")], ids=["module", "file"])
def test_wazuhs_patterns_match_exactly_what_shall_alert(built: Path, parent: str, prefix: str) -> None:
    rules = list(ET.parse(built / "wazuh/minehunt_rules.xml").getroot().iter("rule"))
    found: dict[str, set[int]] = {rule.title: set() for rule in RULES.values()}
    for number, line in enumerate(LINES):
        (event,) = flattened(line.text)
        fields = {f"{prefix}{key}": str(value) for key, value in event.items() if value is not None}
        for title in _wazuh(rules, parent, fields):
            found[title].add(number)
    assert found == {RULES[name].title: numbers for name, numbers in EXPECTED.items()}


def test_the_corpus_has_lines_of_every_kind() -> None:
    assert all(len(numbers) == 8 for numbers in EXPECTED.values())
    assert sum(not line.rules for line in LINES) > len(RULES) * 8
    assert isinstance(RULES["miner_process"], Rule)
