from __future__ import annotations

import contextlib
import io
import random
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.host.disk.lz4 import MAGIC, unpack_block, unpack_frame

# "abcabcabcabcabc" + "end": five literals at the end, as the format demands.
BLOCK = bytes([0x38]) + b"abc" + b"\x03\x00" + bytes([0x30]) + b"end"


def test_a_block_with_an_overlapping_copy() -> None:
    assert unpack_block(BLOCK) == b"abc" * 5 + b"end"


def test_a_block_may_refer_to_those_before_it() -> None:
    assert unpack_block(bytes([0x00]) + b"\x05\x00" + bytes([0x10]) + b"!", b"hello") == b"hell!"


@pytest.mark.skipif(shutil.which("lz4") is None, reason="no lz4")
@pytest.mark.parametrize("options", [["-1"], ["-9", "-BD", "--content-size"], ["-B4", "-BX", "--no-frame-crc"]])
def test_what_lz4_itself_packs(options: list[str]) -> None:
    generator = random.Random(1)
    words = [generator.randbytes(generator.randrange(1, 12)) for _ in range(300)]
    text = b"".join(generator.choice(words) for _ in range(60_000)) + b"a" * 300_000 + generator.randbytes(100_000)
    packed = subprocess.run(["lz4", "-c", *options], input=text, capture_output=True, check=True).stdout
    assert b"".join(unpack_frame(io.BytesIO(packed))) == text


@given(st.binary(max_size=200), st.binary(max_size=50))
def test_a_damaged_block_is_a_value_error(data: bytes, before: bytes) -> None:
    for block in (data, BLOCK[:-3] + data):
        with contextlib.suppress(ValueError):
            assert len(unpack_block(block, before, limit=1000)) <= 1000


@given(st.binary(max_size=200))
def test_a_damaged_frame_is_an_error(data: bytes) -> None:
    for flags in (b"\x40\x40\x00", b"\x64\x40\xa7"):
        with contextlib.suppress(ValueError, EOFError):
            b"".join(unpack_frame(io.BytesIO(MAGIC + flags + data)))
