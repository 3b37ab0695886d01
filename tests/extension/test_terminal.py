"""What the command line does in other character sets, languages and Pythons."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import extension
from extension.cli import main
from extension.terminal import user_language
from tests.support.command_line import runner
from tests.support.namespaces import REPOSITORY

TRIAGE = [sys.executable, "-m", "extension", "triage", "--engine", "embedded", "--step", "14"]


def run(*more: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*TRIAGE, *more], cwd=REPOSITORY, env={**os.environ, **environment}, capture_output=True)


@pytest.mark.parametrize(("encoding", "mark"), [("ascii", "+ 14"), ("gbk", "√ 14"), ("latin-1", "+ 14"), ("utf-8", "✓ 14")])
def test_signs_that_the_terminal_lacks_are_written_by_others(encoding: str, mark: str) -> None:
    for language in ("en", "zh"):
        done = run("--lang", language, PYTHONIOENCODING=encoding)
        assert done.returncode in (0, 1) and b"Traceback" not in done.stderr
        assert mark in done.stdout.decode(encoding)


def test_forms_of_their_own_character_set_keep_it_everywhere() -> None:
    for form in ("html", "json", "md"):
        done = run("--lang", "zh", "--format", form, PYTHONIOENCODING="ascii")
        assert "SSH公钥检查" in done.stdout.decode("utf-8")


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "zh"), ({"LANG": "zh_CN.GBK", "LC_ALL": "C"}, "en"), ({}, "en"),
        ({"LANG": "en_GB.UTF-8"}, "en"),
        ({"LANG": "en_GB.UTF-8", "LC_MESSAGES": "zh_TW.UTF-8"}, "zh"), ({"LANG": "en_US.UTF-8", "LANGUAGE": "zh:en"}, "zh"),
        ({"LANG": "C", "LANGUAGE": "zh"}, "en"),
    ],
)  # fmt: skip
def test_the_locale_chooses_the_language(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], language: str) -> None:
    for name in ("LANG", "LC_ALL", "LC_MESSAGES", "LANGUAGE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert user_language() == language


def test_an_old_python_is_told_in_one_line_and_exit_2() -> None:
    code = "import runpy, sys; sys.version_info = (3, 6, 8); runpy.run_module('extension', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 2 and "needs Python 3.9 or newer" in done.stderr and len(done.stderr.splitlines()) == 1
    # Nothing that an old Python cannot read stands in what is read before that.
    for name in ("__main__.py", "__init__.py"):
        tree = ast.parse((Path(extension.__file__).parent / name).read_text(), feature_version=(3, 4))
        assert not [node for node in ast.walk(tree) if isinstance(node, (ast.JoinedStr, ast.AnnAssign, ast.FunctionDef))]
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "__future__"]


@pytest.mark.parametrize("steps", [["14"], ["13-14"], ["14,15"], ["14", "15-15"]])
def test_ranges_of_steps_are_told_as_what_they_are(steps: list[str]) -> None:
    chosen = [word for step in steps for word in ("--step", step)]
    result = runner().invoke(main, ["triage", "--engine", "embedded", "--lang", "en", *chosen])
    assert (result.exit_code in (0, 1) and "of 18)" in result.output) or "Findings" in result.output


@pytest.mark.parametrize("steps", ["0", "19", "3-1", "x", "1-", "", "1-19"])
def test_what_is_no_step_is_refused(steps: str) -> None:
    result = runner().invoke(main, ["triage", "--step", steps])
    assert result.exit_code == 2 and "step" in result.output


@pytest.mark.parametrize("sql", ["", "  ", ";", "\n ; "])
def test_an_empty_query_is_an_error(sql: str) -> None:
    result = runner().invoke(main, ["query", "--engine", "embedded", sql])
    assert result.exit_code == 2 and "the query is empty" in result.output


def test_explain_tells_a_query_a_table_and_what_was_meant() -> None:
    query = runner().invoke(main, ["explain", "miner_process", "--lang", "en"]).output
    assert "What to do" in query and "kill -STOP <pid>" in query and "FROM miner_processes" in query
    assert "miner_process" in runner().invoke(main, ["explain", "miner_processes"]).output
    assert "检测内容" in runner().invoke(main, ["explain", "miner_process", "--lang", "zh"]).output
    wrong = runner().invoke(main, ["explain", "miner_proces"])
    assert wrong.exit_code == 2 and "did you mean miner_process" in wrong.output
