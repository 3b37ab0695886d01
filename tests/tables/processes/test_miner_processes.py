from __future__ import annotations

import json
import mmap
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tables.errors import TableError
from tables.host import Host
from tables.processes.miner_processes import MinerProcess, miner_processes
from tables.schema import EQUALS, Constraint, QueryContext
from tests.support.connections import host_with_list, listener
from tests.support.planted_programs import SHELL, WAIT, Memfd, Planter, copy_shell

XMR = "44AFFq5kSiGBoZ4NMDwYtN18obc8AemS33DBLWs3H7otXft3XjrpDtQGv7SqSsaBYBb98uNbr2VBBEt7f2wfn3RVGQBEP3A"
WRONG = XMR[:-1] + "B"
PYTHON = os.path.realpath(sys.executable)
DATASET = 2080 << 20
CC = shutil.which("cc") or shutil.which("gcc")


def rows(*pids: int, host: Host | None = None) -> list[MinerProcess]:
    terms = {"pid": [Constraint(EQUALS, str(pid)) for pid in pids]} if pids else {}
    return list(miner_processes.generate(host or Host(), QueryContext(terms)))


def only(pid: int, host: Host | None = None) -> MinerProcess:
    found = rows(pid, host=host)
    assert [row.pid for row in found] == [pid]
    return found[0]


def signals(pid: int, host: Host | None = None) -> list[str]:
    return [signal for row in rows(pid, host=host) for signal in row.signals.split(",")]


def config(url: str, user: str) -> str:
    return json.dumps({"pools": [{"url": url, "user": user, "pass": "hunter2"}], "donate-level": 1, "randomx": {"mode": "auto"}})


# Command lines. WAIT is what the copied shell needs; what follows it are its positional parameters.


def test_a_miner_is_described_with_pool_wallet_and_ancestry(plant: Planter, quiet: Path) -> None:
    program = copy_shell(quiet / "worker")
    arguments = ("x", "-a", "rx/0", "-o", "stratum+tcp://u:secret@203.0.113.7:3333", "-u", f"{XMR}.rig", "-p", "hunter2")
    pid = plant(program, *WAIT, *arguments, cwd=quiet)
    row = only(pid)
    assert row.confidence == "high"
    assert row.signals.split(",") == ["miner_flags", "stratum_url", "wallet_argument"]
    assert (row.pool, row.wallet, row.coin) == ("stratum+tcp://203.0.113.7:3333", XMR, "XMR")
    assert (row.algorithm, row.score) == ("rx/0", 100)
    assert (row.process_name, row.exe_path, row.cwd) == ("worker", str(program), str(quiet))
    assert (row.parent, row.owner_uid) == (os.getpid(), os.getuid())
    assert row.ancestry and row.ancestry.endswith(f"({os.getpid()}) > worker({pid})")
    assert row.exe_sha256 and len(row.exe_sha256) == 64
    assert "hunter2" not in row.evidence and "secret" not in row.evidence
    assert abs(row.start_time - time.time()) < 600


def test_rows_say_the_same_at_every_call(plant: Planter, quiet: Path) -> None:
    pid = plant(copy_shell(quiet / "xmrig"), *WAIT, "x", "--donate-level=1")
    host = Host()
    answers = [
        (row.signals, row.score, row.evidence, row.exe_sha256, row.ancestry) for _ in range(3) for row in rows(pid, host=host)
    ]
    assert len(answers) == 3
    assert len(set(answers)) == 1


@pytest.mark.parametrize("name", ["xmrig", ".xmrig", "XMRig-6.21.0", "xmr1g", "xmrig-notls64", "kdevtmpfsi", "minerd"])
def test_known_names_and_their_mutations_are_found(plant: Planter, quiet: Path, name: str) -> None:
    assert "miner_name" in signals(plant(copy_shell(quiet / name)))


@pytest.mark.parametrize("name", ["xmrig-exporter", "minder", "kdevtmp", "xmrigger-ui"])
def test_names_that_only_resemble_a_miners_are_not(plant: Planter, quiet: Path, name: str) -> None:
    assert not rows(plant(copy_shell(quiet / name)))


