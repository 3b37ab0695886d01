"""What joins hosts to a campaign, and what does not, on logs written by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from extension.fleet import incidents
from extension.fleet.names import Names
from extension.fleet.reading import Loaded
from extension.fleet.report.document import document
from tests.fleet.looking import line, looked_at, miner, reported, told

T = 1795436552
POOL = {"protocol": "tcp", "remote_port": "10128", "feed": "minehunt", "pool": "gulf.moneroocean.stream:10128"}


def _quiet(count: int, **columns: str) -> list[dict[str, Any]]:
    """Hosts without findings, on which these columns stand in an inventory."""
    return [line("startup_commands", 0, T, "added", f"quiet{n}", mechanism="init", **columns) for n in range(count)]


def test_a_public_pool_joins_nobody(tmp_path: Path, names: Names) -> None:
    lines = [miner(f"h{n}", T + n, wallet=f"4{n}", **POOL, matched=POOL["pool"], remote_address="192.0.2.9") for n in range(4)]
    report = reported(tmp_path, names, lines + _quiet(3))
    assert report["summary"]["compromised"] == 4 and report["campaigns"] == []


def test_a_wallet_joins_and_what_honest_hosts_have_does_not(tmp_path: Path, names: Names) -> None:
    one = [miner(f"a{n}", T + 100 * n, wallet="4wallet", exe_sha256=f"{n}" * 64) for n in range(3)]
    # The same unpackaged tool on victims and on others is the site's own.
    other = [miner(f"b{n}", T + n, wallet=f"4own{n}", exe_sha256="e" * 64) for n in range(2)]
    report = reported(tmp_path, names, one[::-1] + other + _quiet(30, sha256="e" * 64, command="/opt/tool"))
    assert told(report) == [["a0", "a1", "a2"]]


def test_a_new_program_that_two_detections_see_everywhere_is_no_campaign(tmp_path: Path, names: Names) -> None:
    agent = "/usr/local/sbin/agent"
    lines = []
    for number in range(8):
        host, when = f"h{number}", T + number * 600
        unit = {"unit": "agent.service", "path": "/etc/systemd/system/agent.service", "command": agent, "program_path": agent}
        process = {"pid": "9", "start_time": str(when), "process_name": "agent", "exe_path": agent, "reason": "renamed"}
        lines.append(line("systemd_unpackaged_system_program", 1, when, "added", host, **unit))
        lines.append(line("program_file_mismatch", 1, when, "added", host, **process))
    report = reported(tmp_path, names, lines + _quiet(5))
    assert report["summary"]["compromised"] == 8, "two stages of the chain"
    assert report["campaigns"] == []
    (alike,) = report["alike"]
    assert len(alike["hosts"]) == 8 and alike["query"] == "program_file_mismatch systemd_unpackaged_system_program"


def test_a_worms_first_host_is_the_one_that_nobody_logged_in_to(tmp_path: Path, names: Names) -> None:
    """Its clock is behind, so that by time alone another would be the first."""
    lines = [miner("first", T + 500, wallet="4w"), miner("second", T + 100, wallet="4w"), miner("third", T + 900, wallet="4w")]
    for number, host in enumerate(("first", "second", "third")):
        address = f"10.0.0.{number + 1}"
        lines.append(line("tcp_connections", 0, T, "snapshot", host, local_address=address, remote_address="10.0.0.250"))
    lines.append(line("logins", 0, T + 950, "snapshot", "second", remote="10.0.0.1", username="root", logged_in_at=str(T + 90)))
    lines.append(line("logins", 0, T + 950, "snapshot", "third", remote="10.0.0.2", username="root", logged_in_at=str(T + 890)))
    (campaign,) = reported(tmp_path, names, lines)["campaigns"]
    assert campaign["hosts"][0]["host"] == "first"
    assert [(login["from"], login["to"]) for login in campaign["logins"]] == [("first", "second"), ("second", "third")]


def test_a_host_of_too_many_findings_says_how_many_were_left_out(
    tmp_path: Path, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incidents, "MAX_FINDINGS", 3)
    lines = [miner("h", T, counter=0, pid=str(number), wallet="4w") for number in range(10, 18)]
    (tmp_path / "osqueryd.results.log").write_text("".join(json.dumps(each) + "\n" for each in lines))
    view, report = looked_at([str(tmp_path)], names)
    # Told again it is the same.
    assert document(view, Loaded())["hosts"] == report["hosts"]
    assert report["hosts"][0]["problems"] == [{"kind": "findings_cut", "what": "5"}]


def test_findings_of_the_events_pack_are_findings(tmp_path: Path, names: Names) -> None:
    row = {
        "pid": "7",
        "start_time": str(T),
        "process_name": "x",
        "exe_path": "/tmp/.x/x",
        "cmdline": "x -o stratum+tcp://a.example:1",
    }
    one, other = (line("event_miner_command", 1, T + number, "added", f"h{number}", **row) for number in range(2))
    one["name"] = "pack_cryptominer_events_event_miner_command"
    report = reported(tmp_path, names, [one, other])
    assert report["summary"]["compromised"] == 2
    assert {(each["severity"], each["is_mining"]) for each in report["incidents"]} == {("critical", True)}


def test_both_packs_are_known_to_the_command(tmp_path: Path) -> None:
    row = {"pid": "7", "start_time": str(T), "process_name": "x", "exe_path": "/tmp/.x/x"}
    log = {**line("", 1, T, "added", **row), "name": "pack_cryptominer_events_event_miner_command"}
    (tmp_path / "a.log").write_text(json.dumps(log) + "\n")
    done = subprocess.run(
        [sys.executable, "-m", "extension", "fleet", "report", "--lang", "en", str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 1 and "mines" in done.stdout
