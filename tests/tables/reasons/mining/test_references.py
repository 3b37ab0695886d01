"""What counts as a pool that a process names, and what only looks like one."""

from __future__ import annotations

import shlex
from typing import Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.indicators.pools import builtin_indicators
from tables.reasons.mining.config_pools import config_references
from tables.reasons.mining.references import cmdline_references, config_paths, parse_endpoint

WALLET = "48edfHu7V9Z84YzzMa6fUueoELZ9ZRXq9VetWzYGzKt52XU5xvqgzYnDK9URnRoJMk1j8nLwEVsaSWJ4fhdUyZijBGUicoD"
INDICATORS = builtin_indicators()


@pytest.mark.parametrize(
    ("command", "endpoint", "port"),
    [
        ("xmrig -o pool.supportxmr.com:5555 -u x", "pool.supportxmr.com:5555", 5555),
        ("xmrig -opool.supportxmr.com:5555", "pool.supportxmr.com:5555", 5555),
        ("xmrig --url=xmr-eu1.nanopool.org:14433", "xmr-eu1.nanopool.org:14433", 14433),
        ("xmrig -o pool.supportxmr.com", "pool.supportxmr.com", 3333),
        ("lolMiner --pool eth.2miners.com --port 2020", "eth.2miners.com", 2020),
        ("./a -o stratum+tcp://10.0.0.5:8080", "stratum+tcp://10.0.0.5:8080", 8080),
        ("ethminer -P stratum1+ssl://0xabc.rig@eth.example.com:5555/path", "stratum1+ssl://eth.example.com:5555", 5555),
        ("cpuminer -o stratum+tcp://[2001:db8::1]:3333", "stratum+tcp://[2001:db8::1]:3333", 3333),
        ("xmrig -o STRATUM+SSL://proxy:443", "stratum+ssl://proxy:443", 443),
        ("[kworker/0:1] -o 203.0.113.5:8080 --donate-level 1", "203.0.113.5:8080", 8080),
        (f"./sshd -o 203.0.113.5:8080 -u {WALLET}", "203.0.113.5:8080", 8080),
        ("./sshd -a rx/0 -o proxy:8080", "proxy:8080", 8080),
        ("'xmrig: -o pool.hashvault.pro:443'", "pool.hashvault.pro:443", 443),
    ],
)
def test_a_command_line_names_its_pool(command: str, endpoint: str, port: int) -> None:
    (reference,) = cmdline_references(shlex.split(command), INDICATORS)
    assert (reference.endpoint, reference.confidence, reference.match_type) == (endpoint, "high", "cmdline")
    assert port in reference.ports


@pytest.mark.parametrize(
    "command",
    [
        "kubectl get -o pool.yaml",
        "curl https://supportxmr.com/api/miner",
        "curl supportxmr.com/api/miner",
        "firefox http://nanopool.org:14444",
        "ssh -o ProxyCommand=none admin@203.0.113.5",
        "psql -h 203.0.113.5:5432 -U x",
        "server --url 203.0.113.5:8080",
        "mail someone@nanopool.org",
        "python -m http.server 3333",
        "java -cp /a.jar:/b.jar com.example.Main",
        "prog pool.supportxmr.com:99999",
        "",
    ],
)
def test_other_command_lines_name_none(command: str) -> None:
    assert cmdline_references(shlex.split(command), INDICATORS) == []


def test_a_bare_pool_name_does_not_stand_for_its_web_ports() -> None:
    (reference,) = cmdline_references(["curl", "pool.hashvault.pro"], INDICATORS)
    assert 3333 in reference.ports and not {80, 443} & set(reference.ports)


@pytest.mark.parametrize(
    ("text", "endpoints"),
    [
        ('{"pools": [{"url": "203.0.113.5:8080", "user": "x"}], "donate-level": 1}', [("203.0.113.5:8080", "high")]),
        ('{"pools": [{"url": "pool.supportxmr.com:3333"}]}', [("pool.supportxmr.com:3333", "high")]),
        ('// a comment\n{"randomx": {}, "pools": [ {"url": "[2001:db8::1]:3333",},],}', [("[2001:db8::1]:3333", "high")]),
        ('{"pools": [{"url": "a:1", "rig-id": null}, {"url": "b:2"}]}', [("a:1", "high"), ("b:2", "high")]),
        ('{"pools": [{"url": "203.0.113.5:8080"}]}', [("203.0.113.5:8080", "low")]),
        ("url = stratum+tcp://203.0.113.5:3333", [("stratum+tcp://203.0.113.5:3333", "high")]),
        ('{"pools": [{"url": "postgres://db:5432/app"}]}', []),
        ('{"url": "203.0.113.5:8080"}', []),
        ('{"pools": [{"url": "https://supportxmr.com"}]}', []),
        ("not json at all {[", []),
    ],
)
def test_a_configuration_names_its_pools(text: str, endpoints: list[tuple[str, str]]) -> None:
    found = config_references(text, "/x/config.json", INDICATORS)
    assert [(reference.endpoint, reference.confidence) for reference in found] == endpoints
    assert all(reference.where == "/x/config.json" for reference in found)


@pytest.mark.parametrize(
    ("command", "paths"),
    [
        ("xmrig -c /tmp/a.json", ["/tmp/a.json"]),
        ("xmrig --config=b.json -o x", ["b.json"]),
        ("xmrig --config b.json", ["b.json"]),
        ("xmrig -cb.json", ["b.json"]),
        ("sh -c 'xmrig; true'", []),
        ("xmrig -c", []),
    ],
)
def test_configuration_files_are_those_behind_the_option(command: str, paths: list[str]) -> None:
    assert list(config_paths(shlex.split(command))) == paths


@pytest.mark.parametrize(
    "word", ["", ":", "://", "a:b:c", "[::1", "[x]:1", "pool:0", "user@host:1", "host:1/path", "-x:1", "a b:1"]
)
def test_other_words_are_no_endpoints(word: str) -> None:
    assert parse_endpoint(word) is None


@given(st.text(max_size=120))
def test_any_word_is_an_endpoint_or_none(word: str) -> None:
    endpoint = parse_endpoint(word)
    assert endpoint is None or endpoint.port is None or 0 < endpoint.port < 65536


@given(st.lists(st.text(max_size=60), max_size=6), st.text(max_size=300))
def test_any_text_is_read_without_an_error(argv: list[str], text: str) -> None:
    cmdline_references(argv, INDICATORS)
    list(config_paths(argv))
    config_references(text, "/x", INDICATORS)


def test_hostile_lengths_are_read() -> None:
    argv: list[Optional[str]] = ["x", "." * 200_000, "a.b" * 200_000, "-o " * 50_000, "--port", "9" * 10_000]
    assert cmdline_references([word for word in argv if word], INDICATORS) == []
    assert config_references('"pools":[' + " " * 200_000 + '"url"' * 20_000, "/x", INDICATORS) == []
