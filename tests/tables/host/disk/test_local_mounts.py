from __future__ import annotations

from tables.host.disk.local_mounts import boundaries
from tables.host.disk.mounts import parse_mountinfo

MOUNTS = b"""1 0 8:1 / / rw - ext4 /dev/sda1 rw
2 1 0:5 / /proc rw - proc proc rw
3 1 0:6 / /tmp rw - tmpfs tmpfs rw
4 1 8:2 / /data rw - xfs /dev/sdb1 rw
5 1 8:2 /sub /a rw - xfs /dev/sdb1 rw
6 1 8:1 /var/lib/x /mnt/x rw - ext4 /dev/sda1 rw
7 1 0:9 / /net rw - nfs4 server:/export rw
8 1 0:10 / /var/lib/docker/overlay2/1/merged rw - overlay overlay rw
9 1 0:11 / /mnt/fuse rw - fuse.sshfs host:/ rw
10 1 7:0 / /snap/core rw - squashfs /dev/loop0 ro
"""


def test_each_local_file_system_is_entered_once() -> None:
    found = boundaries(parse_mountinfo(MOUNTS), "/")
    assert set(found.closed) == {
        "/proc", "/a", "/mnt/x", "/net", "/var/lib/docker/overlay2/1/merged", "/mnt/fuse", "/snap/core",
    }  # fmt: skip
    assert found.left_out == ("fuse.sshfs at /mnt/fuse", "nfs4 at /net")


def test_a_part_of_a_file_system_does_not_stand_for_another_part() -> None:
    assert boundaries(parse_mountinfo(MOUNTS), "/mnt").closed.keys() == {"/mnt/fuse"}
    assert boundaries(parse_mountinfo(MOUNTS), "/net").closed == {}
