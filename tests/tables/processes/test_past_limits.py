"""Miners that lie just past a limit: each is found, or what was not looked at is named; its honest twin stays silent."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tables.host import Host
from tables.processes.miner_configs import miner_configs
from tables.processes.miner_processes import MinerProcess, miner_processes
from tables.schema import EQUALS, Constraint, QueryContext
from tests.support.planted_programs import WAIT, Planter, copy_shell

XMR = "44AFFq5kSiGBoZ4NMDwYtN18obc8AemS33DBLWs3H7otXft3XjrpDtQGv7SqSsaBYBb98uNbr2VBBEt7f2wfn3RVGQBEP3A"
POOL = "stratum+tcp://203.0.113.7:3333"
CONFIG = json.dumps({"pools": [{"url": "203.0.113.7:3333", "user": XMR}], "donate-level": 1})
MIB = 1 << 20
CC = shutil.which("cc") or shutil.which("gcc")


def look(pid: int, host: Host | None = None) -> tuple[list[str], tuple[str, ...]]:
    """The signals of one process, and what was said to be missing."""
    query = QueryContext({"pid": [Constraint(EQUALS, str(pid))]})
    rows: list[MinerProcess] = list(miner_processes.generate(host or Host(), query))
    return [signal for row in rows for signal in row.signals.split(",")], query.said


def config_paths() -> list[str]:
    return [row.path for row in miner_configs.generate(Host(), QueryContext())]


# Arguments.


def test_a_pool_amid_thousands_of_arguments(plant: Planter, quiet: Path) -> None:
    program = copy_shell(quiet / "worker")
    found, said = look(plant(program, *WAIT, *["x"] * 4100, "-o", POOL, *["x"] * 4100))
    assert "stratum_url" in found
    assert "evades_limits" in found
    assert not said


def test_a_pool_and_a_wallet_amid_twenty_thousand_arguments(plant: Planter, quiet: Path) -> None:
    program = copy_shell(quiet / "worker")
    found, _ = look(plant(program, *WAIT, *["x" * 60] * 9000, "-u", XMR, "--donate-level=1", *["y"] * 9000))
    assert {"wallet_argument", "miner_flags", "evades_limits"} <= set(found)


def test_a_pool_behind_a_mebibyte_of_arguments(plant: Planter, quiet: Path) -> None:
    program = copy_shell(quiet / "worker")
    found, said = look(plant(program, *WAIT, *["x" * 100_000] * 12, "-o", POOL, *["x" * 100_000] * 3))
    assert "stratum_url" in found
    assert not said


def test_a_configuration_named_amid_thousands_of_arguments(plant: Planter, quiet: Path) -> None:
    program = copy_shell(quiet / "worker")
    (quiet / "elsewhere").mkdir()
    config = quiet / "elsewhere" / "c.json"
    config.write_text(CONFIG)
    found, _ = look(plant(program, *WAIT, *["x"] * 4100, "-c", str(config), *["x"] * 4100))
    assert "miner_config" in found


def test_more_telling_arguments_than_are_kept_are_named(plant: Planter, quiet: Path) -> None:
    program = copy_shell(quiet / "worker")
    pid = plant(program, *WAIT, *["x"] * 4100, *["-o"] * 30_000, *["x"] * 4100)
    _, said = look(pid)
    assert any(f"process {pid}" in text for text in said)


def test_more_configurations_than_are_read_are_named(plant: Planter, quiet: Path) -> None:
    program = copy_shell(quiet / "worker")
    options = [word for number in range(70) for word in ("-c", f"/nonexistent/{number}.json")]
    pid = plant(program, *WAIT, *options)
    assert any(f"process {pid}" in text and "64" in text for text in look(pid)[1])
    query = QueryContext()
    list(miner_configs.generate(Host(), query))
    assert any(f"process {pid}" in text for text in query.said)


@pytest.mark.parametrize(
    "words",
    [
        ["-L/usr/lib", "-o", "a.out", *[f"/build/obj/file{number}.o" for number in range(20_000)], "-lc", "-lm"],
        ["-f", "--", *[f"/var/cache/item-{number}.txt" for number in range(20_000)]],
        ["-classpath", ":".join(f"/opt/app/lib/part-{number}.jar" for number in range(3000)), "-Xmx64m", "com.example.Main"],
        [f"-DOPTION_{number}={number}" for number in range(9_000)],
    ],
    ids=["a linker", "rm", "java", "a compiler"],
)
def test_honest_programs_with_many_arguments_are_silent(plant: Planter, quiet: Path, words: list[str]) -> None:
    pid = plant(copy_shell(quiet / "tool"), *WAIT, *words)
    assert look(pid) == ([], ())


# The environment.


def test_a_pool_behind_a_large_environment(plant: Planter, quiet: Path) -> None:
    program = copy_shell(quiet / "worker")
    large = {f"A{number:03}": "x" * 9000 for number in range(130)}
    for variables in (dict(list(large.items())[:15]), large):
        found, said = look(plant(program, env={**variables, "POOL_URL": POOL, "Z": "x" * 100_000, "Z2": "x" * 100_000}))
        assert "pool_environment" in found
        assert not said
    services = {f"SVC_{number}_PORT": f"tcp://10.0.0.1:{number}" for number in range(20_000)}
    assert look(plant(program, env=services)) == ([], ())


# Configurations.


@pytest.mark.parametrize("size", [20_000, 300 << 10, 1100 << 10, 3 * MIB])
@pytest.mark.parametrize(
    "padding", ["{blanks}" + CONFIG, "/*{comment}*/" + CONFIG, "// {comment}\n" + CONFIG, CONFIG[:1] + "{blanks}" + CONFIG[1:]]
)
def test_blanks_and_comments_hide_no_configuration(plant: Planter, quiet: Path, padding: str, size: int) -> None:
    program = copy_shell(quiet / "worker")
    text = padding.replace("{blanks}", " \n" * (size // 2)).replace("{comment}", "x y" * (size // 3))
    (quiet / "config.json").write_text(text)
    found, said = look(plant(program, cwd=quiet))
    assert "miner_config" in found
    assert ("evades_limits" in found) == (size > 64 << 10)
    assert str(quiet / "config.json") in config_paths()
    assert not said


def test_a_configuration_of_options_behind_comments(plant: Planter, quiet: Path) -> None:
    program = copy_shell(quiet / "worker")
    config = quiet / "miner.conf"
    config.write_text("# a comment\n" * 3000 + f"url = {POOL}\nuser = {XMR}\ndonate-level = 1\n")
    assert "miner_config" in look(plant(program, *WAIT, "x", "-c", str(config)))[0]
    assert str(config) in config_paths()


def test_a_configuration_past_every_limit_is_named(plant: Planter, quiet: Path) -> None:
    program = copy_shell(quiet / "worker")
    (quiet / "config.json").write_text(" " * (5 * MIB) + CONFIG)
    found, said = look(plant(program, cwd=quiet))
    assert found == ["evades_limits"]
    assert any(f"{quiet}/config.json" in text for text in said)
    (quiet / "config.json").write_text('{"a": "' + "x" * (2 * MIB) + '",' + CONFIG[1:])
    assert any(f"{quiet}/config.json" in text for text in look(plant(program, cwd=quiet))[1])


def test_honest_configurations_with_many_comments_are_silent(plant: Planter, quiet: Path) -> None:
    program = copy_shell(quiet / "worker")
    (quiet / "config.json").write_text("// a licence, at length\n" * 2000 + '{"pools": [{"url": "db.example.org:5432"}]}')
    assert look(plant(program, cwd=quiet)) == ([], ())


def test_a_configuration_far_below_a_temporary_folder(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * 12)
    deep.mkdir(parents=True)
    (deep / "config.json").write_text(CONFIG)
    assert str(deep / "config.json") in config_paths()


# Memory.

MAP = """
import ctypes, mmap, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
NONE, READ, WRITE, NORESERVE = 0, 1, 3, 0x4022
def map(size, mode):
    found = libc.mmap(None, size, mode, NORESERVE, -1, 0)
    assert found not in (None, 2**64 - 1)
    return found
