from __future__ import annotations

import mmap
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.errors import TableError
from tables.host import Host
from tables.host.kernel.installed_modules import module_name, parse_modules_dep
from tables.host.kernel.log import parse_taint_lines
from tables.host.kernel.module_code import tags
from tables.host.kernel.module_memory import loader_areas, unaccounted
from tables.host.kernel.modules import parse_proc_modules, taint_letters
from tables.kernel.kernel_module_findings import KernelModuleFinding, kernel_module_findings
from tables.schema import QueryContext
from tests.support.kernel_samples import kernel_sample
from tests.support.linear import assert_linear
from tests.support.namespaces import run_in_namespaces
from tests.support.scans import unseen_by

RELEASE = "6.1.0-18-amd64"
MODULES = f"/lib/modules/{RELEASE}"
KERNEL_PACKAGE = "linux-image-6.1.0-18-amd64"


PAGE = mmap.PAGESIZE


def vmallocinfo(sizes: list[int]) -> str:
    others = (
        "0x00000000b9c7e229-0x000000003682652d   20480 irq_init_percpu_irqstack+0xcf/0x100 vmap\n0x0-0x1  8192 unpurged vm_area\n"
    )
    line = "0x00000000e5756059-0x00000000e0ba1f76 {:7d} load_module+0xd97/0x2630 pages=4 vmalloc N0=4\n"
    return others + "".join(map(line.format, sizes))


