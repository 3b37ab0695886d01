from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from tables.host.accounts.shell_histories import FISH, Entered, parse_history

BASH, ZSH = "/root/.bash_history", "/root/.zsh_history"


def parsed(data: bytes, path: str) -> list[Entered]:
    return list(parse_history(io.BytesIO(data), path))


def test_bash() -> None:
    assert list(parsed(b"ls\n\n# a comment\nw", BASH)) == [
        Entered(1, None, "ls"),
        Entered(3, None, "# a comment"),
        Entered(4, None, "w"),
    ]


def test_bash_with_times_keeps_commands_of_many_lines_whole() -> None:
    data = b"old\n#1795400000\ncat <<E\ncurl x | sh\nE\n#1795400001\nw\n#12\nid\n"
    assert list(parsed(data, BASH)) == [
        Entered(1, None, "old"),
        Entered(3, 1795400000, "cat <<E\ncurl x | sh\nE"),
        Entered(7, 1795400001, "w\n#12\nid"),
    ]


def test_many_lines_between_two_times_take_linear_time() -> None:
    (entry,) = parsed(b"#1795400000\n" + b"a\n" * 1_000_000, BASH)
    assert 64 * 1024 <= len(entry.command) < 64 * 1024 + 2


def test_zsh() -> None:
    data = b": 1795400000:0;echo a\\\nb\n: 1795400001:12;ls\nplain\n" + b": 1795400002:0;\x83\xa3\n"
    assert list(parsed(data, ZSH)) == [
        Entered(1, 1795400000, "echo a\nb"),
        Entered(3, 1795400001, "ls"),
        Entered(4, None, "plain"),
        Entered(5, 1795400002, b"\x83".decode("utf-8", "surrogateescape")),
    ]


def test_fish() -> None:
    data = b"- cmd: echo a\\nb \\\\n\n  when: 1795400000\n  paths:\n    - /x\n- cmd: ls\n"
    assert list(parsed(data, f"/root/{FISH}")) == [
        Entered(1, 1795400000, "echo a\nb \\n"),
        Entered(5, None, "ls"),
    ]


@given(st.binary(max_size=400), st.sampled_from([BASH, ZSH, f"/root/{FISH}"]))
def test_nothing_raises(data: bytes, path: str) -> None:
    for entry in parsed(data, path):
        assert entry.line >= 1 and entry.command.strip()
    list(parsed(b": 1:0;" + data, path))
