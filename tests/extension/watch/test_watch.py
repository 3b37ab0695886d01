"""A host under watch: what is killed and comes back is told, with who started it; what stays away is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

import pytest

from extension.pack.model import load_pack, shipped_pack
from extension.watch.rounds import Event, Watch
from tables.host import Host
from tests.lab.programs import IS_SUPPORTED, elf
from tests.support.namespaces import REPOSITORY

PACK = load_pack(shipped_pack())


class Recorded:
    """An engine whose answers change from look to look."""

    looks: ClassVar[list[dict[str, list[dict[str, str]]]]] = []

    def __init__(self, host: Host) -> None:
        self.rows = Recorded.looks.pop(0) if Recorded.looks else {}

    def query(self, sql: str) -> list[dict[str, str]]:
        return next((rows for name, rows in self.rows.items() if BY_NAME[name] == sql), [])


BY_NAME = {query.name: query.sql for query in PACK.queries()}


def row(pid: int, parent: str = "sh") -> dict[str, str]:
    return {
        "pid": str(pid), "start_time": str(1_795_000_000 + pid), "exe_path": "/tmp/x/miner", "cmdline": "/tmp/x/miner",
        "process_name": "miner", "parent": "9", "parent_name": parent,
    }  # fmt: skip


def looked(monkeypatch: pytest.MonkeyPatch, *looks: dict[str, list[dict[str, str]]]) -> list[tuple[str, str]]:
    monkeypatch.setattr("extension.watch.rounds.open_embedded", Recorded)
    Recorded.looks = []
    watch = Watch(PACK, Host())
    Recorded.looks = list(looks)
    events: list[Event] = []
    for _ in looks:
        events += watch.look()
    return [(event.what, event.starter) for event in events]


def test_it_tells_what_is_there_appears_vanishes_and_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = {"miner_process": [row(7)], "odd_place_program": [row(7)]}, {"miner_process": [row(8)]}
    both = {"miner_process": [row(7), row(8)]}
    assert looked(monkeypatch, one, one) == [("there", "sh(9)")]
    assert looked(monkeypatch, {"odd_place_program": [{**row(3), "exe_path": "/b"}]}, one)[-2:] == [
        ("appears", "sh(9)"),
        ("vanishes", ""),
    ]
    assert looked(monkeypatch, one, {}, two) == [("there", "sh(9)"), ("vanishes", ""), ("returns", "sh(9)")]
    # Gone and back between two looks, and one more beside it.
    assert looked(monkeypatch, one, two) == [("there", "sh(9)"), ("returns", "sh(9)")]
    assert looked(monkeypatch, one, both) == [("there", "sh(9)"), ("appears", "sh(9)")]


@pytest.mark.root
@pytest.mark.skipif(not IS_SUPPORTED, reason="the lab has no programs to plant for this architecture")
def test_a_guard_that_restarts_a_killed_copy_is_caught_with_its_restarter_named(tmp_path: Path) -> None:
    folder = Path("/var/tmp") / f".mh-watch-{os.getpid()}"
    folder.mkdir()
    program, guard = folder / "kworkerds", folder / "guard.sh"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}
    watching = guarding = None
    try:
        program.write_bytes(elf())
        program.chmod(0o755)
        guard.write_text(f"while :; do {program}; sleep 0.3; done\n")
        guarding = subprocess.Popen(["sh", str(guard)], start_new_session=True)
        command = [sys.executable, "-m", "extension", "watch", "--for", "45s", "--every", "1s", "--lang", "en"]
        watching = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert watching.stdout is not None
        lines: list[str] = []
        for line in watching.stdout:
            lines.append(line)
            if "is there" in line and "kworkerds" in line:
                # It may just be between two runs.
                subprocess.run(["pkill", "-KILL", "-s", str(guarding.pid), "-x", "kworkerds"])
        watching.wait(60)
    finally:
        for process in (watching, guarding):
            if process is not None:
                process.kill()
                process.wait()
        if guarding is not None:
            subprocess.run(["pkill", "-KILL", "-s", str(guarding.pid)])
        for path in (program, guard):
            path.unlink(missing_ok=True)
        folder.rmdir()
    back = [line for line in lines if "COMES BACK" in line and "kworkerds" in line]
    assert back and f"sh({guarding.pid})" in back[0], lines
    assert watching.returncode == 1 and "came back in 45 s" in lines[-1]


@pytest.mark.root
def test_ctrl_c_ends_a_watch_and_a_triage_with_130_and_what_was_found(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}
    for arguments, sign in (
        (["watch", "--for", "60s"], "watching"),
        (["triage", "--engine", "embedded", "--lang", "en"], " 1  Process"),
    ):
        process = subprocess.Popen(
            [sys.executable, "-m", "extension", *arguments], cwd=tmp_path, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if sign in line:
                break
        time.sleep(1.5)
        os.killpg(process.pid, signal.SIGINT)
        said += process.communicate(timeout=60)[0]
        assert "Traceback" not in said
        if "triage" in arguments:
            assert process.returncode == 130 and "interrupted: what follows was not examined" in said, said
        else:
            assert process.returncode in (130, 1), said
