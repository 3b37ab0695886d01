"""Lines that somebody made up: what is wrong with them is said, and they end no report."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from extension.fleet import export
from extension.fleet.answers import Ground
from extension.fleet.coverage import coverage
from extension.fleet.names import Names
from extension.incidents import Finding, group, sentence
from tests.fleet.looking import line, looked_at, there

T = 1795436552
Grounded = Callable[..., Ground]
HOSTILE_NUMBERS = ("²", "9" * 5000, "-1", "1e300", "", "٣")


@pytest.mark.parametrize("unit", [1000, 10**6, 10**9])
def test_times_in_smaller_units_are_the_same_times(grounded: Grounded, unit: int) -> None:
    ground = grounded({**line("kernel_modules", 0, T, "added", module="a"), "unixTime": T * unit + unit // 2})
    assert [host.last for host in ground.hosts.values()] == [T]


@pytest.mark.parametrize("time", [1e300, -1e300, -5, 9 * 10**18, "nan", "inf", "later", None, [1], {}, "²", 10**40])
def test_a_clock_that_nobody_has_ends_nothing_and_is_told(tmp_path: Path, names: Names, time: Any) -> None:
    sane = [line("kernel_modules", 0, T + number, "added", f"h{number}", module="a") for number in range(3)]
    odd = {**line("kernel_modules", 0, T, "added", "odd", module="a"), "unixTime": time}
    (tmp_path / "a.log").write_text("".join(json.dumps(each) + "\n" for each in (*sane, odd)))
    view, report = looked_at([str(tmp_path)], names)
    assert report["summary"]["hosts"] == 4
    (host,) = [each for each in report["hosts"] if each["host"] == "odd"]
    assert host["problems"] or host["state"] == "silent"
    assert view.ground.now == T + 2


@pytest.mark.parametrize("counter", [9 * 10**18, -9 * 10**18, 10**30, 1e300, "²", "many", [0]])
def test_a_counter_that_nobody_counted_to_replaces_nothing(grounded: Grounded, counter: Any) -> None:
    full = line("kernel_modules", 0, T, "added", module="a")
    ground = grounded(full, {**line("kernel_modules", 1, T + 9, "added", module="b"), "counter": counter})
    assert there(ground, "kernel_modules", "module") == ["a", "b"]


@pytest.mark.parametrize(
    "shape",
    [
        {"columns": "text"},
        {"columns": [1]},
        {"columns": None},
        {"snapshot": {"pid": "1"}},
        {"snapshot": "rows"},
        {"snapshot": 5},
        {"diffResults": [{"pid": "1"}]},
        {"diffResults": "rows"},
    ],
)
def test_rows_of_another_shape_are_told(tmp_path: Path, names: Names, shape: dict[str, Any]) -> None:
    odd = line("kernel_modules", 1, T + 9, "snapshot" if "snapshot" in shape else "added")
    del odd["columns"]
    text = json.dumps(line("kernel_modules", 0, T, "added", module="a")) + "\n" + json.dumps({**odd, **shape}) + "\n"
    (tmp_path / "a.log").write_text(text)
    report = looked_at([str(tmp_path)], names)[1]
    assert report["sources"]["broken"] == 1 and report["sources"]["problems"][0]["place"].endswith("a.log:2")


@pytest.mark.parametrize("rows", [[1, None, "x", [], {"module": "b"}], [{"module": {"deep": ["b"]}}], [[]]])
def test_rows_of_odd_values_stop_nothing(grounded: Grounded, rows: list[Any]) -> None:
    odd = line("kernel_modules", 1, T + 9, "added")
    del odd["columns"]
    ground = grounded(
        line("cron_jobs", 0, T, "added", command="a"),
        {**odd, "diffResults": {"added": rows, "removed": 5}},
        {**odd, "name": "pack_cryptominer_triage_accounts", "snapshot": rows},
    )
    assert there(ground, "cron_jobs", "command") == ["a"]


def test_half_a_character_is_read_as_it_is_spelt(grounded: Grounded) -> None:
    half = json.dumps(line("kernel_modules", 0, T, "added", module="a\ud800b"))
    ground = grounded(half, "no JSON", json.dumps({"message": half}))
    assert there(ground, "kernel_modules", "module") == ["a\\ud800b"]


@pytest.mark.parametrize("number", HOSTILE_NUMBERS)
def test_numbers_that_are_none(tmp_path: Path, names: Names, number: str) -> None:
    row = {"pid": number, "start_time": number, "parent": number, "process_name": "x", "exe_path": "/tmp/.x/x", "wallet": "4w"}
    lines = [line("miner_process", 1, T, "added", host, **row) for host in ("a", "b")]
    lines.append(line("logins", 0, T, "snapshot", "a", remote="192.0.2.1", username="root", logged_in_at=number))
    lines[0]["decorations"]["minehunt_version"] = f"1.{number}.0"
    (tmp_path / "a.log").write_text("".join(json.dumps(each) + "\n" for each in lines))
    report = looked_at([str(tmp_path)], names)[1]
    assert report["summary"]["compromised"] == 2 and len(report["campaigns"]) == 1
    query = names.queries["miner_process"]
    (incident,) = group([Finding(query, row, T), Finding(query, {**row, "parent": "7"}, T)])
    assert "mines" in sentence(incident, "en")


def test_a_query_that_fails_for_two_reasons_fails_on_one_host(grounded: Grounded) -> None:
    failed = [
        {"severity": 2, "message": f"Error executing scheduled query cron_jobs: {why}", "hostIdentifier": "h", "unixTime": T}
        for why in ("no such table", "out of memory")
    ]
    ground = grounded(line("kernel_modules", 0, T, "added", module="a"), *failed)
    assert coverage(ground)().failing == {"cron_jobs": 1}


def test_the_command_refuses_in_one_clean_line(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(json.dumps(line("kernel_modules", 0, T, "added", module="a")) + "\n")
    (tmp_path / "\x1b[31mred.log").write_text("junk\n")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "extension", "fleet", *arguments]
        return subprocess.run(command, capture_output=True, text=True)

    for name, *more in (("report",), ("load", "--into", str(tmp_path / "data"))):
        done = run(name, *more, str(tmp_path), "--memory", "plenty")
        assert done.returncode == 2 and "--memory plenty" in done.stderr and len(done.stderr.splitlines()) == 1
    done = run("load", "--into", str(tmp_path / "data"), str(tmp_path))
    assert done.returncode == 0 and "\x1b" not in done.stderr and "red.log:1: not JSON" in done.stderr


def test_what_a_campaign_gives_away_is_spelt_as_a_host_spells_it() -> None:
    values = [("pool", "pool.example.net:²"), ("pool", "198.51.100.7:99999"), ("pool", "[2001:db8::7]:3333"), ("hash", "x' OR 1"),
              ("address", "evil'] OR [file:name = 'y"), ("image", "a/b:1"), ("wallet", "4w")]  # fmt: skip
    campaign = {
        "name": "C1", "severity": "high", "began": None, "hosts": [{"host": "h"}], "sentence": {"en": "x"},
        "indicators": [{"kind": kind, "value": value} for kind, value in values],
    }  # fmt: skip
    document = {"now": "2026-11-23T12:00:00Z", "campaigns": [campaign]}
    objects = json.loads(export.render(document, (), "stix"))["objects"]
    assert {one["pattern"] for one in objects if one["type"] == "indicator"} == {
        "[domain-name:value = 'pool.example.net']",
        "[ipv4-addr:value = '198.51.100.7']",
        "[network-traffic:dst_ref.type = 'ipv6-addr' AND network-traffic:dst_ref.value = '2001:db8::7'"
        " AND network-traffic:dst_port = 3333]",
        "[process:command_line LIKE '%4w%']",
    }
    attributes = json.loads(export.render(document, (), "misp"))["Event"]["Attribute"]
    assert [one["type"] for one in attributes] == ["domain", "ip-dst", "ip-dst|port", "text", "xmr"]