class Kernel:
    """A running kernel's lists, and the files of its modules, below a folder of their own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.loaded: dict[str, str] = {}
        self.symbols = [
            "ffffffff81000000 T _stext",
            "ffffffffc0201000 t ftrace_trampoline\t[__builtin__ftrace]",
            "0 t prog\t[bpf]",
        ]
        self.files: list[str] = []
        self.owned: list[str] = []
        # Beyond those of the loaded modules.
        self.areas: list[int] = []
        self.write("/proc/sys/kernel/osrelease", RELEASE + "\n")
        self.write("/proc/sys/kernel/tainted", "0\n")
        self.write("/proc/stat", "cpu 1 1\nbtime 1795000000\n")
        self.write("/dev/kmsg", "6,0,0,-;Linux version 6.1.0\n SUBSYSTEM=pci\n")
        # Built into the kernel: a folder, no state.
        (root / "sys/module/8250/parameters").mkdir(parents=True)

    def write(self, path: str, text: str) -> None:
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def load(self, name: str, taint: str = "", file: str | None = "kernel/drivers/net", packaged: bool = True) -> None:
        shown = f" ({taint})" if taint else ""
        self.loaded[name] = f"{name} 16384 0 - Live 0x0000000000000000{shown}\n"
        self.sysfs(name, taint)
        self.symbols.append(f"ffffffffc0300000 t {name}_init\t[{name}]")
        if file is not None:
            path = f"{MODULES}/{file}/{name}.ko.xz"
            self.files.append(path)
            self.write(path, "")
            if packaged:
                self.owned.append(path)

    def sysfs(self, name: str, taint: str = "", state: str = "live") -> None:
        self.write(f"/sys/module/{name}/initstate", state + "\n")
        self.write(f"/sys/module/{name}/taint", taint + "\n")
        self.write(f"/sys/module/{name}/coresize", "16384\n")

    def rows(self) -> list[KernelModuleFinding]:
        self.write("/proc/modules", "".join(self.loaded.values()))
        sizes = [-(-int(line.split()[1]) // PAGE) * PAGE + PAGE for line in self.loaded.values()]
        self.write("/proc/vmallocinfo", vmallocinfo([*sizes, *self.areas]))
        self.write("/proc/kallsyms", "\n".join(self.symbols) + "\n")
        self.write(f"{MODULES}/modules.dep", "".join(f"{path[len(MODULES) + 1 :]}:\n" for path in self.files))
        self.write(f"/var/lib/dpkg/info/{KERNEL_PACKAGE}.list", "/.\n" + "\n".join(self.owned) + "\n")
        return list(kernel_module_findings.generate(Host(str(self.root)), QueryContext()))

    def gaps(self) -> str:
        return "; ".join(unseen_by(kernel_module_findings, Host(str(self.root))))

    def found(self) -> dict[tuple[str | None, str], KernelModuleFinding]:
        return {(row.module, row.reason): row for row in self.rows()}


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    kernel = Kernel(tmp_path)
    kernel.load("e1000")
    kernel.load("nf_tables", file="kernel/net/netfilter")
    return kernel


def test_a_kernel_with_its_own_packaged_modules_is_silent(kernel: Kernel) -> None:
    assert kernel.rows() == []


def test_a_module_that_left_the_module_list_is_seen_in_sysfs(kernel: Kernel) -> None:
    kernel.sysfs("diamorphine", "OE")
    row = kernel.found()["diamorphine", "hidden_from_proc_modules"]
    assert (row.how_hidden, row.how_seen, row.exception) == ("proc_modules", "sysfs", None)
    assert (row.taint, row.taint_names, row.module_size, row.load_state) == ("OE", "out_of_tree,unsigned", 16384, "Live")
    assert ("diamorphine", "no_file") in kernel.found()


@pytest.mark.parametrize("source", ["kallsyms", "enabled_functions", "available_filter_functions"])
def test_a_module_that_left_sysfs_too_is_seen_by_its_functions(kernel: Kernel, source: str) -> None:
    if source == "kallsyms":
        kernel.symbols.append("0000000000000000 t hook\t[reptile]")
    else:
        kernel.write(f"/sys/kernel/tracing/{source}", "do_exit (1) R\nhook [reptile] (1) R I\n")
    row = kernel.found()["reptile", "hidden_from_proc_modules"]
    assert (row.how_hidden, row.how_seen) == ("proc_modules,sysfs", "kallsyms" if source == "kallsyms" else "tracefs")


def test_a_module_without_its_folder_is_hidden_from_sysfs(kernel: Kernel) -> None:
    kernel.loaded["adore"] = "adore 20480 0 - Live 0x0000000000000000\n"
    row = kernel.found()["adore", "hidden_from_sysfs"]
    assert (row.how_hidden, row.how_seen, row.module_size) == ("sysfs", "proc_modules", 20480)


@pytest.mark.parametrize("state", ["coming", "going"])
def test_a_module_on_its_way_is_not_hidden(kernel: Kernel, state: str) -> None:
    kernel.sysfs("usb_storage", state=state)
    kernel.loaded["uas"] = "uas 16384 0 - Unloading 0x0000000000000000\n"
    kernel.load("usb_common")
    kernel.files.append(f"{MODULES}/kernel/drivers/usb/uas.ko")
    kernel.owned.append(kernel.files[-1])
    kernel.write(kernel.files[-1], "")
    assert kernel.rows() == []


def test_without_module_support_there_is_nothing_to_hide(kernel: Kernel) -> None:
    kernel.loaded, kernel.files = {}, []
    kernel.rows()
    (kernel.root / "proc/modules").unlink()
    for name in ("e1000", "nf_tables"):
        (kernel.root / f"sys/module/{name}/initstate").unlink()
    assert list(kernel_module_findings.generate(Host(str(kernel.root)), QueryContext())) == []


def test_a_module_out_of_the_tree_without_a_file_has_no_excuse(kernel: Kernel) -> None:
    kernel.load("kinsing_rk", "OE", file=None)
    found = kernel.found()
    assert {reason for module, reason in found if module == "kinsing_rk"} == {"out_of_tree", "unsigned", "no_file"}
    assert all(row.exception is None for row in found.values())


def test_a_module_that_bears_the_name_of_one_of_the_kernels_own_has_no_excuse(kernel: Kernel) -> None:
    kernel.load("e1000", "OE")
    row = kernel.found()["e1000", "out_of_tree"]
    assert row.exception is None and "was not built with the kernel" in row.evidence
    assert row.package == KERNEL_PACKAGE


def test_a_module_file_without_package_is_reported(kernel: Kernel) -> None:
    kernel.load("helper", file="kernel/drivers/char", packaged=False)
    row = kernel.found()["helper", "unowned_file"]
    assert (row.path, row.package, row.exception) == (f"{MODULES}/kernel/drivers/char/helper.ko.xz", None, None)


def test_a_forced_module_is_reported(kernel: Kernel) -> None:
    kernel.load("old", "F", file="extra")
    assert kernel.found()["old", "forced"].exception == f"package {KERNEL_PACKAGE}"


def test_modules_from_known_origins_are_excused(kernel: Kernel) -> None:
    kernel.load("zfs", "POE", file="extra")
    kernel.load("nvidia", "POE", file="kernel/drivers/video", packaged=False)
    kernel.load("v4l2loopback", "OE", file="updates/dkms", packaged=False)
    kernel.write(f"/var/lib/dkms/v4l2loopback/kernel-{RELEASE}-x86_64/module/v4l2loopback.ko.xz", "")
    kernel.load("falcon_lsm_serviceable", "OE", file=None)
    kernel.write("/opt/CrowdStrike/falconctl", "")
    rows = kernel.rows()
    assert {row.module: row.exception for row in rows} == {
        "zfs": f"package {KERNEL_PACKAGE}",
        "nvidia": "NVIDIA driver",
        "v4l2loopback": "built by DKMS: v4l2loopback",
        "falcon_lsm_serviceable": "CrowdStrike Falcon",
    }


def test_a_known_name_alone_excuses_nothing(kernel: Kernel) -> None:
    kernel.load("nvidia", "OE", file=None)
    kernel.sysfs("vboxdrv", "OE")
    assert [row.exception for row in kernel.rows()] == [None] * 7


def test_a_taint_that_no_module_explains(kernel: Kernel) -> None:
    kernel.write("/proc/sys/kernel/tainted", f"{1 << 12 | 1 << 13 | 1 << 9}\n")
    row = kernel.found()[None, "taint_without_module"]
    assert (row.taint, row.taint_names, row.exception) == ("OE", "out_of_tree,unsigned", None)
    kernel.files.append(f"{MODULES}/updates/dkms/wireguard.ko")
    assert kernel.found()[None, "taint_without_module"].exception is not None


def test_a_taint_that_a_module_explains_is_no_row_of_its_own(kernel: Kernel) -> None:
    kernel.write("/proc/sys/kernel/tainted", f"{1 << 12}\n")
    kernel.load("zfs", "O", file="extra")
    assert [row.reason for row in kernel.rows()] == ["out_of_tree"]


def test_a_kernel_built_here_is_not_unowned(kernel: Kernel) -> None:
    kernel.owned = []
    rows = kernel.rows()
    assert rows and all(row.reason == "unowned_file" and "built here" in (row.exception or "") for row in rows)


def test_without_a_package_database_nothing_is_unowned(kernel: Kernel) -> None:
    kernel.rows()
    (kernel.root / f"var/lib/dpkg/info/{KERNEL_PACKAGE}.list").unlink()
    host = Host(str(kernel.root))
    assert list(kernel_module_findings.generate(host, QueryContext())) == []
    assert any("which package owns a file is not known" in gap for gap in unseen_by(kernel_module_findings, host))


def test_memory_of_the_module_loader_that_no_module_takes(kernel: Kernel) -> None:
    kernel.areas = [20480 + PAGE]
    row = kernel.found()[None, "unaccounted_module_memory"]
    assert (row.module_size, row.how_seen, row.how_hidden, row.exception) == (20480, "vmallocinfo", "proc_modules,sysfs", None)
    assert "20480 bytes" in row.evidence and "0x" not in row.evidence


def test_a_hidden_module_that_sysfs_names_is_accounted_for(kernel: Kernel) -> None:
    kernel.sysfs("diamorphine", "OE")
    kernel.areas = [16384 + PAGE]
    assert {reason for _, reason in kernel.found() if "memory" in reason} == set()


def test_modules_of_several_areas_each_are_compared_as_a_whole(kernel: Kernel) -> None:
    kernel.rows()
    # Two modules of 16384 bytes: text, data, rodata and ro_after_init.
    kernel.write("/proc/vmallocinfo", vmallocinfo([2 * PAGE] * (2 * 16384 // PAGE)))
    scan = kernel_module_findings.generate
    assert list(scan(Host(str(kernel.root)), QueryContext())) == []
    kernel.write("/proc/vmallocinfo", vmallocinfo([2 * PAGE] * (2 * 16384 // PAGE + 5)))
    assert [(row.reason, row.module_size) for row in scan(Host(str(kernel.root)), QueryContext())] == [
        ("unaccounted_module_memory", 5 * PAGE)
    ]


def test_memory_that_cannot_be_compared_is_said(kernel: Kernel) -> None:
    kernel.rows()
    host = Host(str(kernel.root))
    kernel.write("/proc/vmallocinfo", vmallocinfo([PAGE * 2]))
    assert list(kernel_module_findings.generate(host, QueryContext())) == []
    assert "keeps their memory in another way" in "; ".join(unseen_by(kernel_module_findings, host))
    (kernel.root / "proc/vmallocinfo").unlink()
    assert list(kernel_module_findings.generate(host, QueryContext())) == []
    assert "/proc/vmallocinfo: No such file" in "; ".join(unseen_by(kernel_module_findings, host))


def test_memory_is_not_compared_while_modules_come_and_go(kernel: Kernel) -> None:
    kernel.areas = [20480 + PAGE]
    kernel.load("uas")
    kernel.loaded["uas"] = "uas 16384 0 - Loading 0x0000000000000000\n"
    assert kernel.rows() == [] and "loaded or unloaded" in kernel.gaps()


@pytest.mark.parametrize(("name", "total"), [("clean", 0), ("listing_hook", 16384), ("denied_everywhere", 16384)])
def test_recorded_memory(name: str, total: int) -> None:
    sample = kernel_sample(name)
    modules = [found.module_size or 0 for found in parse_proc_modules("\n".join(sample["proc_modules"]).encode()).values()]
    areas = loader_areas("\n".join(sample["vmallocinfo_loader_areas"]).encode())
    assert len(modules) == 54 + 2 * (name == "listing_hook") and len(areas) == len(modules) + (total > 0)
    assert unaccounted(areas, modules, 4096) == (total, (total,) if total else ())


def test_a_module_that_tainted_the_kernel_and_is_gone(kernel: Kernel) -> None:
    kernel.load("zfs", "PO", file="extra")
    kernel.write(
        "/dev/kmsg",
        "6,0,0,-;Linux version 6.1.0\n"
        "4,700,95123456,-;diamorphine: loading out-of-tree module taints kernel.\n"
        "5,701,95123499,-;diamorphine: module verification failed: signature and/or required key missing - tainting kernel\n"
        "4,702,95200000,-;zfs: module license 'CDDL' taints kernel.\n"
        "12,703,96000000,-;forged: loading out-of-tree module taints kernel.\n",
    )
    found = {key: row for key, row in kernel.found().items() if key[1] == "tainting_module_gone"}
    row = found.pop(("diamorphine", "tainting_module_gone"))
    assert not found
    assert (row.taint, row.load_time, row.exception) == ("O", 1795000095, None)
    assert "loading out-of-tree module" in row.evidence


def test_a_driver_of_known_origin_that_is_gone_is_excused(kernel: Kernel) -> None:
    kernel.load("v4l2loopback", "OE", file="updates/dkms", packaged=False)
    del kernel.loaded["v4l2loopback"]
    (kernel.root / "sys/module/v4l2loopback/initstate").unlink()
    kernel.symbols.pop()
    kernel.write(f"/var/lib/dkms/v4l2loopback/kernel-{RELEASE}-x86_64/module/v4l2loopback.ko.xz", "")
    kernel.write("/dev/kmsg", "4,700,95123456,-;v4l2loopback: loading out-of-tree module taints kernel.\n")
    assert [(row.reason, row.exception) for row in kernel.rows()] == [("tainting_module_gone", "built by DKMS: v4l2loopback")]


def test_a_log_that_cannot_be_read_or_is_cut_is_said(kernel: Kernel) -> None:
    kernel.write("/proc/sys/kernel/tainted", f"{1 << 12}\n")
    kernel.load("zfs", "O", file="extra")
    kernel.write("/dev/kmsg", "6,812,100,-;eth0: link up\n")
    kernel.rows()
    assert "has lost its beginning" in kernel.gaps()
    (kernel.root / "dev/kmsg").unlink()
    assert "/dev/kmsg: No such file" in kernel.gaps()


def test_the_cheap_lists_are_reported_when_the_time_ends_in_the_long_ones(kernel: Kernel) -> None:
    kernel.sysfs("diamorphine", "OE")
    kernel.symbols += ["0 t hook\t[reptile]"] * 50_000
    kernel.rows()
    query = QueryContext(budget_seconds=2.0)
    rows = []
    for row in kernel_module_findings.generate(Host(str(kernel.root)), query):
        # As if what came before had taken all of the time but the reserve.
        query.deadline = time.monotonic() + 0.1
        rows.append(row.reason)
    assert "hidden_from_proc_modules" in rows
    assert "the time ended in kallsyms" in (query.truncated or "")


def test_a_mounted_disk_has_no_kernel_to_examine(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    with pytest.raises(TableError, match="running system only"):
        list(kernel_module_findings.generate(Host(str(tmp_path)), QueryContext()))


def test_this_host_is_silent() -> None:
    assert [row for row in kernel_module_findings.generate(Host(), QueryContext()) if row.exception is None] == []


@pytest.mark.root
def test_a_mount_over_a_module_is_reported() -> None:
    module = min(os.listdir("/sys/module"))
    rows = run_in_namespaces(
        f"""
        mount("none", "/sys/module/{module}", "tmpfs", 0)
        answer(query("SELECT reason, path FROM kernel_module_findings WHERE exception = ''"))
        """
    )
    assert rows == [{"reason": "mounted_over", "path": f"/sys/module/{module}"}]


def test_parsers() -> None:
    data = b"nvidia 56717312 3 nvidia_uvm,nvidia_modeset, Live 0xffffffffc0a00000 (POE)\nbroken line\nuas 4096 0 - Loading 0x0\n"
    assert {name: tuple(found) for name, found in parse_proc_modules(data).items()} == {
        "nvidia": (56717312, "Live", "POE"),
        "uas": (4096, "Loading", ""),
    }
    assert parse_modules_dep("kernel/a/snd-pcm.ko.zst: kernel/b/snd.ko\nno module:\n") == {"snd_pcm": "kernel/a/snd-pcm.ko.zst"}
    assert module_name("/x/nf-tables.ko") == "nf_tables"
    assert taint_letters(1 << 12 | 1) == "PO"


@given(st.lists(st.integers(0, 1 << 30), max_size=20), st.lists(st.integers(1, 1 << 20), max_size=5))
def test_exactly_what_was_added_is_unaccounted(modules: list[int], more: list[int]) -> None:
    def area(size: int) -> int:
        return -(-size // PAGE) * PAGE + PAGE

    found = unaccounted([area(size) for size in (*modules, *more)], modules)
    hidden = sorted(area(size) - PAGE for size in more)
    assert found == (sum(hidden), tuple(hidden))
    if modules and sum(modules) and not more:
        assert unaccounted([], modules) is None


@pytest.mark.parametrize(
    "line", ["0x0-0x1 " + "9" * 15, "6,1,1,-;" + "a" * 63 + ": module license " + "t" * 200, "4,1,1,-;" + "x: " * 100]
)
def test_parsers_are_linear(line: str) -> None:
    def work(size: int) -> None:
        data = (line + "\n").encode() * size
        loader_areas(data)
        parse_taint_lines(data)

    assert_linear(work, 2_000)


@given(st.binary(max_size=4096), st.text(max_size=500), st.integers(min_value=0))
def test_parsers_take_anything(data: bytes, text: str, bits: int) -> None:
    loader_areas(data)
    parse_taint_lines(data)
    parse_proc_modules(data)
    tags(data)
    parse_modules_dep(text)
    taint_letters(bits)
