from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import ClassVar

import pytest

from tables.host import Host
from tables.host.processes import forked_sweep as module
from tables.host.processes.census import take_census
from tables.host.processes.forked_sweep import forked_sweep
from tables.host.processes.hidden_pids import Search
from tables.host.processes.pidspace import PID_MAX_LIMIT, SweepProgress, sweep
from tables.host.settings import Settings
from tables.schema import QueryContext
from tests.support.osquery_wire import children


class Kept(module.Forked):
    """A process that sweeps, which the test can name afterwards."""

    pids: ClassVar[set[int]] = set()

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        super().__init__(serve)
        self.pids.add(self.pid)


def waiting() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_finds_what_one_process_finds_and_none_of_its_own(processes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Forked", Kept)
    kept = waiting()
    try:
        highest = max(Host().procfs.pids()) + 50
        found = forked_sweep(1, highest, 60, processes)
    finally:
        kept.kill()
        kept.wait()
    assert {kept.pid, os.getpid()} <= set(found.leaders)
    assert found.asked == highest
    assert Kept.pids and Kept.pids.isdisjoint(found.leaders)
    assert children(os.getpid()) == []


def test_goes_on_where_the_first_part_that_was_cut_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "sweep", lambda first, last, _: sweep(first, last if first == 1 else first + 9, 60))
    assert forked_sweep(1, 3000, 60, 3).asked == 1010
    assert forked_sweep(1001, 4000, 60, 3).asked == 1010


def test_without_processes_it_asks_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> int:
        raise BlockingIOError("Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fail)
    assert os.getpid() in forked_sweep(1, os.getpid(), 60, 4).leaders


def test_the_part_of_a_process_that_is_killed_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    parent, asked_here = os.getpid(), []

    def ask(first: int, last: int, seconds: float) -> object:
        if os.getpid() != parent:
            signal.pause()
        asked_here.append((first, last))
        return sweep(first, last, seconds)

    monkeypatch.setattr(module, "sweep", ask)
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(forked_sweep(1, 1000, 60, 2)))
    thread.start()
    while thread.is_alive():
        for pid in children(parent):
            os.kill(pid, signal.SIGKILL)
        thread.join(0.05)
    assert asked_here == [(1, 500), (501, 1000)]
    assert found == [sweep(1, 1000, 60)]


def swept_to(settings: Settings, **counts: object) -> tuple[SweepProgress, QueryContext]:
    """How far a search went on a host of which the kernel counts so many processes and threads."""
    host, query = Host(settings=settings), QueryContext()
    census = take_census(host)
    for name, value in {"quiet": True, "processes_expected": len(census.listed), "threads_expected": None, **counts}.items():
        object.__setattr__(census, name, value)
    Search(host, query)._swept(census)
    return host.state("pid_sweep", SweepProgress), query


def test_a_quick_triage_asks_for_every_pid_only_where_a_count_disagrees_or_none_can_be_compared() -> None:
    quick = Settings(is_triage=True, is_quick=True)
    progress, query = swept_to(quick)
    assert progress.finished is None and progress.asked == 0
    assert query.unseen == ("--quick: not every pid was asked for, since the kernel's counts agree with its listing",)
    assert query.blind == ()
    for settings, counts in (
        (quick, {"processes_expected": None}),
        (quick, {"processes_expected": PID_MAX_LIMIT}),
        (Settings(is_triage=True), {}),
        (Settings(), {}),
    ):
        progress, query = swept_to(settings, **counts)
        assert progress.finished is not None or progress.asked > 0
        assert query.unseen == ()
