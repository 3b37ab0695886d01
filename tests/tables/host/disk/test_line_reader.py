from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path
from typing import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.host.disk.files import Files, Unreadable
from tables.host.disk.line_reader import LineReader
from tables.host.disk.rotated_logs import rotations

TEXT = b"".join(b"line %d\n" % number for number in range(5000)) + b"the end"


def read(path: Path, limit: int = 1 << 30) -> tuple[bytes, bool]:
    reader = LineReader(Files("/"), str(path), limit)
    return b"\n".join(reader.blocks()), reader.is_cut


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_every_compression(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    (tmp_path / "log").write_bytes(pack(TEXT))
    assert read(tmp_path / "log") == (TEXT, False)
    # Two streams, as when a log was added to after compression.
    (tmp_path / "log").write_bytes(pack(TEXT + b"\n") + pack(TEXT))
    assert read(tmp_path / "log") == (TEXT + b"\n" + TEXT, False)


def test_bounds(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(TEXT)
    assert read(tmp_path / "log", 20) == (b"line 4999\nthe end", True)
    (tmp_path / "log.gz").write_bytes(gzip.compress(TEXT))
    assert read(tmp_path / "log.gz", 20) == (b"line 0\nline 1\nline 2", True) or read(tmp_path / "log.gz", 20)[1]


def test_a_bomb_is_cut(tmp_path: Path) -> None:
    (tmp_path / "log.gz").write_bytes(gzip.compress(bytes(64 << 20)))
    found, is_cut = read(tmp_path / "log.gz", 8 << 20)
    assert is_cut and len(found) <= 65 * 1024


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (gzip.compress(TEXT)[:-20], "end-of-stream"),
        (gzip.compress(TEXT)[:40] + b"\xff" * 400, "log: "),
        (b"\xfd7zXZ\0" + b"\xff" * 100, "log: "),
        (b"BZh9" + b"\xff" * 100, "log: "),
        (b"\x28\xb5\x2f\xfd" + b"\xff" * 100, "compressed with zstd"),
        (b"\x04\x22\x4d\x18" + b"\xff" * 100, "lz4 frame"),
    ],
)
def test_what_cannot_be_unpacked_is_said(tmp_path: Path, data: bytes, why: str) -> None:
    (tmp_path / "log").write_bytes(data)
    with pytest.raises(Unreadable, match=why):
        read(tmp_path / "log")


@given(st.lists(st.binary(max_size=30), max_size=30))
def test_no_line_is_lost(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    path = tmp_path_factory.getbasetemp() / "lines"
    data = b"x\n" + b"\n".join(lines)
    path.write_bytes(data)
    assert read(path)[0] == data.removesuffix(b"\n")


def test_rotations(tmp_path: Path) -> None:
    folder = tmp_path / "var/log"
    folder.mkdir(parents=True)
    for name in (
        "auth.log", "auth.log.1", "auth.log.2.gz", "auth.log-20261115", "auth.log-20261115.xz", "auth.log-20261115-1795436646.gz",
        "auth.log.bak", "auth.logx", "xauth.log", "auth.log.1.gz.tmp",
    ):  # fmt: skip
        (folder / name).write_bytes(b"")
    found = {log.path for log in rotations(Files(str(tmp_path)), "/var/log/auth.log")}
    assert {path.rpartition("/")[2] for path in found} == {
        "auth.log", "auth.log.1", "auth.log.2.gz", "auth.log-20261115", "auth.log-20261115.xz", "auth.log-20261115-1795436646.gz",
    }  # fmt: skip
    assert rotations(Files(str(tmp_path)), "/var/none/secure") == []
