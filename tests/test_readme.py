"""Every command block of the README runs: in order, as root, in a copy-on-write view of this machine that is then gone.

What this machine has not (osqueryi, Fleet's server, systemd) is stood in for by programs that check what they are given.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
OTHER_BLOCKS = re.findall(r"^```(\w*)\n", README, re.MULTILINE)[::2]

_ENTER = """\
set -eu
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o lowerdir=/,upperdir="$1/upper",workdir="$1/work" "$1/root"
for folder in proc dev sys; do mount --rbind "/$folder" "$1/root/$folder"; done
exec chroot "$1/root" /bin/bash -eu "$2"
"""
_READ_SPECS = (
    'import sys, yaml; assert all(part[key] for part in yaml.safe_load_all(open(sys.argv[1])) for key in ("kind", "spec"))'
)
# Programs that this machine has not, by name; each fails where the real one would.
_STAND_INS = {
    "sudo": 'exec "$@"',
    "osqueryi": f'cd "{REPOSITORY}" && exec "{sys.executable}" -m tests.support.osqueryi "$@"',
    "systemctl": 'case "$1" in restart | status) grep -qx /usr/lib/minehunt/minehunt.ext /etc/osquery/extensions.load ;; '
    'enable) test -f "/usr/lib/systemd/system/$3.service" ;; esac',
    # What carries a Python of its own takes minutes, and is built in tests/build/test_offline.py.
    "apt-get": "exit 100",
    "fleetctl": f"""\
case "$1" in
    apply) "{sys.executable}" -c '{_READ_SPECS}' "$3" ;;
    gitops) test -f "$3" ;;
    *) exit 64 ;;
esac""",
}

pytestmark = [pytest.mark.root, pytest.mark.alone]


@pytest.fixture
def room() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="minehunt-readme-", dir="/var/tmp"))
    yield folder
    shutil.rmtree(folder)


def test_there_are_commands_and_nothing_else_looks_like_some() -> None:
    assert len(BLOCKS) >= 8
    assert set(OTHER_BLOCKS) <= {"sh", "yaml", "text", "sql"}
    assert not re.search(r"^    (sudo|make|minehunt|\.venv) ", README, re.MULTILINE), "a command outside a ```sh block"


@pytest.mark.skipif(sys.version_info < (3, 10), reason="make dist needs Python 3.10")
def test_every_command_runs(room: Path) -> None:
    stand_ins = room / "bin"
    stand_ins.mkdir()
    for name, body in _STAND_INS.items():
        (stand_ins / name).write_text(f"#!/bin/bash\n{body}\n")
        (stand_ins / name).chmod(0o755)
    # A triage that finds something (a hardening gap is none) exits 1, which the README says; anything else is a failure.
    script = "\n".join(
        [
            f'export PATH="{stand_ins}:$PATH" LANG=C.UTF-8',
            # osquery's package would have made these.
            "mkdir -p /etc/osquery /var/log/osquery",
            f'cd "{REPOSITORY}"',
            *(f"echo 'block {number}' >&2\n{block}" for number, block in enumerate(BLOCKS, 1)),
        ]
    )
    (room / "script").write_text(script)
    view = room / "view"
    view.mkdir()
    command = ["unshare", "--mount", "--propagation", "private", "bash", "-c", _ENTER, "enter", str(view), str(room / "script")]
    # The arguments of the make that runs this test are none of the page's.
    inherited = {
        name: value for name, value in os.environ.items() if name not in ("ARGS", "MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS")
    }
    environment = {**inherited, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    last = re.findall(r"^block (\d+)$", done.stderr, re.MULTILINE)
    assert done.returncode == 0, f"{BLOCKS[int(last[-1]) - 1] if last else ''}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