"""
READY = "\nprint('ready', flush=True); sys.stdin.readline()"


@pytest.mark.parametrize(
    ("code", "is_miner"),
    [
        ("map(2 << 40, NONE); map(2080 << 20, WRITE)", True),
        ("at = map(2080 << 20, WRITE); libc.mprotect(at + (1 << 30), 4096, READ)", True),
        ("at = map(2080 << 20, WRITE); libc.mprotect(at, 2080 << 20, READ)", True),
        ("at = map(2080 << 20, WRITE); [libc.mprotect(at + (n << 24), 4096, READ) for n in range(100)]", True),
        ("at = map(4096 << 20, NONE); libc.mprotect(at, 2080 << 20, WRITE)", True),
        ("map(2 << 40, NONE)", False),
        ("at = map(2300 << 20, WRITE); libc.mprotect(at + (1 << 30), 4096, READ)", False),
        # Stacks of threads with their guard pages.
        ("at = map(2080 << 20, WRITE); [libc.mprotect(at + (n << 23), 4096, NONE) for n in range(260)]", False),
    ],
)
def test_memory_that_is_split_or_lies_beside_a_reservation(plant: Planter, code: str, is_miner: bool) -> None:
    found, said = look(plant.python(MAP + code + READY))
    assert found == (["randomx_memory"] if is_miner else [])
    assert not said


# The program's own file.


@pytest.mark.skipif(CC is None, reason="no C compiler")
def test_a_program_padded_in_front_of_its_strings(plant: Planter, quiet: Path) -> None:
    host = Host()
    program = copy_shell(quiet / "worker")
    with open(program, "ab") as file:
        file.writelines(os.urandom(MIB) for _ in range(90))
        file.write(b"stratum+tcp://\0donate-level\0randomx\0")
    pid = plant(program)
    for _ in range(20):
        found, said = look(pid, host)
        if not said:
            break
    assert "miner_binary" in found
    sparse = copy_shell(quiet / "sparse")
    with open(sparse, "ab") as file:
        file.seek(1 << 40)
        file.write(b"stratum+tcp://\0donate-level\0randomx\0")
    assert "miner_binary" in look(plant(sparse))[0]


FUSE = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def check(result):
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
fd = None
def cover(folder):
    global fd
    fd = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={fd},rootmode=40000,user_id=0,group_id=0".encode()
    check(libc.mount(b"x", os.fsencode(folder), b"fuse.x", 0, options))
def alone():
    uid, gid = os.getuid(), os.getgid()
    check(libc.unshare(0x10000000 | 0x00020000))
    open("/proc/self/setgroups", "w").write("deny")
    open("/proc/self/uid_map", "w").write(f"0 {uid} 1")
    open("/proc/self/gid_map", "w").write(f"0 {gid} 1")
    check(libc.mount(b"none", b"/", None, 0x44000, None))
alone()
"""


@pytest.mark.root
@pytest.mark.skipif(not os.path.exists("/dev/fuse"), reason="no FUSE")
def test_a_file_system_over_its_own_program(plant: Planter, quiet: Path) -> None:
    program = copy_shell(quiet / "worker")
    with open(program, "ab") as file:
        file.write(b"stratum+tcp://\0donate-level\0randomx\0")
    (quiet / "config.json").write_text(CONFIG)
    code = (
        FUSE
        + "read, write = os.pipe()\n"
        + f"""
child = os.fork()
if child == 0:
    os.set_inheritable(0, True)
    os.dup2(read, 9)
    os.execv({str(program)!r}, ["worker", "-c", "read x <&9; echo ready; read line"])
import time
while os.readlink(f"/proc/{{child}}/exe") != {str(program)!r}:
    time.sleep(0.01)
cover({str(quiet)!r})
os.write(write, b"go\\n")
os.waitpid(child, 0)
"""
    )
    parent = plant.python(code)
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    found, said = look(int(children[0]))
    assert {"miner_binary", "evades_limits"} <= set(found)
    assert any("config.json" in text and str(children[0]) in text for text in said)
