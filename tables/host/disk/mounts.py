"""Mount tables from /proc/PID/mountinfo (proc_pid_mountinfo(5))."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_ESCAPE = re.compile(rb"\\([0-7]{3})")


class Mount(NamedTuple):
    """One mount: `device` is major:minor, `root` the part of the file system that is mounted, `source` what fstab calls it."""

    mount_id: int
    parent_id: int
    device: str
    root: str
    mount_point: str
    options: str
    fs_type: str
    source: str
    super_options: str


def _text(field: bytes) -> str:
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), field).decode("utf-8", "surrogateescape")


def parse_mountinfo(data: bytes) -> Iterator[Mount]:
    """Yield the mounts in a mountinfo file; lines that are none are passed over."""
    for line in data.split(b"\n"):
        left, separator, right = line.partition(b" - ")
        fields = left.split(b" ")
        rest = right.split(b" ")
        if not separator or len(fields) < 6 or len(rest) < 3:
            continue
        yield Mount(
            int(fields[0]), int(fields[1]), fields[2].decode("ascii"), _text(fields[3]), _text(fields[4]),
            _text(fields[5]), _text(rest[0]), _text(rest[1]), _text(rest[2]),
        )  # fmt: skip
