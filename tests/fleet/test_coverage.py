"""Who looked, and who only sends something."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from extension.fleet.answers import Ground
from extension.fleet.coverage import coverage
from extension.fleet.names import Names
from tests.fleet.looking import line, reported, there

T, HOUR, DAY = 1795436552, 3600, 86400
Grounded = Callable[..., Ground]


def _told(ground: Ground) -> dict[str, tuple[str, list[tuple[str, str]]]]:
    return {one.host.name: (one.state, one.problems) for one in coverage(ground)().hosts.values()}


def _beats(host: str, until: int, query: str = "minehunt_loaded", **columns: str) -> list[dict[str, Any]]:
    return [line(query, 0, T + hour * HOUR, "snapshot", host, **columns) for hour in range(until)]


def test_a_host_that_has_the_pack_and_not_the_extension_is_blind(grounded: Grounded) -> None:
    """The pack asks osquery's own tables too, and those answer."""
    without = [line("kernel_modules", 0, T, "added", "without", module="ext4"), *_beats("without", 9, "open_ports", port="22")]
    told = _told(grounded(*without, line("cron_jobs", 0, T, "added", "with", command="x"), *_beats("with", 9, "open_ports")))
    assert told["without"] == ("blind", [("no_extension", "")]) and told["with"] == ("reporting", [])


def test_an_extension_that_went_away_is_missed_though_its_version_is_still_told(grounded: Grounded) -> None:
    gone = [*_beats("gone", 40), *_beats("gone", 48, "open_ports"), *_beats("long", 4), *_beats("long", 48, "open_ports")]
    for each in gone:
        each["decorations"]["minehunt_version"] = "1.0"
    full = [line("kernel_modules", 0, T, "added", host, module="ext4") for host in ("gone", "long", "there")]
    told = _told(grounded(*gone, *_beats("there", 48), *_beats("there", 48, "open_ports"), *full))
    assert told["gone"] == ("reporting", [("no_extension", "")]) and told["there"] == ("reporting", [])
    # Of a day and more without it nobody can say that nothing was found.
    assert told["long"][0] == "blind"


def test_hosts_of_which_the_logs_hold_no_full_set_are_not_said_to_have_no_findings(tmp_path: Path, names: Names) -> None:
    """A last day's logs: who was found something on the day before, and nothing changed since, is not in them."""
    quiet = [*_beats("quiet", 9), *_beats("quiet", 2, "open_ports")]
    lines = [*quiet, line("kernel_modules", 7, T, "added", "late", module="ext4"), *_beats("late", 9)]
    summary = reported(tmp_path, names, lines)["summary"]
    assert (summary["without_findings"], summary["half_known"]) == (0, 2)
    # Where most began at their beginning a quiet host has nothing.
    whole = [line("cron_jobs", 0, T, "added", f"h{n}", command="x") for n in range(3)]
    (tmp_path / "whole").mkdir()
    report = reported(tmp_path / "whole", names, [*lines, *whole])
    assert (report["summary"]["without_findings"], report["summary"]["half_known"]) == (4, 1)
    assert {host["host"]: host["verdict"] for host in report["hosts"]} == {
        "late": "half_known", "quiet": "clean", "h0": "clean", "h1": "clean", "h2": "clean",
    }  # fmt: skip


def test_removed_rows_that_nobody_logs_are_missed(grounded: Grounded) -> None:
    def changes(host: str, action: str, count: int) -> list[dict[str, Any]]:
        return [line("kernel_modules", n, T + n, action, host, module=f"m{n}") for n in range(count)]

    often = [each for host in range(40) for each in changes(f"h{host}", "added", 7)]
    assert coverage(grounded(*often))().without_removed == ("kernel_modules",)
    assert coverage(grounded(*often, line("kernel_modules", 9, T + 9, "removed", "h0", module="m1")))().without_removed == ()
    # A module that came to all of them was added once to each.
    rolled_out = [each for host in range(300) for each in changes(f"r{host}", "added", 2)]
    assert coverage(grounded(*rolled_out))().without_removed == ()


def test_what_is_denylisted_is_named(grounded: Grounded) -> None:
    policies = [*_beats("h", 9, "sshd_root_login"), *_beats("h", 2, "minehunt_not_denylisted", scheduled="9")]
    row = {"query_name": "pack_cryptominer_triage_hidden_processes", "query_interval": "300"}
    ground = grounded(*policies, line("minehunt_query_denylisted", 1, T + 3 * HOUR, "added", **row))
    told = coverage(ground)()
    assert told.failing == {"hidden_processes": 1}
    (one,) = told.hosts.values()
    assert ("denylisted", "hidden_processes") in one.problems and ("denylisted", "") not in one.problems
    # Nobody knows what it would have found.
    assert told.half_known == {one.host.key}


def test_a_host_without_root_is_not_said_to_have_no_findings(tmp_path: Path, names: Names) -> None:
    lines = [line("kernel_modules", 0, T, "added", host, module="ext4") for host in ("root", "user")]
    lines += [*_beats("root", 9), *_beats("user", 9)]
    for each in lines:
        each["decorations"]["user"] = each["hostIdentifier"]
    report = reported(tmp_path, names, lines)
    assert {host["host"]: host["verdict"] for host in report["hosts"]} == {"root": "clean", "user": "half_known"}
    assert (report["summary"]["without_findings"], report["summary"]["half_known"]) == (1, 1)


