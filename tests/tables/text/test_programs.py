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


@pytest.mark.parametrize(
    ("line", "script", "reads_input"),
    [
        ("crontab /opt/x/tab", "/opt/x/tab", False),
        ("crontab -u root /opt/x/tab", "/opt/x/tab", False),
        ("sudo crontab -u kim tab", "tab", False),
        ("crontab -", None, True),
        ("crontab", None, True),
        ("crontab -u root -", None, True),
        ("crontab -l", None, True),
        ("at -f /opt/x/job now", "/opt/x/job", False),
        ("at now -f job", "job", False),
        ("at now + 1 minute", None, True),
        ("batch -f job", "job", False),
        ("parallel", None, True),
    ],
)
def test_queues_take_a_file_or_their_input(line: str, script: str | None, reads_input: bool) -> None:
    found = resolve(line.split())
    assert found is not None and (found.script, found.reads_input) == (script, reads_input)