def test_a_wrong_checksum_is_no_wallet(plant: Planter, quiet: Path) -> None:
    program = copy_shell(quiet / "worker")
    assert signals(plant(program, *WAIT, "x", "-u", XMR)) == ["wallet_argument"]
    assert not rows(plant(program, *WAIT, "x", "-u", WRONG))


@pytest.mark.parametrize("name", ["vim", "grep", "kubectl", "git", "curl", "cc1plus", "less"])
def test_whoever_handles_text_may_speak_of_pools(plant: Planter, quiet: Path, name: str) -> None:
    arguments = (*WAIT, "x", "-o", "stratum+tcp://203.0.113.7:3333", "--donate-level", "1", XMR)
    assert not rows(plant(copy_shell(quiet / name), *arguments))
    assert only(plant(copy_shell(quiet / "worker"), *arguments)).confidence == "high"


def test_a_deleted_program_may_not(plant: Planter, quiet: Path) -> None:
    program = copy_shell(quiet / "vim")
    pid = plant(program, *WAIT, "x", "-o", "stratum+tcp://203.0.113.7:3333")
    assert not rows(pid)
    program.unlink()
    assert signals(pid) == ["deleted_exe", "stratum_url"]
    copy_shell(program)
    assert not rows(pid), "an upgrade"


def test_arguments_in_front_do_not_hide_the_rest(plant: Planter, quiet: Path) -> None:
    program = copy_shell(quiet / "worker")
    assert "stratum_url" in signals(plant(program, *WAIT, *["x"] * 20_000, "-o", "stratum+tcp://203.0.113.7:3333"))


def test_a_shell_whose_script_names_a_miner_is_not_one(plant: Planter) -> None:
    assert not rows(plant(SHELL, "-c", f"echo ready; read line; grep xmrig stratum+tcp://pool.supportxmr.com:3333 {XMR}"))


# Environment and configuration.


def test_pool_and_wallet_in_the_environment_are_enough(plant: Planter, quiet: Path) -> None:
    program = copy_shell(quiet / "worker")
    environment = {"POOL_URL": "203.0.113.7:3333", "WALLET": XMR, "POOL_PASS": "hunter2"}
    row = only(plant(program, env={**os.environ, **environment}))
    assert (row.signals, row.confidence) == ("pool_environment,wallet_environment", "high")
    assert (row.pool, row.wallet) == ("203.0.113.7:3333", XMR)
    assert "hunter2" not in row.evidence
    innocent = {"POOL_URL": "10.0.0.5:5432", "POOL_SIZE": "20", "TOKEN": WRONG}
    assert not rows(plant(program, env={**os.environ, **innocent}))


def test_a_configuration_beside_the_program_is_enough(plant: Planter, quiet: Path) -> None:
    program = copy_shell(quiet / "worker")
    (quiet / "config.json").write_text(config("203.0.113.7:3333", XMR))
    row = only(plant(program, cwd="/"))
    assert row.signals == "miner_config,wallet_config"
    assert (row.config_path, row.pool, row.wallet) == (str(quiet / "config.json"), "203.0.113.7:3333", XMR)
    (quiet / "config.json").write_text(json.dumps({"pools": [{"url": "db.example.org:5432"}], "listen": 80}))
    assert not rows(plant(program, cwd="/"))


def test_a_configuration_is_found_where_it_is_named_and_in_the_home(plant: Planter, quiet: Path) -> None:
    program = copy_shell(quiet / "bin" / "worker")
    (quiet / ".xmrig.json").write_text(config("203.0.113.7:3333", "someone"))
    named = plant(program, *WAIT, "x", f"--config={quiet}/.xmrig.json", cwd="/")
    assert signals(named) == ["miner_config"]
    assert signals(plant(program, cwd="/", env={**os.environ, "HOME": str(quiet)})) == ["miner_config"]
    assert not rows(plant(program, cwd="/", env={**os.environ, "HOME": "/nonexistent"}))


def test_an_editor_beside_a_configuration_is_no_miner(plant: Planter, quiet: Path) -> None:
    (quiet / "config.json").write_text(config("203.0.113.7:3333", XMR))
    assert not rows(plant(copy_shell(quiet / "nano"), *WAIT, "x", "config.json", cwd=quiet))
    assert not rows(plant(SHELL, cwd=quiet))


