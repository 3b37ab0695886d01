"""The core tables about the system: their columns, live answers against independent truth, fixture hosts."""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extension.engines import EngineError
from extension.engines.core import COLUMNS
from extension.engines.core.kernel import parse_arguments, parse_modules
from extension.engines.core.load import parse_cpu_times, parse_meminfo
from extension.engines.core.mounts import parse_mounts
from extension.engines.core.network import parse_hosts, parse_resolv_conf
from extension.engines.core.system import full_host_name, parse_cpuinfo, parse_os_release, parse_release
from extension.engines.core.system_controls import parse_sysctl_conf
from extension.engines.embedded import EmbeddedEngine
from extension.serving.runner import TableRunner
from tables.host import Host
from tests.support.namespaces import REPOSITORY, run_in_namespaces

RECORDED_SCHEMA = REPOSITORY.parent / "shared" / "osquery-core-schema.json"
OURS = (
    "processes", "process_open_sockets", "process_open_files", "process_envs", "process_memory_map", "process_namespaces",
    "listening_ports", "kernel_modules", "kernel_info", "mounts", "system_controls", "load_average", "memory_info", "cpu_time",
    "os_version", "system_info", "interface_addresses", "etc_hosts", "dns_resolvers", "osquery_info",
)  # fmt: skip


@pytest.fixture(scope="module")
def engine() -> EmbeddedEngine:
    return EmbeddedEngine(Host())


def only(engine: EmbeddedEngine, sql: str) -> dict[str, str]:
    (row,) = engine.query(sql)
    return row


