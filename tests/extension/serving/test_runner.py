"""A table's scans are cached, serialised, bounded, and their failures told."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
import time
from collections.abc import Iterator
from typing import Any, Optional

import pytest

import tables
from extension.serving.runner import TableRunner
from tables.errors import BadQuestion, TableError
from tables.host import Host
from tables.host.settings import Settings
from tables.schema import BIGINT, OPTION_ADDITIONAL, OPTION_INDEX, TEXT, QueryContext, Row, Table, column, table


@dataclasses.dataclass(frozen=True)
class Pair(Row):
    pid: int = column(BIGINT, "number", index=True)
    path: str = column(TEXT, "text", index=True)


def make(generate: Any, **options: Any) -> Table:
    return table("sample", Pair, description="d.", sop_steps=[1], examples=["SELECT 1"], **options)(generate)


def asked(**values: str) -> str:
    return json.dumps({"constraints": [{"name": name, "list": [{"op": 2, "expr": text}]} for name, text in values.items()]})


def test_many_constrained_calls_cost_one_scan_and_get_their_rows() -> None:
    scans = []

    def rows(host: Host, query: QueryContext) -> Iterator[Pair]:
        scans.append(1)
        for number in range(500):
            yield Pair(pid=number, path=f"/p/{number}")

    host = Host()
    runner = TableRunner(make(rows, cache_seconds=60.0), host)
    for number in range(500):
        assert runner.generate(asked(pid=str(number))) == [{"pid": str(number), "path": f"/p/{number}"}]
    assert len(scans) == 1
    assert (host.status.get("sample").calls, host.status.get("sample").scans) == (500, 1)


@pytest.mark.parametrize("text", ["7.0", "0x7", "7 ", "+7", "007", "seven"])
def test_a_value_that_sqlite_may_read_otherwise_filters_nothing(text: str) -> None:
    runner = TableRunner(make(lambda host, query: iter([Pair(pid=7, path="/x")])), Host())
    assert len(runner.generate(asked(pid=text))) == 1


ODD_NUMBERS = ["--5", "-", "", "٧", "²", "7_0", "9" * 19, "-" + "9" * 19, "9" * 5000, "7\x00", "\udcff"]


@pytest.mark.parametrize("text", ODD_NUMBERS)
def test_what_is_no_number_is_no_internal_error(text: str) -> None:
    runner = TableRunner(make(lambda host, query: iter([Pair(pid=7, path="/x")])), Host())
    assert len(runner.generate(asked(pid=text))) == ("9" * 19 not in text or len(text) > 20)


@pytest.mark.parametrize("text", ODD_NUMBERS)
@pytest.mark.parametrize("name", [name for name, found in tables.discover().items() if found.uses_constraints])
def test_no_table_that_reads_constraints_takes_an_odd_number_amiss(name: str, text: str) -> None:
    found = tables.discover()[name]
    values = {column.name: text for column in found.columns if column.options & (OPTION_INDEX | OPTION_ADDITIONAL)}
    with contextlib.suppress(TableError):
        TableRunner(found, Host()).generate(asked(**values))


@pytest.mark.parametrize(("text", "rows"), [("/X", 1), ("/x  ", 1), ("/y", 0)])
def test_texts_are_filtered_as_loosely_as_any_collation(text: str, rows: int) -> None:
    runner = TableRunner(make(lambda host, query: iter([Pair(pid=7, path="/x")])), Host())
    assert len(runner.generate(asked(path=text))) == rows


def test_a_table_that_uses_constraints_is_asked_for_each() -> None:
    seen = []

    def rows(host: Host, query: QueryContext) -> Iterator[Pair]:
        seen.append(query.equals("path"))
        yield Pair(pid=1, path="/x")

    runner = TableRunner(make(rows, uses_constraints=True), Host())
    runner.generate(asked(path="/x"))
    runner.generate(asked(path="/y"))
    runner.generate(asked(path="/x"))
    assert seen == [["/x"], ["/y"]]


def test_an_answer_serves_only_queries_that_read_no_more_than_it_has() -> None:
    @dataclasses.dataclass(frozen=True)
    class Hashed(Row):
        pid: int = column(BIGINT, "one")
        sha256: Optional[str] = column(TEXT, "another", on_demand=True)

    scanned: list[bool] = []

    def rows(host: Host, query: QueryContext) -> Iterator[Hashed]:
        scanned.append(query.uses("sha256"))
        yield Hashed(pid=1, sha256="ab" if query.uses("sha256") else None)

    runner = TableRunner(
        table("sample", Hashed, description="d.", sop_steps=[1], examples=["SELECT 1"])(rows),
        Host(),
    )
    plain, whole = (
        json.dumps({"constraints": [], "colsUsed": ["pid"]}),
        json.dumps({"constraints": [], "colsUsed": ["pid", "sha256"]}),
    )
    assert runner.generate(plain) == [{"pid": "1"}]
    assert runner.generate(whole) == runner.generate(None) == [{"pid": "1", "sha256": "ab"}]
    assert runner.generate(plain) == [{"pid": "1"}] and scanned == [False, True]


def test_a_join_over_many_keys_keeps_few_answers() -> None:
    runner = TableRunner(make(lambda host, query: iter([Pair(pid=1, path="/x")]), uses_constraints=True), Host())
    for number in range(1000):
        runner.generate(asked(path=f"/{number}"))
    assert len(runner._cached) <= 64


def raising(error: BaseException) -> Any:
    def rows(host: Host, query: QueryContext) -> Iterator[Pair]:
        yield Pair(pid=1, path="/x")
        raise error

    return rows


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (TableError("/etc/x: not readable"), "sample: /etc/x: not readable"),
        (PermissionError(13, "Permission denied", "/etc/x"), "/etc/x"),
        (KeyError("boom"), "sample: internal error: KeyError: 'boom'"),
        (SystemExit(3), "sample: internal error: SystemExit: 3"),
        (MemoryError(), "sample: out of memory"),
    ],
)
def test_a_failure_is_an_error_that_names_the_table_never_partial_rows(error: BaseException, message: str) -> None:
    host = Host()
    runner = TableRunner(make(raising(error)), host)
    for _ in range(2):
        with pytest.raises(TableError, match="sample: ") as caught:
            runner.generate(None)
        assert message in str(caught.value)
    record = host.status.get("sample")
    assert record.scans == 2 and record.last_rows is None and record.last_error


def test_a_scan_over_its_budget_is_an_error() -> None:
    def rows(host: Host, query: QueryContext) -> Iterator[Pair]:
        while True:
            yield Pair(pid=1, path="/x")

    runner = TableRunner(make(rows, budget_seconds=0.1, max_rows=10**9), Host())
    with pytest.raises(TableError, match=r"sample: stopped after its time budget of 0\.1 s"):
        runner.generate(None)


def test_a_scan_that_never_returns_does_not_take_the_caller_with_it() -> None:
    release = threading.Event()

    def rows(host: Host, query: QueryContext) -> Iterator[Pair]:
        release.wait()
        yield Pair(pid=1, path="/x")

    runner = TableRunner(make(rows, budget_seconds=0.1, cache_seconds=0.0), Host())
    with pytest.raises(TableError, match="no answer within"):
        runner.generate(None)
    with pytest.raises(TableError, match="has not ended yet"):
        runner.generate(None)
    release.set()
    time.sleep(0.2)
    assert runner.generate(None) == [{"pid": "1", "path": "/x"}]


def test_more_rows_than_the_bound_are_cut_and_said() -> None:
    host = Host()
    runner = TableRunner(make(lambda host, query: (Pair(pid=n, path="/x") for n in range(100)), max_rows=10), host)
    assert len(runner.generate(None)) == 10
    assert host.status.get("sample").truncated == "more than 10 rows"


def test_what_answers_to_different_questions_lacked_is_all_kept() -> None:
    def rows(host: Host, query: QueryContext) -> Iterator[Pair]:
        if query.equals("path") == ["/a"]:
            query.truncate("out of time at /a")
            query.truncate("and at /a/b")
        if query.equals("path") == ["/b"]:
            query.could_not_see("/b: Permission denied")
        yield Pair(pid=1, path="/x")
        if query.equals("path") == ["/c"]:
            raise TableError("/c is no folder")

    host = Host()
    runner = TableRunner(make(rows, uses_constraints=True), host)
    runner.generate(asked(path="/a"))
    runner.generate(asked(path="/b"))
    with pytest.raises(TableError):
        runner.generate(asked(path="/c"))
    runner.generate(asked(path="/d"))
    record = host.status.get("sample")
    assert record.truncated == "out of time at /a; and at /a/b"
    assert record.degraded == ("/b: Permission denied",)
    assert record.last_error == "/c is no folder"
    assert [(gap.kind, gap.question) for gap in host.status.gaps()] == [
        ("truncated", "path = /a"),
        ("degraded", "path = /b"),
        ("error", "path = /c"),
    ]


def test_a_question_that_has_no_answer_says_nothing_of_the_table_s_health() -> None:
    def rows(host: Host, query: QueryContext) -> Iterator[Pair]:
        raise BadQuestion("path: /no/such is no folder")
        yield Pair(pid=1, path="/x")

    host = Host()
    with pytest.raises(TableError, match="sample: path: /no/such is no folder"):
        TableRunner(make(rows), host).generate(None)
    assert host.status.get("sample").last_error is None
    assert [gap.kind for gap in host.status.gaps()] == ["error"]


def test_an_answer_given_once_more_lacks_the_same_and_a_new_scan_may_not() -> None:
    cut = [True, False]

    def rows(host: Host, query: QueryContext) -> Iterator[Pair]:
        if cut.pop(0):
            query.truncate("out of time")
        yield Pair(pid=1, path="/x")

    host = Host()
    runner = TableRunner(make(rows, cache_seconds=60.0), host)
    runner.generate(None)
    (first,) = host.status.gaps()
    runner.generate(None)
    (again,) = host.status.gaps()
    assert again.sequence > first.sequence and again.why == first.why
    runner._cached.clear()
    runner.generate(None)
    assert host.status.get("sample").truncated is None and len(host.status.gaps()) == 1


def test_gaps_are_kept_once_each_and_bounded() -> None:
    host = Host()
    numbers = iter(range(10_000))

    def rows(host: Host, query: QueryContext) -> Iterator[Pair]:
        query.truncate(f"at {next(numbers) % 2000}")
        yield Pair(pid=1, path="/x")

    runner = TableRunner(make(rows, cache_seconds=0.0), host)
    for _ in range(4000):
        runner.generate(None)
    gaps = host.status.gaps()
    assert len(gaps) == 512 and gaps[-1].why == "at 1999"
    assert [gap.sequence for gap in gaps] == sorted(gap.sequence for gap in gaps)


def test_expired_answers_are_forgotten_and_fresh_ones_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = TableRunner(make(lambda host, query: iter([Pair(pid=7, path="/x")]), cache_seconds=60.0), Host())
    runner.generate(None)
    assert runner.forget_expired() == 0
    now = time.monotonic()
    monkeypatch.setattr("extension.serving.runner.time.monotonic", lambda: now + 61)
    assert runner.forget_expired() == 1
    assert runner.forget_expired() == 0


def test_the_setting_stretches_the_budget_that_a_scan_gets() -> None:
    budgets = []

    def rows(host: Host, query: QueryContext) -> Iterator[Pair]:
        budgets.append(query.budget_seconds)
        yield Pair(pid=1, path="/x")

    for options in ({}, {"uses_constraints": True}):
        TableRunner(make(rows, budget_seconds=2.0, **options), Host(settings=Settings(budget_factor=50.0))).generate(None)
    assert budgets == [100.0, 100.0]