@pytest.mark.parametrize("kind", ["fifo", "endless", "bytes"])
def test_a_hostile_configuration_is_survived(plant: Planter, quiet: Path, kind: str) -> None:
    path = quiet / "config.json"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes(os.urandom(4096) + b'{"pools": [' * 4000)
    assert not rows(plant(copy_shell(quiet / "worker"), cwd=quiet))


# Memory, files, connections, programs.


def test_memory_as_large_as_the_dataset_is_a_signal_and_other_memory_is_not(plant: Planter) -> None:
    code = "import mmap, sys; m = mmap.mmap(-1, {}, flags={}); print('ready', flush=True); sys.stdin.read()"
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000  # MAP_NORESERVE
    assert signals(plant.python(code.format(DATASET, private))) == ["randomx_memory"]
    assert not rows(plant.python(code.format(2048 << 20, private)))
    assert not rows(plant.python(code.format(2400 << 20, private)))


def test_an_open_log_of_a_miner_adds_to_other_signals(plant: Planter, quiet: Path) -> None:
    log = quiet / "xmrig.log"
    with log.open("w") as file:
        pid = plant(copy_shell(quiet / "worker"), *WAIT, "x", "--nicehash", pass_fds=(file.fileno(),))
    assert signals(pid) == ["miner_flag", "open_miner_file"]


def test_a_connection_to_a_listed_pool_is_a_signal(plant: Planter, tmp_path: Path) -> None:
    code = "import socket, sys; c = socket.create_connection(('127.0.0.1', {})); print('ready', flush=True); sys.stdin.read()"
    with listener() as pool, listener() as other:
        port = pool.getsockname()[1]
        host = host_with_list(tmp_path, f"127.0.0.1:{port}")
        miner = plant.python(code.format(port))
        innocent = plant.python(code.format(other.getsockname()[1]))
        row = only(miner, host)
        assert (row.signals, row.confidence) == ("pool_connection", "medium")
        assert f"127.0.0.1:{port}" in row.evidence
        assert not rows(innocent, host=host)


def test_the_pool_itself_is_not_reported_for_its_incoming_connections(plant: Planter, tmp_path: Path) -> None:
    host = host_with_list(tmp_path, "127.0.0.1")
    with listener() as server, socket.create_connection(server.getsockname()):
        connection, _ = server.accept()
        with connection:
            code = "import sys; print('ready', flush=True); sys.stdin.read()"
            assert not rows(plant.python(code, pass_fds=(connection.fileno(),)), host=host)


SOURCE = """
#include <stdio.h>
#include <unistd.h>
const char *texts[] = { TEXTS };
int main(void) { puts(texts[getpid() == 1] ? "ready" : ""); fflush(stdout); return getchar(); }
"""


def build(path: Path, *texts: str) -> Path:
    assert CC is not None
    listed = ", ".join(json.dumps(text) for text in ("a", *texts))
    source = SOURCE.replace("TEXTS", listed)
    subprocess.run([CC, "-x", "c", "-O0", "-o", str(path), "-"], input=source, text=True, check=True)
    return path


@pytest.mark.skipif(CC is None, reason="no C compiler")
def test_strings_in_the_running_file_are_a_signal(plant: Planter, quiet: Path) -> None:
    miner = plant(build(quiet / "worker", "stratum+tcp://", "--donate-level", "mining.subscribe"), "-")
    row = only(miner)
    assert (row.signals, row.confidence) == ("miner_binary", "medium")
    assert not rows(plant(build(quiet / "proxy", "stratum+tcp://"), "-"))
    assert not rows(plant(build(quiet / "yara", "stratum+tcp://", "--donate-level", "mining.subscribe"), "-"))
    hidden = quiet / ".cache"
    hidden.mkdir()
    assert only(plant(build(hidden / "worker", "stratum+tcp://", "mining.subscribe"), "-")).confidence == "high"


@pytest.mark.skipif(CC is None, reason="no C compiler")
def test_a_miner_named_like_an_editor_is_found_by_its_strings(plant: Planter, quiet: Path) -> None:
    program = build(quiet / "vim", "stratum+tcp://", "--donate-level")
    assert only(plant(program, "-o", "stratum+tcp://203.0.113.7:3333")).confidence == "high"


