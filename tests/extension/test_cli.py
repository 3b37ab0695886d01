"""The command line: what it prints, what it refuses, how it exits."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from click.testing import Result

from extension.cli import main
from extension.pack.model import load_pack, shipped_pack
from extension.report import json as json_report
from tests.support.command_line import runner
from tests.support.namespaces import REPOSITORY, needs_readable_repository

SCHEMA = json.loads((Path(json_report.__file__).parent / "triage.schema.json").read_text())


def invoke(*arguments: str) -> Result:
    return runner().invoke(main, arguments)


def test_query_prints_json_csv_and_a_table() -> None:
    sql = "SELECT 1 AS a, 'x,y' AS b, NULL AS c"
    arguments = ("query", "--engine", "embedded", sql, "--format")
    assert json.loads(invoke(*arguments, "json").output) == [{"a": "1", "b": "x,y", "c": ""}]
    assert list(csv.reader(io.StringIO(invoke(*arguments, "csv").output))) == [["a", "b", "c"], ["1", "x,y", ""]]
    assert "x,y" in invoke(*arguments, "table").output


def test_query_escapes_what_could_steer_the_terminal() -> None:
    output = invoke("query", "--engine", "embedded", "SELECT char(27) || '[2J' AS x").output
    assert "\x1b" not in output and r"\x1B[2J" in output


@pytest.mark.parametrize("sql", ["SELECT * FROM no_such_table", "nonsense", "ATTACH 'x' AS y", "SELECT 'unterminated"])
def test_bad_sql_is_a_message_and_exit_2(sql: str) -> None:
    result = invoke("query", "--engine", "embedded", sql)
    assert result.exit_code == 2 and "Error:" in result.output and "Traceback" not in result.output


def test_tables_lists_and_describes() -> None:
    assert "hidden_processes" in invoke("tables").output
    assert "how_hidden" in invoke("tables", "hidden_processes").output
    (described,) = json.loads(invoke("tables", "process_census", "--format", "json").output)
    assert described["name"] == "process_census" and described["columns"][0]["type"] == "BIGINT"
    assert invoke("tables", "nothing").exit_code == 2


def test_an_untrusted_or_malformed_indicator_file_is_refused_by_name(tmp_path: Path) -> None:
    loose, bad = tmp_path / "loose.txt", tmp_path / "bad.txt"
    loose.write_text("10.0.0.1:3333\n")
    loose.chmod(0o666)
    bad.write_text("# fine\nnot a thing!\n")
    for file, word in ((loose, "writable by others"), (bad, "bad.txt, line 2"), (tmp_path / "missing.txt", "missing.txt")):
        result = invoke("triage", "--engine", "embedded", "--step", "11", "--indicators", str(file))
        assert result.exit_code == 2 and word in result.output and "Traceback" not in result.output


def test_a_known_good_list_of_the_command_line_is_in_force_or_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "ours.yaml"
    path.write_text("known_good: {account: [pattern: kim]}\n")
    arguments = ("query", "--engine", "embedded", "SELECT category, pattern FROM known_good", "--known-good", str(path))
    assert json.loads(invoke(*arguments, "--format", "json").output) == [{"category": "account", "pattern": "kim"}]
    path.chmod(0o666)
    result = invoke(*arguments)
    assert result.exit_code == 2 and "ours.yaml" in result.output and "writable by others" in result.output


def test_a_missing_or_broken_config_and_pack_are_refused_by_name(tmp_path: Path) -> None:
    config = tmp_path / "minehunt.yaml"
    assert "minehunt.yaml" in invoke("triage", "--config", str(config)).output
    config.write_text("surprise: 1\n")
    result = invoke("triage", "--config", str(config))
    assert result.exit_code == 2 and "minehunt.yaml" in result.output
    result = invoke("triage", "--pack", str(tmp_path))
    assert result.exit_code == 2 and str(tmp_path) in result.output
    result = invoke("triage", "--engine", "osquery", "--socket", str(tmp_path / "none.em"))
    assert result.exit_code == 2 and "none.em" in result.output


def test_an_osquery_that_does_not_start_is_told_and_the_embedded_engine_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "osqueryd"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    result = invoke("query", "SELECT 1 AS a", "--format", "json")
    assert result.exit_code == 0 and "using the embedded engine instead" in result.output
    assert invoke("query", "SELECT 1 AS a", "--engine", "osquery").exit_code == 2


def test_triage_of_one_step_writes_json_that_follows_the_schema(tmp_path: Path) -> None:
    file = tmp_path / "triage.json"
    result = invoke("triage", "--engine", "embedded", "--step", "11", "--format", "json", "--output", str(file))
    document = json.loads(file.read_text())
    jsonschema.validate(document, SCHEMA)
    assert [step["step"] for step in document["steps"]] == [11]
    assert result.exit_code == (1 if document["summary"]["findings"] else 0)


@pytest.mark.parametrize(("form", "begins"), [("html", "<!DOCTYPE html>"), ("md", "# "), ("text", " "), ("json", "{")])
def test_triage_writes_every_form_for_its_owner_only(tmp_path: Path, form: str, begins: str) -> None:
    file = tmp_path / "report"
    arguments = ("triage", "--engine", "embedded", "--step", "14", "--lang", "zh", "--format", form, "--output", str(file))
    assert invoke(*arguments).exit_code in (0, 1)
    text = file.read_text()
    assert text.startswith(begins) and "SSH公钥检查" in text
    assert file.stat().st_mode & 0o777 == 0o600 and os.listdir(tmp_path) == ["report"]


@pytest.mark.parametrize("form", ["html", "md", "text", "json"])
def test_an_output_that_cannot_be_written_is_told_before_the_work_begins(tmp_path: Path, form: str) -> None:
    for path in (tmp_path, tmp_path / "no" / "report", Path("/dev/null")):
        result = invoke("triage", "--engine", "embedded", "--format", form, "--output", str(path))
        assert result.exit_code == 2 and str(path) in result.output and "engine" not in result.output


def test_a_printed_report_is_all_of_standard_output() -> None:
    result = invoke("triage", "--engine", "embedded", "--step", "14", "--format", "html")
    assert result.stdout.startswith("<!DOCTYPE html>") and result.stdout.rstrip().endswith("</html>")
    assert "minehunt" in result.stderr


def test_pack_check_passes_on_our_own_pack_and_names_file_and_line_of_a_fault(tmp_path: Path) -> None:
    result = invoke("pack", "check")
    assert result.exit_code == 0, result.output
    for file in Path(str(shipped_pack())).glob("*.yaml"):
        (tmp_path / file.name).write_text(file.read_text().replace("FROM hidden_processes", "FROM hidden_proceses"))
    result = invoke("pack", "check", "--pack", str(tmp_path))
    assert result.exit_code == 1 and "11_hidden_processes.yaml:" in result.output and "hidden_proceses" in result.output


def test_a_command_has_nothing_to_wait_for_that_it_does_not_use() -> None:
    """YAML and rich each take as long to import as everything else that the command line is made of."""
    listed = [sys.executable, "-X", "importtime", "-m", "extension", "tables"]
    done = subprocess.run(listed, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "click" in imported and not imported & {"yaml", "rich", "extension.pack.model"}


def test_the_pack_has_all_eighteen_steps() -> None:
    assert [step.step for step in load_pack(shipped_pack()).steps] == list(range(1, 19))


@pytest.mark.root
@needs_readable_repository
def test_as_an_ordinary_user_triage_marks_what_needs_root_and_shows_no_traceback() -> None:
    # Started as root so that the interpreter's own files are readable, then made an ordinary user before anything runs.
    code = """if True:
        import os, sys, tables
        import extension.triage_command
        from extension.cli import main
        from extension.engines import core, embedded, osquery
        core.discover(), tables.discover()
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
        sys.argv = ["minehunt", "triage", "--engine", "embedded", "--format", "json"]
        main()
    """
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    result = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, env=environment)
    document = json.loads(result.stdout)
    assert "Traceback" not in result.stderr
    statuses = {step["step"]: step["status"] for step in document["steps"]}
    assert statuses[11] == "needs-root" and "error" not in statuses.values()
    assert any("root" in spot["why"] for spot in document["blind_spots"])


def test_an_interrupt_while_the_command_line_is_imported_is_no_traceback(tmp_path: Path) -> None:
    # Click is asked for by the first import of the command line.
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-m", "extension", "tables"], cwd=REPOSITORY, env=environment, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (130, "Error: interrupted\n")
