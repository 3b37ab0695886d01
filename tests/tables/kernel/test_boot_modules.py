from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.host import Host
from tables.host.kernel.installed_modules import parse_modules_alias
from tables.host.startup.boot_modules import parse_modprobe, parse_modules_load
from tables.kernel.boot_modules import BootModuleRow, boot_modules
from tables.schema import QueryContext
from tests.support.linear import assert_linear
from tests.support.planted_files import link, plant
from tests.support.scans import unseen_by

RELEASE = "6.1.0-18-amd64"
MODULES = f"/lib/modules/{RELEASE}"
LOADED = "loaded_at_boot_unowned"


class Disk:
    """A mounted disk with one packaged kernel."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.host = Host(str(root))
        self.files: list[str] = []
        self.owned: list[str] = []
        for name in ("net/bridge/br_netfilter", "fs/overlayfs/overlay", "drivers/net/e1000"):
            self.module(f"kernel/{name}.ko.xz")
        plant(root, "/bin/true", "", 0o755)
        self.owned += ["/bin/true", "/sbin/modprobe"]
        plant(root, "/sbin/modprobe", "", 0o755)

    def module(self, path: str, packaged: bool = True, content: str = "code") -> str:
        full = f"{MODULES}/{path}"
        plant(self.root, full, content)
        self.files.append(path)
        if packaged:
            self.owned.append(full)
        return full

    def rows(self) -> list[BootModuleRow]:
        plant(self.root, f"{MODULES}/modules.dep", "".join(f"{path}:\n" for path in self.files))
        plant(self.root, "/var/lib/dpkg/info/linux-image.list", "/.\n" + "\n".join(self.owned) + "\n")
        return list(boot_modules.generate(self.host, QueryContext()))

    def odd(self) -> list[BootModuleRow]:
        return [row for row in self.rows() if row.reason and not row.exception]

    def gaps(self) -> str:
        return "; ".join(unseen_by(boot_modules, self.host))


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def test_an_empty_disk_loads_nothing(tmp_path: Path) -> None:
    assert list(boot_modules.generate(Host(str(tmp_path)), QueryContext())) == []


def test_packaged_modules_have_no_reason(disk: Disk) -> None:
    plant(disk.root, "/etc/modules-load.d/k8s.conf", "# for kubernetes\noverlay\nbr-netfilter\n")
    plant(disk.root, "/etc/modules", "; comment\ne1000 debug=1\n\nlp\n")
    plant(
        disk.root,
        "/etc/modprobe.d/cis.conf",
        "install cramfs /bin/true\noptions e1000 x=1\nblacklist floppy\nalias net-pf-10 off\n",
    )
    plant(disk.root, "/etc/modprobe.d/snd.conf", "install snd-pcm /sbin/modprobe -i snd-pcm && /sbin/modprobe overlay\n")
    rows = disk.rows()
    assert all(row.reason == "" for row in rows) and not disk.gaps()
    found = {(row.module, row.directive): row for row in rows}
    assert found["br_netfilter", "load"].path == f"{MODULES}/kernel/net/bridge/br_netfilter.ko.xz"
    assert found["br_netfilter", "load"].package == "linux-image"
    assert (found["e1000", "load"].source_path, found["e1000", "load"].line) == ("/etc/modules", 2)
    assert found["lp", "load"].path is None
    assert (found["cramfs", "install"].command, found["cramfs", "install"].path) == ("/bin/true", None)
    assert found["overlay", "install"].command == "/sbin/modprobe -i snd-pcm && /sbin/modprobe overlay"


def test_a_module_that_nobody_packaged_is_reported_with_its_file_and_hash(disk: Disk) -> None:
    path = disk.module("kernel/drivers/net/diamorphine.ko", packaged=False, content="rootkit")
    plant(disk.root, "/etc/modules-load.d/diamorphine.conf", "diamorphine\n")
    (row,) = disk.odd()
    assert (row.module, row.directive, row.reason, row.path) == ("diamorphine", "load", LOADED, path)
    assert (row.source_path, row.line, row.source_package) == ("/etc/modules-load.d/diamorphine.conf", 1, None)
    assert (row.sha256, row.release) == (hashlib.sha256(b"rootkit").hexdigest(), RELEASE)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("/etc/modules", "evil\n"),
        ("/usr/lib/modules-load.d/a.conf", "evil"),
        ("/run/modules-load.d/a.conf", "  evil  \n"),
        ("/usr/local/lib/modules-load.d/a.conf", "evil"),
        ("/etc/modprobe.d/a.conf", "alias char-major-10-1 evil\n"),
        ("/etc/modprobe.d/a.conf", "softdep overlay pre: br_netfilter evil post: e1000\n"),
        ("/etc/modprobe.d/a.conf", "install overlay /sbin/modprobe --ignore-install overlay; \\\n /sbin/modprobe evil\n"),
    ],
)
def test_every_file_that_loads_modules_is_read(disk: Disk, file: str, text: str) -> None:
    disk.module("extra/evil.ko.zst", packaged=False)
    plant(disk.root, file, text)
    assert [(row.module, row.source_path) for row in disk.odd()] == [("evil", file)]


def test_a_module_named_by_an_alias_of_its_own(disk: Disk) -> None:
    disk.module("extra/evil.ko", packaged=False)
    plant(disk.root, f"{MODULES}/modules.alias", "# Aliases\nalias fs-ext4 ext4\nalias hwmon-* evil\n")
    plant(disk.root, "/etc/modules", "hwmon_x\n")
    assert [row.path for row in disk.odd()] == [f"{MODULES}/extra/evil.ko"]


@pytest.mark.parametrize("command", ["/opt/.m/load", "/bin/true; /opt/.m/load -q"])
def test_a_command_that_nobody_packaged_is_reported(disk: Disk, command: str) -> None:
    plant(disk.root, "/opt/.m/load", "#!/bin/sh\n", 0o755)
    plant(disk.root, "/etc/modprobe.d/x.conf", f"install usb-storage {command}\n")
    assert [(row.module, row.path, row.command) for row in disk.odd()] == [("usb_storage", "/opt/.m/load", command)]


def test_a_module_that_a_command_loads_by_its_file(disk: Disk) -> None:
    disk.owned.append("/sbin/insmod")
    plant(disk.root, "/sbin/insmod", "", 0o755)
    plant(disk.root, "/srv/x.ko", "rootkit")
    plant(disk.root, "/etc/modprobe.d/x.conf", "install ipv6 /sbin/insmod /srv/x.ko\n")
    assert [(row.module, row.path) for row in disk.odd()] == [("x", "/srv/x.ko")]


def test_modules_of_known_origin_are_excused(disk: Disk) -> None:
    disk.module("updates/dkms/v4l2loopback.ko.xz", packaged=False)
    plant(disk.root, f"/var/lib/dkms/v4l2loopback/kernel-{RELEASE}-x86_64/module/v4l2loopback.ko.xz", "code")
    disk.module("kernel/drivers/video/nvidia.ko", packaged=False)
    disk.owned.append("/lib/modules/6.0.0/extra/zfs.ko")
    plant(disk.root, "/lib/modules/6.0.0/extra/zfs.ko")
    link(disk.root, "/lib/modules/6.0.0/extra/zfs.ko", f"{MODULES}/weak-updates/zfs.ko")
    disk.files.append("weak-updates/zfs.ko")
    plant(disk.root, "/etc/modules", "v4l2loopback\nnvidia\nzfs\n")
    assert {row.module: row.exception for row in disk.rows()} == {
        "v4l2loopback": "built by DKMS: v4l2loopback",
        "nvidia": "NVIDIA driver",
        "zfs": None,
    }
    assert not disk.odd()


def test_a_kernel_that_was_built_here_excuses_its_own_modules_only(disk: Disk) -> None:
    disk.owned = ["/bin/true"]
    disk.module("extra/evil.ko", packaged=False)
    plant(disk.root, "/etc/modules", "overlay\nevil\n")
    assert [row.module for row in disk.odd()] == ["evil"]


def test_a_masked_file_names_nothing(disk: Disk) -> None:
    disk.module("extra/evil.ko", packaged=False)
    plant(disk.root, "/usr/lib/modules-load.d/a.conf", "evil\n")
    link(disk.root, "/dev/null", "/etc/modules-load.d/a.conf")
    assert disk.rows() == []


def test_without_a_package_database_nothing_is_unowned(disk: Disk) -> None:
    disk.module("extra/evil.ko", packaged=False)
    plant(disk.root, "/etc/modules", "evil\n")
    disk.rows()
    (disk.root / "var/lib/dpkg/info/linux-image.list").unlink()
    (row,) = boot_modules.generate(disk.host, QueryContext())
    assert row.reason == "" and "which package owns a file is not known" in disk.gaps()


def test_this_host_is_silent() -> None:
    assert [row for row in boot_modules.generate(Host(), QueryContext()) if row.reason and not row.exception] == []


@pytest.mark.parametrize("line", ["softdep x " + "pre: a " * 50, "alias a b", "install a " + "b " * 50])
def test_parsers_are_linear(line: str) -> None:
    def work(size: int) -> None:
        text = (line + "\n") * size
        sum(1 for _ in parse_modprobe(text))
        sum(1 for _ in parse_modules_load(text))
        parse_modules_alias("alias *a* b\n" * (size // 10), [f"n{number}" for number in range(size)])

    assert_linear(work, 1_000)


@given(st.text(max_size=500), st.lists(st.text(max_size=20), max_size=5))
def test_parsers_take_anything(text: str, names: list[str]) -> None:
    list(parse_modprobe(text))
    list(parse_modules_load(text))
    parse_modules_alias(text, names)
