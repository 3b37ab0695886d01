"""process_cpu_usage measures real load since the last call, keeps processes apart, and reads their limits."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.errors import TableError
from tables.host import Host
from tables.host.disk.mounts import parse_mountinfo
from tables.host.processes import cpu_use
from tables.host.processes.cpu_use import CpuHistory, CpuUse, parse_schedstat
from tables.processes.process_cpu_usage import ProcessCpuUsage, parse_status, process_cpu_usage
from tables.schema import QueryContext
from tests.support.planted_programs import Planter

BUSY = "print('ready', flush=True)\nwhile True: pass"
IDLE = "import time; print('ready', flush=True); time.sleep(600)"
# Two threads that compute outside of the interpreter lock, and one that waits.
TWO_BUSY = """
import hashlib, threading
data = bytes(1 << 24)
def burn():
    while True:
        hashlib.sha256(data).digest()
for _ in range(2):
    threading.Thread(target=burn, daemon=True).start()
print('ready', flush=True)
threading.Event().wait()
"""


def rows(host: Host) -> dict[int, ProcessCpuUsage]:
    return {row.pid: row for row in process_cpu_usage.generate(host, QueryContext())}


def demand(row: ProcessCpuUsage) -> float:
    """Percent of a core that it used or waited for: however busy this machine is, what computes wants a whole core."""
    assert row.run_queue_wait_percent is not None
    return row.cpu_percent + row.run_queue_wait_percent


def test_a_busy_process_stands_out_at_the_first_call(plant: Planter) -> None:
    busy, idle = plant.python(BUSY), plant.python(IDLE)
    time.sleep(0.5)
    found = rows(Host())
    row = found[busy]
    assert demand(row) > 40 and row.cpu_percent > 5 * found[idle].cpu_percent
    assert row.cpu_percent_host == pytest.approx(row.cpu_percent / (os.cpu_count() or 1), abs=0.1)
    assert 0.25 < row.window_seconds < 20 and row.cpu_percent_since_start > 1
    assert row.user_time > 0 and row.half_cores >= found[idle].half_cores == 0
    assert row.busy_threads is not None
    assert (row.threads, row.nice, row.scheduling_policy) == (1, os.nice(0), "other")
    assert (row.process_name, row.parent, row.owner_uid) == (
        Path(f"/proc/{busy}/comm").read_text().strip(),
        os.getpid(),
        os.getuid(),
    )
    assert row.exe_path == os.path.realpath(sys.executable) and row.cmdline and BUSY.split("\n")[1] in row.cmdline
    assert row.affinity and all(part.isdecimal() for part in row.affinity.replace(",", "-").split("-"))


def test_later_calls_measure_since_the_one_before(plant: Planter) -> None:
    busy = plant.python(BUSY)
    host = Host()
    rows(host)
    os.kill(busy, signal.SIGSTOP)
    rows(host)
    time.sleep(0.5)
    began = time.monotonic()
    stopped = rows(host)[busy]
    assert stopped.cpu_percent == 0 and stopped.window_seconds >= 0.5 and stopped.user_time > 0
    os.kill(busy, signal.SIGCONT)
    time.sleep(0.5)
    again = rows(host)[busy]
    assert again.cpu_percent > 1
    assert again.window_seconds <= time.monotonic() - began


def test_a_process_that_started_between_two_calls_is_measured_since_its_start(plant: Planter) -> None:
    host = Host()
    rows(host)
    time.sleep(1.0)
    busy = plant.python(BUSY)
    time.sleep(0.4)
    found = rows(host)
    assert demand(found[busy]) > 40 and found[busy].window_seconds < found[os.getpid()].window_seconds


def test_a_later_process_with_the_same_pid_inherits_nothing(plant: Planter) -> None:
    busy = plant.python(BUSY)
    time.sleep(0.5)
    history = CpuHistory()
    procfs = Host().truth
    history.measure(procfs)
    assert history._last is not None
    (identity,) = [identity for identity in history._last.readings if identity[0] == busy]
    reading = history._last.readings.pop(identity)
    # As if the number had belonged to another process, which had used ten minutes of CPU time, at the last call.
    history._last.readings[busy, identity[1] - 1] = reading._replace(ticks=reading.ticks + 60_000)
    uses, _ = history.measure(procfs)
    (use,) = [use for use in uses if use.stat.pid == busy]
    assert 0.01 < use.cores < 2 and use.cores == pytest.approx(use.cores_since_start, rel=0.25)


def test_busy_threads_are_counted_one_by_one(plant: Planter) -> None:
    pid = plant.python(TWO_BUSY)
    time.sleep(0.5)
    host = Host()
    rows(host)
    time.sleep(0.5)
    row = rows(host)[pid]
    assert row.threads == 3 and row.busy_threads is not None and row.busy_threads <= 2
    assert demand(row) > 105


def test_waiting_for_a_cpu_shows(plant: Planter) -> None:
    cpu = min(os.sched_getaffinity(0))
    pids = [plant.python(f"import os; os.sched_setaffinity(0, {{{cpu}}}); os.nice(3)\n{BUSY}") for _ in range(3)]
    time.sleep(0.5)
    host = Host()
    rows(host)
    time.sleep(0.6)
    found = [rows(host)[pid] for pid in pids[:1]] + [row for pid, row in rows(host).items() if pid in pids[1:]]
    assert all(row.affinity == str(cpu) and row.nice == min(19, os.nice(0) + 3) for row in found)
    assert sum(row.cpu_percent for row in found) < 180
    assert all((row.run_queue_wait_percent or 0) > 10 for row in found)


def test_policy_is_named(plant: Planter) -> None:
    pid = plant.python(f"import os; os.sched_setscheduler(0, os.SCHED_IDLE | os.SCHED_RESET_ON_FORK, os.sched_param(0))\n{IDLE}")
    assert rows(Host())[pid].scheduling_policy == "idle"


def test_steps_of_half_a_core_do_not_flicker() -> None:
    halves = 0
    seen = []
    for cores in (0.0, 0.3, 0.4, 0.3, 0.2, 0.1, 0.8, 1.0, 0.7, 1.3, 1.38, 3.1, 0.0):
        halves = cpu_use._half_cores(cores, halves)
        seen.append(halves)
    assert seen == [0, 0, 1, 1, 1, 0, 2, 2, 2, 2, 3, 6, 0]


def test_kernel_threads_are_listed_only_when_they_work() -> None:
    host = Host()
    kernel_threads = {process.pid for process in host.truth.processes() if process.is_kernel_thread}
    if not kernel_threads:
        pytest.skip("no kernel threads are visible here")
    assert all(row.cpu_percent > 0 for pid, row in rows(host).items() if pid in kernel_threads)
    assert kernel_threads - rows(host).keys(), "some of them always sleep"


def test_concurrent_callers_do_not_wait_for_each_other(plant: Planter) -> None:
    busy = plant.python(BUSY)
    time.sleep(0.5)
    history, procfs = CpuHistory(), Host().truth
    results: list[list[CpuUse]] = []
    threads = [threading.Thread(target=lambda: results.append(history.measure(procfs)[0])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(results) == 8
    measured = [use.cores for uses in results for use in uses if use.stat.pid == busy]
    # On a machine that is busy itself a single short sample may give the process no turn.
    assert len(measured) == 8 and max(measured) > 0


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_use, "_MAX_PROCESSES", 1)
    history = CpuHistory()
    uses, is_cut = history.measure(Host().truth)
    assert is_cut and len(uses) == 1
    assert history._last is not None and len(history._last.readings) == 1
    query = QueryContext()
    list(process_cpu_usage.generate(Host(), query))
    assert query.truncated


def test_only_the_living_are_remembered() -> None:
    history, procfs = CpuHistory(), Host().truth
    child = subprocess.Popen(["sleep", "600"])
    try:
        history.measure(procfs)
        assert history._last is not None and any(pid == child.pid for pid, _ in history._last.readings)
    finally:
        child.kill()
        child.wait()
    history.measure(procfs)
    assert not any(pid == child.pid for pid, _ in history._last.readings)


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A new cgroup of this machine that allows a fifth of a core."""
    mounts = list(parse_mountinfo(Path("/proc/self/mountinfo").read_bytes()))
    v1 = [mount for mount in mounts if mount.fs_type == "cgroup" and "cpu" in mount.super_options.split(",")]
    v2 = [mount for mount in mounts if mount.fs_type == "cgroup2"]
    if not (v1 or v2):
        pytest.skip("no cgroup file system")
    folder = Path((v1 or v2)[0].mount_point, f"minehunt-test-{os.getpid()}")
    limit = folder / ("cpu.cfs_quota_us" if v1 else "cpu.max")
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"cannot make a cgroup: {error}")
    try:
        if not limit.exists():
            pytest.skip("the CPU controller is not enabled for new cgroups")
        limit.write_text("20000" if v1 else "20000 100000")
        yield folder
    finally:
        for _ in range(50):
            with contextlib.suppress(OSError):
                folder.rmdir()
                break
            time.sleep(0.1)


@pytest.mark.root
def test_the_quota_of_its_cgroup_is_told(cgroup: Path, plant: Planter) -> None:
    pid, other = plant.python(IDLE), plant.python(IDLE)
    (cgroup / "cgroup.procs").write_text(str(pid))
    found = rows(Host())
    assert found[pid].cgroup_cpu_quota == 0.2
    assert found[other].cgroup_cpu_quota != 0.2
    plant.clean()


def test_a_mounted_disk_has_no_processes(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="running system"):
        list(process_cpu_usage.generate(Host(str(tmp_path)), QueryContext()))


@given(st.binary(max_size=200))
def test_odd_status_and_schedstat_texts_say_nothing(data: bytes) -> None:
    parse_status(data)
    parse_schedstat(data)


def test_status_lines_are_read() -> None:
    status = b"Name:\ta\nUid:\t1000\t0\t0\t0\nCpus_allowed:\tf\nCpus_allowed_list:\t0-3,8\n"
    assert parse_status(status) == (1000, "0-3,8")
    assert parse_status(b"Name:\tUid:\n") == (None, None)
    assert parse_schedstat(b"12 34 5\n") == (12, 34) and parse_schedstat(b"x 1 2") is None
