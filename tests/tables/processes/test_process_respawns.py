from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import pytest

from tables.errors import TableError
from tables.host import Host
from tables.processes.process_respawns import ProcessRespawn, process_respawns
from tables.schema import QueryContext
from tests.support.namespaces import run_in_namespaces

SLEEP = os.path.realpath("/bin/sleep")


class Plant:
    """A folder for programs, the processes started from it, and what the table says of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = Host()
        self.started: list[subprocess.Popen[bytes]] = []
        self.pids: set[int] = set()

    def start(self, *argv: str | Path) -> int:
        """Start a process in the folder and return its pid."""
        process = subprocess.Popen(list(map(str, argv)), cwd=self.folder, stdin=subprocess.DEVNULL, start_new_session=True)
        self.started.append(process)
        return process.pid

    def program(self, name: str, source: str = SLEEP) -> Path:
        """A copy of sleep, or of another program."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, path)
        return path

    def script(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def running(self, *words: str | Path) -> set[int]:
        """The pids whose command line begins with these words; all are ended afterwards."""
        wanted = [str(word) for word in words]
        procfs = self.host.truth
        found = {process.pid for process in procfs.processes() if process.argv[: len(wanted)] == wanted}
        self.pids |= found
        return found

    def wait(self, *words: str | Path, besides: Collection[int] = ()) -> int:
        """The pid of the one process with this command line that is none of `besides`."""
        return until(lambda: min(self.running(*words).difference(besides), default=0))

    def rows(self, *paths: str | Path) -> list[ProcessRespawn]:
        """A look of the table at the host: the rows whose command line holds one of `paths` (the folder)."""
        wanted = [str(path) for path in paths or (self.folder,)]
        found = list(process_respawns.generate(self.host, QueryContext()))
        return [row for row in found if any(path in f"{row.cmdline} {row.exe_path} {row.restarter}" for path in wanted)]

    def clean(self) -> None:
        """End all of it: guards first, then what they started, until nothing comes back."""
        for process in self.started:
            process.kill()
        for process in self.started:
            process.wait()
        for process in self.host.truth.processes():
            if str(self.folder) in process.cmdline:
                self.pids.add(process.pid)
        for pid in self.pids:
            left = self.host.truth.process(pid)
            if left is not None and str(self.folder) in f"{left.cmdline} {left.exe_path}":
                os.kill(pid, signal.SIGKILL)


def until(look: Callable[[], int]) -> int:
    for _ in range(2000):
        found = look()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError("what was waited for did not happen")


@pytest.fixture
def temporary() -> Iterator[Plant]:
    with tempfile.TemporaryDirectory(prefix="minehunt-test-", dir="/tmp") as folder:
        plant = Plant(Path(folder))
        try:
            yield plant
        finally:
            plant.clean()


@pytest.fixture
def quiet() -> Iterator[Plant]:
    """The same in a folder in which a program may well lie."""
    home = os.path.realpath(Path.home())
    if home.startswith(("/tmp/", "/var/tmp/", "/dev/", "/run/")) or "/." in home:
        pytest.skip(f"no program may lie in {home}, so none that lies there is innocent")
    with tempfile.TemporaryDirectory(prefix="minehunt-test-", dir=home) as folder:
        plant = Plant(Path(folder))
        try:
            yield plant
        finally:
            plant.clean()


def by_mechanism(rows: list[ProcessRespawn]) -> dict[str, ProcessRespawn]:
    return {row.mechanism: row for row in rows}


def killed_twice(plant: Plant, *words: str | Path) -> tuple[list[list[ProcessRespawn]], list[int]]:
    """Three looks, with the program killed between them; and the pids it had."""
    pids = [plant.wait(*words)]
    looks = [plant.rows()]
    for _ in range(2):
        os.kill(pids[-1], signal.SIGKILL)
        pids.append(plant.wait(*words, besides=pids))
        looks.append(plant.rows())
    return looks, pids


# What must be reported.


def test_a_program_that_its_guard_starts_again_is_seen_at_once_and_remembered(temporary: Plant) -> None:
    program = temporary.program("kworkerds")
    script = temporary.script("guard.sh", f"#!/bin/sh\nwhile true; do\n  {program} 1000\n  sleep 0.05\ndone\n")
    guard = temporary.start("/bin/sh", script)
    looks, pids = killed_twice(temporary, program, "1000")
    first = by_mechanism(looks[0])
    assert set(first) == {"guard_loop"}
    row = first["guard_loop"]
    assert (row.pid, row.restarter_pid, row.exe_path, row.owner_uid) == (pids[0], guard, str(program), os.getuid())
    assert row.restarter == f"sh({guard}) {script}"
    assert row.reasons == "temporary_folder,guard_temporary_folder"
    assert row.mutual_guard is None and row.cgroup_path and row.start_time
    row = by_mechanism(looks[2])["memory"]
    assert (row.pid, row.previous_pid, row.respawns) == (pids[2], pids[1], 2)
    assert (row.parent, row.parent_name, row.starters) == (guard, "sh", " ".join([f"sh({guard})"] * 3))
    assert (row.process_name, row.cmdline, row.reasons) == ("kworkerds", f"{program} 1000", "temporary_folder")
    assert row.first_seen and row.last_start == row.start_time and row.interval_seconds is not None
    assert f"pid {pids[1]} of it ended" in row.evidence


def test_one_return_is_no_habit(temporary: Plant) -> None:
    program = temporary.program("once")
    script = temporary.script("guard.sh", f"while :; do {program} 1000; done\n")
    temporary.start("/bin/sh", script)
    looks, _ = killed_twice(temporary, program, "1000")
    assert "memory" not in by_mechanism(looks[1])
    assert "memory" in by_mechanism(looks[2])


def test_a_program_that_is_gone_just_now_has_no_pid(temporary: Plant) -> None:
    program = temporary.program("gone")
    guard = temporary.start("/bin/sh", temporary.script("guard.sh", f"while :; do {program} 1000; done\n"))
    _, pids = killed_twice(temporary, program, "1000")
    os.kill(guard, signal.SIGKILL)
    os.kill(pids[-1], signal.SIGKILL)
    until(lambda: not temporary.running(program))
    row = by_mechanism(temporary.rows())["memory"]
    assert (row.pid, row.exe_path, row.reasons) == (None, str(program), "temporary_folder")


def test_a_program_with_a_new_random_name_each_time_is_one_program(temporary: Plant) -> None:
    names = [".ab12cd34", ".ef56gh78", ".ij90kl12"]
    programs = [temporary.program(name) for name in names]
    runs = " ".join(map(str, programs))
    temporary.start("/bin/sh", temporary.script("guard.sh", f"for p in {runs}; do $p 1000; done\n"))
    rows = []
    for program in programs:
        pid = temporary.wait(program)
        rows = temporary.rows()
        os.kill(pid, signal.SIGKILL)
    row = by_mechanism(rows)["memory"]
    assert (row.respawns, row.exe_path) == (2, str(programs[2]))
    assert row.reasons == "temporary_folder,hidden_path,changes_name"


@pytest.mark.parametrize(
    "code",
    [
        "while sleep 0.1; do {program} 1000; done",
        "run() {{ {program} 1000; }}; while :; do run; sleep 1; done",
        "cd {folder}; while :; do ./worker 1000; sleep 1; done",
        "P={program}; until $P 1000; do sleep 1; done",
        "PATH={folder}:$PATH; while :; do worker 1000; sleep 1; done",
    ],
)
def test_a_loop_given_as_code_is_a_guard(temporary: Plant, code: str) -> None:
    program = temporary.program("worker")
    guard = temporary.start("/bin/sh", "-c", code.format(program=program, folder=temporary.folder))
    pid = until(lambda: next((p.pid for p in temporary.host.truth.processes() if p.exe_path == str(program)), 0))
    temporary.pids.add(pid)
    row = by_mechanism([row for row in temporary.rows() if row.pid == pid])["guard_loop"]
    assert (row.restarter, row.reasons) == (f"sh({guard}) -c", "temporary_folder")


def test_a_guard_that_is_told_what_to_start_is_a_guard(temporary: Plant) -> None:
    program = temporary.program("worker")
    script = temporary.script("g", 'while :; do "$1" 1000; sleep 1; done\n')
    guard = temporary.start("/bin/sh", script, program)
    pid = temporary.wait(program, "1000")
    row = by_mechanism([row for row in temporary.rows() if row.pid == pid])["guard_loop"]
    assert row.restarter_pid == guard


def test_a_guard_whose_script_was_deleted_is_read_all_the_same(temporary: Plant) -> None:
    program = temporary.program("worker")
    script = temporary.script("g", f"while :; do {program} 1000; sleep 1; done\n")
    temporary.start("/bin/sh", script)
    pid = temporary.wait(program, "1000")
    script.unlink()
    row = by_mechanism([row for row in temporary.rows() if row.pid == pid])["guard_loop"]
    assert row.reasons and "guard_deleted" in row.reasons.split(",")


def test_a_guard_that_never_was_a_file_is_read_from_its_descriptor(temporary: Plant) -> None:
    program = temporary.program("worker")
    code = f"""
import os
fd = os.memfd_create("x", 0)
os.write(fd, b"while :; do {program} 1000; sleep 1; done")
os.lseek(fd, 0, 0)
os.execv("/bin/bash", ["bash", f"/dev/fd/{{fd}}"])
"""
    guard = temporary.start(os.path.realpath(sys.executable), "-c", code)
    pid = temporary.wait(program, "1000")
    row = by_mechanism([row for row in temporary.rows() if row.pid == pid])["guard_loop"]
    assert (row.restarter_pid, row.reasons) == (guard, "temporary_folder,guard_deleted")


def test_a_guard_in_python_is_a_guard(temporary: Plant) -> None:
    program = temporary.program("worker")
    code = f"import subprocess, time\nwhile True:\n    subprocess.run(['{program}', '1000'])\n    time.sleep(1)\n"
    guard = temporary.start(os.path.realpath(sys.executable), temporary.script("g.py", code))
    pid = temporary.wait(program, "1000")
    row = by_mechanism([row for row in temporary.rows() if row.pid == pid])["guard_loop"]
    assert (row.restarter_pid, row.reasons) == (guard, "temporary_folder,guard_temporary_folder")


def test_two_scripts_that_start_each_other_are_mutual_guards(quiet: Plant) -> None:
    folder = quiet.folder
    for one, other in (("a", "b"), ("b", "a")):
        quiet.script(
            one,
            f"while [ ! -e {folder}/stop ]; do\n"
            f"  kill -0 $(cat {folder}/{other}.pid) 2>/dev/null || {{ sh {folder}/{other} & echo $! > {folder}/{other}.pid; }}\n"
            "  sleep 0.1\ndone\n",
        )
    # Whoever the first one starts must find its pid, or it starts a second pair.
    first = f"echo $$ > {folder}/a.pid; exec sh {folder}/a"
    process = subprocess.Popen(["sh", "-c", first], start_new_session=True)
    try:
        quiet.started.append(process)
        a, b = process.pid, quiet.wait("sh", f"{folder}/b")
        rows = [row for row in quiet.rows() if row.mechanism == "mutual_guard"]
        assert {(row.pid, row.mutual_guard, row.reasons) for row in rows} == {
            (a, f"sh({b})", "mutual_guard"),
            (b, f"sh({a})", "mutual_guard"),
        }
        # Each outlives the other once.
        os.kill(b, signal.SIGKILL)
        new_b = quiet.wait("sh", f"{folder}/b", besides={b})
        quiet.rows()
        os.kill(a, signal.SIGKILL)
        process.wait()
        new_a = quiet.wait("sh", f"{folder}/a", besides={a})
        remembered = [row for row in quiet.rows() if row.mechanism == "memory"]
        assert {(row.pid, row.mutual_guard) for row in remembered} == {(new_a, f"sh({new_b})"), (new_b, f"sh({new_a})")}
        assert {row.reasons for row in remembered} == {"mutual_guard"}
    finally:
        (folder / "stop").touch()
        until(lambda: not quiet.running("sh", f"{folder}/a") and not quiet.running("sh", f"{folder}/b"))


def test_programs_in_odd_places_that_watch_each_other_by_pid_are_mutual_guards(temporary: Plant) -> None:
    one, other = temporary.program("one"), temporary.program("other")
    first = subprocess.Popen(["sh", "-c", f'read pid; exec {one} 1000 "$pid"'], stdin=subprocess.PIPE)
    temporary.started.append(first)
    second = temporary.start(other, "1000", str(first.pid))
    assert first.stdin is not None
    first.stdin.write(f"{second}\n".encode())
    first.stdin.close()
    temporary.wait(one)
    rows = temporary.rows()
    assert {(row.pid, row.mutual_guard, row.mechanism) for row in rows} == {
        (first.pid, f"other({second})", "mutual_guard"),
        (second, f"one({first.pid})", "mutual_guard"),
    }
    assert {row.reasons for row in rows} == {"temporary_folder,mutual_guard"}


@pytest.mark.root
def test_cron_and_units_that_start_a_running_program_are_told() -> None:
    found = run_in_namespaces(f"""
        for path in ("/etc/cron.d", "/etc/systemd/system", "/run/systemd"):
            os.makedirs(path, exist_ok=True)
            mount("none", path, "tmpfs", 0)
        for name in ("cronned", "served", "once", "innocent"):
            shutil.copy({SLEEP!r}, f"{{folder}}/{{name}}")
            start(f"{{folder}}/{{name}}", "1000")
        write = lambda path, text: (os.makedirs(os.path.dirname(path), exist_ok=True), open(path, "w").write(text))
        write("/etc/cron.d/job", f"# comment\\n* * * * * root pgrep cronned || {{folder}}/cronned 1000 &\\n")
        write("/etc/systemd/system/a.service", f"[Service]\\nExecStart={{folder}}/served 1000\\nRestart=always\\n")
        write("/etc/systemd/system/b.service", f"[Service]\\nExecStart={{folder}}/once 1000\\nRestart=no\\n")
        write("/run/systemd/units/x", "")
        host, answers = Host(), []
        for run in ("one", "two"):
            link = "/run/systemd/units/invocation:a.service"
            if os.path.lexists(link):
                os.unlink(link)
            os.symlink(run, link)
            sql = ("SELECT mechanism, process_name, restarter, unit, unit_restart, unit_restarts, reasons FROM process_respawns "
                   f"WHERE exe_path LIKE '{{folder}}/%' ORDER BY mechanism")
            answers.append([list(row.values()) for row in query(sql, host)])
        answer(answers)
    """)
    for count, rows in enumerate(found):
        assert rows == [
            ["cron", "cronned", "/etc/cron.d/job:2", "", "", "", "temporary_folder"],
            ["unit", "served", "/etc/systemd/system/a.service", "a.service", "always", str(count), "temporary_folder"],
        ]


# What must stay silent.


def test_a_service_that_crashes_again_and_again_is_a_fact_without_reasons(quiet: Plant) -> None:
    mark = "1234567.5"
    script = quiet.script("supervise", f"while :; do {SLEEP} {mark}; sleep 0.05; done\n")
    quiet.start("/bin/sh", script)
    pids = [quiet.wait(SLEEP, mark)]
    rows = quiet.rows(mark)
    for _ in range(2):
        os.kill(pids[-1], signal.SIGKILL)
        pids.append(quiet.wait(SLEEP, mark, besides=pids))
        rows = quiet.rows(mark)
    os.kill(quiet.started[0].pid, signal.SIGKILL)
    os.kill(pids[-1], signal.SIGKILL)
    found = by_mechanism(rows)
    assert set(found) == {"memory", "guard_loop"}
    assert (found["memory"].respawns, found["memory"].pid) == (2, pids[-1])
    assert {row.reasons for row in rows} == {None}


def test_a_pool_of_workers_is_no_returning_program(temporary: Plant) -> None:
    code = """
import os, time
while True:
    pid = os.fork()
    if not pid:
        time.sleep(1000)
    open("worker.new", "w").write(str(pid)); os.rename("worker.new", "worker")
    os.wait()
"""
    temporary.start(os.path.realpath(sys.executable), temporary.script("pool.py", code))
    seen: set[int] = set()
    file = temporary.folder / "worker"
    for _ in range(4):
        pid = until(lambda: int(file.read_text()) if file.exists() and int(file.read_text()) not in seen else 0)
        assert not temporary.rows()
        seen.add(pid)
        temporary.pids.add(pid)
        os.kill(pid, signal.SIGKILL)


def test_a_program_only_looked_for_or_started_before_the_loop_has_no_guard(temporary: Plant) -> None:
    program = temporary.program("server")
    wait = temporary.script("wait.sh", f"{program} 1000 &\nwhile ! false; do pgrep -f {program}; sleep 1; done >/dev/null\n")
    temporary.start("/bin/sh", wait)
    temporary.wait(program)
    assert not temporary.rows()


def test_an_editor_open_on_a_guard_is_no_guard(temporary: Plant) -> None:
    program = temporary.program("server")
    script = temporary.script("guard.sh", f"while :; do {program} 1000; sleep 1; done\n")
    temporary.start(program, "1000")
    temporary.start("tail", "-f", script)
    temporary.wait("tail", "-f")
    assert not temporary.rows()


@pytest.mark.root
def test_a_compile_and_a_fork_storm_give_no_reasons() -> None:
    cc = shutil.which("cc")
    if cc is None:
        pytest.skip("no C compiler")
    found = run_in_namespaces(
        f"""
        source = os.path.join(folder, "x.c")
        open(source, "w").write("#include <stdio.h>\\n#include <stdlib.h>\\nint main(void) {{ return 0; }}\\n")
        start("/bin/sh", "-c", f"while :; do {cc} -O2 -o {{folder}}/x.o -c {{source}}; done")
        start("/bin/sh", "-c", "while :; do /bin/true; date; ls / ; (sleep 0.01) & done")
        host, answers = Host(), []
        from tables.processes.process_respawns import process_respawns
        from tables.schema import QueryContext
        for _ in range(40):
            answers += [row.evidence for row in process_respawns.generate(host, QueryContext()) if row.reasons]
            time.sleep(0.02)
        answer(answers)
        """,
        "--pid",
        "--fork",
        "--mount-proc",
    )
    assert found == []


@pytest.mark.parametrize(("settled", "reasons"), [(0, "guard_temporary_folder"), (1 << 40, None)])
def test_what_a_build_job_waits_for_is_short(
    temporary: Plant, quiet: Plant, monkeypatch: pytest.MonkeyPatch, settled: int, reasons: str | None
) -> None:
    monkeypatch.setattr("tables.processes.process_respawns._SETTLED_SECONDS", settled)
    check = quiet.program("check")
    temporary.start("/bin/sh", temporary.script("job.sh", f"while ! {check} 1000; do sleep 1; done\n"))
    quiet.wait(check)
    assert by_mechanism(quiet.rows())["guard_loop"].reasons == reasons


def test_a_mounted_disk_has_no_processes(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="running system only"):
        list(process_respawns.generate(Host(str(tmp_path)), QueryContext()))
