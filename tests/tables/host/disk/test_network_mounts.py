"""Which folders another machine serves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tables.host import Host
from tables.host.disk.mounts import parse_mountinfo
from tables.host.disk.network_mounts import NetworkMounts

MOUNTINFO = b"""25 1 8:1 / / rw - ext4 /dev/sda1 rw
30 25 0:40 / /home rw - nfs4 files:/home rw
31 25 0:41 / /net rw - autofs /etc/auto.net rw
32 25 0:42 / /mnt/a\\040b rw - fuse.sshfs me@there: rw
33 25 0:43 / /srv rw - fuse.mergerfs /d1:/d2 rw
34 25 0:44 / /opt rw - xfs /dev/sdb rw
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/home", True),
        ("/home/anna/.ssh/authorized_keys", True),
        ("/homes/anna", False),
        ("/net/there", True),
        ("/mnt/a b/x", True),
        ("/srv/git", False),
        ("/opt/x", False),
        ("/root", False),
    ],
)
def test_paths(path: str, expected: bool) -> None:
    assert NetworkMounts(parse_mountinfo(MOUNTINFO)).holds(path) is expected


def test_a_network_root_is_looked_into_and_a_mounted_disk_has_none(tmp_path: Path) -> None:
    assert not NetworkMounts(parse_mountinfo(b"25 1 0:40 / / rw - nfs4 server:/root rw\n")).holds("/root/.ssh")
    assert not NetworkMounts.of(Host(str(tmp_path))).holds("/home/anna")
    assert not NetworkMounts.of(Host()).holds("/root")
