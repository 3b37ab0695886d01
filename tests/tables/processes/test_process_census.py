"""process_census counts what the kernel counts, notices hidden CPU use, and knows where it cannot count."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading

import pytest

from extension.engines.embedded import EmbeddedEngine
from tables.host import Host
from tables.host.processes.census import cpu_windows, take_census, wait_for_windows
from tables.host.processes.cgroup_census import cpu_stat
from tests.support.namespaces import run_in_namespaces
from tests.support.patience import patient

pytestmark = pytest.mark.alone

NOT_INITIAL = os.stat("/proc/self/ns/pid").st_ino != 0xEFFFFFFC
initial_only = pytest.mark.skipif(NOT_INITIAL, reason="the kernel's counts cover the whole host, not this pid namespace")


def quiet_census() -> dict[str, str]:
    engine = EmbeddedEngine(Host())
    for _ in range(20):
        (row,) = engine.query("SELECT * FROM process_census WHERE pid_max > 0")
        engine = EmbeddedEngine(engine.host)
        if row["quiet"] == "1" and row["threads_seen"]:
            return row
    pytest.skip("processes kept starting during twenty counts")


@initial_only
def test_an_honest_host_counts_the_same_both_ways() -> None:
    row = quiet_census()
    assert row["processes_expected"] == row["processes_seen"] and row["processes_hidden"] == "0"
    assert row["threads_expected"] == row["threads_seen"] and row["threads_hidden"] == "0"
    assert (row["pid_namespace_initial"], row["windows"]) == ("1", "3")


@initial_only
def test_threads_zombies_and_children_are_all_counted() -> None:
    release = threading.Event()
    threads = [threading.Thread(target=release.wait) for _ in range(50)]
    for thread in threads:
        thread.start()
    zombie = subprocess.Popen(["true"])
    try:
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        row = quiet_census()
        assert row["processes_hidden"] == "0" and row["threads_hidden"] == "0" and int(row["threads_seen"]) > 50
    finally:
        release.set()
        zombie.wait()


BUSY = "while True: pass"


@initial_only
def test_cpu_that_listed_processes_use_is_accounted_for() -> None:
    busy = subprocess.Popen([sys.executable, "-c", BUSY])
    storm = subprocess.Popen(["sh", "-c", "while :; do /bin/true; done"], start_new_session=True)
    try:
        host = Host()
        take_census(host)
        wait_for_windows(host)
        windows = cpu_windows(host)
        assert len(windows) == 3
        assert all(window.busy_cores > 0.5 for window in windows)
        assert min(abs(window.residual_cores) for window in windows) < 0.25
    finally:
        busy.kill()
        os.killpg(storm.pid, signal.SIGKILL)
        busy.wait()
        storm.wait()


@initial_only
@pytest.mark.root
def test_a_hidden_process_that_computes_shows_as_residual() -> None:
    body = f"""
    process = start(sys.executable, "-c", {BUSY!r})
    time.sleep(0.3)
    mount("none", f"/proc/{{process.pid}}", "tmpfs", 0)
    answer(query("SELECT residual_cores_min, windows FROM process_census"))
    """
    ((row),) = run_in_namespaces(body)
    assert row["windows"] == "3"
    # Emulated, our own scan and the process share one slow CPU.
    assert float(row["residual_cores_min"]) > 0.4 / patient(1)


@pytest.mark.root
def test_in_a_child_pid_namespace_nothing_is_compared_and_that_is_said() -> None:
    (row,) = run_in_namespaces("answer(query('SELECT * FROM process_census'))", "--pid", "--fork", "--mount-proc")
    assert (row["pid_namespace_initial"], row["degraded"]) == ("0", "1")
    assert row["processes_expected"] == row["processes_hidden"] == row["residual_cores"] == ""
    assert "pid namespace" in row["degraded_why"]


@pytest.mark.root
@initial_only
def test_counts_that_a_mount_fakes_are_read_behind_it_or_not_used() -> None:
    body = """
    open(folder + "/loadavg", "w").write("0.00 0.00 0.00 1/999 1")
    mount(folder + "/loadavg", "/proc/loadavg")
    class OldKernelHost(Host):
        has_truth = False
        truth = property(lambda self: self.procfs)
    answer(query("SELECT threads_expected, degraded_why FROM process_census", OldKernelHost()))
    """
    (without,) = run_in_namespaces(body)
    assert without["threads_expected"] == "" and "/proc/loadavg" in without["degraded_why"]
    body = """
    open(folder + "/loadavg", "w").write("0.00 0.00 0.00 1/999 1")
    mount(folder + "/loadavg", "/proc/loadavg")
    answer(query("SELECT threads_expected, degraded FROM process_census"))
    """
    (row,) = run_in_namespaces(body)
    assert row["threads_expected"] != "999" and row["degraded"] == "0"


# A cgroup of its own, at the same path in each hierarchy that counts, with one process that a hooked listing leaves out.
IN_CGROUP = """
from tables.host.processes.cgroup_census import _controllers
from tables.host.processes.procfs import Procfs
from tables.host.processes.task_lists import cgroup_members
host = Host()
name = f"minehunt-test-{{os.getpid()}}"
top = next(cgroup_members(host.truth))[0]
folders = [f"{{root}}/{{name}}" for root in {{top, *_controllers(host)}}]
listed, hidden = start({sleep!r}, "600"), start(sys.executable, "-c", {code!r})
try:
    for folder_ in folders:
        os.mkdir(folder_)
        for process in (listed, hidden):
            open(folder_ + "/cgroup.procs", "w").write(str(process.pid))
    time.sleep(0.5)
    counted = [os.path.exists(f"{{folder_}}/pids.current") for folder_ in folders]
    entries = Procfs.entries
    if {is_hidden}:
        Procfs.entries = lambda self, at=".": [one for one in entries(self, at) if one[0] != b"%d" % hidden.pid]
    rows = query("SELECT * FROM process_census WHERE cgroup_path = '/" + name + "'", host)
    answer([rows, any(counted)])
except OSError as error:
    answer([str(error), False])
finally:
    for process in (listed, hidden):
        process.kill()
        process.wait()
    for folder_ in folders:
        for _ in range(100):
            try:
                os.rmdir(folder_)
                break
            except FileNotFoundError:
                break
            except OSError:
                time.sleep(0.02)
"""
THREADS = "import threading, time; [threading.Thread(target=time.sleep, args=(600,)).start() for _ in range(3)]\n" + BUSY


@initial_only
@pytest.mark.root
@pytest.mark.parametrize("is_hidden", [True, False])
def test_the_cgroup_in_which_something_hides_is_named(is_hidden: bool) -> None:
    body = IN_CGROUP.format(sleep=shutil.which("sleep"), code=THREADS, is_hidden=is_hidden)
    rows, is_counted = run_in_namespaces(body)
    if isinstance(rows, str):
        pytest.skip(f"no cgroup can be made here: {rows}")
    if not is_hidden:
        assert rows == []
        return
    (row,) = rows
    assert (row["processes_expected"], row["processes_seen"], row["processes_hidden"], row["quiet"]) == ("2", "1", "1", "1")
    if is_counted:
        assert (row["threads_expected"], row["threads_seen"], row["threads_hidden"]) == ("5", "1", "4")
    assert row["residual_cores"] == "" or float(row["residual_cores"]) > 0.3


def test_cpu_stat_is_read_by_name() -> None:
    assert cpu_stat(b"usage_usec 44108172\nuser_usec 1\nodd\nnr_bursts x\n") == {b"usage_usec": 44108172, b"user_usec": 1}
