"""Miners' configuration files are told from other programs', and say pools, wallets, coin and algorithm."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.reasons.mining.configs import MinerConfig, parse_miner_config
from tables.text.lenient_json import parse_json

# Published by their projects: xmrig's donation address, and examples of EIP-55 and of Kaspa's documentation.
XMR = "48edfHu7V9Z84YzzMa6fUueoELZ9ZRXq9VetWzYGzKt52XU5xvqgzYnDK9URnRoJMk1j8nLwEVsaSWJ4fhdUyZijBGUicoD"
ETH = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
KASPA = "kaspa:qpauqsvk7yf9unexwmxsnmg547mhyga37csh0kj53q6xxgl24ydxjsgzthw5j"

XMRIG = f"""
/* written by hand */
{{
    "autosave": true, // rewritten on start
    "http": {{"enabled": true, "host": "0.0.0.0", "port": 8080, "access-token": "hunter2", "restricted": false}},
    "randomx": {{"1gb-pages": true}},
    "donate-level": 0,
    "pools": [
        {{"algo": "rx/0", "coin": "monero", "url": "203.0.113.7:443", "user": "{XMR}.rig", "pass": "hunter2", "tls": true,}},
        {{"url": "stratum+ssl://someone:hunter2@pool.example.net:5555", "user": "x"}},
    ],
}}
"""


def parse(text: str) -> MinerConfig:
    found = parse_miner_config(text)
    assert found is not None
    return found


def test_xmrig_with_comments_and_trailing_commas() -> None:
    found = parse(XMRIG)
    assert found.program == "xmrig"
    assert found.pools == ("203.0.113.7:443", "stratum+ssl://pool.example.net:5555")
    assert [wallet.address for wallet in found.wallets] == [XMR]
    assert (found.coin, found.algorithm, found.http_api, found.donate_level) == ("monero", "rx/0", "0.0.0.0:8080", 0)
    assert found.reasons == ("algorithm", "miner_keys", "stratum_url", "wallet")


def test_no_password_and_no_token_is_ever_shown() -> None:
    assert "hunter2" not in repr(parse(XMRIG))


@pytest.mark.parametrize(
    ("text", "program", "pools"),
    [
        (
            '{"ClientSettings": {"poolAddress": "wss://pool.example.net/ws", "accessToken": "hunter2", "pps": true, '
            '"trainer": {"cpu": true, "cpuThreads": 4}}}',
            "qli-client",
            "wss://pool.example.net",
        ),
        (
            '{"Settings": {"baseUrl": "https://mine.example.net/", "amountOfThreads": 4, "payoutId": "A", "accessToken": null}}',
            "qli-client",
            "https://mine.example.net",
        ),
        (
            f'{{"bind":["0.0.0.0:3333"],"workers":true,"pools":[{{"url":"a.example:443","user":"{XMR}"}}]}}',
            "xmrig-proxy",
            "a.example:443",
        ),
        (
            f'"pool_list" : [ {{"pool_address" : "a.example:3333", "wallet_address" : "{XMR}"}}, ],\n"currency" : "monero",\n',
            "xmr-stak",
            "a.example:3333",
        ),
        (f'{{"pools":[{{"pool":"a.example:1123","wallet":"{XMR}","password":"x"}}]}}', "srbminer-multi", "a.example:1123"),
        (
            f'{{"pools":[{{"user":"{ETH}","url":"stratum+tcp://a.example:1010"}}],"api-bind-http":"127.0.0.1:4067"}}',
            "t-rex",
            "stratum+tcp://a.example:1010",
        ),
        (
            f'{{"DEFAULTS":{{"APIPORT":8020}},"E":{{"ALGO":"ETCHASH","POOL":"a.example","PORT":4444,"USER":"{ETH}"}}}}',
            "lolminer",
            "a.example:4444",
        ),
        ('{"algo":"kawpow","url":"stratum+tcp://a.example:6060","user":"w","api":"0.0.0.0:22333"}', "nbminer", "stratum+tcp://a.example:6060"),
        ('{"url":"stratum+tcp://a.example:3333","user":"u","algo":"yespower","threads":4}', "cpuminer", "stratum+tcp://a.example:3333"),
        (f'{{"pool_configs":[{{"wallet":["{KASPA}"],"url":["stratum+tcp://a.example:1206"]}}]}}', "bzminer", "stratum+tcp://a.example:1206"),
        (f"rigName = a\n[RandomX]\nwallet = {XMR}\npool1 = a.example:3333\n", "nanominer", "a.example:3333"),
        (f"[server]\nhost=a.example\nport=4444\nuser={ETH}\n[common]\nalgo=ethash\n", None, "a.example:4444"),
        (f"POOL_URL=a.example:443\nexport WALLET={XMR}\n", None, "a.example:443"),
        (f"lolMiner --algo ETCHASH --pool stratum+ssl://a.example:5555 --user {ETH}.w\npause\n", "lolminer", "stratum+ssl://a.example:5555"),
        (f"#!/bin/sh\n./kw -o 10.1.1.1:443 -u {XMR} -k --tls --donate-level 1 -B\n", None, "10.1.1.1:443"),
        (f"miner --algo ethash --server a.example:4444 --user {ETH}\n", None, "a.example:4444"),
    ],
    ids=lambda value: str(value)[:24],
)  # fmt: skip
def test_other_miners(text: str, program: str | None, pools: str) -> None:
    found = parse(text)
    assert (found.program, ",".join(found.pools)) == (program, pools)


def test_a_proxy_of_ones_own_counts_by_the_settings_that_only_miners_have() -> None:
    text = json.dumps({"cpu": True, "pools": [{"url": "127.0.0.1:3333", "user": "x", "nicehash": False, "rig-id": None}]})
    assert parse(text).reasons == ("miner_keys",)


@pytest.mark.parametrize(
    "text",
    [
        '{"autosave": true, "cpu": true, "opencl": false, "cuda": false, "pools": [{"url": "203.0.113.8:80", "user": "u"}]}',
        '{"autosave": true, "cpu": {"enabled": true}, "pools": [{"url": "203.0.113.8:80", "user": "u", "pass": "x"}]}',
    ],
)
def test_the_least_that_xmrig_is_set_up_with(text: str) -> None:
    found = parse(text)
    assert (found.pools, found.reasons) == (("203.0.113.8:80",), ("miner_keys",))


def test_a_nanominer_file_needs_no_pool() -> None:
    assert parse(f"[RandomX]\nwallet = {XMR}\nrigName = a\n").pools == ()


@pytest.mark.parametrize(
    "text",
    [
        '{"pools": [{"url": "db1.internal:5432", "user": "app", "pass": "x"}], "max": 10}',
        '{"pool": {"url": "postgres://u:p@db.internal:5432/x"}, "user": "app"}',
        '{"name": "xmrig-dashboard", "dependencies": {"stratum": "1.0"}, "scripts": {"start": "node ."}}',
        '{"default-address-pools": [{"base": "172.80.0.0/16", "size": 24}], "registry-mirrors": ["https://m.example"]}',
        "data-dir=/var/lib/monero\nrpc-bind-port=18081\nrpc-login=u:p\nadd-peer=203.0.113.4:18080\nzmq-pub=tcp://127.0.0.1:18083\n",
        f"./p2pool --host 127.0.0.1 --rpc-port 18081 --wallet {XMR} --stratum 0.0.0.0:3333 --mini\n",
        '{"autosave": true, "cpu": 4, "url": "https://studio.example:8443", "theme": "dark"}',
        '{"opencl": true, "gpu": 1, "server": "render.example:7000", "user": "farm"}',
        '{"name": "mini", "password": "mini", "block_time": 10, "min_diff": 100000}',
        f'{{"poolServer": {{"poolAddress": "{XMR}", "ports": [{{"port": 3333}}]}}, "daemon": {{"host": "127.0.0.1"}}}}',
        f'{{"pool": "uniswap:3000", "wallet": "{ETH}", "url": "https://rpc.example:8545", "algorithm": "sha256"}}',
        "pool 0.debian.pool.ntp.org iburst\nserver ntp.example:123\n",
        "[www]\nuser = www-data\nlisten = 127.0.0.1:9000\npm = dynamic\npool = www\n",
        "server: https://10.0.0.1:6443\nuser: admin\n",
        f"# donations welcome\n{XMR}\n",
        "test: mcli -a x -o stratum+tcp://pool.example.net:3333\n",
        "",
    ],
    ids=lambda value: value[:24],
)
def test_other_programs_files_are_none(text: str) -> None:
    assert parse_miner_config(text) is None


def test_a_wallet_that_is_one_letter_off_is_none_and_a_pool_alone_is_not_enough() -> None:
    text = json.dumps({"pools": [{"url": "a.example:443", "user": XMR[:-1] + "E"}]})
    assert parse_miner_config(text) is None
    assert parse_miner_config(text.replace(XMR[:-1] + "E", XMR)) is not None


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '{"a": ' + "9" * 300_000 + "}", '{"url": "' + "\\" * 99_999])
def test_hostile_texts_end_in_none(text: str) -> None:
    assert parse_miner_config(text) is None


def test_comments_inside_strings_stay() -> None:
    assert parse_json('{"a": "x//y /* z */ ,}", /* , */ "b": [1, 2, ], // c\n }') == {"a": "x//y /* z */ ,}", "b": [1, 2]}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.sampled_from(["stratum+tcp://a.example:1", XMR]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["pools", "url", "user", "http", "port", "x"]), inner)
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_read_without_error(document: Any) -> None:
    found = parse_miner_config(json.dumps(document))
    assert found is None or found.reasons


@given(st.text(alphabet="abc{}[]\"':=,-/\\*\n \t1.", max_size=200))
def test_any_text_is_read_without_error(text: str) -> None:
    found = parse_miner_config(text)
    assert found is None or found.reasons


def test_a_report_about_a_miner_is_no_miners_configuration() -> None:
    row = {"pool": "stratum+tcp://pool.example:3333", "wallet": "x", "user": "x", "algo": "rx/0"}
    report = {"steps": [{"step": 1, "queries": [{"name": "miner_process", "rows": [row]}]}]}
    assert parse_miner_config(json.dumps(row)) is not None
    assert parse_miner_config(json.dumps(report)) is None
