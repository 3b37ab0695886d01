from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tables.host import Host
from tables.packages.changed_package_files import ChangedPackageFile, changed_package_files
from tables.schema import QueryContext
from tests.support.namespaces import run_in_namespaces
from tests.support.planted_files import link, plant

PIP = """#!/usr/bin/python3
# -*- coding: utf-8 -*-
import re
import sys
from pip._internal.cli.main import main
if __name__ == '__main__':
    sys.argv[0] = re.sub(r'(-script\\.pyw|\\.exe)?$', '', sys.argv[0])
    sys.exit(main())
"""


def packaged(root: Path, *paths: str, content: bytes = b"\x7fELF as packaged") -> None:
    """A package that brought all these files with the same content."""
    plant(root, "/var/lib/dpkg/info/labs.list", "".join(f"{path}\n" for path in paths))
    digest = hashlib.md5(content).hexdigest()
    plant(root, "/var/lib/dpkg/info/labs.md5sums", "".join(f"{digest}  {path.lstrip('/')}\n" for path in paths))
    for path in paths:
        plant(root, path, content, 0o755)


def rows(root: Path) -> dict[str, ChangedPackageFile]:
    query = QueryContext()
    found = {row.path: row for row in changed_package_files.generate(Host(str(root)), query)}
    assert not query.said
    return found  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("path", "role"),
    [
        ("/usr/sbin/cron", "program"),
        ("/usr/bin/pstree", "program"),
        ("/usr/lib/x86_64-linux-gnu/libselinux.so.1", "library"),
        ("/usr/lib64/libselinux.so.1", "library"),
        ("/usr/lib/x86_64-linux-gnu/security/pam_unix.so", "pam_module"),
        ("/usr/lib64/security/pam_unix.so", "pam_module"),
        ("/usr/lib/systemd/system/anacron.service", "start_file"),
        ("/lib/systemd/system/anacron.service", "start_file"),
        ("/usr/lib/systemd/system-generators/systemd-fstab-generator", "start_file"),
        ("/usr/lib/systemd/system/ssh.service.d/vendor.conf", "start_file"),
        ("/usr/lib/udev/rules.d/60-block.rules", "start_file"),
        ("/usr/lib/dracut/modules.d/00bash/module-setup.sh", "start_file"),
        ("/usr/lib/python3/dist-packages/distutils-precedence.pth", "start_file"),
        ("/etc/rc.d/init.d/functions", "start_file"),
    ],
)
def test_what_matters_is_compared(tmp_path: Path, path: str, role: str) -> None:
    packaged(tmp_path, path)
    assert not rows(tmp_path)
    plant(tmp_path, path, b"\x7fELF replaced!!", 0o755)
    row = rows(tmp_path)[path]
    assert (row.package, row.role, row.kind, row.file_size, row.mode) == ("labs", role, "elf", 15, "0755")
    assert row.sha256 == hashlib.sha256(b"\x7fELF replaced!!").hexdigest()


def test_merged_folders_give_one_row(tmp_path: Path) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    link(tmp_path, "usr/bin", "/bin")
    packaged(tmp_path, "/bin/ls")
    plant(tmp_path, "/usr/bin/ls", "#!/bin/sh\nls.old | grep -v x\n")
    assert {path: row.kind for path, row in rows(tmp_path).items()} == {"/usr/bin/ls": "script"}


def test_launchers_of_language_packages_are_told_apart(tmp_path: Path) -> None:
    packaged(tmp_path, "/usr/bin/pip3", "/usr/bin/pip", content=b"#!/usr/bin/python3\nold\n")
    plant(tmp_path, "/usr/bin/pip3", PIP)
    plant(tmp_path, "/usr/bin/pip", PIP.replace("import re", "import os; os.system('/usr/bin/hwdbd')"))
    assert {path: row.kind for path, row in rows(tmp_path).items()} == {"/usr/bin/pip3": "launcher", "/usr/bin/pip": "script"}


def test_programs_and_libraries_in_use_are_compared_wherever_they_lie() -> None:
    found = run_in_namespaces(
        """
        from tables.packages.changed_package_files import changed_package_files
        mount("tmpfs", "/opt", "tmpfs", 0)
        mount("tmpfs", "/var/lib/dpkg", "tmpfs", 0)
        os.mkdir("/var/lib/dpkg/info")
        shutil.copy(shutil.which("sleep"), "/opt/labd")
        with open("/var/lib/dpkg/info/labd.list", "w") as file:
            file.write("/opt/labd\\n")
        with open("/var/lib/dpkg/info/labd.md5sums", "w") as file:
            file.write("0" * 32 + "  opt/labd\\n")
        start("/opt/labd", "60")
        answer(query("SELECT path, role, package FROM changed_package_files WHERE path = '/opt/labd'"))
        """,
        "--mount",
    )
    assert found == [{"path": "/opt/labd", "role": "in_use", "package": "labd"}]
