"""hidden_processes finds what is really hidden, at any pid, and nothing on a busy honest host."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from extension.engines.embedded import EmbeddedEngine
from tables.host import Host
from tests.support import seccomp
from tests.support.namespaces import run_in_namespaces

pytestmark = pytest.mark.alone

initial_only = pytest.mark.skipif(
    os.stat("/proc/self/ns/pid").st_ino != 0xEFFFFFFC, reason="the kernel's counts cover the whole host, not this pid namespace"
)

COLUMNS = (
    "pid, how_hidden, how_seen, process_name, cmdline, exe_path, exe_sha256, parent, owner_uid, mount_source, decoy_pid, evidence"
)
SLEEP = shutil.which("sleep") or "/bin/sleep"
REPORT = f"""
answer([process.pid, os.getpid(), query("SELECT {COLUMNS} FROM hidden_processes")])
"""


@pytest.mark.root
@pytest.mark.parametrize(
    ("cover", "how", "source"),
    [
        ('os.mkdir(folder + "/empty"); mount(folder + "/empty", f"/proc/{process.pid}")', "overmount", "empty"),
        ('mount("none", f"/proc/{process.pid}", "tmpfs", 0)', "overmount", "tmpfs"),
        ('mount("/proc/1", f"/proc/{process.pid}")', "overmount_decoy", "/proc/1"),
        ('mount("/dev/null", f"/proc/{process.pid}/cmdline")', "overmount_file", "/null"),
    ],
    ids=["empty folder", "tmpfs", "decoy", "one file"],
)
@pytest.mark.parametrize("flags", [(), ("--pid", "--fork", "--mount-proc")], ids=["this pid namespace", "a child pid namespace"])
def test_finds_what_a_mount_covers_and_reads_the_truth_behind_it(
    cover: str, how: str, source: str, flags: tuple[str, ...]
) -> None:
    pid, parent, rows = run_in_namespaces(f'process = start("{SLEEP}", "600")\n{cover}\n{REPORT}', *flags)
    assert [row["pid"] for row in rows] == [str(pid)]
    (row,) = rows
    assert row["how_hidden"] == how
    assert source in row["mount_source"]
    assert {"mountinfo", "pidfd_open"} <= set(row["how_seen"].split(","))
    assert (row["process_name"], row["cmdline"]) == ("sleep", f"{SLEEP} 600")
    assert row["exe_path"] == os.path.realpath(SLEEP)
    assert row["exe_sha256"] == hashlib.sha256(Path(SLEEP).read_bytes()).hexdigest()
    assert (row["parent"], row["owner_uid"]) == (str(parent), "0")
    assert row["decoy_pid"] == ("1" if how == "overmount_decoy" else "")
    assert f"mounted over /proc/{pid}" in row["evidence"]


@pytest.mark.root
def test_finds_a_process_whose_folder_is_covered_in_another_mount_namespace_only() -> None:
    body = f"""
    process = start("{SLEEP}", "600")
    cover = f"mount -t tmpfs none /proc/{{process.pid}}; echo ready; exec {SLEEP} 600"
    other = subprocess.Popen(["unshare", "--mount", "sh", "-c", cover], stdout=subprocess.PIPE, text=True)
    started.append(other)
    other.stdout.readline()
    {REPORT.strip()}
    """
    pid, _, rows = run_in_namespaces(body)
    assert [(row["pid"], row["how_hidden"]) for row in rows] == [(str(pid), "overmount_elsewhere")]


@pytest.mark.root
def test_finds_all_processes_that_a_fake_proc_lacks() -> None:
    body = f"""
    process = start("{SLEEP}", "600")
    os.mkdir(folder + "/proc")
    mount("none", folder + "/proc", "tmpfs", 0)
    for name in os.listdir("/proc"):
        if name != str(process.pid):
            os.symlink(folder + "/real/" + name, folder + "/proc/" + name)
    os.mkdir(folder + "/real")
    mount("/proc", folder + "/real")
    mount(folder + "/proc", "/proc")
    {REPORT.strip()}
    """
    pid, _, rows = run_in_namespaces(body)
    assert (str(pid), "proc_overmount") in [(row["pid"], row["how_hidden"]) for row in rows]


# Takes a process out of the listing and the lookups of /proc, and has the calls in {denied} deny it.
HIDE_DEEP = """
from tests.support.seccomp import deny
class Blinded(Host):
    has_truth = False
    truth = property(lambda self: self.procfs)
os.mkdir(folder + "/real")
mount("/proc", folder + "/real")
os.mkdir(folder + "/proc")
mount("none", folder + "/proc", "tmpfs", 0)
for name in os.listdir("/proc"):
    if name != str(process.pid) or {is_listed}:
        os.symlink(folder + "/real/" + name, folder + "/proc/" + name)
mount(folder + "/proc", "/proc")
if {no_cgroups}:
    mount("none", "/sys/fs/cgroup", "tmpfs", 0)
