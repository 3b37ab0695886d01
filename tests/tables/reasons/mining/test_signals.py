from __future__ import annotations

import dataclasses
import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.host.processes.process_memory import parse_maps
from tables.indicators.pools import builtin_indicators
from tables.indicators.process_names import process_names
from tables.reasons.mining.configs import parse_miner_config
from tables.reasons.mining.signals import DATASET_BYTES, ConfigFile, Facts, MinerSignals, Verdict, miner_signals

XMR = "44AFFq5kSiGBoZ4NMDwYtN18obc8AemS33DBLWs3H7otXft3XjrpDtQGv7SqSsaBYBb98uNbr2VBBEt7f2wfn3RVGQBEP3A"
SIGNALS: MinerSignals = miner_signals(process_names())
POOLS = builtin_indicators()
STRENGTHS = {"unmistakable", "strong", "supporting", "context"}


def facts_of(sample: Any) -> Facts:
    """The process that a sample of miner_signals.yaml describes."""
    given = dict(sample) if isinstance(sample, dict) else {"cmdline": sample}
    argv = shlex.split(given.pop("cmdline"))
    exe = given.pop("exe", argv[0])
    facts = Facts(comm=given.pop("comm", exe.rpartition("/")[2][:15]), argv=argv, exe=exe)
    if "config" in given:
        content = parse_miner_config(given.pop("config"))
        facts = dataclasses.replace(facts, configs=(ConfigFile("/opt/a/config.json", content),) if content else ())
    if "maps" in given:
        facts = dataclasses.replace(facts, memory=parse_maps(given.pop("maps").encode(), DATASET_BYTES))
    if "connection" in given:
        facts = dataclasses.replace(facts, connections=(given.pop("connection"),))
    if "marks" in given:
        facts = dataclasses.replace(facts, marks=frozenset(given.pop("marks")))
    return dataclasses.replace(facts, **given)


def judge(sample: Any) -> Verdict:
    return SIGNALS.judge(facts_of(sample), POOLS)


SAMPLES = [
    pytest.param(signal.name, sample, expected, id=f"{signal.name}-{'must' if expected else 'not'}-{index}")
    for signal in SIGNALS.signals.values()
    for expected, samples in ((True, signal.must_match), (False, signal.must_not_match))
    for index, sample in enumerate(samples)
]


@pytest.mark.parametrize(("name", "sample", "expected"), SAMPLES)
def test_each_signal_matches_its_samples_and_no_others(name: str, sample: Any, expected: bool) -> None:
    found = judge(sample).signals
    assert (name in found) == expected, found


def test_every_signal_is_described_and_sampled() -> None:
    for signal in SIGNALS.signals.values():
        assert signal.must_match, signal.name
        assert signal.must_not_match, signal.name
        assert signal.strength in STRENGTHS
        assert 0 < signal.weight <= 100
    for exemption in SIGNALS.exemptions:
        assert exemption.names
        assert exemption.ignores | exemption.unless <= SIGNALS.signals.keys()
        assert not exemption.ignores & exemption.unless


@pytest.mark.parametrize(
    ("sample", "confidence", "signals"),
    [
        ("/opt/a/worker -o stratum+tcp://203.0.113.7:3333", "high", ["stratum_url"]),
        (f"/opt/a/worker {XMR}", "high", ["wallet_argument"]),
        ("./xmrig", "medium", ["miner_name"]),
        ("./xmrig -o pool.supportxmr.com:3333", "high", ["miner_name", "pool_argument"]),
        ("/opt/a/worker --nicehash", "low", ["miner_flag"]),
        ({"cmdline": "/tmp/.x/worker", "packer": "UPX"}, "medium", ["hidden_exe", "packed", "temp_exe"]),
        ({"cmdline": "/opt/a/worker", "packer": "UPX"}, "low", ["packed"]),
        ({"cmdline": "/opt/a/worker", "connection": "203.0.113.7:3333", "marks": ["stratum", "protocol"]}, "high",
         ["miner_binary", "pool_connection"]),
    ],
)  # fmt: skip
def test_confidence_follows_the_strength_of_independent_signals(sample: Any, confidence: str, signals: list[str]) -> None:
    verdict = judge(sample)
    assert (verdict.confidence, sorted(verdict.signals)) == (confidence, signals)
    assert verdict.score == min(100, sum(SIGNALS.signals[name].weight for name in signals))


def test_signals_of_one_group_are_one_fact() -> None:
    sample = {"cmdline": "/opt/a/worker -o pool.supportxmr.com:3333", "environ": {"POOL_URL": "pool.supportxmr.com:3333"}}
    assert judge(sample).confidence == "medium"