def test_a_query_that_osqueryd_was_killed_over_is_said(grounded: Grounded) -> None:
    status = {"hostIdentifier": "h", "unixTime": str(T), "severity": "1", "decorations": {"host_uuid": "uuid-h"},
              "message": "Scheduled query may have failed: pack_cryptominer_triage_setuid_files"}  # fmt: skip
    assert coverage(grounded(status, *_beats("h", 3)))().failing == {"setuid_files": 1}


def test_a_clock_that_jumped_there_and_back_is_not_silent(grounded: Grounded) -> None:
    others = [each for number in range(30) for each in _beats(f"o{number}", 72)]
    jumping = _beats("jumping", 72)
    for each in jumping[20:40]:
        each["unixTime"] += 700 * DAY
    silent = _beats("silent", 20)
    told = _told(grounded(*others, *jumping, *silent))
    assert told["jumping"][0] == "reporting" and ("clock_changed", "") in told["jumping"][1]
    assert told["silent"][0] == "silent"


def test_a_version_is_also_told_by_the_heartbeat(grounded: Grounded) -> None:
    """Also as Fleet names it; another pack's query of the name is another."""
    old, new, other = (
        _beats(host, 9, version=version) for host, version in (("old", "0.1.0"), ("new", "0.2.0"), ("other", "0.0.1"))
    )
    for each in old:
        each["name"] = "pack/team-7/cryptominer_triage_minehunt_loaded"
    for each in other:
        each["name"] = "pack_theirs_minehunt_loaded"
    for each in (*old, *new, *other):
        each["decorations"].pop("minehunt_version", None)
    told = _told(grounded(*old, *new, *other))
    assert told["old"] == ("reporting", [("old_version", "0.1.0")]) and told["new"] == ("reporting", [])
    assert told["other"] == ("blind", [("no_extension", "")])


def test_the_newest_version_of_the_heartbeat_counts_however_it_is_logged(grounded: Grounded) -> None:
    taken = [line("minehunt_loaded", 0, T + n * HOUR, "snapshot", "taken", version=f"0.{1 + n // 5}.0") for n in range(9)]
    logged = [
        line("minehunt_loaded", 0, T, "added", "logged", version="0.1.0"),
        line("minehunt_loaded", 1, T + 8 * HOUR, "added", "logged", version="0.2.0"),
        line("minehunt_loaded", 1, T + 8 * HOUR, "removed", "logged", version="0.1.0"),
    ]
    for lines in (taken, logged, taken[::-1], logged[::-1]):
        ground = grounded(*lines)
        assert coverage(ground)().versions == {"0.2.0": 1}


def test_a_host_on_which_the_pack_is_not_scheduled_is_not_clean(grounded: Grounded) -> None:
    asked = [line("cron_jobs", 0, T, "added", f"h{n}", command="x") for n in range(20)]
    told = _told(grounded(*asked, *[each for n in range(20) for each in _beats(f"h{n}", 9)], *_beats("alone", 9)))
    assert told["alone"] == ("blind", [("no_pack", "")]) and told["h0"] == ("reporting", [])
    # Where few were heard to be asked, the logs lack what others were.
    told = _told(grounded(*asked, *[each for n in range(20, 40) for each in _beats(f"h{n}", 9)]))
    assert told["h30"] == ("reporting", [])


def test_a_clock_that_was_set_back_is_told_and_what_was_said_after_that_counts(grounded: Grounded) -> None:
    lines = [line("cron_jobs", 0, T, "added", host, command="x") for host in ("h", "other")]
    lines += [line("miner_process", 1, T + 3 * DAY, "added", "h", pid="7"), *_beats("other", 80)]
    lines.append(line("miner_process", 2, T + DAY, "removed", "h", pid="7"))
    ground = grounded(*lines)
    assert there(ground, "miner_process", "pid") == [] and ("clock_changed", "") in _told(ground)["h"][1]
    # A line that comes late is none.
    late = [
        line("miner_process", 2, T + 3 * DAY, "removed", "h", pid="8"),
        line("miner_process", 1, T + DAY, "added", "h", pid="8"),
    ]
    assert ("clock_changed", "") not in _told(grounded(*lines[:2], *late, *_beats("other", 80)))["h"][1]


def test_where_the_whole_fleet_begins_anew_nobody_was_set_up_again(grounded: Grounded) -> None:
    """As a new --schedule_epoch has it."""

    def begun(hosts: int) -> list[dict[str, Any]]:
        at = [(f"h{n}", T, 0) for n in range(4)] + [(f"h{n}", T + DAY, 1) for n in range(hosts)]
        queries = ("cron_jobs", "startup_commands")
        return [line(query, 0, when, "added", host, epoch, command="x") for host, when, epoch in at for query in queries]

    assert [problems for _state, problems in _told(grounded(*begun(4))).values()] == [[]] * 4
    assert [problem for problem, _what in _told(grounded(*begun(1)))["h0"][1]] == ["enrolled_again"]