# In a child: the process must still be ended afterwards.
if os.fork() == 0:
    deny(process.pid, {denied!r})
    answer([process.pid, query("SELECT pid, how_hidden, how_seen, evidence FROM hidden_processes", Blinded())])
    os._exit(0)
os.wait()
"""
ALL_CALLS = tuple(seccomp.CALLS)


@pytest.mark.root
@pytest.mark.skipif(not seccomp.IS_SUPPORTED, reason="the filter knows the numbers of calls on x86-64 only")
@pytest.mark.parametrize(
    ("denied", "no_cgroups", "how", "seen"),
    [
        (("pidfd_open", "kill"), True, "pid_lookup", "sched_getscheduler"),
        (("sched_getscheduler", "sched_getaffinity", "kill", "tkill"), True, "proc_lookup", "pidfd_open"),
        (("pidfd_open", "kill", "tkill", "getsid", "getpgid", "getpriority", "prlimit"), True, "pid_lookup", "ioprio_get"),
        (ALL_CALLS, False, "pid_lookup", "cgroup"),
    ],
    ids=["by pidfd_open and kill", "by the scheduler and signals", "by most calls", "by all calls, but a cgroup lists it"],
)
def test_finds_a_process_while_one_view_answers(denied: tuple[str, ...], no_cgroups: bool, how: str, seen: str) -> None:
    hide = HIDE_DEEP.format(denied=denied, no_cgroups=no_cgroups, is_listed=False)
    pid, rows = run_in_namespaces(f'process = start("{SLEEP}", "600")\n{hide}')
    (row,) = [row for row in rows if row["pid"] == str(pid)]
    assert row["how_hidden"] == how
    assert seen in row["how_seen"].split(",") and not set(denied) & set(row["how_seen"].split(","))
    assert "kernel module" in row["evidence"]


@pytest.mark.root
@pytest.mark.skipif(not seccomp.IS_SUPPORTED, reason="the filter knows the numbers of calls on x86-64 only")
def test_is_silent_about_a_listed_process_that_calls_are_forbidden_to_ask_for() -> None:
    hide = HIDE_DEEP.format(denied=("pidfd_open", "kill"), no_cgroups=False, is_listed=True)
    pid, rows = run_in_namespaces(f'process = start("{SLEEP}", "600")\n{hide}')
    assert [row for row in rows if row["pid"] == str(pid)] == []


@pytest.mark.root
@initial_only
def test_a_hidden_process_that_computes_is_met_on_a_cpu() -> None:
    body = """
    process = start(sys.executable, "-c", "while True: pass")
    time.sleep(0.3)
    host = Host()
    from tables.host.processes.census import take_census, wait_for_windows
    mount("none", f"/proc/{process.pid}", "tmpfs", 0)
    take_census(host)
    wait_for_windows(host)
    from tables.host.processes.cpu_sampling import sample_cpus
    try:
        samples = sample_cpus(host.truth, 0.5)[process.pid]
        answer([process.pid, query("SELECT pid, how_seen FROM hidden_processes", host), samples])
    except OSError as error:
        answer([0, [], str(error)])
    """
    pid, rows, samples = run_in_namespaces(body)
    if not pid:
        pytest.skip(f"this machine does not allow CPU sampling: {samples}")
    assert samples >= 100
    assert [row["pid"] for row in rows] == [str(pid)]


READDIR_HOOK = r"""
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
struct dirent *readdir(DIR *folder) {
    static struct dirent *(*real)(DIR *);
    if (!real) real = dlsym(RTLD_NEXT, "readdir");
    struct dirent *entry;
    do entry = real(folder);
    while (entry && getenv("HIDE_PID") && strcmp(entry->d_name, getenv("HIDE_PID")) == 0);
    return entry;
}
struct dirent64 *readdir64(DIR *folder) { return (struct dirent64 *)readdir(folder); }
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler for the readdir hook")
def test_finds_what_a_preloaded_library_filters_from_readdir(tmp_path: Path) -> None:
    source, library = tmp_path / "hook.c", tmp_path / "hook.so"
    source.write_text(READDIR_HOOK)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    hidden = subprocess.Popen([SLEEP, "600"])
    try:
        code = (
            "import json; from extension.engines.embedded import EmbeddedEngine; from tables.host import Host;"
            "print(json.dumps(EmbeddedEngine(Host()).query('SELECT pid, how_hidden, process_name FROM hidden_processes')))"
        )
        env = {**os.environ, "LD_PRELOAD": str(library), "HIDE_PID": str(hidden.pid)}
        found = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
    finally:
        hidden.kill()
        hidden.wait()
    assert found.strip() == f'[{{"pid": "{hidden.pid}", "how_hidden": "libc_readdir", "process_name": "sleep"}}]'


