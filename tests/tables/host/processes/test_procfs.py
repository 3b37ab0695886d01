"""procfs parsing survives hostile names and agrees with the live kernel."""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.host import Host
from tables.host.disk.mounts import parse_mountinfo
from tables.host.processes.procfs import Procfs, container_id, parse_cgroup, parse_stat

LINE = b"42 (%s) S 1 42 42 0 -1 4194560 100 0 0 0 7 8 9 10 20 5 3 0 12345 1000000 200 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0"


@pytest.mark.parametrize("comm", [b"sleep", b"a b", b") R 2 2", b"((", b"))", b"\xff\x1b[2J", b"", b"\n"])
def test_a_comm_cannot_shift_the_fields_after_it(comm: bytes) -> None:
    stat = parse_stat(LINE % comm)
    assert stat.comm == comm
    assert (stat.pid, stat.state, stat.ppid, stat.utime, stat.cstime, stat.nice) == (42, "S", 1, 7, 10, 5)
    assert (stat.num_threads, stat.start_ticks, stat.vsize, stat.cpu_ticks) == (3, 12345, 1000000, 34)


@given(st.binary(max_size=400))
def test_a_status_line_parses_or_is_refused(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        parse_stat(data)


@given(st.binary(max_size=400))
def test_mountinfo_and_cgroup_never_raise_on_text_lines(data: bytes) -> None:
    parse_cgroup(data)
    list(parse_mountinfo(b"1 2 0:3 / " + data.replace(b"\n", b"?") + b" rw - proc proc rw"))


def test_mountinfo_escapes_are_undone() -> None:
    line = rb"36 35 98:0 /a\040b /mnt/c\011d\134 rw,noatime master:1 shared:2 - ext3 /dev/my\040disk rw,errors=continue"
    (mount,) = parse_mountinfo(b"garbage\n" + line + b"\n")
    assert (mount.root, mount.mount_point, mount.source) == ("/a b", "/mnt/c\td\\", "/dev/my disk")
    assert (mount.mount_id, mount.parent_id, mount.device, mount.fs_type) == (36, 35, "98:0", "ext3")


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (b"0::/system.slice/cron.service\n", "/system.slice/cron.service"),
        (b"2:cpu:/\n1:name=systemd:/docker/abc\n0::/\n", "/docker/abc"),
        (b"4:memory:/m\n3:cpu,cpuacct:/c\n", "/m"),
        (b"0::/\n", "/"),
        (b"", ""),
    ],
)
def test_the_cgroup_that_names_the_starter_is_taken(data: bytes, path: str) -> None:
    assert parse_cgroup(data) == path


def test_container_ids_are_found_in_their_usual_places() -> None:
    number = "0123456789abcdef" * 4
    assert container_id(f"/system.slice/docker-{number}.scope") == number
    assert container_id(f"/kubepods.slice/pod1/cri-containerd-{number}.scope/x") == number
    assert container_id("/system.slice/cron.service") is None and container_id("/" + "a" * 65) is None


def test_this_process_is_described_as_psutil_describes_it() -> None:
    process = Host().procfs.process(os.getpid())
    own = psutil.Process()
    assert process is not None
    assert (process.name, process.argv, process.exe_path, process.cwd) == (own.name(), own.cmdline(), own.exe(), own.cwd())
    assert (process.stat.ppid, process.uid, process.parent_name) == (own.ppid(), own.uids().real, own.parent().name())  # type: ignore[union-attr]
    assert abs(process.start_time - own.create_time()) <= 1.5
    assert not process.is_kernel_thread and process.is_same_process()


@pytest.mark.root
@pytest.mark.alone
def test_kernel_threads_are_those_below_kthreadd() -> None:
    marked = {process.pid for process in Host().procfs.processes() if process.is_kernel_thread}
    if 2 not in marked:
        pytest.skip("no kernel threads in this pid namespace")
    assert all(psutil.Process(pid).ppid() in (0, 2) for pid in marked)


def test_listings_at_the_same_time_do_not_disturb_each_other() -> None:
    procfs = Host().truth
    with ThreadPoolExecutor(8) as pool:
        listings = list(pool.map(lambda _: procfs.pids(), range(400)))
    assert all(1 in pids and os.getpid() in pids and len(pids) == len(set(pids)) for pids in listings)


def test_a_gone_process_is_none_and_its_successor_is_not_the_same() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    process = Host().procfs.process(child.pid)
    assert process is not None and process.is_same_process()
    child.kill()
    child.wait()
    assert not process.is_same_process() and Host().procfs.process(child.pid) is None


def test_what_a_process_holds_and_where_it_is(tmp_path: Path) -> None:
    procfs, pid = Procfs.open(), os.getpid()
    file = tmp_path / "held"
    with file.open("w") as held:
        assert (str(held.fileno()), str(file)) in set(procfs.open_files(pid))
    assert str(file) not in {target for _, target in procfs.open_files(pid)}
    process = procfs.process(pid)
    assert process is not None
    assert process.mount_namespace == procfs.namespace("self", "mnt") == os.readlink("/proc/self/ns/mnt")
    assert procfs.network_namespace(pid) == os.stat("/proc/self/ns/net").st_ino
    assert process.root == os.readlink("/proc/self/root")
    assert any(mount.mount_point == "/proc" for mount in procfs.mounts(pid))
    assert procfs.environ(pid, 4096) == Path("/proc/self/environ").read_bytes()[:4096]
    procfs.close()


def test_a_process_that_is_gone_holds_nothing(tmp_path: Path) -> None:
    procfs = Procfs.open(str(tmp_path))
    assert list(procfs.open_files(1)) == list(procfs.mounts(1)) == []
    assert (procfs.namespace(1, "mnt"), procfs.network_namespace(1), procfs.environ(1)) == (None, None, None)
    (tmp_path / "1/ns").mkdir(parents=True)
    (tmp_path / "1/ns/net").symlink_to("net:[x]")
    assert procfs.network_namespace(1) is None
    procfs.close()


def test_a_host_that_is_no_longer_used_holds_no_folder_open() -> None:
    def held() -> int:
        gc.collect()
        return sum(os.path.isdir(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd"))

    before = held()
    host = Host()
    assert host.truth.process(os.getpid()) is not None and host.procfs.process(os.getpid()) is not None
    assert held() > before
    del host
    assert held() == before
