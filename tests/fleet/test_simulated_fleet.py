"""What was planted in the simulated fleet is found, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from extension.fleet.report.document import Document
from tests.fleet.simulated_hosts import Truth

Simulated = tuple[Path, Truth]


def _names(hosts: list[dict[str, str]]) -> list[str]:
    return [host["host"] for host in hosts]


def test_campaigns_are_exactly_those_that_were_planted(report: Document, simulated: Simulated) -> None:
    found = sorted(sorted(_names(campaign["hosts"])) for campaign in report["campaigns"])
    assert found == sorted(sorted(hosts) for hosts in simulated[1].campaigns.values())


@pytest.mark.parametrize("name", "ABCEF")
def test_the_first_host_of_each_campaign_is_right(report: Document, simulated: Simulated, name: str) -> None:
    planted = simulated[1].campaigns[name]
    campaign = next(one for one in report["campaigns"] if set(_names(one["hosts"])) == set(planted))
    assert campaign["hosts"][0]["host"] == planted[0]
    assert _names(campaign["hosts"]) == planted


def test_a_host_of_two_campaigns_is_in_both(report: Document, simulated: Simulated) -> None:
    (shared,) = set(simulated[1].campaigns["E"]) & set(simulated[1].campaigns["F"])
    (host,) = [one for one in report["hosts"] if one["host"] == shared]
    assert len(host["campaigns"]) == 2 and host["incidents"] == 2


def test_what_differs_in_a_campaign_is_said(report: Document, simulated: Simulated) -> None:
    by_first = {one["hosts"][0]["host"]: one for one in report["campaigns"]}
    worm, script = (by_first[simulated[1].campaigns[name][0]] for name in "AB")
    assert {"kind": "hash", "different": len(worm["hosts"])} in worm["variants"]
    assert "wallet" not in {each["kind"] for each in worm["variants"]}
    assert "wallet" in {each["kind"] for each in script["variants"]}
    assert any(each["kind"] == "command" and each["hosts"] == len(script["hosts"]) for each in script["shared"])


def test_who_logged_in_to_whom_is_told(report: Document, simulated: Simulated) -> None:
    worm = simulated[1].campaigns["A"]
    (campaign,) = [one for one in report["campaigns"] if one["hosts"][0]["host"] == worm[0]]
    assert [(login["from"], login["to"]) for login in campaign["logins"]] == [
        (worm[(i - 1) // 2], worm[i]) for i in range(1, len(worm))
    ]


def test_a_roll_out_and_a_misfiring_detection_are_no_campaign(report: Document, simulated: Simulated) -> None:
    assert not any(
        "acme" in each["value"] for campaign in report["campaigns"] for each in campaign["shared"] + campaign["indicators"]
    )
    (alike,) = [one for one in report["alike"] if one["query"] == "systemd_unpackaged_system_program"]
    in_campaigns = {host for hosts in simulated[1].campaigns.values() for host in hosts} | set(simulated[1].alone)
    # Who fell silent before did not say so.
    assert (
        set(simulated[1].misfired) - in_campaigns - set(simulated[1].silent)
        <= set(_names(alike["hosts"]))
        <= set(simulated[1].misfired)
    )


def test_a_miner_that_no_detection_knows_is_among_the_first_rarities(report: Document, simulated: Simulated) -> None:
    ranks = [rank for rank, one in enumerate(report["rare"]) if set(_names(one["hosts"])) == set(simulated[1].insider)]
    assert ranks and ranks[0] < 20
    assert not {host["host"] for host in report["hosts"] if host["verdict"] == "compromised"} & set(simulated[1].insider)


def test_silent_hosts_are_named_and_counted_apart(report: Document, simulated: Simulated) -> None:
    truth, summary = simulated[1], report["summary"]
    assert sorted(one["host"] for one in report["coverage"]["silent"]) == sorted(truth.silent)
    assert summary["silent"] == len(truth.silent)
    assert summary["without_findings"] == summary["hosts"] - summary["silent"] - summary["compromised"] - summary["suspicious"]
    assert re.search(rf"\b{len(truth.silent)} were not heard of", report["sentence"]["en"])


def test_odd_reporting_is_told(report: Document, simulated: Simulated) -> None:
    truth = simulated[1]

    def having(kind: str) -> set[str]:
        return {one["host"] for one in report["hosts"] if any(problem["kind"] == kind for problem in one["problems"])}

    assert having("enrolled_again") == set(truth.enrolled_again)
    # Of clocks only those that are ahead can be told from hosts that have little to say.
    assert having("clock_ahead") == set(truth.clocks[:2])
    assert having("shared_name") == {truth.twins}
    assert sum(one["host"] == truth.twins for one in report["hosts"]) == 2
    assert report["summary"]["hosts"] == 500


def test_hosts_that_a_worm_has_been_on_are_next(report: Document, simulated: Simulated) -> None:
    assert {one["host"] for one in report["next"] if any(each["kind"] == "login" for each in one["reasons"])} == set(
        simulated[1].next
    )
    first = {one["host"] for one in report["next"][: len(simulated[1].next)]}
    assert first == set(simulated[1].next)


def test_every_line_was_read(report: Document, simulated: Simulated) -> None:
    assert report["sources"]["lines"] == simulated[1].lines and report["sources"]["broken"] == 0