def test_pool_wallet_coin_and_algorithm_are_named_without_password() -> None:
    verdict = judge(f"/opt/a/worker -a rx/0 -o stratum+ssl://someone:secret@pool.supportxmr.com:443 -u {XMR}.rig7 -p hunter2")
    assert verdict.pool == "stratum+ssl://pool.supportxmr.com:443"
    assert verdict.wallet is not None
    assert (verdict.wallet.address, verdict.coin, verdict.algorithm) == (XMR, "XMR", "rx/0")
    assert "secret" not in verdict.evidence
    assert "hunter2" not in verdict.evidence


def test_a_pool_behind_an_option_counts_beside_a_miners_other_words_only() -> None:
    assert judge("/opt/a/worker -o 203.0.113.7:3333 -u someone").signals == {}
    assert judge(f"/opt/a/worker -o 203.0.113.7:3333 -u {XMR}").pool == "203.0.113.7:3333"
    assert judge(f"/opt/a/worker -o 203.0.113.7:3333 -u {XMR[:-1]}B").signals == {}


def test_an_exempt_name_protects_no_miner() -> None:
    plain = {"cmdline": "grep -o stratum+tcp://203.0.113.7:3333", "exe": "/usr/bin/grep"}
    assert not judge(plain).signals
    assert judge({**plain, "marks": ["stratum", "protocol"]}).confidence == "high"
    assert judge({**plain, "exe": "/tmp/grep"}).confidence == "high"
    assert judge({**plain, "is_deleted": True}).confidence == "high"
    wallet = {"cmdline": f"monerod {XMR}", "exe": "/opt/monero/monerod"}
    assert not judge(wallet).signals
    assert judge({**wallet, "cmdline": f"monerod --donate-level 1 {XMR}"}).confidence == "high"


@pytest.mark.parametrize(
    "cmdline",
    [
        "/usr/lib/gcc/x86_64-linux-gnu/12/cc1plus -quiet -I /src/xmrig/src -D XMRIG_FEATURE_HTTP /src/xmrig/src/net/Network.cpp",
        "/usr/bin/ld -o xmrig xmrig.o -L /usr/lib",
        "vim config.json",
        "less /opt/xmrig/config.json",
        "nano /opt/xmrig/config.json",
        "grep -rn stratum+tcp /etc",
        "rg -e stratum+tcp://pool.supportxmr.com:3333",
        "awk '/stratum+tcp/ {print}' /var/log/syslog",
        "kubectl get pods -o pool.yaml",
        "git clone --depth 1 https://github.com/xmrig/xmrig /src/xmrig",
        "curl -LO https://github.com/xmrig/xmrig/releases/download/v6.21.0/xmrig-6.21.0-linux-static-x64.tar.gz",
        f"/opt/monero/monerod --data-dir /var/lib/monero --wallet {XMR}",
        "bitcoind -daemon -addnode=203.0.113.7:8333",
        "keepassxc /home/dev/wallets.kdbx",
        "sh -c 'grep xmrig /proc/*/cmdline'",
        "bash -c 'ps aux | grep -E \"xmrig|stratum+tcp://\" | wc -l'",
        "/opt/venv/bin/python /opt/venv/bin/pytest -k stratum+tcp://203.0.113.7:3333",
        "docker run -e WALLET=x xmrig/xmrig -o stratum+tcp://203.0.113.7:3333",
        "python3 -c 'print(\"stratum+tcp://203.0.113.7:3333\")'",
        "java -Xmx2080m -jar /opt/app/app.jar --pool db:5432 --user app",
        "osqueryi \"select * from processes where cmdline like '%stratum+tcp://%'\"",
        "tail -F /var/log/xmrig.log",
        "/opt/app/server --token 44AFFq5kSiGBoZ4NMDwYtN18obc8AemS33DBLWs3H7otXft3XjrpDtQGv7SqSsaBYBb98uNbr2VBBEt7f2wfn3RVGQBEP3B",
    ],
)
def test_whoever_only_speaks_of_miners_gives_no_signal(cmdline: str) -> None:
    assert judge(cmdline).signals == {}


@given(st.lists(st.text(max_size=200), max_size=8), st.text(max_size=15), st.one_of(st.none(), st.text(max_size=80)))
def test_judging_never_raises_and_stays_bounded(argv: list[str], comm: str, exe: str | None) -> None:
    verdict = SIGNALS.judge(Facts(comm=comm, argv=argv, exe=exe, environ=dict.fromkeys(argv, comm)), POOLS)
    assert 0 <= verdict.score <= 100
    assert verdict.confidence in ("high", "medium", "low")


@given(st.binary(max_size=400))
def test_any_bytes_can_be_read_as_maps(data: bytes) -> None:
    memory = parse_maps(data, 4096)
    assert memory.huge >= 0
