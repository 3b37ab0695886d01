"""Start mechanisms besides shells, init and udev: each with a payload that the pack reports, and as software ships it, silent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from extension.engines.embedded import EmbeddedEngine
from extension.pack.model import load_pack, shipped_pack
from tables.host import Host
from tests.support.planted_files import plant
from tests.support.start_mechanisms import EXECUTABLE, FIRES, PROGRAMS, SILENT, filled

# What a stock system has, and its packages own.
_BASE = {
    "/etc/passwd": "root:x:0:0::/root:/bin/bash\nkim:x:1000:1000::/home/kim:/bin/bash\n",
    "/var/lib/dpkg/status": "Package: base\nStatus: install ok installed\n",
    "/var/lib/dpkg/info/base.list": "/.\n/usr/bin/logger\n/usr/lib/openssh/sftp-server\n/usr/lib/libnss_sss.so.2\n"
    "/usr/lib/dracut/modules.d/50drm/module-setup.sh\n/usr/lib/python3.9/site-packages/dnf-plugins/copr.py\n",
    **{f"{path} (x)": "<elf>" for path in ("/usr/bin/logger", "/usr/lib/openssh/sftp-server", *PROGRAMS)},
}
_QUERIES = {query.name: query.sql for query in load_pack(shipped_pack()).queries()}
_ASKED = (
    "startup_suspicious_command",
    "startup_unpackaged_program",
    "stray_script_among_packaged",
    "name_service_unpackaged_library",
    "preloaded_library",
    "systemd_suspicious_command",
    "systemd_unit_odd_program",
    "systemd_unpackaged_system_program",
    "cron_download_and_run",
    "cron_runs_odd_script",
    "rc_local_suspicious_command",
)


def _found(root: Path, tree: Mapping[str, str]) -> list[tuple[str, str]]:
    """(query, path) of each row on a system with these files."""
    for path, text in {**_BASE, **tree}.items():
        plant(root, filled(path.removesuffix(EXECUTABLE)), filled(text), 0o755 if path.endswith(EXECUTABLE) else 0o644)
    engine = EmbeddedEngine(Host(str(root)))
    return [(name, str(row.get("source_path") or row["path"])) for name in _ASKED for row in engine.query(_QUERIES[name])]


@pytest.mark.parametrize("name", FIRES)
def test_a_payload_is_found_wherever_it_is_started_from(tmp_path: Path, name: str) -> None:
    tree = FIRES[name]
    assert {path for _, path in _found(tmp_path, tree)} & {path.removesuffix(EXECUTABLE) for path in tree}


@pytest.mark.parametrize("name", SILENT)
def test_what_software_ships_and_administrators_write_is_silent(tmp_path: Path, name: str) -> None:
    assert _found(tmp_path, SILENT[name]) == []
