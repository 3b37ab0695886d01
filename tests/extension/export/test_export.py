"""Findings and indicators in forms that other programs, and minehunt on other hosts, read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from stix2patterns.validator import run_validator

from extension.cli import main
from extension.export import FORMATS, render
from extension.intel.formats import read_feed
from extension.report import json as json_report
from tests.lab.wallets import XMR
from tests.support.command_line import runner
from tests.support.made_triage import hostile, made, process

MINER = process(7, 1, "x", exe_path="/opt/x", wallet=XMR, exe_sha256="a" * 64, pool="pool.example.net:3333")
INCIDENT = made(
    {
        "miner_process": [MINER],
        "pool_connection": [{**MINER, "remote_address": "198.51.100.7", "remote_port": "3333", "matched": "198.51.100.7:3333"}],
        "brute_force_login_succeeded": [{"remote_address": "203.0.113.10", "username": "root"}],
        "weak_ssh_key": [{"username": "kim", "path": "/k", "fingerprint": "SHA256:y"}],
    }
)


@pytest.mark.parametrize("form", ["stix", "misp"])
def test_intel_import_reads_back_what_a_host_gave(form: str) -> None:
    feed = read_feed(render(form, INCIDENT))
    usable = {entry.text for entry in feed.entries if not entry.refused}
    assert usable == {"198.51.100.7:3333", "pool.example.net"} or usable == {"198.51.100.7:3333", "pool.example.net:3333"}
    # Whoever came from there is no pool to look for.
    assert "203.0.113.10" not in usable


def test_stix_is_a_bundle_whose_patterns_are_valid() -> None:
    bundle = json.loads(render("stix", INCIDENT))
    assert bundle["type"] == "bundle" and len({one["id"] for one in bundle["objects"]}) == len(bundle["objects"])
    patterns = [one["pattern"] for one in bundle["objects"] if one["type"] == "indicator"]
    assert f"[file:hashes.'SHA-256' = '{'a' * 64}']" in patterns
    for pattern in patterns:
        assert not run_validator(pattern, stix_version="2.1")


def test_misp_has_hashes_wallets_and_keys_too() -> None:
    attributes = json.loads(render("misp", INCIDENT))["Event"]["Attribute"]
    types = {one["type"]: one["value"] for one in attributes}
    assert types["sha256"] == "a" * 64 and types["xmr"] == XMR and types["ip-src"] == "203.0.113.10"
    assert "ssh-fingerprint" not in types  # a weak key is no incident


def test_json_lines_has_a_line_a_finding_and_sarif_a_result() -> None:
    lines = [json.loads(line) for line in render("jsonl", INCIDENT).splitlines()]
    assert {line["query"] for line in lines} == {
        "miner_process", "pool_connection", "brute_force_login_succeeded", "weak_ssh_key",
    }  # fmt: skip
    assert lines[0]["incident"] == 1 and lines[0]["row"] and lines[0]["says"]["zh"]
    (run,) = json.loads(render("sarif", INCIDENT))["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"] and result["level"] in ("error", "warning", "note")


@pytest.mark.parametrize("form", FORMATS)
def test_hostile_values_keep_every_form_whole(form: str, tmp_path: Path) -> None:
    for text in ("x'] OR [file:name = 'y", "\x1b[2J\u202e\n\x00", "\udcff"):
        out = render(form, hostile(text))
        for document in out.splitlines() if form == "jsonl" else [out]:
            json.loads(document)
    report = tmp_path / "report.json"
    report.write_text(json_report.render(INCIDENT))
    result = runner().invoke(main, ["export", "--format", form, str(report)])
    assert result.exit_code == 0 and result.output == render(form, INCIDENT)