def fixture_host(root: Path, files: dict[str, str | bytes]) -> EmbeddedEngine:
    """An engine on a host that has these files only."""
    for name, content in {"proc/.keep": "", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return EmbeddedEngine(Host(str(root)))


class TestColumns:
    def test_columns_are_those_recorded_from_osquery(self) -> None:
        if not RECORDED_SCHEMA.exists():
            pytest.skip("the recorded osquery schema is not on this machine")
        recorded = json.loads(RECORDED_SCHEMA.read_text())
        assert recorded == COLUMNS
        assert {name: list(columns) for name, columns in recorded.items()} == {name: list(COLUMNS[name]) for name in COLUMNS}

    @pytest.mark.parametrize("table", OURS)
    def test_every_table_answers_with_every_column(self, engine: EmbeddedEngine, table: str) -> None:
        found = engine.query(f"PRAGMA table_info({table})")
        assert {row["name"]: row["type"] for row in found} == COLUMNS[table]
        with socket.create_server(("127.0.0.1", 0)):
            rows = engine.query(f"SELECT * FROM {table}")
        assert all(list(row) == list(COLUMNS[table]) for row in rows)
        assert rows or table == "kernel_modules"

    @pytest.mark.parametrize("table", OURS)
    def test_rows_hold_nothing_but_columns(self, engine: EmbeddedEngine, table: str) -> None:
        context = json.dumps({"constraints": [], "colsUsed": list(COLUMNS[table])})
        rows = TableRunner(engine.tables[table], engine.host).generate(context)
        assert {name for row in rows for name in row} <= set(COLUMNS[table])


class TestMounts:
    def test_mounts_are_those_psutil_lists(self, engine: EmbeddedEngine) -> None:
        truth = sorted((part.mountpoint, part.fstype, part.opts) for part in psutil.disk_partitions(all=True))
        assert sorted(tuple(row.values()) for row in engine.query("SELECT path, type, flags FROM mounts")) == truth

    def test_sizes_are_those_of_statvfs(self, engine: EmbeddedEngine) -> None:
        truth = os.statvfs("/")
        row = only(engine, "SELECT * FROM mounts WHERE path = '/' ORDER BY blocks DESC LIMIT 1")
        assert (row["blocks_size"], row["blocks"], row["inodes"]) == (
            str(truth.f_bsize), str(truth.f_blocks % 2**32), str(truth.f_files % 2**32),
        )  # fmt: skip
        assert int(row["blocks_available"]) <= int(row["blocks_free"]) <= int(row["blocks"])

    @pytest.mark.root
    def test_planted_mount(self) -> None:
        row, path = run_in_namespaces(
            r"""
            path = os.path.join(folder, "a b\\c\td")
            os.mkdir(path)
            mount("planted", path, "tmpfs", 2)
            try:
                answer([query("SELECT * FROM mounts WHERE device = 'planted'"), path])
            finally:
                ctypes.CDLL(None).umount2(os.fsencode(path), 2)
            """
        )
        assert len(row) == 1
        assert row[0]["path"] == path.replace("\t", r"\x09")
        assert (row[0]["type"], row[0]["device_alias"]) == ("tmpfs", "planted")
        assert row[0]["flags"].startswith("rw,nosuid")
        assert int(row[0]["blocks"]) > 0

    def test_no_size_is_asked_of_network_file_systems(self, tmp_path: Path) -> None:
        (tmp_path / "mnt").mkdir()
        lines = [f"{kind} /mnt {kind} rw 0 0" for kind in ("nfs4", "cifs", "fuse.sshfs", "autofs", "ext4")]
        engine = fixture_host(tmp_path, {"proc/mounts": "\n".join(lines)})
        sizes = engine.query("SELECT type, blocks IS NULL AS is_null, blocks > 0 AS is_positive FROM mounts")
        assert [tuple(row.values()) for row in sizes] == [
            ("nfs4", "1", ""), ("cifs", "1", ""), ("fuse.sshfs", "1", ""), ("autofs", "0", "0"), ("ext4", "0", "1"),
        ]  # fmt: skip

    def test_alias_is_the_device_without_links(self, tmp_path: Path) -> None:
        (tmp_path / "dev/mapper").mkdir(parents=True)
        (tmp_path / "dev/mapper/vg-root").symlink_to("../dm-0")
        (tmp_path / "dev/mapper/gone").symlink_to("../dm-9")
        lines = [f"{device} / ext4 rw 0 0" for device in ("/dev/mapper/vg-root", "/dev/mapper/gone", "tmpfs")]
        engine = fixture_host(tmp_path, {"dev/dm-0": "", "proc/mounts": "\n".join(lines)})
        found = [row["device_alias"] for row in engine.query("SELECT device_alias FROM mounts")]
        assert found == ["/dev/dm-0", "/dev/mapper/gone", "tmpfs"]

    @given(st.binary())
    def test_parser_never_raises(self, data: bytes) -> None:
        assert all(len(entry) == 4 for entry in parse_mounts(data))


class TestSystemControls:
    def test_values_are_those_below_proc_sys(self, engine: EmbeddedEngine) -> None:
        for path in ("vm/swappiness", "kernel/ostype", "kernel/random/poolsize", "net/ipv4/tcp_rmem"):
            if not Path("/proc/sys", path).exists():
                continue
            name = path.replace("/", ".")
            row = only(engine, f"SELECT * FROM system_controls WHERE name = '{name}'")
            assert row == {
                "name": name, "oid": "", "subsystem": name.split(".")[0], "type": "string", "config_value": row["config_value"],
                "current_value": Path("/proc/sys", path).read_text().strip().replace("\t", r"\x09"),
            }  # fmt: skip

    def test_like_finds_what_a_full_walk_finds(self, engine: EmbeddedEngine) -> None:
        names = {row["name"] for row in engine.query("SELECT name FROM system_controls")}
        assert len(names) > 100
        for pattern in ("vm.%", "KERNEL.%", "net.ipv4.conf.lo.%", "kernel.p_d_max", "%swap%", "v%"):
            regex = re.escape(pattern.lower()).replace("%", ".*").replace("_", ".")
            found = {row["name"] for row in engine.query(f"SELECT name FROM system_controls WHERE name LIKE '{pattern}'")}
            assert found == {name for name in names if re.fullmatch(regex, name)}, pattern

    def test_only_the_wanted_part_is_walked(self, tmp_path: Path) -> None:
        engine = fixture_host(tmp_path, {"proc/sys/vm/a": "1\n", "proc/sys/net/b": "2\n"})
        (tmp_path / "proc/sys/net/b").unlink()
        os.mkfifo(tmp_path / "proc/sys/net/b")
        assert engine.query("SELECT name, current_value FROM system_controls WHERE name LIKE 'vm.%'") == [
            {"name": "vm.a", "current_value": "1"}
        ]
        assert engine.query("SELECT name FROM system_controls WHERE subsystem = 'net'") == [{"name": "net.b"}]
        assert engine.query("SELECT name FROM system_controls WHERE subsystem IN ('vm', 'nothing')") == [{"name": "vm.a"}]

    def test_deep_folders_and_links_in_circles(self, tmp_path: Path) -> None:
        engine = fixture_host(tmp_path, {"proc/sys/vm/first": "6"})
        (tmp_path / "proc/sys/vm/circle").symlink_to(".")
        deep = f"{tmp_path}/proc/sys/vm"
        for _ in range(1500):
            deep += "/d"
            os.mkdir(deep)
        Path(deep, "leaf").write_text("7")
        try:
            found = engine.query("SELECT name, current_value FROM system_controls")
        finally:
            # Python's own rmtree, which pytest would use, descends recursively.
            subprocess.run(["rm", "-rf", tmp_path / "proc"], check=True)
        assert {row["name"].rpartition(".")[2]: row["current_value"] for row in found} == {
            "first": "6",
            "leaf": "7",
            "circle": "",
        }

    def test_names_that_are_no_setting(self, engine: EmbeddedEngine) -> None:
        # osquery gives a row for any name asked for; a folder's name gives its settings, which SQL then leaves out.
        row = only(engine, "SELECT name, current_value = '' AS unknown FROM system_controls WHERE name = 'no.such'")
        assert row == {"name": "no.such", "unknown": "1"}
        for name in ("vm", ".", "vm/swappiness", "..........etc.passwd", "x' || char(0) || 'y"):
            found = engine.query(f"SELECT name, current_value FROM system_controls WHERE name = '{name}'")
            assert all(not row["current_value"] for row in found), name

    @pytest.mark.root
    def test_what_cannot_be_read_is_empty(self, engine: EmbeddedEngine) -> None:
        if not Path("/proc/sys/vm/compact_memory").exists():
            pytest.skip("this kernel has no write-only setting to look at")
        row = only(engine, "SELECT current_value = '' AS n FROM system_controls WHERE name = 'vm.compact_memory'")
        assert row == {"n": "1"}

    def test_configured_values(self, tmp_path: Path) -> None:
        engine = fixture_host(
            tmp_path,
            {
                "proc/sys/vm/a": "1", "proc/sys/vm/b": "1", "proc/sys/vm/c": "1", "proc/sys/vm/d": "1",
                "etc/sysctl.conf": "# vm.b=9\nvm.a = 5 \n;vm.b=8\nvm.d=1=2\n\xff\n".encode("latin-1"),
                "etc/sysctl.d/10.conf": "vm.a=6\nvm.b=7", "etc/sysctl.d/.hidden.conf": "vm.c=1", "etc/sysctl.d/README": "vm.c=2",
            },
        )  # fmt: skip
        found = engine.query("SELECT name, config_value FROM system_controls")
        assert {row["name"]: row["config_value"] for row in found} == {"vm.a": "6", "vm.b": "7", "vm.c": "", "vm.d": ""}

    @pytest.mark.root
    def test_automount_point_is_not_mounted_by_looking(self) -> None:
        if not Path("/proc/sys/fs/binfmt_misc").is_dir():
            pytest.skip("this kernel has no binfmt_misc")
        names = run_in_namespaces(
            """
            mount("planted", "/proc/sys/fs/binfmt_misc", "tmpfs", 0)
            open("/proc/sys/fs/binfmt_misc/visible", "w").close()
            with open("/proc/self/mountinfo") as file:
                pretended = file.read().replace(" - tmpfs planted", " - autofs planted")
            open(os.path.join(folder, "mountinfo"), "w").write(pretended)
            seen = query("SELECT name FROM system_controls WHERE name LIKE 'fs.binfmt_misc.%'")
            mount(os.path.join(folder, "mountinfo"), "/proc/self/mountinfo")
            answer([seen, query("SELECT name FROM system_controls WHERE name LIKE 'fs.binfmt_misc.%'")])
            """
        )
        assert names == [[{"name": "fs.binfmt_misc.visible"}], []]

    @given(st.text())
    def test_parser_never_raises(self, text: str) -> None:
        assert all(name for name, _ in parse_sysctl_conf(text))


class TestLoad:
    def test_load_average_has_six_decimals(self, engine: EmbeddedEngine) -> None:
        rows = engine.query("SELECT * FROM load_average")
        assert [row["period"] for row in rows] == ["1m", "5m", "15m"]
        assert all(re.fullmatch(r"\d+\.\d{6}", row["average"]) for row in rows)
        assert float(rows[2]["average"]) == pytest.approx(os.getloadavg()[2], abs=1)

    def test_memory_is_in_bytes(self, engine: EmbeddedEngine) -> None:
        row = {name: int(value) for name, value in only(engine, "SELECT * FROM memory_info").items()}
        memory, swap = psutil.virtual_memory(), psutil.swap_memory()
        assert (row["memory_total"], row["swap_total"]) == (memory.total, swap.total)
        for name, truth in (("memory_free", memory.free), ("memory_available", memory.available), ("active", memory.active)):
            assert row[name] == pytest.approx(truth, abs=memory.total // 10), name

    def test_cpu_time_is_in_ticks(self, engine: EmbeddedEngine) -> None:
        hertz = os.sysconf("SC_CLK_TCK")
        before = psutil.cpu_times(percpu=True)
        rows = engine.query("SELECT * FROM cpu_time")
        after = psutil.cpu_times(percpu=True)
        assert [row["core"] for row in rows] == re.findall(r"^cpu(\d+)", Path("/proc/stat").read_text(), re.MULTILINE)
        for row, low, high in zip(rows, before, after):
            for name in ("user", "system", "softirq", "steal"):
                assert round(getattr(low, name) * hertz) <= int(row[name]) <= round(getattr(high, name) * hertz), name

    def test_parsers_on_fixtures(self) -> None:
        assert parse_meminfo("MemTotal:  10 kB\nActive(anon): 3 kB\nActive: 2 kB\nCached: x kB\nBuffers: " + "9" * 5000) == {
            "memory_total": 10240, "active": 2048,
        }  # fmt: skip
        old = "cpu 1 2 3 4 5 6 7 8\ncpu0 1 2 3 4 5 6 7\ncpu1 1 2\nintr 1 2 3 4 5 6 7 8\n"
        (row,) = parse_cpu_times(old)
        assert row == {
            "core": "0", "user": "1", "nice": "2", "system": "3", "idle": "4", "iowait": "5", "irq": "6", "softirq": "7",
            "steal": 0, "guest": 0, "guest_nice": 0,
        }  # fmt: skip

    @given(st.text())
    def test_parsers_never_raise(self, text: str) -> None:
        parse_meminfo(text)
        assert all(str(row["core"]) for row in parse_cpu_times(text))


class TestKernel:
    def test_kernel_info(self, engine: EmbeddedEngine) -> None:
        row = only(engine, "SELECT * FROM kernel_info")
        assert row["version"] == os.uname().release
        words = Path("/proc/cmdline").read_text().split()
        others = [word for word in words if not word.startswith(("BOOT_IMAGE=", "root="))]
        assert row["arguments"].split() == others

    def test_kernel_arguments(self) -> None:
        assert parse_arguments("BOOT_IMAGE=/vmlinuz-6.1 root=UUID=1-2 ro  quiet\n") == {
            "path": "/vmlinuz-6.1", "device": "UUID=1-2", "arguments": "ro quiet",
        }  # fmt: skip

    def test_modules(self, tmp_path: Path, engine: EmbeddedEngine) -> None:
        text = (
            "nf_tables 311296 2 nft_chain,nft_limit, Live 0xffffffffc0a00000\n"
            "zfs 4206592 0 - Live 0x0000000000000000 (POE)\n"
            "broken 1\n"
        )
        found = fixture_host(tmp_path, {"proc/modules": text}).query("SELECT * FROM kernel_modules")
        assert found == [
            {"name": "nf_tables", "size": "311296", "used_by": "nft_chain,nft_limit", "status": "Live",
             "address": "0xffffffffc0a00000"},
            {"name": "zfs", "size": "4206592", "used_by": "-", "status": "Live", "address": "0x0000000000000000"},
        ]  # fmt: skip
        live = Path("/proc/modules")
        listed = [line.split()[0] for line in live.read_text().splitlines()] if live.exists() else []
        assert [row["name"] for row in engine.query("SELECT name FROM kernel_modules")] == listed

    def test_no_rows_without_module_support(self, tmp_path: Path) -> None:
        assert fixture_host(tmp_path, {}).query("SELECT * FROM kernel_modules") == []

    @given(st.text())
    def test_parsers_never_raise(self, text: str) -> None:
        assert "arguments" in parse_arguments(text)
        assert all(len(row) == 5 for row in parse_modules(text))


class TestSystem:
    @pytest.mark.parametrize(
        ("files", "expected"),
        [
            (
                {"etc/os-release": 'NAME="Debian GNU/Linux"\nVERSION_ID="12"\nVERSION="12 (bookworm)"\n'
                                   "VERSION_CODENAME=bookworm\nID=debian\nHOME_URL=\"x\"\n"},
                ("Debian GNU/Linux", "12 (bookworm)", "12", "0", "0", "debian", "", "bookworm"),
            ),
            (
                {"etc/os-release": 'NAME="Ubuntu"\nVERSION_ID="24.04"\nVERSION="24.04.1 LTS"\nID=ubuntu\nID_LIKE=debian\n'
                                   "UBUNTU_CODENAME=noble\n"},
                ("Ubuntu", "24.04.1 LTS", "24", "4", "0", "ubuntu", "debian", "noble"),
            ),
            (
                {"etc/os-release": 'NAME="Rocky Linux"\nID="rocky"\nVERSION_ID="9.4"\n',
                 "etc/redhat-release": "Rocky Linux release 9.4 (Blue Onyx)\n"},
                ("Rocky Linux", "Rocky Linux release 9.4 (Blue Onyx)", "9", "4", "0", "rhel", "rhel", ""),
            ),
            (
                {"etc/redhat-release": "CentOS release 6.10.1 (Final)\n"},
                ("CentOS", "CentOS release 6.10.1 (Final)", "6", "10", "1", "rhel", "rhel", ""),
            ),
            ({"etc/gentoo-release": "Gentoo\n"}, ("Unknown", "Gentoo", "0", "0", "0", "gentoo", "gentoo", "")),
            ({}, ("Unknown", "", "0", "0", "0", "posix", "", "")),
        ],
    )  # fmt: skip
    def test_os_version(self, tmp_path: Path, files: dict[str, str], expected: tuple[str, ...]) -> None:
        row = only(
            fixture_host(tmp_path, dict(files)),
            "SELECT name, version, major, minor, patch, platform, platform_like, codename FROM os_version",
        )
        assert tuple(row.values()) == expected

    def test_os_version_of_this_host(self, engine: EmbeddedEngine) -> None:
        row = only(engine, "SELECT * FROM os_version")
        assert row["arch"] == os.uname().machine
        if Path("/etc/os-release").exists() and not Path("/etc/redhat-release").exists():
            shell = subprocess.run(
                ["sh", "-c", '. /etc/os-release; echo "$NAME|$ID"'], capture_output=True, text=True, check=True
            )
            assert f"{row['name']}|{row['platform']}" == shell.stdout.strip()

    def test_system_info(self, engine: EmbeddedEngine) -> None:
        row = only(engine, "SELECT * FROM system_info")
        assert row["physical_memory"] == str(psutil.virtual_memory().total)
        assert row["cpu_logical_cores"] == str(psutil.cpu_count())
        assert row["cpu_type"] == os.uname().machine
        assert row["computer_name"] == os.uname().nodename
        assert row["local_hostname"] == row["hostname"]
        assert row["cpu_physical_cores"] == str(psutil.cpu_count(logical=False) or psutil.cpu_count())

    def test_cpuinfo(self) -> None:
        thread = "model\t\t: 85\nmodel name\t: Big  CPU @ 2GHz\nmicrocode\t: 0x5\nphysical id\t: {p}\nsiblings\t: 4\n"
        text = "\n".join(thread.format(p=n // 4) + f"core id\t\t: {n // 2 % 2}\n" for n in range(8))
        assert parse_cpuinfo(text, 8) == {
            "cpu_subtype": "85", "cpu_brand": "Big  CPU @ 2GHz", "cpu_microcode": "0x5", "cpu_sockets": 2,
            "cpu_physical_cores": 4,
        }  # fmt: skip
        assert parse_cpuinfo("siblings : 0\n", 8) == {"cpu_sockets": -1}

    def test_full_host_name_comes_from_the_hosts_file(self) -> None:
        hosts = "127.0.0.1 localhost\n127.0.1.1 Web1.example.com web1 # web2\n"
        assert full_host_name("web1", hosts) == "Web1.example.com"
        assert full_host_name("web2", hosts) == "web2"

    def test_osquery_info_is_about_this_process(self, engine: EmbeddedEngine) -> None:
        row = only(engine, "SELECT pid, start_time, version FROM osquery_info")
        assert row == {"pid": str(os.getpid()), "start_time": str(int(psutil.Process().create_time())), "version": ""}

    @pytest.mark.parametrize("table", ["system_info", "load_average", "interface_addresses"])
    def test_a_mounted_disk_has_no_running_system(self, tmp_path: Path, table: str) -> None:
        with pytest.raises(EngineError, match=f"{table} tells about a running system"):
            fixture_host(tmp_path, {}).query(f"SELECT * FROM {table}")

    @given(st.text() | st.text('ABCDEFGHIJKLMNOPQRSTUVWXYZ_="\n.19'))
    def test_parsers_never_raise(self, text: str) -> None:
        parse_os_release(text)
        assert "version" in parse_release(text)
        parse_cpuinfo(text, 4)
        assert full_host_name("x", text)


class TestNetwork:
    def test_interface_addresses_are_those_ip_shows(self, engine: EmbeddedEngine) -> None:
        if shutil.which("ip") is None:
            pytest.skip("no ip(8) on this machine")
        answer = json.loads(subprocess.run(["ip", "-json", "address"], capture_output=True, text=True, check=True).stdout)
        truth = set()
        for link in answer:
            for info in link.get("addr_info", ()):
                scoped = info["family"] == "inet6" and info.get("scope") == "link"
                truth.add((link["ifname"], info["local"] + (f"%{link['ifname']}" if scoped else ""), info.get("broadcast", "")))
        rows = engine.query("SELECT * FROM interface_addresses")
        assert {(row["interface"], row["address"], row["broadcast"]) for row in rows} == truth
        assert {row["type"] for row in rows} == {"unknown"}

    @pytest.mark.root
    def test_loopback_names_itself_as_the_far_end(self) -> None:
        rows = run_in_namespaces(
            """
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            answer(query("SELECT * FROM interface_addresses"))
            """,
            "--net",
        )
        assert rows[0] == {
            "interface": "lo", "address": "127.0.0.1", "mask": "255.0.0.0", "broadcast": "", "point_to_point": "127.0.0.1",
            "type": "unknown",
        }  # fmt: skip
        assert rows[1:] == [
            {"interface": "lo", "address": "::1", "mask": "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "broadcast": "",
             "point_to_point": "", "type": "unknown"}
        ]  # fmt: skip

    def test_etc_hosts(self, tmp_path: Path) -> None:
        content = "127.0.0.1\tlocalhost  box\n# 1.2.3.4 no\n\n10.0.0.1 a#b c # d e\n  ::1 six\n5.5.5.5\n6.6.6.6 # none\r\n"
        engine = fixture_host(tmp_path, {"etc/hosts": content})
        found = engine.query("SELECT address, hostnames FROM etc_hosts")
        assert [tuple(row.values()) for row in found] == [
            ("127.0.0.1", "localhost box"), ("10.0.0.1", "a#b c"), ("::1", "six"), ("5.5.5.5", ""), ("6.6.6.6", ""),
        ]  # fmt: skip

    def test_etc_hosts_that_is_a_fifo_does_not_block(self, tmp_path: Path) -> None:
        engine = fixture_host(tmp_path, {"etc/x": ""})
        os.mkfifo(tmp_path / "etc/hosts")
        assert engine.query("SELECT * FROM etc_hosts") == []

    def test_resolv_conf(self, tmp_path: Path) -> None:
        content = (
            "# nameserver 9.9.9.9\nnameserver 10.0.0.53 # office\nnameserver\t127.1\nnameserver 9.9.9.9;x\n"
            "nameserver fe80::1%eth0\n"
            "nameserver 1.1.1.1\n nameserver 8.8.8.8\nnameserver nonsense\ndomain old.example\nsearch a.example b.example\n"
            "options rotate timeout:2 edns0 nonsense\n"
        )
        engine = fixture_host(tmp_path, {"etc/resolv.conf": content})
        options = str(0x2C1 | 0x4000 | 0x100000)
        servers = ["10.0.0.53", "127.0.0.1", ""]
        assert engine.query("SELECT * FROM dns_resolvers") == [
            {"id": str(n), "type": "nameserver", "address": address, "netmask": "32", "options": options}
            for n, address in enumerate(servers)
        ] + [
            {"id": str(n), "type": "search", "address": domain, "netmask": "", "options": options}
            for n, domain in enumerate(("a.example", "b.example"))
        ]

    def test_without_resolv_conf_the_own_host_is_asked(self) -> None:
        rows = list(parse_resolv_conf("", "web1.example.com"))
        assert [(row["type"], row["address"]) for row in rows] == [("nameserver", "127.0.0.1"), ("search", "example.com")]

    @pytest.mark.root
    @pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="asks glibc's resolver")
    @pytest.mark.parametrize(
        "content",
        [
            "nameserver 10.0.0.53\nnameserver 10.0.0.54;x\noptions rotate use-vc trust-ad edns0 single-request\nsearch a.b\n",
            "nameserver ::1\ndomain d.example extra\noptions no-tld-query single-request-reopen no-reload ndots:3\n",
            "options unknown\n",
            "search 1 2 3 4 5 6\nnameserver 1.1.1.1\nnameserver 2.2.2.2\nnameserver 3.3.3.3\nnameserver 4.4.4.4\n",
        ],
    )
    def test_dns_resolvers_are_those_of_the_c_library(self, content: str) -> None:
        # struct __res_state: int retrans, retry; unsigned long options; int nscount; sockaddr_in nsaddr_list[3];
        # unsigned short id; char *dnsrch[7].
        rows, options, servers, search = run_in_namespaces(
            f"""
            import socket, struct
            path = os.path.join(folder, "resolv.conf")
            with open(path, "w") as file:
                file.write({content!r})
            mount(path, os.path.realpath("/etc/resolv.conf"))
            libc = ctypes.CDLL("libresolv.so.2")
            libc.__res_init()
            libc.__res_state.restype = ctypes.c_void_p
            state = ctypes.string_at(libc.__res_state(), 72 + 7 * 8)
            options, count = struct.unpack_from("=Qi", state, 8)
            entries = [state[20 + 16 * n : 36 + 16 * n] for n in range(count)]
            servers = [socket.inet_ntoa(e[4:8]) if e[0] == socket.AF_INET else "" for e in entries]
            search = [ctypes.string_at(p).decode() for p in struct.unpack_from("=6Q", state, 72) if p]
            answer([query("SELECT * FROM dns_resolvers"), options, servers, [name for name in search if name]])
            """
        )
        assert {int(row["options"]) for row in rows} == {options}
        assert [row["address"] for row in rows if row["type"] == "nameserver"] == servers
        assert [row["address"] for row in rows if row["type"] == "search"] == search

    @given(st.text() | st.text("nameserver archdoni:.19# \t\n"), st.text())
    def test_parsers_never_raise(self, text: str, hostname: str) -> None:
        for row in parse_resolv_conf(text, hostname):
            assert row["type"] in ("nameserver", "search")
        assert len(list(parse_hosts(text))) <= text.count("\n") + 1

    def test_addresses_are_addresses(self, engine: EmbeddedEngine) -> None:
        for row in engine.query("SELECT address FROM interface_addresses"):
            address = row["address"].partition("%")[0]
            socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
