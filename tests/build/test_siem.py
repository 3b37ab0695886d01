"""The SIEM rules: valid, and proven on result lines of what the lab planted."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from build.deliver import EVENTS as EVENTS_PACK
from build.siem import deliverable
from build.siem.languages import TARGETS
from build.siem.rules import all_rules, rule_id
from extension.pack.model import load_pack, shipped_pack
from tests.lab.results import SUBJECTS, all_cases, run_subject, why_not
from tests.packs.test_detections import HOSTS, run
from tests.support.osquery_log import ResultLog, flattened
from tests.support.siem_lines import corpus

PACK = load_pack(shipped_pack())
DETECTIONS = {query.name: query for query in PACK.queries() if query.kind == "detection"}
EVENTS = {query.name for query in load_pack(EVENTS_PACK).queries()}
SAMPLES = Path(__file__).parents[2].parent / "shared" / "osqueryd-log-samples.txt"
ROW = {"pid": "9001", "path": '/srv/b"é'}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("siem")
    deliverable.build(folder)
    return folder


@pytest.fixture(scope="module")
def rules(built: Path) -> Mapping[str, str]:
    """The converted SQLite rules, by query."""
    found: dict[str, str] = yaml.safe_load((built / "queries/sqlite.yml").read_text(encoding="utf-8"))
    return found


class Alerts:
    """A table of events, and which rules alert on which hosts in it."""

    def __init__(self, lines: Iterable[str]) -> None:
        events = [event for line in lines for event in flattened(line)]
        names = sorted({"name", "action", "hostIdentifier", *(key for event in events for key in event)})
        self.database = sqlite3.connect(":memory:")
        self.database.row_factory = sqlite3.Row
        self.database.execute("CREATE TABLE logs ({})".format(", ".join(f'"{name}"' for name in names)))
        for event in events:
            values = [event.get(name) for name in names]
            self.database.execute(f"INSERT INTO logs VALUES ({', '.join('?' * len(names))})", values)

    def of(self, rule: str) -> set[str]:
        """The hosts for which a rule raises an alert."""
        return {row["hostIdentifier"] for row in self.database.execute(rule)}

    def all(self, rules: Mapping[str, str]) -> set[tuple[str, str]]:
        """(query, host) of every alert of every rule."""
        return {(name, host) for name, rule in rules.items() for host in self.of(rule)}


def log(query: str, host: str, **options: Any) -> ResultLog:
    return ResultLog(f"pack_cryptominer_triage_{query}", host, DETECTIONS[query].snapshot, **options)


# What is built.


def test_every_detection_has_a_rule_and_every_rule_a_query_in_each_language(built: Path) -> None:
    assert {path.stem for path in (built / "sigma").iterdir()} == {f"minehunt_{name}" for name in {*DETECTIONS, *EVENTS}}
    for target in TARGETS:
        queries = yaml.safe_load((built / f"queries/{target}.yml").read_text(encoding="utf-8"))
        assert queries.keys() == {*DETECTIONS, *EVENTS}
        assert all(isinstance(query, str) and query for query in queries.values())


def test_rules_say_what_the_pack_says(built: Path) -> None:
    for name, query in DETECTIONS.items():
        rule = yaml.safe_load((built / f"sigma/minehunt_{name}.yml").read_text(encoding="utf-8"))
        assert (rule["level"], rule["id"]) == (query.severity, rule_id(query.name))
        assert rule["tags"] == [f"attack.{technique.lower()}" for technique in query.attack]
        assert rule["falsepositives"]


def test_ids_are_stable_and_differ() -> None:
    assert rule_id("hidden_processes") == "3f7383a7-3452-58e2-8ee2-1ce93a101cca"
    assert len({rule_id(name) for name in DETECTIONS}) == len(DETECTIONS)


def test_sigma_check_has_no_issue(built: Path) -> None:
    # Both validators left out load MITRE's lists from the web; the pack's check knows what ATT&CK has replaced.
    command = ["-m", "sigma.cli.main", "check", "--fail-on-issues", "-x", "attacktag", "-x", "d3_fendtag", str(built / "sigma")]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 errors, 0 condition errors and 0 issues" in done.stdout


@pytest.mark.parametrize(
    ("target", "field"),
    [
        ("elastic_esql", "osquery.result.action"),
        ("elastic_lucene", "osquery.result.action:added"),
        ("wazuh_lucene", "data.osquery.action:added"),
        ("loki", '{job="osquery"} | json'),
        ("splunk", 'sourcetype IN ("osquery:results", "osquery:snapshots")'),
        ("splunk_fleet", 'sourcetype="fleet:json"'),
    ],
)
def test_fields_are_those_of_the_siem(built: Path, target: str, field: str) -> None:
    queries = yaml.safe_load((built / f"queries/{target}.yml").read_text(encoding="utf-8"))
    assert field in queries["hidden_processes"]


def test_kibanas_pack_maps_columns_that_the_queries_have(built: Path) -> None:
    document = json.loads((built / "elastic/osquery_manager_cryptominer_triage.json").read_text(encoding="utf-8"))
    assert document["queries"].keys() == {query.name for query in PACK.queries()}
    mapping = document["queries"]["hidden_processes"]["ecs_mapping"]
    assert mapping["process.pid"] == {"field": "pid"}
    assert mapping["event.kind"] == {"value": "alert"}
    assert mapping["rule.uuid"] == {"value": rule_id("hidden_processes")}


# The lines.


@pytest.mark.skipif(not SAMPLES.exists(), reason="../shared/osqueryd-log-samples.txt is not beside this repository")
def test_lines_are_written_as_osqueryd_was_recorded() -> None:
    """Run by run, the recorded rows give the recorded lines."""
    logs: dict[tuple[str, str], ResultLog] = {}
    header = ""
    for line in SAMPLES.read_text(encoding="utf-8").splitlines():
        if line.startswith("#") or not line:
            header = line or header
            continue
        event = json.loads(line)
        is_event = "logger_event_type=true" in header
        log = logs.setdefault(
            (header, event["name"]), ResultLog(event["name"], event["hostIdentifier"], events=is_event)
        )  # fmt: skip
        log.unix_time, log._counter = event["unixTime"], event["counter"]
        log.is_snapshot = event.get("action") == "snapshot"
        rows = [event["columns"]] if "columns" in event else event.get("snapshot") or event.get("diffResults", {}).get("added")
        log._known = event.get("diffResults", {}).get("removed", [])
        if event.get("action") == "removed":
            log._known, rows = [event["columns"]], []
        assert log.run(rows) == [line]


# The proof.


@pytest.mark.parametrize("name", DETECTIONS)
def test_a_rule_alerts_on_its_own_query_alone(name: str, rules: Mapping[str, str]) -> None:
    assert Alerts(log(name, "h").run([ROW])).all(rules) == {(name, "h")}


def test_under_every_name_and_no_other_exactly_the_right_rules_alert(rules: Mapping[str, str]) -> None:
    lines = corpus(all_rules())
    alerts = Alerts(json.dumps({**json.loads(line.text), "hostIdentifier": str(number)}) for number, line in enumerate(lines))
    assert alerts.all(rules) == {(rule, str(number)) for number, line in enumerate(lines) for rule in line.rules}


@pytest.mark.parametrize("events", [True, False])
def test_what_was_there_at_the_first_run_alerts_and_what_goes_does_not(events: bool, rules: Mapping[str, str]) -> None:
    history = log("hidden_processes", "h", events=events)
    first, second, third = history.run([ROW]), history.run([ROW]), history.run([])
    assert json.loads(first[0])["counter"] == 0
    assert Alerts(first).all(rules) == {("hidden_processes", "h")}
    assert second == []
    assert len(third) == 1 and not Alerts(third).all(rules)


def _lab_rows() -> Iterable[tuple[str, str, list[dict[str, str]]]]:
    """(case, query, rows) of everything that the lab plants and a detection must find."""
    for subject, case in all_cases():
        if why_not(subject, case) is None:
            for name, rows in run_subject(subject)[case.name].rows.items():
                if name in DETECTIONS:
                    yield case.name, name, rows


# Alone: when all others are through, the lab's results are there.
@pytest.mark.alone
@pytest.mark.root
@pytest.mark.parametrize("events", [True, False], ids=["a line a row", "a line a run"])
def test_every_case_of_the_lab_raises_its_alerts(events: bool, rules: Mapping[str, str]) -> None:
    expected, lines = set(), []
    for case, name, rows in _lab_rows():
        expected.add((name, case))
        lines += log(name, case, events=events, snapshot_events=events).run(rows)
    assert len({case for _, case in expected}) > len(SUBJECTS)
    assert Alerts(lines).all(rules) == expected


@pytest.mark.alone
@pytest.mark.root
def test_every_innocent_twin_raises_none(rules: Mapping[str, str]) -> None:
    lines = []
    for subject, case in all_cases():
        if why_not(subject, case) is None:
            for name, row in run_subject(subject)[case.name].twin_rows:
                lines += log(name, case.name).run([row])
    assert not Alerts(lines).all(rules)


@pytest.mark.parametrize("host", HOSTS)
def test_what_clean_hosts_log_raises_none(host: str, rules: Mapping[str, str]) -> None:
    lines = []
    for query in PACK.queries():
        history = ResultLog(f"pack_cryptominer_triage_{query.name}", host, query.snapshot)
        lines += history.run(run(query, HOSTS[host]))
    assert lines
    assert not Alerts(lines).all(rules)