@pytest.mark.root
@pytest.mark.parametrize("wanted", [4_194_303, 3_000_000])
def test_finds_a_process_at_the_top_of_the_pid_space(wanted: int) -> None:
    body = f"""
    open("/proc/sys/kernel/pid_max", "w").write("4194304")
    open("/proc/sys/kernel/ns_last_pid", "w").write("{wanted - 1}")
    process = start("{SLEEP}", "600")
    mount("none", f"/proc/{{process.pid}}", "tmpfs", 0)
    from tables.host.processes.pidspace import sweep
    answer([process.pid, query("SELECT pid, process_name FROM hidden_processes"), list(sweep({wanted - 70000}, 4194304, 30))])
    """
    before = Path("/proc/sys/kernel/pid_max").read_text()
    try:
        pid, rows, (alive, _, asked) = run_in_namespaces(body, "--pid", "--fork", "--mount-proc")
    finally:
        Path("/proc/sys/kernel/pid_max").write_text(before)
    assert pid >= wanted
    assert rows == [{"pid": str(pid), "process_name": "sleep"}]
    assert pid in alive and asked == 4_194_304


def _hidden_here() -> list[dict[str, str]]:
    return EmbeddedEngine(Host()).query("SELECT * FROM hidden_processes")


def test_is_silent_on_this_host() -> None:
    assert _hidden_here() == []


def test_is_silent_in_a_fork_storm() -> None:
    storm = subprocess.Popen(["sh", "-c", "while :; do /bin/true & /bin/true & /bin/true & wait; done"], start_new_session=True)
    try:
        engine = EmbeddedEngine(Host())
        for _ in range(4):
            assert engine.query("SELECT * FROM hidden_processes") == []
            time.sleep(2.1)
    finally:
        os.killpg(storm.pid, signal.SIGKILL)
        storm.wait()


ODD_TASKS = """
import os, signal, sys, threading, time
for _ in range(200):
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
if os.fork() == 0:
    os._exit(0)                      # stays a zombie: nobody waits
stopped = os.fork()
if stopped == 0:
    time.sleep(600)
os.kill(stopped, signal.SIGSTOP)
print("ready", flush=True)
time.sleep(600)
"""


def test_is_silent_about_threads_zombies_and_stopped_tasks() -> None:
    odd = subprocess.Popen([sys.executable, "-c", ODD_TASKS], stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert odd.stdout is not None and odd.stdout.readline() == "ready\n"
        assert _hidden_here() == []
    finally:
        os.killpg(odd.pid, signal.SIGKILL)
        odd.wait()


@pytest.mark.root
def test_is_silent_about_child_pid_namespaces_and_traced_tasks() -> None:
    body = f"""
    child = start("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "{SLEEP}", "600")
    traced = start("{SLEEP}", "600")
    libc = ctypes.CDLL(None)
    if libc.ptrace(16, traced.pid, None, None):
        raise OSError("PTRACE_ATTACH")
    time.sleep(0.5)
    rows = query("SELECT * FROM hidden_processes")
    libc.ptrace(17, traced.pid, None, None)
    answer(rows)
    """
    assert run_in_namespaces(body) == []
    assert run_in_namespaces("answer(query('SELECT * FROM hidden_processes'))", "--pid", "--fork", "--mount-proc") == []


@pytest.mark.root
def test_an_ordinary_user_gets_an_answer_and_is_told_what_it_lacks() -> None:
    body = """
    engine = EmbeddedEngine(Host())
    os.setgid(65534); os.setuid(65534)
    rows = engine.query("SELECT * FROM hidden_processes")
    answer([rows, engine.query("SELECT degraded_why FROM minehunt_status WHERE table_name = 'hidden_processes'")])
    """
    rows, status = run_in_namespaces(body)
    assert rows == []
    assert "not root" in status[0]["degraded_why"]


@pytest.mark.root
def test_an_ordinary_user_under_hidepid_reports_nobody_as_hidden() -> None:
    body = """
    mount("proc", "/proc", "proc", 0)
    libc = ctypes.CDLL(None)
    if libc.mount(b"proc", b"/proc", b"proc", ctypes.c_ulong(32), b"hidepid=2"):
        raise OSError("remount with hidepid")
    engine = EmbeddedEngine(Host())
    os.setgid(65534); os.setuid(65534)
    rows = engine.query("SELECT * FROM hidden_processes")
    answer([rows, engine.query("SELECT degraded_why FROM minehunt_status WHERE table_name = 'hidden_processes'")])
    """
    rows, status = run_in_namespaces(body, "--pid", "--fork")
    assert rows == []
    assert "hidepid" in status[0]["degraded_why"]


@pytest.mark.root
def test_a_cover_inside_a_container_is_told_with_the_host_s_pid() -> None:
    inside = f"{SLEEP} 600 & mount -t tmpfs none /proc/$!; echo $!; wait"
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", inside]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as container:
        try:
            assert container.stdout is not None
            number = int(container.stdout.readline())
            rows = _hidden_here()
        finally:
            container.kill()
    (row,) = rows
    assert (row["how_hidden"], row["process_name"]) == ("overmount_elsewhere", "sleep")
    assert int(row["pid"]) != number and row["cmdline"] == f"{SLEEP} 600"
