from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tables.host.accounts.shell_histories import FISH, Entered, parse_history

BASH, ZSH = "/root/.bash_history", "/root/.zsh_history"


def test_bash() -> None:
    assert list(parse_history(b"ls\n\n# a comment\nw", BASH)) == [
        Entered(1, None, "ls"),
        Entered(3, None, "# a comment"),
        Entered(4, None, "w"),
    ]


def test_bash_with_times_keeps_commands_of_many_lines_whole() -> None:
    data = b"old\n#1795400000\ncat <<E\ncurl x | sh\nE\n#1795400001\nw\n#12\nid\n"
    assert list(parse_history(data, BASH)) == [
        Entered(1, None, "old"),
        Entered(3, 1795400000, "cat <<E\ncurl x | sh\nE"),
        Entered(7, 1795400001, "w\n#12\nid"),
    ]


def test_many_lines_between_two_times_take_linear_time() -> None:
    (entry,) = parse_history(b"#1795400000\n" + b"a\n" * 1_000_000, BASH)
    assert len(entry.command) == 1_999_999


def test_zsh() -> None:
    data = b": 1795400000:0;echo a\\\nb\n: 1795400001:12;ls\nplain\n" + b": 1795400002:0;\x83\xa3\n"
    assert list(parse_history(data, ZSH)) == [
        Entered(1, 1795400000, "echo a\nb"),
        Entered(3, 1795400001, "ls"),
        Entered(4, None, "plain"),
        Entered(5, 1795400002, b"\x83".decode("utf-8", "surrogateescape")),
    ]


def test_fish() -> None:
    data = b"- cmd: echo a\\nb \\\\n\n  when: 1795400000\n  paths:\n    - /x\n- cmd: ls\n"
    assert list(parse_history(data, f"/root/{FISH}")) == [
        Entered(1, 1795400000, "echo a\nb \\n"),
        Entered(5, None, "ls"),
    ]


@given(st.binary(max_size=400), st.sampled_from([BASH, ZSH, f"/root/{FISH}"]))
def test_nothing_raises(data: bytes, path: str) -> None:
    for entry in parse_history(data, path):
        assert entry.line >= 1 and entry.command.strip()
    list(parse_history(b": 1:0;" + data, path))
