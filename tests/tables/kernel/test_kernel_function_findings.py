from __future__ import annotations

import platform
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.errors import TableError
from tables.host import Host
from tables.host.kernel.memory import parse_segments, parse_symbols
from tables.host.kernel.module_ranges import parse_ranges
from tables.host.kernel.traced_functions import Callback, parse_enabled_functions
from tables.host.kernel.x86_code import dispatched, first_leaps
from tables.kernel.kernel_function_findings import KernelFunctionFinding, kernel_function_findings
from tables.schema import QueryContext
from tests.support.kernel_samples import kernel_sample
from tests.support.linear import assert_linear
from tests.support.planted_files import plant
from tests.support.scans import unseen_by

TEXT = 0xFFFFFFFF81000000
END = TEXT + 0x20000
MODULE = 0xFFFFFFFFC0300000
NOP = b"\x0f\x1f\x44\x00\x00"
PLAIN = NOP + b"\x55\x48\x89\xe5" + b"\x90" * 23
ENDBR = b"\xf3\x0f\x1e\xfa"

needs_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="plants x86-64 code")


class Kernel:
    """A kernel's memory: functions of 32 bytes, a system call table and a dispatcher, as its own files show them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.memory = bytearray(b"\xcc" * (END - TEXT + 0x2000))
        self.places = {"proc_pid_readdir": 0x1000, "__x64_sys_getdents64": 0x1100, "tcp4_seq_show": 0x1200, "m_show": 0x1300}
        for place in self.places.values():
            self.put(place, PLAIN)
        self.places.update(x64_sys_call=0x2000, sys_call_table=END - TEXT, _stext=0, _etext=END - TEXT)
        code = NOP
        for number in range(150):
            # cmp $number,%esi; je to the function: a jump out of the dispatcher's code.
            at = 0x2000 + len(code) + 6
            code += b"\x81\xfe" + struct.pack("<I", number) + b"\x0f\x84" + struct.pack("<i", 0x8000 + 16 * number - (at + 6))
        self.put(0x2000, code + b"\x48\xc7\xc0\xda\xff\xff\xff\xc3")
        self.places["after_dispatcher"] = 0x2000 + len(code) + 16
        self.table([TEXT + 0x8000 + 16 * number for number in range(150)])
        self.places["rodata"] = END - TEXT + 0x800
        self.modules = f"lime 16384 0 - Live {MODULE:#x} (OE)\n"
        self.traced = ""
        plant(root, "/proc/sys/kernel/osrelease", "6.1.0-18-amd64\n")

    def put(self, place: int, code: bytes) -> None:
        self.memory[place : place + len(code)] = code

    def table(self, entries: list[int]) -> None:
        self.put(END - TEXT, struct.pack(f"<{len(entries)}Q", *entries).ljust(0x800, b"\0"))

    def call(self, place: int, target: int, code: bytes = b"\xe8") -> None:
        self.put(place, code + struct.pack("<i", target - (TEXT + place + len(code) + 4)))

    def rows(self) -> list[KernelFunctionFinding]:
        lines = sorted((place, name) for name, place in self.places.items())
        symbols = "0000000000000000 A fixed_percpu_data\n" + "".join(f"{TEXT + place:x} T {name}\n" for place, name in lines)
        symbols += f"{MODULE:x} t init\t[lime]\n{MODULE + 0x900000:x} t tramp\t[__builtin__kprobes]\n"
        plant(self.root, "/proc/kallsyms", symbols)
        head = b"\x7fELF\x02\x01\x01".ljust(32, b"\0") + struct.pack("<Q", 64) + bytes(14) + struct.pack("<HH", 56, 2) + bytes(6)
        note = struct.pack("<IIQQQQQQ", 4, 0, 0, 0, 0, 0, 0, 0)
        load = struct.pack("<IIQQQQQQ", 1, 7, 4096, TEXT, 0, len(self.memory), len(self.memory), 4096)
        plant(self.root, "/proc/kcore", (head + note + load).ljust(4096, b"\0") + bytes(self.memory))
        plant(self.root, "/proc/modules", self.modules)
        plant(self.root, "/sys/kernel/tracing/enabled_functions", self.traced)
        return self.scan()

    def scan(self) -> list[KernelFunctionFinding]:
        self.host = Host(str(self.root))
        return list(kernel_function_findings.generate(self.host, QueryContext()))

    def gaps(self) -> str:
        return "; ".join(unseen_by(kernel_function_findings, self.host))


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path)


@needs_x86
def test_a_kernel_as_it_was_built_is_silent(kernel: Kernel) -> None:
    assert kernel.rows() == [] and kernel.gaps() == ""


@needs_x86
@pytest.mark.parametrize(
    "code",
    [
        b"\xe9" + struct.pack("<i", MODULE - (TEXT + 0x1000 + 5)),
        ENDBR + b"\xe8" + struct.pack("<i", MODULE - (TEXT + 0x1000 + 9)),
        NOP + b"\xe9" + struct.pack("<i", MODULE - (TEXT + 0x1000 + 10)),
        b"\x48\xb8" + struct.pack("<Q", MODULE) + b"\xff\xe0",
        b"\x49\xbb" + struct.pack("<Q", MODULE) + b"\x41\xff\xe3",
        b"\x48\xb8" + struct.pack("<Q", MODULE) + b"\x50\xc3",
        b"\x68" + struct.pack("<I", MODULE & 0xFFFFFFFF) + b"\xc3",
    ],
)
def test_first_bytes_that_lead_out_of_the_kernel(kernel: Kernel, code: bytes) -> None:
    kernel.put(0x1000, code)
    (row,) = kernel.rows()
    assert (row.function, row.reason, row.place) == ("proc_pid_readdir", "patched_kernel_code", "its first bytes")
    assert (row.module, row.exception, row.is_watched) == ("lime", None, 1)
    assert "ffffffff" not in row.evidence


@needs_x86
def test_first_bytes_that_lead_through_memory_or_to_nobody(kernel: Kernel) -> None:
    kernel.put(0x1000, b"\xff\x25\x00\x00\x00\x00")
    kernel.call(0x1300, MODULE + 0x100000)
    found = {row.function: row for row in kernel.rows()}
    assert "reads from memory" in found["proc_pid_readdir"].evidence
    assert found["m_show"].module is None and "no module that is shown" in found["m_show"].evidence


@needs_x86
def test_a_call_of_the_dispatcher_that_leads_out_of_the_kernel(kernel: Kernel) -> None:
    at = 0x2000 + 5 + 12 * 78 + 6
    kernel.call(at, MODULE + 64, b"\x0f\x84")
    (row,) = kernel.rows()
    assert (row.function, row.place, row.module) == ("x64_sys_call", f"its call at +{at - 0x2000}", "lime")


@needs_x86
def test_an_entry_of_the_system_call_table_that_leads_out_of_the_kernel(kernel: Kernel) -> None:
    kernel.table([TEXT + 0x8000, MODULE, TEXT + 0x8010])
    (row,) = kernel.rows()
    assert (row.function, row.place, row.module) == ("sys_call_table", "entry 1", "lime")


@needs_x86
def test_what_ftrace_and_kprobes_account_for_is_silent(kernel: Kernel) -> None:
    kernel.call(0x1000, MODULE + 0x800000)
    kernel.call(0x2000, MODULE + 0x800000)
    kernel.call(0x1300, MODULE + 0x900010, b"\xe9")
    kernel.traced = (
        "proc_pid_readdir (1)    \ttramp: 0xffffffffc033e000 (function_trace_call+0x0/0x120) ->function_trace_call+0x0/0x120\n"
    )
    kernel.traced += "x64_sys_call (1)    \n"
    assert kernel.rows() == []


@needs_x86
def test_a_module_of_known_origin_is_excused(kernel: Kernel) -> None:
    kernel.modules = f"nvidia 16384 0 - Live {MODULE:#x} (POE)\n"
    plant(kernel.root, "/lib/modules/6.1.0-18-amd64/modules.dep", "kernel/drivers/video/nvidia.ko:\n")
    kernel.call(0x1000, MODULE, b"\xe9")
    assert [row.exception for row in kernel.rows()] == ["NVIDIA driver"]


@needs_x86
def test_what_could_not_be_looked_at_is_said(kernel: Kernel) -> None:
    kernel.rows()
    (kernel.root / "proc/kcore").unlink()
    assert kernel.scan() == [] and "/proc/kcore: No such file" in kernel.gaps()
    plant(kernel.root, "/proc/kallsyms", "0000000000000000 T _stext\n0000000000000000 T _etext\n")
    assert kernel.scan() == [] and "tells no addresses" in kernel.gaps()
    (kernel.root / "proc/kallsyms").unlink()
    (kernel.root / "sys/kernel/tracing/enabled_functions").unlink()
    assert kernel.scan() == [] and "/proc/kallsyms: No such file" in kernel.gaps() and "ftrace are not seen" in kernel.gaps()


@needs_x86
def test_a_dispatcher_of_another_form_is_said(kernel: Kernel) -> None:
    kernel.put(0x2000, b"\x41\x57" * 40)
    assert kernel.rows() == [] and "the calls of x64_sys_call could not be read" in kernel.gaps()


def hooks(kernel: Kernel, traced: str) -> list[tuple[str, str | None, str | None, str | None]]:
    kernel.traced = traced
    found = [row for row in kernel.rows() if row.reason == "hooked_kernel_function"]
    return [(row.function, row.callback, row.module, row.exception) for row in found]


def test_recorded_hooks(kernel: Kernel) -> None:
    sample = kernel_sample("denied_everywhere")
    rows = hooks(kernel, "\n".join(sample["enabled_functions"]))
    functions = ["__x64_sys_kill", "__x64_sys_pidfd_open", "__x64_sys_getdents64", "proc_pid_lookup", "tcp4_seq_show"]
    assert rows == [(name, "fh_ftrace_thunk", "deep", None) for name in functions]
    assert hooks(kernel, "\n".join(kernel_sample("clean")["enabled_functions"])) == []


def test_a_hook_by_code_without_a_name(kernel: Kernel) -> None:
    text = "__x64_sys_kill (1) R I    \ttramp: 0xffffffffc041a000 (0xffffffffc041b000) ->ftrace_ops_assist_func+0x0/0x100\n"
    assert hooks(kernel, text) == [("__x64_sys_kill", "", "", None)]
    assert hooks(kernel, "filldir64 (2) R I     ->arch_ftrace_ops_list_func+0x0/0x1f0\n") == [("filldir64", "", "", None)]


def test_live_patches_kprobes_and_bpf_are_excused(kernel: Kernel) -> None:
    live = "tcp4_seq_show (1) R I    \ttramp: 0xffffffffc041a000 (klp_ftrace_handler+0x0/0x1a0) ->klp_ftrace_handler+0x0/0x1a0\n"
    assert hooks(kernel, live) == [("tcp4_seq_show", "klp_ftrace_handler", "", "live patch")]
    assert hooks(kernel, live.replace("0x1a0)", "0x1a0 [deep])"))[0][2:] == ("deep", None)
    assert hooks(kernel, "do_exit (1) R I\ttramp: 0x1 (kprobe_ftrace_handler+0x0/0x1e0) ->x+0x0/0x1\n")[0][3] == "kprobe"
    assert hooks(kernel, "filldir (1) R I\ttramp: 0x1 (kprobe_ftrace_handler+0x0/0x1e0)\n")[0][3] is None
    direct = "do_exit (1) R I D \ttramp: 0x1 (call_direct_funcs+0x0/0x30)\n\tdirect-->bpf_trampoline_6442453466_1+0x0/0x1000\n"
    assert {row[3] for row in hooks(kernel, direct)} == {"BPF program (bpf_findings names it)"}
    plant(kernel.root, "/sys/kernel/livepatch/kpatch_1/vmlinux/filldir64,1/old", "")
    plant(kernel.root, "/sys/kernel/livepatch/kpatch_1/enabled", "1\n")
    assert hooks(kernel, "filldir64 (2) R I     ->ftrace_ops_list_func+0x0/0x1f0\n") == [("filldir64", "", "", "live patch")]


def test_a_direct_trampoline_is_reported_for_a_module_only(kernel: Kernel) -> None:
    assert hooks(kernel, "do_exit (1)     D   \n\tdirect-->bpf_trampoline_6442453466+0x0/0x1000\n") == []
    assert hooks(kernel, "filldir64 (1)     D   \n\tdirect-->my_tramp+0x0/0x40 [evil]\n") == [
        ("filldir64", "my_tramp", "evil", None)
    ]


def test_tracers_are_silent(kernel: Kernel) -> None:
    line = "{} (1)      \ttramp: 0xffffffffc033e000 (function_trace_call+0x0/0x120) ->function_trace_call+0x0/0x120\n"
    assert hooks(kernel, "".join(map(line.format, ("proc_pid_readdir", "xfs_read [xfs]", "do_exit")))) == []


def test_a_mounted_disk_has_no_kernel_to_examine(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    with pytest.raises(TableError, match="running system only"):
        list(kernel_function_findings.generate(Host(str(tmp_path)), QueryContext()))


def test_this_host_is_silent() -> None:
    assert [row for row in kernel_function_findings.generate(Host(), QueryContext()) if row.exception is None] == []


def test_enabled_functions() -> None:
    text = "a [m1] (1) R I \ttramp: 0x1 (cb+0x0/0x60 [m2]) ->ftrace_ops_assist_func+0x0/0x1\n\tops: x (y)\nnot a line\n"
    (traced,) = parse_enabled_functions(text)
    assert (traced.function, traced.module, traced.flags) == ("a", "m1", "RI")
    assert traced.callbacks == (Callback("cb", "m2"), Callback("y", ""))


def test_symbols_in_pieces() -> None:
    text = (
        "".join(f"{TEXT + 16 * number:x} t s{number % 50}\n" for number in range(400)).encode()
        + b"0000000000001000 t x\t[__builtin__ftrace]\n"
    )
    whole = parse_symbols([text], ["s7", "s9"])
    assert len(whole.named["s7"]) == 8 and {symbol.length for symbol in whole.named["s7"]} == {16} and whole.builtin == {1}
    assert parse_symbols([text[at : at + 37] for at in range(0, len(text), 37)], ["s7", "s9"]) == whole


def test_ranges_of_modules() -> None:
    ranges = parse_ranges(
        b"a 16384 0 - Live 0xffffffffc0001000\nb 8192 1 a, Live 0xffffffffc0002000 (OE)\nc 1 0 - Live 0x0000000000000000\n"
    )
    assert [ranges.module(0xFFFFFFFFC0000000 + place) for place in (0x1000, 0x2000, 0x3FFF, 0x4000)] == ["a", "b", "b", None]


@pytest.mark.parametrize("line", ["f (1) R I \t" + "->a" * 300, "\tdirect-->" + "(" * 400, "a" * 500 + " ("])
def test_parsers_are_linear(line: str) -> None:
    def work(size: int) -> None:
        text = (line + "\n") * size
        parse_enabled_functions(text)
        parse_symbols([text.encode()], ["_stext"])
        parse_ranges(text.encode())
        dispatched(b"\x74\xfe\xeb\x00" * size, TEXT)

    assert_linear(work, 500)


@given(st.binary(max_size=3000), st.text(max_size=500), st.integers(0, (1 << 64) - 1))
def test_parsers_take_anything(data: bytes, text: str, address: int) -> None:
    parse_enabled_functions(text)
    parse_symbols([data[:100], data[100:]], ["_stext", "a"])
    parse_ranges(data)
    first_leaps(data, address)
    dispatched(data, address)
    elf = b"\x7fELF\x02\x01" + data
    parse_segments(lambda place, length: elf[place : place + length])
