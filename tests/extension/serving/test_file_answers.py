"""Which answers serve again without a scan, and which never do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from extension.serving.file_answers import FileAnswers
from extension.serving.scan import scan
from tables.host import Host
from tables.host.settings import Settings
from tables.schema import TEXT, QueryContext, Row, Table, column, table
from tests.support.namespaces import run_in_namespaces

_ABOUT: dict[str, Any] = {"description": "a test table", "sop_steps": (), "examples": ()}


@dataclass(frozen=True)
class Content(Row):
    content: str = column(TEXT, "")
    more: str = column(TEXT, "", on_demand=True)


class Reader:
    """A table over one file, and how often it was scanned."""

    def __init__(self, path: Path, is_cut: bool = False, rests_on_files: bool = True) -> None:
        self.scans = 0

        def read(host: Host, query: QueryContext) -> Iterator[Content]:
            self.scans += 1
            query.cannot_tell("who wrote it")
            if is_cut:
                query.truncate("half of it")
            yield Content(host.files.read_text(str(path)), "more" if query.uses("more") else "")

        self.table: Table = table("reader", Content, rests_on_files=rests_on_files, **_ABOUT)(read)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "file"
    found.write_text("one")
    return found


def ask(reader: Reader, host: Host, *columns: str) -> tuple[Any, tuple[str, ...]]:
    query = QueryContext(columns_used=frozenset(columns) if columns else None)
    found = scan(reader.table, host, query)
    return found.error or [row["content"] for row in found.rows], query.said


def test_an_answer_serves_while_its_file_does_not_change(path: Path) -> None:
    reader, host = Reader(path), Host()
    assert [ask(reader, host) for _ in range(3)] == [(["one"], ("who wrote it",))] * 3
    assert reader.scans == 1
    path.write_text("two")
    assert [ask(reader, host)[0] for _ in range(2)] == [["two"]] * 2
    assert reader.scans == 2


def test_a_failure_serves_nobody(path: Path) -> None:
    reader, host = Reader(path), Host()
    path.unlink()
    assert "No such file" in ask(reader, host)[0]
    path.write_text("there")
    assert ask(reader, host)[0] == ["there"]


def test_a_question_for_more_columns_is_another(path: Path) -> None:
    reader, host = Reader(path), Host()
    for columns in (("content",), ("content", "more"), ("content",)):
        ask(reader, host, *columns)
    assert reader.scans == 2


@pytest.mark.parametrize(
    ("options", "settings"),
    [({"is_cut": True}, Settings()), ({"rests_on_files": False}, Settings()), ({}, Settings(is_triage=True))],
)
def test_a_cut_answer_one_of_another_table_and_one_of_a_triage_is_scanned_anew(
    path: Path, options: dict[str, bool], settings: Settings
) -> None:
    reader, host = Reader(path, **options), Host(settings=settings)
    for _ in range(2):
        ask(reader, host)
    assert reader.scans == 2


def test_no_answer_serves_for_more_than_an_hour(path: Path) -> None:
    reader, host, now = Reader(path), Host(), [0.0]
    answers = FileAnswers(clock=lambda: now[0])
    for seconds, scans in ((0.0, 1), (3599.0, 1), (3601.0, 2)):
        now[0] = seconds
        query = QueryContext()
        answers.rows(reader.table, query, lambda: [row.to_wire() for row in reader.table.generate(host, QueryContext())])
        assert reader.scans == scans


@pytest.mark.root
def test_a_job_planted_between_two_queries_is_found() -> None:
    assert run_in_namespaces(
        """
        mount("tmpfs", "/var/spool", "tmpfs", 0)
        from extension.serving.scan import scan
        from tables import discover
        from tables.schema import QueryContext
        host, jobs = Host(), discover()["scheduled_jobs"]
        find = lambda: [row["command"] for row in scan(jobs, host, QueryContext()).rows if row["path"].startswith("/var/spool/")]
        seen = [find(), find()]
        os.makedirs("/var/spool/cron/crontabs")
        with open("/var/spool/cron/crontabs/root", "w") as file:
            file.write("* * * * * /var/tmp/.x\\n")
        seen.append(find())
        os.unlink("/var/spool/cron/crontabs/root")
        answer([*seen, find()])
        """,
        "--mount",
    ) == [[], [], ["/var/tmp/.x"], []]
