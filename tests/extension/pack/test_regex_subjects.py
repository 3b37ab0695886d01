"""What osquery's regular expressions may be given."""

from __future__ import annotations

import pytest

from extension.pack.regex_subjects import unbounded_subjects


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT regex_match(reasons, 'x', 0) FROM t",
        "SELECT regex_match(lower(t.exe_path), 'x', 0) FROM t",
        "SELECT regex_match(substr(cmdline, 1, 1024), 'x', 0) FROM t",
        "SELECT regex_match(coalesce(reasons, '') || ',' || substr(command, 1, 100), 'x', 0) FROM t",
        "WITH j AS (SELECT regex_match(substr(command, 1, 1024), '/.*', 0) AS p FROM t) SELECT regex_match(j.p, 'x', 0) FROM j",
        "WITH j AS (SELECT CASE kind WHEN 'x' THEN NULL ELSE reasons END AS odd FROM t) SELECT regex_match(odd, 'x', 0) FROM j",
        "SELECT regex_split('a,b', ',', 0)",
        "SELECT instr(cmdline, 'x') FROM t",
    ],
)
def test_short_subjects_are_taken(sql: str) -> None:
    assert unbounded_subjects(sql) == []


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("SELECT regex_match(cmdline, 'x', 0) FROM t", "cmdline"),
        ("SELECT REGEX_SPLIT(value, ',', 0) FROM process_envs", "value"),
        ("SELECT regex_match(lower(t.command), 'x', 0) FROM t", "LOWER(t.command)"),
        ("SELECT regex_match(path || cmdline, 'x', 0) FROM t", "path || cmdline"),
        ("SELECT regex_match(substr(cmdline, 1, 100000), 'x', 0) FROM t", "SUBSTRING(cmdline, 1, 100000)"),
        ("SELECT regex_match(substr(cmdline, 2), 'x', 0) FROM t", "SUBSTRING(cmdline, 2)"),
        ("SELECT regex_match(replace(path, 'a', cmdline), 'x', 0) FROM t", "REPLACE(path, 'a', cmdline)"),
        ("WITH j AS (SELECT cmdline AS path FROM t) SELECT regex_match(path, 'x', 0) FROM j", "path"),
    ],
)
def test_subjects_of_any_length_are_named(sql: str, text: str) -> None:
    assert [subject.text for subject in unbounded_subjects(sql)] == [text]
