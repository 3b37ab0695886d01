from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.host.disk.file_capabilities import capability_text
from tables.host.disk.inode_flags import flags_text


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((0x0200_0001, 1 << 13, 0, 0, 0), "cap_net_raw=ep"),
        ((0x0200_0000, 1 << 13, 0, 0, 0), "cap_net_raw=p"),
        ((0x0100_0001, 1 << 7, 1 << 7), "cap_setuid=eip"),
        ((0x0300_0001, 1 << 21, 0, 0, 0, 1000), "cap_sys_admin=ep [rootid=1000]"),
        ((0x0200_0001, 0xFFFF_FFFF, 0, 0x1FF, 0), "all=ep"),
        ((0x0200_0001, 0, 0, 0, 0), "="),
    ],
)
def test_capabilities(words: tuple[int, ...], text: str) -> None:
    assert capability_text(struct.pack(f"<{len(words)}I", *words)) == text


@given(st.binary(max_size=40))
def test_any_bytes(data: bytes) -> None:
    assert capability_text(data) is None or len(data) in (12, 20, 24)


def test_flags_are_lsattrs_letters() -> None:
    assert flags_text(0x80010 | 0x20) == "iae"
