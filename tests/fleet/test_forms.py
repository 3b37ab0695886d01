"""Every form that pipelines make of a result comes back as osquery's own."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from build.osquery_pack import event_documents, pack_document
from extension.fleet.forms import STATUS, records
from extension.fleet.lines import Reading, rewrite
from extension.fleet.names import Names
from extension.fleet.sources import LINES, Source
from extension.pack.model import load_pack, shipped_pack
from extension.report.json import as_document
from tests.support.made_triage import hostile

ROW = {"pid": "7", "path": "/tmp/x", "cmdline": "a b"}
LINE = {
    "name": "pack_cryptominer_triage_miner_process", "hostIdentifier": "h", "unixTime": 1795436552, "epoch": 0, "counter": 3,
    "decorations": {"host_uuid": "u"}, "columns": ROW, "action": "added",
}  # fmt: skip
_RESULT = {
    "name": LINE["name"], "host_identifier": "h", "unix_time": 1795436552, "epoch": 0, "counter": 3, "action": "added",
    "columns": ROW, "decorations": {"host_uuid": "u"},
}  # fmt: skip
FORMS: dict[str, Any] = {
    "osqueryd": LINE,
    "Filebeat's line": {"@timestamp": "2026-11-23T12:22:32Z", "message": json.dumps(LINE), "log": {"offset": 1}},
    "Elastic": {"osquery": {"result": _RESULT}, "@timestamp": "2026-11-23T12:22:32.000Z"},
    "Elasticsearch's hit": {"_index": "x", "_source": {"osquery": {"result": _RESULT}}},
    "Elastic, dotted": {
        "osquery.result.name": LINE["name"], "osquery.result.host_identifier": "h", "osquery.result.unix_time": "1795436552",
        "osquery.result.counter": 3, "osquery.result.epoch": 0, "osquery.result.action": "added", "host.id": "u",
        **{f"osquery.result.columns.{key}": value for key, value in ROW.items()},
    },
    "Splunk HEC": {"time": 1795436552, "sourcetype": "fleet:json", "event": LINE},
    "Kinesis": {"Records": [{"Data": base64.b64encode(json.dumps(LINE).encode()).decode()}]},
    "Elasticsearch's answer": {"took": 1, "hits": {"hits": [{"_id": "1", "_source": {"message": json.dumps(LINE)}}]}},
    "Kafka": {"topic": "osquery", "partition": 0, "value": json.dumps(LINE)},
    "TLS logger": {"node_key": "k", "log_type": "result", "data": [LINE]},
    "Fluentd": {"log": json.dumps(LINE) + "\n", "stream": "stdout"},
    "array": [LINE],
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_pipeline(form: str) -> None:
    (record,) = records(FORMS[form])
    assert record["name"] == LINE["name"] and record["hostIdentifier"] == "h" and record["columns"] == ROW
    assert int(record["unixTime"]) == 1795436552 and record["counter"] == 3 and record["action"] == "added"
    assert record["decorations"]["host_uuid"] == "u"


def test_what_elastics_agent_makes_of_a_snapshot() -> None:
    document = {
        "@timestamp": "2026-11-23T12:22:32Z", "schedule_id": "pack_cryptominer_triage_logins",
        "host": {"hostname": "h", "id": "u"},
        "osquery": {"remote": "192.0.2.1", "tty": "pts/0"},
    }  # fmt: skip
    (record,) = records(document)
    assert record["action"] == "snapshot" and record["columns"] == {"remote": "192.0.2.1", "tty": "pts/0"}


def test_a_failing_query_of_the_status_log() -> None:
    (record,) = records({
        "hostIdentifier": "h", "unixTime": 5, "severity": "2", "filename": "scheduler.cpp",
        "message": "Error executing scheduled query pack_cryptominer_triage_cron_jobs: no such table: scheduled_jobs",
    })  # fmt: skip
    assert record["name"] == STATUS and record["columns"]["why"] == "no such table: scheduled_jobs"
    assert list(records({"severity": "0", "message": "osqueryd started"})) == []


def test_a_saved_triage_is_a_snapshot_of_each_query() -> None:
    document = json.loads(json.dumps(as_document(hostile())))
    found = list(records(document))
    by_name = {record["name"]: record for record in found}
    for step in document["steps"]:
        for query in step["queries"]:
            if query["status"] in ("normal", "abnormal"):
                assert by_name[query["name"]]["snapshot"] == query["rows"]
    assert {record["hostIdentifier"] for record in found} == {document["host"]["hostname"]}


@pytest.mark.parametrize(
    "document",
    [
        {"message": "[" * 100_000},
        {"event": {"event": {"event": {"event": {"event": {"event": {"log": LINE}}}}}}},
        {"name": "x"},
        5,
    ],
)
def test_hostile_documents_give_nothing(document: Any) -> None:
    assert list(records(document)) == []


def test_names_of_queries(names: Names) -> None:
    ours = "pack_cryptominer_triage_ pack/Global/cryptominer_triage_ pack/team-7/cryptominer_triage_ pack/cryptominer_triage/"
    for before in ("", "pack:Global:", *ours.split()):
        logged = f"{before}cron_jobs"
        assert names.bare(logged) == "cron_jobs", logged
    for other in ("pack_it_compliance_accounts", "my_cron_jobs", "pack/Global/other_thing", "cron_jobs_of_ours"):
        assert names.bare(other) == other


def test_the_names_of_all_packs_that_are_built_are_ours_behind_any_delimiter(names: Names) -> None:
    events = event_documents(load_pack(shipped_pack("cryptominer_events")))
    packs = {"cryptominer_triage": pack_document(load_pack(shipped_pack())), **events}
    assert len(packs) > 2
    for pack, document in packs.items():
        for query in document["queries"]:
            for sign in ("_", "/", "::", "__"):
                assert names.bare(f"pack{sign}{pack}{sign}{query}") == query


def test_ours_in_a_pack_of_another_name_is_told(names: Names) -> None:
    assert names.stands_in("pack_mining_hidden_processes") == "pack_mining_"
    assert names.stands_in("pack_cryptominer_triage_hidden_processes") is None
    # Half of all packs have a query that is called so.
    assert names.stands_in("pack_incident-response_kernel_modules") is None


def test_a_line_behind_what_fluentd_and_syslog_write_is_read(tmp_path: Path, names: Names) -> None:
    for number, before in enumerate(("2026-11-23T12:22:32+00:00\tosquery.result\t", "<14>Nov 23 12:22:32 web-1 osqueryd[77]: ")):
        path = tmp_path / f"{number}.log"
        path.write_text(f"{before}{json.dumps(LINE)}\n")
        reading = Reading()
        with (tmp_path / "out").open("wb") as output:
            rewrite(Source(str(path), LINES, "", 0), output, reading)
        assert (reading.results, reading.broken) == (1, 0)
        assert json.loads((tmp_path / "out").read_text())["columns"] == LINE["columns"]
