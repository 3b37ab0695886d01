"""The core tables about processes: planted processes compared column by column with what is known of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extension.engines.core.process_details import parse_environ, parse_maps
from extension.engines.core.processes import parse_first_cgroup, parse_io, parse_status
from extension.engines.embedded import EmbeddedEngine
from tables.host import Host

SLEEP = str(shutil.which("sleep"))
FOREVER = "300"


@pytest.fixture(scope="module")
def engine() -> EmbeddedEngine:
    return EmbeddedEngine(Host())


@pytest.fixture
def start(tmp_path: Path) -> Iterator[object]:
    """Start a program from tmp_path, its output in files there; it is ended afterwards."""
    started: list[subprocess.Popen[bytes]] = []

    def run(*argv: str, **options: object) -> subprocess.Popen[bytes]:
        with open(tmp_path / "stdout", "wb") as out, open(tmp_path / "stderr", "wb") as err:
            settings = {"cwd": tmp_path, "stdin": subprocess.DEVNULL, "stdout": out, "stderr": err, **options}
            started.append(subprocess.Popen(argv, **settings))  # type: ignore[call-overload]
        # It still loads its libraries; a sleeping program maps nothing more.
        deadline = time.monotonic() + 30
        while psutil.Process(started[-1].pid).status() != psutil.STATUS_SLEEPING:
            assert time.monotonic() < deadline, f"{argv} does not come to rest"
            time.sleep(0.01)
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()


def copy_of_sleep(path: Path) -> str:
    shutil.copy(SLEEP, path)
    return str(path)


@pytest.mark.alone
def only(engine: EmbeddedEngine, sql: str) -> dict[str, str]:
    (row,) = engine.query(sql)
    return row


class TestProcesses:
    def test_planted_process_in_every_column(self, engine: EmbeddedEngine, start, tmp_path: Path) -> None:
        process = start(SLEEP, FOREVER, env={"LANG": "C", "POOL_URL": "x"}, start_new_session=True)
        truth = psutil.Process(process.pid)
        row = only(engine, f"SELECT * FROM processes WHERE pid = {process.pid}")
        expected = {
            "pid": process.pid, "name": "sleep", "path": os.path.realpath(SLEEP), "cmdline": f"{SLEEP} {FOREVER}", "state": "S",
            "cwd": tmp_path, "root": "/", "uid": os.getuid(), "gid": os.getgid(), "euid": os.geteuid(), "egid": os.getegid(),
            "suid": truth.uids().saved, "sgid": truth.gids().saved, "on_disk": 1, "wired_size": 0,
            "total_size": truth.memory_info().vms, "start_time": int(truth.create_time()), "parent": os.getpid(),
            "pgroup": process.pid, "threads": 1, "nice": truth.nice(),
            "cgroup_path": Path(f"/proc/{process.pid}/cgroup").read_text().split("\n")[0].split(":", 2)[2],
        }  # fmt: skip
        assert {name: row[name] for name in expected} == {name: str(value) for name, value in expected.items()}
        assert int(row["resident_size"]) % 1024 == 0
        assert 0 < int(row["resident_size"]) <= truth.memory_info().rss + (1 << 20)
        counters = truth.io_counters()
        assert (row["disk_bytes_read"], row["disk_bytes_written"]) == (str(counters.read_bytes), str(counters.write_bytes))
        assert int(row["user_time"]) < 1000
        assert int(row["system_time"]) < 1000

    def test_types_are_osquerys(self, engine: EmbeddedEngine) -> None:
        types = "typeof(pid) a, typeof(on_disk) b, typeof(start_time) c, typeof(name) d"
        row = only(engine, f"SELECT {types} FROM processes WHERE pid = {os.getpid()}")
        assert row == {"a": "integer", "b": "integer", "c": "integer", "d": "text"}

    def test_times_are_milliseconds(self, engine: EmbeddedEngine) -> None:
        def used() -> tuple[float, float]:
            times = psutil.Process().cpu_times()
            return times.user * 1000, times.system * 1000

        sum(range(3_000_000))
        before = used()
        row = only(engine, f"SELECT user_time, system_time FROM processes WHERE pid = {os.getpid()}")
        after = used()
        # The kernel scales the two parts anew with each reading; they may trade a tick.
        assert before[0] - 20 <= int(row["user_time"]) <= after[0] + 20
        assert before[1] - 20 <= int(row["system_time"]) <= after[1] + 20

    def test_deleted_program(self, engine: EmbeddedEngine, start, tmp_path: Path) -> None:
        program = copy_of_sleep(tmp_path / "gone")
        process = start("odd name", FOREVER, executable=program)
        os.unlink(program)
        row = only(engine, f"SELECT name, path, cmdline, on_disk FROM processes WHERE pid = {process.pid}")
        assert row == {"name": "gone", "path": program, "cmdline": f"odd name {FOREVER}", "on_disk": "0"}

    def test_another_file_named_like_a_deleted_program(self, engine: EmbeddedEngine, start, tmp_path: Path) -> None:
        program = copy_of_sleep(tmp_path / "gone")
        process = start(program, FOREVER)
        os.unlink(program)
        copy_of_sleep(tmp_path / "gone (deleted)")
        row = only(engine, f"SELECT path, on_disk FROM processes WHERE pid = {process.pid}")
        assert row == {"path": program, "on_disk": "0"}

    def test_program_that_is_really_named_deleted(self, engine: EmbeddedEngine, start, tmp_path: Path) -> None:
        program = copy_of_sleep(tmp_path / "here (deleted)")
        process = start(program, FOREVER)
        row = only(engine, f"SELECT path, on_disk FROM processes WHERE pid = {process.pid}")
        assert row == {"path": program, "on_disk": "1"}

    @pytest.mark.root
    def test_kernel_thread(self, engine: EmbeddedEngine) -> None:
        if Path("/proc/2/comm").exists() and Path("/proc/2/comm").read_text() == "kthreadd\n":
            row = only(engine, "SELECT * FROM processes WHERE pid = 2")
            assert row == {
                **row, "name": "kthreadd", "path": "", "cmdline": "", "cwd": "/", "root": "/", "on_disk": "-1", "parent": "0",
                "resident_size": "", "total_size": "", "wired_size": "0", "state": "S",
            }  # fmt: skip
            types = only(engine, "SELECT typeof(path) a, typeof(cmdline) b, typeof(total_size) c FROM processes WHERE pid = 2")
            assert types == {"a": "text", "b": "text", "c": "null"}
        else:
            pytest.skip("no kernel threads in this pid namespace")

    def test_hostile_name_and_arguments(self, engine: EmbeddedEngine, start, tmp_path: Path) -> None:
        program = copy_of_sleep(tmp_path / "a: b\n\x1b[31m\udcff)")
        process = start("\x1b]0;x\x07", FOREVER, executable=program)
        row = only(engine, f"SELECT name, cmdline, parent, path FROM processes WHERE pid = {process.pid}")
        assert row["parent"] == str(os.getpid())
        # Within the kernel's 15 bytes; its own escape of the newline, osquery's reading of colons, our escapes.
        assert row["name"] == r"a:b\n\x1B[31m\xff)"
        assert row["cmdline"] == rf"\x1B]0;x\x07 {FOREVER}"
        assert row["path"] == rf"{tmp_path}/a: b\x0A\x1B[31m\xff)"

    def test_thread_answers_only_when_asked_by_number(self, engine: EmbeddedEngine) -> None:
        tid: list[int] = []
        ready, done = threading.Event(), threading.Event()

        def wait() -> None:
            tid.append(threading.get_native_id())
            ready.set()
            done.wait()

        thread = threading.Thread(target=wait)
        thread.start()
        try:
            ready.wait()
            row = only(engine, f"SELECT pid, parent, path FROM processes WHERE pid = {tid[0]}")
            listed = {found["pid"] for found in engine.query("SELECT pid FROM processes")}
        finally:
            done.set()
            thread.join()
        assert row == {"pid": str(tid[0]), "parent": str(os.getppid()), "path": os.path.realpath("/proc/self/exe")}
        assert str(tid[0]) not in listed
        assert str(os.getpid()) in listed

    def test_lists_what_procfs_lists(self, engine: EmbeddedEngine) -> None:
        before = set(psutil.pids())
        listed = {int(row["pid"]) for row in engine.query("SELECT pid FROM processes")}
        after = set(psutil.pids())
        assert before & after <= listed
        lasting = [pid for pid in listed & before & after if psutil.pid_exists(pid)]
        for row in engine.query(f"SELECT pid, parent, uid FROM processes WHERE pid IN ({','.join(map(str, lasting))})"):
            status = Path(f"/proc/{row['pid']}/status")
            if status.exists():
                lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
                assert (row["parent"], row["uid"]) == (lines["PPid"].strip(), lines["Uid"].split()[0])

    @pytest.mark.parametrize("pid", ["4194305", "0", "-3", "'x'", "99999999999999999999", "1.5"])
    def test_pid_of_no_process(self, engine: EmbeddedEngine, pid: str) -> None:
        assert engine.query(f"SELECT * FROM processes WHERE pid = {pid}") == []

    def test_join_with_parent(self, engine: EmbeddedEngine, start) -> None:
        process = start(SLEEP, FOREVER)
        row = only(
            engine,
            f"SELECT p.name, q.pid FROM processes p JOIN processes q ON q.pid = p.parent WHERE p.pid IN ({process.pid}, 4194305)",
        )
        assert row == {"name": "sleep", "pid": str(os.getpid())}

    @given(st.text() | st.text("NameUidGidVmRSSVmSize:\t\n 0123456789kB"))
    def test_parsers_never_raise(self, text: str) -> None:
        assert "name" in parse_status(text)
        assert "disk_bytes_written" in parse_io(text)
        assert isinstance(parse_first_cgroup(text), str)

    def test_parsers_on_absurd_numbers(self) -> None:
        many = "9" * 5000
        assert parse_status(f"Name:\tx\nVmRSS:\t{many} kB\n") == {"name": "x"}
        assert parse_io(f"read_bytes: {many}\nwrite_bytes: 10\ncancelled_write_bytes: 4\n") == {
            "disk_bytes_read": None,
            "disk_bytes_written": 6,
        }

    @pytest.mark.parametrize(
        ("text", "path"),
        [("0::/user.slice\n", "/user.slice"), ("9:cpu:/a:b\n0::/other\n", "/a:b"), ("", ""), ("0\n::/x", ""), ("0::", "")],
    )
    def test_first_cgroup_line_counts(self, text: str, path: str) -> None:
        assert parse_first_cgroup(text) == path


class TestDetails:
    def test_open_files(self, engine: EmbeddedEngine, start, tmp_path: Path) -> None:
        plain, decoy, gone = tmp_path / "plain", tmp_path / "pipe:decoy", tmp_path / "gone"
        reader, writer = os.pipe()
        opened = [os.open(path, os.O_RDONLY | os.O_CREAT) for path in (plain, decoy, gone)]
        gone.unlink()
        try:
            process = start(SLEEP, FOREVER, pass_fds=[*opened, reader, writer])
            found = engine.query(f"SELECT pid, fd, path FROM process_open_files WHERE pid = {process.pid}")
        finally:
            for fd in (*opened, reader, writer):
                os.close(fd)
        expected = {
            "0": "/dev/null", "1": f"{tmp_path}/stdout", "2": f"{tmp_path}/stderr", str(opened[0]): str(plain),
            str(opened[2]): f"{gone} (deleted)",
        }  # fmt: skip
        assert {row["fd"]: row["path"] for row in found} == expected
        assert {row["pid"] for row in found} == {str(process.pid)}

    def test_environment(self, engine: EmbeddedEngine, start) -> None:
        process = start(SLEEP, FOREVER, env={"LANG": "C", "POOL_URL": "stratum+tcp://a=b"})
        assert engine.query(f"SELECT key, value FROM process_envs WHERE pid = {process.pid}") == [
            {"key": "LANG", "value": "C"},
            {"key": "POOL_URL", "value": "stratum+tcp://a=b"},
        ]

    def test_environment_ends_where_osquerys_does(self) -> None:
        assert list(parse_environ(b"A=1\0FLAG\0=x\0\0B=2\0")) == [(b"A", b"1"), (b"FLAG", b"FLAG"), (b"", b"x")]
        assert list(parse_environ(b"A=\xff\0\xff=1\0B=2\0")) == [(b"A", b"\xff")]

    def test_memory_map(self, engine: EmbeddedEngine, start) -> None:
        process = start(SLEEP, FOREVER)
        raw = [line.split() for line in Path(f"/proc/{process.pid}/maps").read_text().splitlines()]
        found = engine.query(f"SELECT * FROM process_memory_map WHERE pid = {process.pid}")
        assert [(row["start"], row["end"]) for row in found] == [
            tuple(f"0x{address}" for address in fields[0].split("-")) for fields in raw
        ]
        names = ("permissions", "device", "inode")
        assert [[row[name] for name in names] for row in found] == [[fields[1], fields[3], fields[4]] for fields in raw]
        assert [int(row["offset"]) for row in found] == [int(fields[2], 16) for fields in raw]
        program = next(row for row in found if row["path"] == os.path.realpath(SLEEP))
        assert program["inode"] == str(os.stat(SLEEP).st_ino)
        assert program["pseudo"] == "0"
        assert next(row for row in found if row["path"] == "[stack]")["pseudo"] == "1"
        unnamed = "SELECT count(*) n FROM process_memory_map WHERE path = '' AND pseudo = 0"
        assert int(only(engine, f"{unnamed} AND pid = {process.pid}")["n"]) == sum(len(fields) == 5 for fields in raw)

    def test_memory_map_path_ends_at_a_space(self) -> None:
        (row,) = parse_maps("7f00-7f10 r-xp 0000ffff fe:00 12 /tmp/a b (deleted)\n")
        assert row == {
            "start": "0x7f00", "end": "0x7f10", "permissions": "r-xp", "offset": 65535, "device": "fe:00", "inode": "12",
            "path": "/tmp/a", "pseudo": False,
        }  # fmt: skip

    @given(st.text() | st.text("0123456789abcdef -rwxp:/\n"))
    def test_memory_map_parser_never_raises(self, text: str) -> None:
        assert all(str(row["start"]).startswith("0x") for row in parse_maps(text))

    def test_memory_map_offset_out_of_range(self) -> None:
        assert [row["offset"] for row in parse_maps(f"1-2 r zz 0 0\n1-2 r {'f' * 9000} 0 0\n1-2 r -1 0 0\n")] == [-1, -1, -1]

    @given(st.binary())
    def test_environment_parser_never_raises(self, data: bytes) -> None:
        assert all(isinstance(key, bytes) for key, _ in parse_environ(data))

    def test_namespaces(self, engine: EmbeddedEngine) -> None:
        row = only(engine, f"SELECT * FROM process_namespaces WHERE pid = {os.getpid()}")
        kinds = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
        expected = {f"{kind}_namespace": str(os.stat(f"/proc/self/ns/{kind}").st_ino) for kind in kinds}
        assert row == {"pid": str(os.getpid()), **expected}
        assert engine.query("SELECT * FROM process_namespaces WHERE pid = 4194305") == []

    def test_every_table_answers_for_all_processes_and_for_none(self, engine: EmbeddedEngine) -> None:
        for table in ("process_envs", "process_memory_map", "process_namespaces", "process_open_files"):
            rows = engine.query(f"SELECT * FROM {table}")
            assert str(os.getpid()) in {row["pid"] for row in rows}
            assert engine.query(f"SELECT * FROM {table} WHERE pid = 4194305") == []
