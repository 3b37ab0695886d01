from __future__ import annotations

from pathlib import Path

import pytest

from extension.engines import EngineError, ResultRow
from extension.engines.embedded import EmbeddedEngine
from extension.scans import ScanCount, TableScans
from tables.host import Host


def test_counts_what_was_asked_since_it_began(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    engine = EmbeddedEngine(Host(str(tmp_path)))
    engine.query("SELECT count(*) FROM users")
    count = ScanCount(engine)
    assert count.since() == ()
    for _ in range(3):
        engine.query("SELECT path FROM recent_files WHERE root = '/etc'")
    engine.query("SELECT path FROM recent_files WHERE root = '/'")
    (found,) = count.since()
    assert (found.table, found.calls, found.scans) == ("recent_files", 4, 2)


class Answering:
    def __init__(self, *answers: list[ResultRow]) -> None:
        self.answers = list(answers)

    def query(self, _sql: str) -> list[ResultRow]:
        return self.answers.pop(0)


def row(table: str, calls: int, scans: int, ms: int) -> ResultRow:
    return {"table_name": table, "calls": str(calls), "scans": str(scans), "total_duration_ms": str(ms)}


def test_the_slowest_comes_first_and_what_was_started_anew_counts_anew() -> None:
    engine = Answering([row("a", 10, 5, 900), row("b", 3, 3, 50)], [row("a", 2, 1, 7), row("b", 4, 4, 80), row("c", 1, 1, 8)])
    count = ScanCount(engine)  # type: ignore[arg-type]
    assert count.since() == (TableScans("b", 1, 1, 30), TableScans("c", 1, 1, 8), TableScans("a", 2, 1, 7))


def test_an_engine_that_does_not_tell_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_self: Answering, _sql: str) -> list[ResultRow]:
        raise EngineError("no such column: total_duration_ms")

    monkeypatch.setattr(Answering, "query", fail)
    assert ScanCount(Answering()).since() == ()  # type: ignore[arg-type]
