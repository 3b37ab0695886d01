"""The process that scans: what a hostile scan does to it, and does not do to the process that answers osquery."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from extension.serving.runner import TableRunner
from extension.serving.workers import Workers
from tables.errors import TableError
from tables.host import Host
from tables.schema import BIGINT, TEXT, QueryContext, Row, Table, column, table
from tests.support.osquery_wire import TEST_TABLES, Wire, children, client, wait_until, wire_in_folder

ABOUT: dict[str, Any] = {"description": "a test table", "sop_steps": (), "examples": (), "cache_seconds": 0.0}


@dataclass(frozen=True)
class Word(Row):
    text: str = column(TEXT, "", index=True)
    number: int = column(BIGINT, "")


@table("plain", Word, uses_constraints=True, **ABOUT)
def plain(host: Host, query: QueryContext) -> Iterator[Word]:
    query.could_not_see("/x: Permission denied")
    query.truncate("only the first")
    for number in range(3):
        yield Word(text="".join(query.equals("text") or ["é\udcff"]), number=number)


@table("many", Word, **ABOUT)
def many(host: Host, query: QueryContext) -> Iterator[Word]:
    yield from (Word(text="x" * 2000, number=number) for number in range(5000))


@table("who", Word, **ABOUT)
def who(host: Host, query: QueryContext) -> Iterator[Word]:
    """The process that scans, those that are left out as ours, and its open files."""
    own = ",".join(str(pid) for pid, _ in sorted(host.own_processes()))
    yield Word(text=own, number=os.getpid())
    for name in os.listdir("/proc/self/fd"):
        target = os.readlink(f"/proc/self/fd/{name}") if os.path.islink(f"/proc/self/fd/{name}") else ""
        yield Word(text=target, number=int(name))


@table("memory", Word, remembers=True, **ABOUT)
def memory(host: Host, query: QueryContext) -> Iterator[Word]:
    counts: list[int] = host.state("memory", list)
    counts.append(1)
    yield Word(text="", number=len(counts))


@table("hog", Word, budget_seconds=1.0, **ABOUT)
def hog(host: Host, query: QueryContext) -> Iterator[Word]:
    re.match(r"(a|aa)+$", "a" * 64 + "b")
    yield Word(text="never", number=0)


@table("long_hog", Word, budget_seconds=12.0, **ABOUT)
def long_hog(host: Host, query: QueryContext) -> Iterator[Word]:
    yield from hog.generate(host, query)


@table("stuck", Word, budget_seconds=0.5, **ABOUT)
def stuck(host: Host, query: QueryContext) -> Iterator[Word]:
    threading.Event().wait()
    yield Word(text="never", number=0)


@table("crash", Word, **ABOUT)
def crash(host: Host, query: QueryContext) -> Iterator[Word]:
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(5)
    yield Word(text="never", number=0)


@table("eater", Word, budget_seconds=60.0, **ABOUT)
def eater(host: Host, query: QueryContext) -> Iterator[Word]:
    held = []
    while True:
        held.append(bytearray(16 << 20))
    yield Word(text="never", number=0)


TABLES: dict[str, Table] = {one.name: one for one in (plain, many, who, memory, hog, long_hog, stuck, crash, eater)}


class Served:
    """Runners of TABLES over one Workers."""

    def __init__(self) -> None:
        self.host = Host()
        self.workers = Workers(TABLES, self.host)
        self.runners = {name: TableRunner(one, self.host, self.workers) for name, one in TABLES.items()}

    def rows(self, name: str, context: str = "") -> list[dict[str, str]]:
        return self.runners[name].generate(context)

    def pid(self) -> int:
        return int(self.rows("who")[0]["number"])

    def error(self, name: str) -> str:
        with pytest.raises(TableError) as caught:
            self.rows(name)
        return str(caught.value)


@pytest.fixture
def served() -> Iterator[Served]:
    found = Served()
    yield found
    found.workers.end()


def test_rows_and_what_they_lack_come_as_from_the_same_process(served: Served) -> None:
    query = '{"constraints": [{"name": "text", "list": [{"op": 2, "expr": "ü"}]}]}'
    for context in ("", query):
        assert served.rows("plain", context) == TableRunner(plain, Host()).generate(context)
    record = served.host.status.get("plain")
    assert record.degraded == ("/x: Permission denied",) and record.truncated == "only the first"
    assert len(served.rows("many")) == 5000


def test_both_processes_are_ours_and_the_one_that_scans_has_no_file_of_the_other(served: Served, tmp_path: Path) -> None:
    with (tmp_path / "kept").open("w"):
        rows = served.rows("who")
    assert rows[0]["text"].split(",") == sorted([str(os.getpid()), rows[0]["number"]], key=int)
    assert int(rows[0]["number"]) != os.getpid()
    assert not [row for row in rows[1:] if "kept" in row.get("text", "")]
    assert served.pid() == int(rows[0]["number"])


def test_a_scan_over_its_time_ends_with_its_process_and_the_next_gets_a_new_one(served: Served) -> None:
    first = served.pid()
    assert served.rows("memory")[0]["number"] == "1" and served.rows("memory")[0]["number"] == "2"
    assert "hog: no answer within 1 s" in served.error("hog")
    assert served.pid() != first
    wait_until(lambda: not Path(f"/proc/{first}").exists(), "the end of the process that scanned")
    assert served.rows("memory")[0]["number"] == "1"
    assert "remembered was lost" in served.host.status.get("memory").degraded[0]
    served.rows("memory")
    assert served.host.status.get("memory").degraded == ()


def test_a_system_call_that_never_returns_ends_with_its_process(served: Served) -> None:
    assert "stuck: no answer within 0.5 s" in served.error("stuck")
    assert served.rows("plain")


def test_other_tables_do_not_wait_for_a_scan_that_keeps_the_interpreter(served: Served) -> None:
    served.rows("memory")
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(served.error, "long_hog")
        time.sleep(0.5)
        began = time.monotonic()
        assert served.rows("plain") and served.rows("many")
        assert time.monotonic() - began < 9.0 and not slow.done()
        assert "no answer within 12 s" in slow.result()


def test_after_three_such_scans_the_table_is_not_asked_for_a_while(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        assert "no answer" in served.error("stuck")
    began = time.monotonic()
    assert "its last 3 scans had to be ended" in served.error("stuck")
    assert time.monotonic() - began < 0.4 and served.rows("plain")
    monkeypatch.setattr("extension.serving.blocks._PAUSE_SECONDS", 0.0)
    assert "no answer" in served.error("stuck")


def test_a_table_whose_process_cannot_end_is_not_asked_until_it_has(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.waitpid
    gone = threading.Event()
    monkeypatch.setattr("os.waitpid", lambda pid, options: (gone.wait(), real(pid, options))[1])
    assert "no answer" in served.error("stuck")
    assert "in a system call that does not end" in served.error("stuck") and served.rows("plain")
    gone.set()
    wait_until(lambda: "no answer" in served.error("stuck"), "another scan")


def test_a_crash_is_that_table_s_error_and_nobody_else_s(served: Served) -> None:
    assert "ended again and again" in served.error("crash")
    assert served.rows("plain")


def test_a_scan_that_eats_memory_fails_by_itself(served: Served) -> None:
    pid = served.pid()
    assert served.error("eater") == "eater: out of memory"
    assert served.pid() == pid


def test_a_stopped_process_is_passed_over(served: Served) -> None:
    pid = served.pid()
    os.kill(pid, signal.SIGSTOP)
    assert served.rows("plain") and served.pid() != pid
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the end of the stopped process")


def test_where_no_process_can_be_had_the_query_fails_and_the_next_one_is_answered(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    first = served.pid()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fork", fail)
        os.kill(first, signal.SIGKILL)
        assert "Resource temporarily unavailable" in served.error("who")
    assert served.pid() not in (first, os.getpid())


def test_a_killed_process_is_replaced(served: Served) -> None:
    os.kill(served.pid(), signal.SIGKILL)
    assert served.rows("plain")


@pytest.fixture
def wire() -> Iterator[Wire]:
    with wire_in_folder() as wire:
        yield wire


def test_osquery_s_pings_are_answered_while_a_scan_keeps_the_interpreter(wire: Wire) -> None:
    process = wire.start("--tables", "hog,numbered", program=TEST_TABLES)
    delays = []
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(wire.query, "SELECT * FROM hog")
        while not asked.done():
            began = time.monotonic()
            with client(wire.extension_socket) as extension:
                extension.ping()
            delays.append(time.monotonic() - began)
            time.sleep(0.05)
        assert len(delays) > 20 and sorted(delays)[len(delays) * 9 // 10] < 0.1
        with pytest.raises(Exception, match="hog"):
            asked.result()
    assert len(wire.query("SELECT * FROM numbered")) == 1000
    # Asked while another scan keeps the interpreter, SIGTERM ends both processes at once.
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(wire.query, "SELECT * FROM hog")
        time.sleep(0.5)
        pids = children(process.popen.pid)
        began = time.monotonic()
        process.popen.terminate()
        assert process.wait() == 0 and time.monotonic() - began < 2.0
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "the end of the processes that scan")
        with pytest.raises(Exception, match=r".*"):
            asked.result()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_process_outlives_the_server(wire: Wire, number: signal.Signals) -> None:
    process = wire.start("--tables", "numbered", program=TEST_TABLES)
    wire.query("SELECT * FROM numbered")
    pids = wait_until(lambda: children(process.popen.pid), "a process that scans")
    process.popen.send_signal(number)
    process.wait()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "the end of the process that scans")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_extension_that_is_asked_to_end_is_outlived_by_no_process_for_a_moment(wire: Wire, number: signal.Signals) -> None:
    process = wire.start("--tables", "numbered", program=TEST_TABLES)
    pids = children(process.popen.pid)
    process.popen.send_signal(number)
    process.wait()
    assert pids and not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
