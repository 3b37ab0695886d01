from __future__ import annotations

import os
import struct
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.errors import TableError
from tables.host import Host
from tables.host.kernel.bpf_holders import Holders, parse_fdinfo
from tables.host.kernel.bpf_objects import Link, Program, parse_program
from tables.host.kernel.btf import parse_names
from tables.indicators.bpf_programs import Holder, bpf_programs
from tables.kernel import bpf_findings as module
from tables.kernel.bpf_findings import BpfFinding, bpf_findings
from tables.schema import QueryContext
from tests.support.bpf_programs import RAW_TRACEPOINT, attach_raw_tracepoint, load_program
from tests.support.linear import assert_linear
from tests.support.scans import unseen_by


def btf(*names: str) -> bytes:
    """Type information that names functions, after a structure with two members and an integer."""
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in names)
    functions = []
    place = 1
    for name in names:
        functions.append(struct.pack("<III", place, 12 << 24, 1))
        place += len(name) + 1
    types = (
        struct.pack("<III", 0, 4 << 24 | 2, 8) + bytes(24) + struct.pack("<III", 0, 1 << 24, 4) + bytes(4) + b"".join(functions)
    )
    return struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings)) + types + strings


class Loaded:
    """BPF programs as the kernel would list them, their links, and the processes that hold them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.programs: list[Program] = []
        self.links: list[Link] = []
        self.held = Holders({}, {}, {})
        self.packages: dict[str, str | None] = {}
        monkeypatch.setattr(module, "programs", lambda: iter(self.programs))
        monkeypatch.setattr(module, "links", lambda: iter(self.links))
        monkeypatch.setattr(module, "holders", lambda _host, _check: self.held)
        monkeypatch.setattr(module, "owners", lambda _host, _paths: self.packages)
        monkeypatch.setattr(module, "function_names", lambda _files, _wanted: {77: "bpf_lsm_file_open", 78: "vfs_fsync"})

    def add(self, kind: str, name: str = "prog", target: int = 0) -> int:
        number = len(self.programs) + 1
        self.programs.append(Program(number, kind, name, 5_000_000_000, 0, "a04f5eef06a7f555", target))
        return number

    def hold(self, number: int, path: str, packaged: bool = True, container: str = "", targets: tuple[str, ...] = ()) -> None:
        process: Any = SimpleNamespace(pid=100 + number, name=os.path.basename(path), exe_path=path, container_id=container)
        self.held.programs.setdefault(number, {})[process.pid] = process
        self.held.targets.setdefault(number, set()).update(targets)
        if packaged:
            self.packages[path] = "agent"

    def rows(self) -> list[BpfFinding]:
        self.host = Host()
        return list(bpf_findings.generate(self.host, QueryContext()))


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> Loaded:
    return Loaded(monkeypatch)


def test_a_program_of_nobody_known_on_a_listing(loaded: Loaded) -> None:
    number = loaded.add("tracepoint", "hide")
    loaded.hold(number, "/tmp/.x/agent", packaged=False, targets=("sys_enter_getdents64",))
    (row,) = loaded.rows()
    assert (row.program_name, row.program_type, row.target) == ("hide", "tracepoint", "sys_enter_getdents64")
    assert (row.reason, row.exception, row.holder_pids, row.holder_paths) == (
        "attached_where_things_hide",
        None,
        "101",
        "/tmp/.x/agent",
    )
    assert row.load_time == loaded.host.procfs.boot_time + 5


def test_targets_by_link_and_by_type_information(loaded: Loaded) -> None:
    loaded.add("lsm", "guard", target=77)
    loaded.links = [Link(9, loaded.add("raw_tracepoint"), "sys_enter", ())]
    assert [(row.target, row.reason) for row in loaded.rows()] == [
        ("bpf_lsm_file_open", "attached_where_things_hide"),
        ("sys_enter", "attached_where_things_hide"),
    ]


def test_programs_elsewhere_have_no_reason(loaded: Loaded) -> None:
    loaded.add("tracing", "fsync", target=78)
    loaded.links = [Link(9, loaded.add("raw_tracepoint"), "sched_switch", ())]
    loaded.hold(loaded.add("kprobe"), "/usr/bin/x", targets=("tcp_connect",))
    assert [row.reason for row in loaded.rows()] == ["", "", ""]


def test_a_link_whose_target_is_not_told_is_said(loaded: Loaded) -> None:
    loaded.links = [Link(9, loaded.add("kprobe"), "", ())]
    assert [(row.target, row.reason) for row in loaded.rows()] == [("", "")]
    assert "attached to what the kernel does not tell" in unseen_by(bpf_findings, loaded.host)[0]


@pytest.mark.parametrize(
    ("path", "packaged", "contained", "program", "exception"),
    [
        ("/usr/lib/systemd/systemd", True, False, "restrict_filesy", "systemd"),
        ("/usr/lib/systemd/systemd", False, False, "restrict_filesy", None),
        ("/usr/bin/falco", True, False, "anything", "Falco"),
        ("/usr/bin/cilium-agent", False, True, "cil_from_netdev", "Cilium"),
        ("/usr/bin/cilium-agent", False, True, "evil", None),
        ("/tmp/falco", True, True, "sys_enter", None),
        ("/usr/bin/falco", False, False, "sys_enter", None),
    ],
)
def test_known_agents(path: str, packaged: bool, contained: bool, program: str, exception: str | None) -> None:
    known = bpf_programs()
    assert known.exception(program, [Holder(path, packaged, contained)]) == exception
    assert known.exception(program, []) is None
    assert known.exception(program, [Holder(path, packaged, contained), Holder("/tmp/x", False, False)]) is None


@pytest.mark.parametrize(
    "name", ["sys_enter", "sys_enter_getdents64", "__x64_sys_kill", "filldir64", "tcp4_seq_show", "bpf_lsm_bpf"]
)
def test_watched_targets(name: str) -> None:
    assert bpf_programs().is_watched(name) and not bpf_programs().is_watched("x" + name)


@pytest.mark.root
def test_a_real_program_is_listed_with_its_target_and_holder() -> None:
    program = load_program(RAW_TRACEPOINT, "minehunt_test")
    try:
        link = attach_raw_tracepoint(program, "sys_enter")
        try:
            rows = [row for row in bpf_findings.generate(Host(), QueryContext()) if row.program_name == "minehunt_test"]
        finally:
            os.close(link)
    finally:
        os.close(program)
    (row,) = rows
    assert (row.program_type, row.target, row.creator_uid) == ("raw_tracepoint", "sys_enter", 0)
    assert str(os.getpid()) in (row.holder_pids or "").split(",") and row.exception is None
    assert abs(row.load_time - time.time()) < 600


@pytest.mark.root
def test_this_host_is_silent() -> None:
    try:
        rows = list(bpf_findings.generate(Host(), QueryContext()))
    except TableError as error:
        pytest.skip(str(error))
    assert [row for row in rows if row.reason and row.exception is None] == []


def test_a_mounted_disk_has_no_programs(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="running system only"):
        list(bpf_findings.generate(Host(str(tmp_path)), QueryContext()))


def test_without_the_right_it_fails_with_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> list[Program]:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(module, "programs", refused)
    with pytest.raises(TableError, match="cannot be listed: Operation not permitted"):
        list(bpf_findings.generate(Host(), QueryContext()))


def test_parsers() -> None:
    info = (
        struct.pack("=II", 26, 7)
        + bytes(range(8))
        + bytes(24)
        + struct.pack("=QI", 9, 1000)
        + bytes(12)
        + b"name".ljust(16, b"\0")
    )
    assert parse_program(info) == Program(7, "tracing", "name", 9, 1000, "0001020304050607", 0)
    assert parse_program(info.ljust(224, b"\0") + struct.pack("=I", 77)).target == 77
    assert parse_fdinfo(b"pos:\t0\nprog_type:\t5\nprog_id:\t42\nlink_id:\t3\n") == {"prog": 42, "link": 3}
    assert parse_names(btf("first", "second"), [4, 9]) == {4: "second"}
    assert parse_names(b"\x7fELF" + bytes(100), [1]) == {}


def test_type_information_is_read_in_linear_time() -> None:
    def work(size: int) -> None:
        assert len(parse_names(btf(*(f"f{number}" for number in range(size))), frozenset(range(3, size + 3)))) == size
        parse_fdinfo(b"prog_id:\t" * size)

    assert_linear(work, 2_000)


@given(st.binary(max_size=400), st.lists(st.integers(0, 100), max_size=5))
def test_parsers_take_anything(data: bytes, wanted: list[int]) -> None:
    parse_fdinfo(data)
    parse_names(data, wanted)
    parse_names(btf("a", "b")[:60] + data, wanted)
    parse_program(data.ljust(80, b"\0"))
