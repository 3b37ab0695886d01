from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest

from extension.engines.early_scans import EarlyScans
from extension.engines.embedded import EmbeddedEngine
from extension.serving.runner import TableRunner
from tables.errors import TableError
from tables.host import Host
from tables.host.settings import Settings
from tables.schema import BIGINT, QueryContext, Row, column, table
from tests.support.osquery_wire import children, wait_until

ABOUT: dict[str, Any] = {"description": "a test table", "sop_steps": (), "examples": (), "scan_early": True}


@dataclass(frozen=True)
class Number(Row):
    number: int = column(BIGINT, "")


@table("who", Number, cache_seconds=0.0, **ABOUT)
def who(_host: Host, query: QueryContext) -> Iterator[Number]:
    query.truncate("only the first")
    query.could_not_see("/x")
    yield Number(os.getpid())


@table("broken", Number, **ABOUT)
def broken(_host: Host, _query: QueryContext) -> Iterator[Number]:
    raise TableError("no such thing")
    yield Number(0)


@table("stuck", Number, budget_seconds=1.0, **ABOUT)
def stuck(_host: Host, _query: QueryContext) -> Iterator[Number]:
    re.match(r"(a|aa)+$", "a" * 64 + "b")
    yield Number(0)


@table("here", Number, cache_seconds=0.0, remembers=True, **ABOUT)
def here(host: Host, query: QueryContext) -> Iterator[Number]:
    query.cannot_tell("whose")
    host.state("asked", list).append(1)
    yield Number(os.getpid())


@pytest.fixture(autouse=True)
def _two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})


def in_a_hurry() -> Host:
    return Host(settings=Settings(is_triage=True))


def test_an_answer_comes_from_another_process_once_with_all_that_it_lacks() -> None:
    host = in_a_hurry()
    scans = EarlyScans([who], host)
    assert {pid for pid, _ in host.own_processes()} == {os.getpid(), *children(os.getpid())}
    query = QueryContext()
    (row,) = scans.scan(who, query).rows
    assert row["number"] != str(os.getpid())
    assert (query.truncated, query.blind) == ("only the first", ("/x",))
    assert TableRunner(who, host, scans).generate(None) == [{"number": str(os.getpid())}]
    wait_until(lambda: not children(os.getpid()), "the process ends when it has nothing left to scan")


def test_what_is_asked_before_its_turn_is_scanned_here_and_not_again_there() -> None:
    host = in_a_hurry()
    scans = EarlyScans([stuck, who], host)
    wait_until(lambda: bool(children(os.getpid())), "the scan that never ends has begun")
    assert scans.scan(who, QueryContext()).rows == [{"number": str(os.getpid())}]
    scans.close()
    wait_until(lambda: not children(os.getpid()), "nothing is left of it")


def test_a_table_that_remembers_is_scanned_at_once_in_this_process_and_then_as_it_is_asked() -> None:
    host = in_a_hurry()
    scans = EarlyScans([here], host)
    assert not children(os.getpid())
    query = QueryContext()
    assert scans.scan(here, query).rows == [{"number": str(os.getpid())}]
    assert query.unseen == ("whose",)
    assert host.state("asked", list) == [1]
    assert scans.scan(here, QueryContext()).rows
    assert host.state("asked", list) == [1, 1]


def test_one_tables_failure_is_its_own() -> None:
    host = in_a_hurry()
    scans = EarlyScans([broken, who], host)
    with pytest.raises(TableError, match="broken: no such thing"):
        TableRunner(broken, host, scans).generate(None)
    assert scans.scan(who, QueryContext()).rows


def test_a_scan_that_never_ends_is_given_up_and_the_next_one_runs() -> None:
    scans = EarlyScans([stuck, who], in_a_hurry())
    error = scans.scan(stuck, QueryContext(budget_seconds=1.0)).error
    assert error is not None and "no answer within 1 s" in error
    assert scans.scan(who, QueryContext()).rows


def test_a_triage_begins_early_what_it_will_ask_and_answers_the_same() -> None:
    sql = "SELECT * FROM changed_package_files ORDER BY path"
    wait_until(lambda: not children(os.getpid()), "nothing is left of earlier tests")
    with closing(EmbeddedEngine(Host())) as engine:
        engine.expect(["changed_package_files"])
        assert not children(os.getpid()), "nobody waits for one question in a hurry"
        plain = engine.query(sql)
    with closing(EmbeddedEngine(in_a_hurry())) as engine:
        engine.expect(["process_tree", "changed_package_files"])
        assert len(children(os.getpid())) == 1
        assert engine.query(sql) == plain
    wait_until(lambda: not children(os.getpid()), "nothing is left of it")


def test_without_a_process_for_it_a_table_is_scanned_when_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> int:
        raise BlockingIOError("Resource temporarily unavailable")

    with closing(EmbeddedEngine(in_a_hurry())) as engine:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fork", fail)
            engine.expect(["pending_updates"])
        assert engine.query("SELECT count(*) AS n FROM pending_updates")


@pytest.mark.parametrize("tables", [["changed_package_files", "pending_updates"], ["hidden_processes", "process_census"]])
def test_a_triage_that_is_given_up_leaves_nothing(tables: list[str]) -> None:
    engine = EmbeddedEngine(in_a_hurry())
    engine.expect(tables)
    engine.close()
    wait_until(lambda: not children(os.getpid()), "nothing is left of it")
