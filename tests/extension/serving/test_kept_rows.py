"""A cut answer logs nothing as removed that it merely did not reach, as osqueryd's differential log shows."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

from extension.serving.kept_rows import KeptRows
from extension.serving.packed_rows import PackedRows
from extension.serving.runner import TableRunner
from tables.errors import TableError
from tables.host import Host
from tables.host.processes.procfs import Procfs
from tables.schema import BIGINT, TEXT, QueryContext, Row, Table, WireRow, column
from tests.support.osquery_log import ResultLog
from tests.support.planted_programs import Planter, copy_shell


@dataclass(frozen=True)
class Found(Row):
    path: str = column(TEXT, "file")
    mode: Optional[str] = column(TEXT, "mode")
    pid: Optional[int] = column(BIGINT, "process")
    start_time: Optional[int] = column(BIGINT, "its start")


class Scans:
    """A table whose next answer, and what cuts it, a test sets."""

    def __init__(self) -> None:
        self.rows: list[Found] = []
        self.cut = ""
        self.error = ""
        made = Table("found", Found, self.generate, "", (1,), (), cache_seconds=0.0, max_rows=100)
        self.runner = TableRunner(made, Host())
        self.log = ResultLog("found", "host")

    def generate(self, host: Host, query: QueryContext) -> Iterator[Found]:
        if self.cut:
            query.truncate(self.cut)
        if self.error:
            raise TableError(self.error)
        yield from self.rows

    def logged(self, *rows: Found, cut: str = "") -> list[tuple[str, str]]:
        """What osqueryd logs of the next answer: (action, path)."""
        self.rows, self.cut = list(rows), cut
        lines = [json.loads(line) for line in self.log.run(self.runner.generate(None))]
        return [(line["action"], line["columns"]["path"]) for line in lines]


A, B, C, D = (Found(path=f"/{name}") for name in "abcd")


def test_what_a_cut_answer_did_not_reach_is_not_removed() -> None:
    scans = Scans()
    assert scans.logged(A, B, C) == [("added", "/a"), ("added", "/b"), ("added", "/c")]
    assert scans.logged(A, cut="out of time") == []
    assert scans.logged(C, D, cut="out of time") == [("added", "/d")]
    assert scans.logged(cut="out of time") == []
    assert sorted(scans.logged(A, D)) == [("removed", "/b"), ("removed", "/c")]


def test_without_a_cut_everything_that_is_gone_is_removed() -> None:
    scans = Scans()
    scans.logged(A, B)
    assert scans.logged(A) == [("removed", "/b")]


def test_what_a_cut_answer_found_changed_is_one_row() -> None:
    scans = Scans()
    scans.logged(A, B)
    changed = Found(path="/a", mode="0777")
    assert scans.logged(changed, cut="out of time") == [("removed", "/a"), ("added", "/a")]


def test_a_cut_hides_no_finding_and_a_failure_keeps_what_is_known() -> None:
    scans = Scans()
    assert scans.logged(A, cut="too many") == [("added", "/a")]
    scans.error = "broken"
    for _ in range(2):
        try:
            scans.runner.generate(None)
        except TableError:
            continue
        raise AssertionError("no failure")
    scans.error = ""
    assert scans.logged(cut="too many") == []


def test_more_rows_than_are_given() -> None:
    scans = Scans()
    everything = [Found(path=f"/{number}") for number in range(150)]
    scans.logged(*everything[:90])
    # New ones in front push the last ones over the edge.
    assert scans.logged(*everything[100:140], *everything[:90]) == [("added", f"/{number}") for number in range(100, 140)]


def test_a_process_that_has_ended_is_removed_even_so(plant: Planter, tmp_path: os.PathLike[str]) -> None:
    pid = plant(copy_shell(tmp_path / "worker"))  # type: ignore[operator]
    process = Procfs.open().process(pid)
    assert process is not None
    row = Found(path="/a", pid=pid, start_time=process.start_time)
    scans = Scans()
    assert scans.logged(row, B) == [("added", "/a"), ("added", "/b")]
    assert scans.logged(cut="out of time") == []
    plant.clean()
    plant.started.clear()
    assert scans.logged(cut="out of time") == [("removed", "/a")]


def test_nothing_is_kept_for_more_than_a_day() -> None:
    kept = KeptRows(Scans().runner.table, Host())
    row: WireRow = {"path": "/a"}
    kept.complete("", [row], PackedRows([row]), False, now=0.0)
    assert kept.complete("", [], PackedRows([]), True, now=86_000.0) == [row]
    assert kept.complete("", [], PackedRows([]), True, now=87_000.0) == []


def test_memory_is_bounded() -> None:
    kept = KeptRows(Scans().runner.table, Host())
    for number in range(100):
        rows: list[WireRow] = [{"path": os.urandom(50_000).hex()}]
        kept.complete(str(number), rows, PackedRows(rows), False)
    assert kept._size() <= 2 << 20
    assert len(kept._kept) <= 16
