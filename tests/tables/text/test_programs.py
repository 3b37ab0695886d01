"""What a command line runs, where its words are made to be slow to read."""

from __future__ import annotations

import pytest

from tables.text.programs import is_interpreter, resolve
from tests.support.linear import assert_linear


@pytest.mark.parametrize("name", ["python3", "python3.11", "perl5.36.0", "bash", "lua5.4"])
def test_a_version_does_not_matter(name: str) -> None:
    assert is_interpreter(name)


@pytest.mark.parametrize("name", ["", "3.11", "pythonic", "python3.11-config", "python" + "3" * 250])
def test_other_names_are_no_interpreters(name: str) -> None:
    assert not is_interpreter(name)


@pytest.mark.parametrize("piece", ["1", ".", "1.", "-", "=", "/", "a=", "ld-linux"])
def test_a_word_made_to_be_slow_takes_linear_time(piece: str) -> None:
    assert_linear(lambda amount: resolve([piece * amount + "x", piece * amount]), 4_000)
