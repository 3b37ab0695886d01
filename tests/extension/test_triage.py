"""Queries, steps and hosts are judged as the README says, and the reports hold it all."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection
from pathlib import Path

import jsonschema
import pytest

from extension import triage as triage_module
from extension.engines import EngineError, ResultRow
from extension.pack.parts import Pack, Query, ResponseStep, Step, Text
from extension.report import json as json_report
from extension.report import text as text_report
from extension.triage import Triage, run_triage

SCHEMA = json.loads((Path(json_report.__file__).parent / "triage.schema.json").read_text())
HOSTILE = "\x1b[2J\x1b]0;owned\x07\u202e</script>[bold red]x[/]\n\x00"


class RecordedEngine:
    """Answers each query with recorded rows, or fails with a recorded message."""

    name = "embedded"
    version = "test"

    def __init__(self, answers: dict[str, list[ResultRow] | str], gaps: dict[str, list[ResultRow]] | None = None) -> None:
        self.answers = answers
        # What minehunt_gaps gains by a query; "" is what it held before.
        self.gaps = dict(gaps or {})
        self.asked = ""
        self.expected: list[str] = []

    def query(self, sql: str) -> list[ResultRow]:
        if "FROM minehunt_gaps" in sql:
            return [row for row in self.gaps.pop(self.asked, []) if int(row["sequence"]) > int(sql.rpartition(">")[2])]
        self.asked = sql
        answer = self.answers.get(sql, [])
        if isinstance(answer, str):
            raise EngineError(answer)
        return answer

    def expect(self, tables: Collection[str]) -> None:
        self.expected = list(tables)

    def inapplicable(self, sql: str) -> str | None:
        return "only a running system has processes" if sql.startswith("live") else None

    def host_facts(self) -> dict[str, str]:
        return {"hostname": "h", "system": "Debian", "kernel": "6", "architecture": "x86_64", "user": "root"}

    def close(self) -> None:
        """Nothing to close."""


def query(name: str, kind: str = "detection", severity: str = "high", needs_root: bool = False) -> Query:
    text = Text(f"about {name}", f"关于 {name}")
    steps = (ResponseStep("contain", text),)
    return Query(name, kind, severity, ("T1014",), 900, False, needs_root, text, steps, (text,), name, Path("11.yaml"), 1)


def run(answers: dict[str, list[ResultRow] | str], *queries: Query, gaps: dict[str, list[ResultRow]] | None = None) -> Triage:
    step = Step(11, Text("Hidden processes", "隐藏进程检查"), Text("?", "?"), queries, Path("11.yaml"), 1)
    return run_triage(Pack("p", Path("p"), (step,)), RecordedEngine(answers, gaps))


def gap(sequence: int, table: str, why: str, kind: str) -> ResultRow:
    is_blind = kind != "degraded" or "blind" in why
    return {"sequence": str(sequence), "table_name": table, "why": why, "kind": kind, "is_blind": str(int(is_blind))}


def test_what_a_mounted_disk_cannot_tell_is_neither_normal_nor_an_error() -> None:
    result = run({}, query("live"))
    assert (result.steps[0].status, result.errors, result.verdict) == ("not-applicable", 0, "clean")
    assert result.steps[0].queries[0].error == "only a running system has processes"
    assert run({}, query("live"), query("other")).steps[0].status == "normal"
    assert run({"other": ROW}, query("live"), query("other")).steps[0].status == "abnormal"


ROW = [{"pid": "7", "evidence": HOSTILE}]


@pytest.mark.parametrize(
    ("kind", "answer", "status", "verdict"),
    [
        ("detection", [], "normal", "clean"),
        ("detection", ROW, "abnormal", "compromised"),
        ("inventory", ROW, "normal", "clean"),
        ("evidence", [], "normal", "clean"),
        ("policy", ROW, "normal", "clean"),
        ("policy", [], "abnormal", "clean"),
        ("detection", "no such table: x", "error", "incomplete"),
    ],
)
def test_a_step_and_the_host_are_judged(kind: str, answer: list[ResultRow] | str, status: str, verdict: str) -> None:
    result = run({"q": answer}, query("q", kind))
    assert (result.steps[0].status, result.verdict) == (status, verdict)


def test_a_finding_outweighs_an_error_and_severity_decides_the_exit() -> None:
    result = run({"a": ROW, "b": "broken"}, query("a", severity="medium"), query("b"))
    assert result.steps[0].status == "abnormal"
    assert (result.verdict, result.findings, result.errors, result.abnormal_steps) == ("suspicious", 1, 1, [11])
    assert result.has_finding("low") and result.has_finding("medium") and not result.has_finding("high")


def test_without_root_an_empty_answer_that_needs_root_is_not_normal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triage_module.os, "geteuid", lambda: 1000)
    assert run({}, query("q", needs_root=True)).steps[0].status == "needs-root"
    assert run({"q": "permission denied"}, query("q", needs_root=True)).verdict == "incomplete"
    assert run({"q": ROW}, query("q", needs_root=True)).steps[0].status == "abnormal"
    assert run({}, query("q")).steps[0].status == "normal"


def test_json_follows_its_schema_and_keeps_the_issue_s_keys() -> None:
    result = run({"a": ROW, "b": "broken"}, query("a"), query("b"))
    document = json.loads(json_report.render(result))
    jsonschema.validate(document, SCHEMA)
    assert document["summary"] == {
        "verdict": "compromised", "abnormal_steps": [11], "unchecked_steps": [], "findings": 1, "errors": 1,
    }  # fmt: skip
    (step,) = document["steps"]
    assert step["title"] == {"en": "Hidden processes", "zh": "隐藏进程检查"}
    assert step["queries"][0]["rows"] == ROW and step["queries"][0]["row_count"] == 1
    assert step["queries"][1]["error"] == "broken" and step["queries"][1]["rows"] == []


def test_what_a_table_could_not_see_is_listed_with_the_query_that_asked() -> None:
    gaps = {"": [gap(3, "recent_files", "of an earlier day", "error")], "q": [gap(4, "hidden_processes", "not root", "degraded")]}
    result = run({}, query("q"), query("other"), gaps=gaps)
    assert [(spot.table, spot.why, spot.kind) for spot in result.blind_spots] == [("hidden_processes", "not root", "degraded")]
    assert [len(one.gaps) for one in result.results] == [1, 0]
    assert (result.steps[0].status, result.verdict) == ("normal", "clean")
    assert "hidden_processes: not root" in text_report.render(result, "en")


@pytest.mark.parametrize(
    ("kind", "answer", "status", "verdict"),
    [
        ("detection", [], "incomplete", "incomplete"),
        ("detection", ROW, "abnormal", "compromised"),
        ("inventory", ROW, "normal", "clean"),
        ("detection", "out of memory", "error", "incomplete"),
    ],
)
def test_a_detection_that_was_cut_short_is_not_normal(
    kind: str, answer: list[ResultRow] | str, status: str, verdict: str
) -> None:
    gaps = {"q": [gap(1, "recent_files", "out of time at /srv", "truncated")]}
    result = run({"q": answer}, query("q", kind), query("other"), gaps=gaps)
    assert (result.steps[0].status, result.verdict) == (status, verdict)
    jsonschema.validate(json.loads(json_report.render(result)), SCHEMA)
    if kind == "detection":
        for language in ("en", "zh"):
            assert "out of time at /srv" in text_report.render(result, language)


def test_a_detection_whose_table_is_blind_is_not_normal_and_is_counted_apart_from_findings() -> None:
    result = run({}, query("q"), gaps={"q": [gap(1, "hidden_processes", "blind: not root", "degraded")]})
    assert (result.steps[0].status, result.verdict) == ("incomplete", "incomplete")
    assert (result.abnormal_steps, result.unchecked_steps) == ([], [11])
    text = text_report.render(result, "en")
    assert "not looked at: hidden_processes: blind: not root" in text
    assert "Findings: 0   abnormal steps: none   steps not wholly checked: 11" in text


def test_a_partial_run_says_so() -> None:
    step = Step(14, Text("Keys", "公钥"), Text("?", "?"), (query("q"),), Path("14.yaml"), 1)
    other = dataclasses.replace(step, step=15)
    pack = Pack("p", Path("p"), (step, other))
    result = run_triage(pack, RecordedEngine({}), [14])
    assert result.verdict == "partial"
    assert "Verdict: nothing found in step 14 (1 of 2)" in text_report.render(result, "en")
    assert "未发现异常：步骤 14（1/2）" in text_report.render(result, "zh")
    assert run_triage(pack, RecordedEngine({})).verdict == "clean"


def test_the_engine_is_told_which_tables_will_be_asked() -> None:
    asked = dataclasses.replace(query("q"), sql="SELECT pid FROM process_tree JOIN hidden_processes USING (pid)")
    step = Step(14, Text("Keys", "公钥"), Text("?", "?"), (asked,), Path("14.yaml"), 1)
    other = dataclasses.replace(step, step=15, queries=(dataclasses.replace(asked, sql="SELECT * FROM pending_updates"),))
    engine = RecordedEngine({})
    run_triage(Pack("p", Path("p"), (step, other)), engine, [14])
    assert engine.expected == ["hidden_processes", "process_tree"]
    run_triage(Pack("p", Path("p"), (step, other)), engine, without_tables=["hidden_processes"])
    assert engine.expected == ["pending_updates"]


def test_an_interrupted_run_keeps_what_was_found_and_says_so() -> None:
    class Interrupted(RecordedEngine):
        def query(self, sql: str) -> list[ResultRow]:
            if sql == "b":
                raise KeyboardInterrupt
            return super().query(sql)

    step = Step(11, Text("Hidden", "隐藏"), Text("?", "?"), (query("a"), query("b"), query("c")), Path("11.yaml"), 1)
    for answers, verdict in (({"a": ROW}, "compromised"), ({}, "incomplete")):
        result = run_triage(Pack("p", Path("p"), (step, dataclasses.replace(step, step=12))), Interrupted(answers))
        assert (result.is_interrupted, result.verdict, [one.query.name for one in result.results]) == (True, verdict, ["a"])
        assert "interrupted: what follows was not examined" in text_report.render(result, "en")
        jsonschema.validate(json.loads(json_report.render(result)), SCHEMA)


def test_queries_over_tables_that_are_not_wanted_are_left_out_and_named() -> None:
    walking = dataclasses.replace(query("b"), sql="SELECT 1 FROM recent_files")
    step = Step(12, Text("Files", "文件"), Text("?", "?"), (query("a"), walking), Path("12.yaml"), 1)
    result = run_triage(Pack("p", Path("p"), (step,)), RecordedEngine({}), without_tables=["recent_files"])
    assert (result.left_out, result.verdict) == (("b",), "partial")
    assert "left out by --quick: b" in text_report.render(result, "en")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_text_names_the_step_the_evidence_and_what_to_do_and_is_inert(language: str) -> None:
    text = text_report.render(run({"a": ROW}, query("a")), language)
    assert ("Hidden processes" if language == "en" else "隐藏进程检查") in text
    assert "pid=7" in text and r"\x1B[2J" in text and "[bold red]x[/]" in text
    assert ("about a" if language == "en" else "关于 a") in text
    assert not any(char in text for char in "\x1b\x07\x00\u202e")


def test_the_next_command_is_filled_in_unless_a_shell_could_misread_the_value() -> None:
    def response_for(row: ResultRow) -> str:
        step = ResponseStep("contain", Text("Save it.", "留存。"), "cp <exe_path> /root")
        return text_report.render(run({"q": [row]}, dataclasses.replace(query("q"), response=(step,))), "en")

    assert "cp /tmp/x /root" in response_for({"exe_path": "/tmp/x"})
    assert "cp '/tmp/x;reboot' /root" in response_for({"exe_path": "/tmp/x;reboot"})
    assert "Save it. (its value could be misread" in response_for({"exe_path": "-rf"})
    assert "Save it." not in response_for({"pid": "7"})


def test_times_are_shown_as_times() -> None:
    text = text_report.render(run({"q": [{"start_time": "0", "mtime": "1795442461", "exe_ctime": "9" * 30}]}, query("q")), "en")
    assert "start_time=0 " in text and "mtime=1795442461 (2026-11-23T14:01:01Z)" in text
    assert "exe_ctime=" + "9" * 30 in text
