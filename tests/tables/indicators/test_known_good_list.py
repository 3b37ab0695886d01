"""A known-good list says what it means, or is refused with file and line."""

from __future__ import annotations

import datetime
import sqlite3

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tables.errors import TableError
from tables.indicators.known_good_list import (
    CATEGORIES,
    MAX_PATTERN_BYTES,
    Entry,
    glob_escape,
    in_force,
    parse_list,
    pattern_problem,
)
from tables.schema import clean_text

LIST = """\
# reviewed by ops
known_good:
  scheduled_job:
    - pattern: '/etc/cron.d/backup: root /opt/backup/run.sh'
      note: nightly backup, ops
      expires: 2027-06-30
    - {pattern: "/etc/cron.d/x*: root /opt/x", expires: '2027-01-01', note: ~}
  account:
    - pattern: 1000
  file:
"""


def unix(day: str) -> int:
    return int(datetime.datetime.fromisoformat(day + "T00:00:00+00:00").timestamp())


def is_match(text: str, pattern: str) -> bool:
    return bool(sqlite3.connect(":memory:").execute("SELECT ? GLOB ?", (text, pattern)).fetchone()[0])


def test_entries_come_with_their_line_and_the_second_after_their_last_day() -> None:
    assert parse_list(LIST, "/l") == [
        Entry(
            "scheduled_job",
            "/etc/cron.d/backup: root /opt/backup/run.sh",
            "nightly backup, ops",
            unix("2027-07-01"),
            "/l",
            4,
        ),
        Entry("scheduled_job", "/etc/cron.d/x*: root /opt/x", None, unix("2027-01-02"), "/l", 7),
        Entry("account", "1000", None, None, "/l", 9),
    ]


def test_an_entry_counts_through_its_last_day_in_utc() -> None:
    entries = parse_list(LIST, "/l")
    assert in_force(entries, unix("2027-01-02") - 1) == (entries, 0)
    assert in_force(entries, unix("2027-01-02")) == ([entries[0], entries[2]], 1)


@pytest.mark.parametrize(
    "text", ["", "# nothing yet\n", "known_good:\n", "known_good: {}\n", "known_good: {file: [], account: ~}\n"]
)
def test_an_empty_list_has_no_entries(text: str) -> None:
    assert parse_list(text, "/l") == []


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("[1]", 1, "mapping"),
        ("known_bad: {}", 1, "unknown key 'known_bad'"),
        ("known_good: [1]", 1, "categories"),
        ("known_good:\n  files:\n    - pattern: /x", 3, "unknown category 'files'"),
        ("known_good:\n  file: /x", 2, "list"),
        ("known_good:\n  file:\n  - /x", 3, "mapping"),
        ("known_good:\n  file:\n  - note: x", 3, "lacks the key `pattern`"),
        ("known_good:\n  file:\n  - pattern:", 3, "lacks the key `pattern`"),
        ("known_good:\n  file:\n  - pattern: /x\n    until: 2027-01-01", 4, "unknown key 'until'"),
        ("known_good:\n  file:\n  - pattern: [/x]", 3, "must be a text"),
        ("known_good:\n  file:\n  - pattern: /x\n    pattern: /y", 4, "twice"),
        ("known_good:\n  file:\n  - pattern: /x\n    expires: 2027-02-30", 4, "YYYY-MM-DD"),
        ("known_good:\n  file:\n  - pattern: /x\n    expires: tomorrow", 4, "YYYY-MM-DD"),
        ("known_good:\n  file:\n  - pattern: /x\n    expires: 2027-1-1", 4, "YYYY-MM-DD"),
        ("known_good:\n  file:\n  - pattern: /x\n    expires: 2027-01-01T00:00:00", 4, "YYYY-MM-DD"),
        ("known_good:\n  file:\n  - pattern: ''", 3, "empty"),
        ("known_good:\n  file:\n  - pattern: '*'", 3, "match everything"),
        (f"known_good:\n  file:\n  - pattern: '{'x' * (MAX_PATTERN_BYTES + 1)}'", 3, "longer"),
        ("known_good:\n  file:\n  - pattern: '/x", 3, "not valid YAML"),
        ("a: b\n---\nc: d", 2, "not valid YAML"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_line(text: str, line: int, why: str) -> None:
    with pytest.raises(TableError) as raised:
        parse_list(text, "/etc/l.yaml")
    assert f"/etc/l.yaml, line {line}: " in str(raised.value) and why in str(raised.value)


@pytest.mark.parametrize(
    ("category", "pattern"),
    [
        ("file", "**"),
        ("file", "?*"),
        ("file", "/*"),
        ("file", "[a-z]*"),
        ("file", "/[^]x]*"),
        ("scheduled_job", "/*: *"),
        ("connection", "*:*"),
        ("ssh_key", "SHA256:*"),
        ("account", "[!-~]?*"),
        ("file", "/opt/[x"),
        ("file", " "),
    ],
)
def test_a_pattern_that_matches_everything_or_nothing_is_refused(category: str, pattern: str) -> None:
    assert pattern_problem(category, pattern)


@pytest.mark.parametrize(
    ("category", "pattern"),
    [
        ("file", "/opt/*"),
        ("account", "[a]"),
        ("connection", "*:3333"),
        ("ssh_key", "SHA256:a*"),
        ("file", "/opt/[[]x"),
        ("file", "/数据/*"),
    ],
)
def test_a_pattern_that_says_something_is_accepted(category: str, pattern: str) -> None:
    assert pattern_problem(category, pattern) is None


@given(st.text(max_size=60))
def test_an_escaped_text_matches_itself_and_nothing_else(text: str) -> None:
    text = clean_text(text)
    assert is_match(text, glob_escape(text))
    assert not is_match(text + "x", glob_escape(text)) and not is_match("x" + text, glob_escape(text))


@given(st.sampled_from(sorted(CATEGORIES)), st.text(alphabet="*?[]^-/a: ", max_size=8))
def test_no_accepted_pattern_matches_texts_without_a_letter(category: str, pattern: str) -> None:
    if pattern_problem(category, pattern) is None:
        assert not any(is_match(text, pattern) for text in ("", "/", "/-: -", "---", "//::"))


@given(st.one_of(st.text(max_size=200), st.text(alphabet="known_god:file-patr{}[]'\"&*!|>%@ \n\t0", max_size=120)))
def test_any_text_is_a_list_or_a_message(text: str) -> None:
    try:
        assert all(entry.pattern and entry.category in CATEGORIES for entry in parse_list(text, "/l"))
    except TableError as error:
        assert "/l" in str(error)


@given(st.text(min_size=1, max_size=80))
def test_a_pattern_is_kept_as_sql_sees_the_text_that_it_stands_for(key: str) -> None:
    pattern = "x" + key
    text = yaml.safe_dump({"known_good": {"file": [{"pattern": pattern}]}})
    if pattern_problem("file", clean_text(pattern)) is None:
        assert [entry.pattern for entry in parse_list(text, "/l")] == [clean_text(pattern)]


def test_hostile_yaml_runs_nothing_and_ends() -> None:
    bomb = "a: &a [x, x]\n" + "".join(f"b{i}: &b{i} [*a, *a]\n" for i in range(50))
    for text in ("!!python/object/apply:os.system [id]", bomb, "[" * 5000, "known_good: &x\n  file: *x\n"):
        with pytest.raises(TableError):
            parse_list(text, "/l")