def test_a_packed_program_is_reported_as_packed(plant: Planter, quiet: Path) -> None:
    program = copy_shell(quiet / "worker")
    assert not rows(plant(program))
    with (quiet / "packed").open("wb") as file:
        file.write(program.read_bytes() + b"\0" * 32 + b"UPX!" + b"\0" * 32)
    (quiet / "packed").chmod(0o755)
    row = only(plant(quiet / "packed"))
    assert (row.signals, row.confidence) == ("packed", "low")


def test_a_program_is_read_again_when_its_file_changes(plant: Planter, quiet: Path) -> None:
    program = copy_shell(quiet / "worker")
    host = Host()
    assert not rows(plant(program), host=host)
    program.unlink()
    program.write_bytes(Path(SHELL).read_bytes() + b"\0stratum+tcp://\0donate.v2.xmrig.com\0")
    program.chmod(0o755)
    assert "miner_binary" in signals(plant(program), host=host)


# Where it runs and what it says it is.


def test_an_odd_place_adds_to_a_signal_and_is_none_by_itself(plant: Planter, tmp_path: Path, quiet: Path) -> None:
    assert not rows(plant(copy_shell(tmp_path / "worker")))
    program = copy_shell(tmp_path / ".x" / "xmrig")
    pid = plant(program)
    assert signals(pid) == ["hidden_exe", "miner_name", "temp_exe"]
    program.unlink()
    assert signals(pid) == ["deleted_exe", "hidden_exe", "miner_name", "temp_exe"]
    assert not rows(plant.python(Memfd("x", 0).code))
    assert signals(plant.python(Memfd("x", 0, argv0="xmrig").code)) == ["memfd_exe", "miner_name"]


def test_a_kernel_threads_name_is_a_signal_of_its_own(plant: Planter, quiet: Path) -> None:
    program = copy_shell(quiet / "worker")
    row = only(plant(program, argv0="[kworker/0:1]"))
    assert (row.signals, row.confidence) == ("kernel_thread_pose", "medium")
    assert not rows(plant(program, argv0="[worker thread 1]"))


# The host, and the edges.


def test_this_host_is_silent() -> None:
    # Other tests may be planting miners in namespaces of their own.
    ours = os.readlink("/proc/self/ns/pid")
    found = [row for row in rows() if os.path.exists(f"/proc/{row.pid}") and os.readlink(f"/proc/{row.pid}/ns/pid") == ours]
    assert found == []


def test_a_zombie_a_kernel_thread_and_a_thread_are_no_processes_to_judge(plant: Planter, quiet: Path) -> None:
    program = copy_shell(quiet / "xmrig")
    zombie = subprocess.Popen([program, "-c", "exit 0"])
    try:
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        assert not rows(zombie.pid, 2)
    finally:
        zombie.wait()
    code = "import threading as t; t.Thread(target=input, daemon=True).start(); print('ready', flush=True); t.Event().wait()"
    pid = plant(PYTHON, "-c", code, "--donate-level=1")
    threads = sorted(map(int, os.listdir(f"/proc/{pid}/task")))
    assert len(threads) == 2
    assert [row.pid for row in rows(*threads)] == [pid]


def test_a_mounted_disk_has_no_processes(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="running system"):
        rows(host=Host(str(tmp_path)))


def test_this_process_is_left_out_by_identity_only(plant: Planter) -> None:
    assert not rows(os.getpid())
    argument = ("-c", "print('ready', flush=True); import sys; sys.stdin.read()", "--donate-level=1")
    assert only(plant(PYTHON, *argument)).confidence == "high"


def test_a_stopped_miner_is_still_seen(plant: Planter, quiet: Path) -> None:
    pid = plant(copy_shell(quiet / "xmrig"))
    os.kill(pid, signal.SIGSTOP)
    try:
        assert signals(pid) == ["miner_name"]
    finally:
        os.kill(pid, signal.SIGCONT)


def test_hostile_names_and_arguments_reach_the_wire(plant: Planter, quiet: Path) -> None:
    program = copy_shell(quiet / "worker")
    pid = plant(program, *WAIT, "x", "--donate-level=\x1b[2J\udcff", "-o", "stratum+tcp://\udcfe:1", "\n" * 50, "a" * 100_000)
    wire = only(pid).to_wire()
    assert wire["signals"] == "miner_flags"
    assert all("\x1b" not in value and "\n" not in value for value in wire.values())
