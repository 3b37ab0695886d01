"""Processes, connections and configurations know the same pools, algorithms and options, by one vocabulary."""

from __future__ import annotations

import json
import textwrap

import pytest

from tables.indicators.miner_words import miner_words
from tables.indicators.pools import LOW, builtin_indicators
from tables.indicators.process_names import process_names
from tables.reasons.mining.configs import parse_miner_config
from tables.reasons.mining.references import cmdline_references
from tables.reasons.mining.signals import Facts, miner_signals
from tests.support.namespaces import run_in_namespaces

POOL = "203.0.113.9:3333"
XMR = "48edfHu7V9Z84YzzMa6fUueoELZ9ZRXq9VetWzYGzKt52XU5xvqgzYnDK9URnRoJMk1j8nLwEVsaSWJ4fhdUyZijBGUicoD"
INDICATORS = builtin_indicators()
ALGORITHMS = """
    rx/0 rx/wow rx/arq rx/graft rx/sfx rx/yada cn/r cn/half cn/upx2 cn-lite/1 cn-heavy/xhv cn-pico/tlo
    argon2/chukwav2 randomx ghostrider kawpow firopow meowpow evrprogpow progpow progpowz progpow_sero ethash
    etchash ubqhash autolykos2 verushash verus octopus heavyhash kheavyhash karlsenhash karlsenhashv2 pyrinhash
    pyrinhashv2 xelishash xelishashv2 walahash spectrex spectrexhash yespower yespowerr16 yespower_b2b yescrypt
    yescryptr32 lyra2rev3 lyra2z330 x11 x16r x16rv2 x16rt x17 minotaur minotaurx argon2d500 argon2id_chukwa
    sha256d sha256dt beamhashiii beamhash_iii equihash144_5 equihash_192_7 equihash125 zelhash zhash cuckatoo32
    cuckaroo29b cuckoo29 neoscrypt neoscrypt_xaya nexapow fishhash dynexsolve dynex astrobwt astrobwtv3 panthera
    gr scrypt scryptn2 blake3 blake3_alephium skein groestl qubit
"""


def processes_see(*argv: str) -> tuple[str | None, str]:
    """The pool that miner_processes names for this command line, and its confidence."""
    signals = miner_signals(process_names())
    verdict = signals.judge(Facts(comm="worker", argv=argv, exe="/opt/a/worker"), INDICATORS)
    return verdict.pool, verdict.confidence


def connections_see(*argv: str) -> list[tuple[str, str]]:
    return [(reference.endpoint, reference.confidence) for reference in cmdline_references(argv, INDICATORS)]


@pytest.mark.parametrize("algorithm", ALGORITHMS.split())
def test_an_algorithm_is_one_everywhere(algorithm: str) -> None:
    argv = ("/opt/a/worker", "-a", algorithm, "-o", POOL, "-u", "x")
    (named,) = connections_see(*argv)
    pool, confidence = processes_see(*argv)
    assert pool == named[0] == POOL and LOW not in (named[1], confidence)
    config = parse_miner_config(json.dumps({"algo": algorithm, "url": POOL, "user": "x"}))
    assert config is not None and (config.algorithm, config.pools) == (algorithm, (POOL,))


@pytest.mark.parametrize("option", sorted(miner_words().pool_options))
@pytest.mark.parametrize("glue", [" ", "=", ""])
def test_a_pool_option_is_one_everywhere(option: str, glue: str) -> None:
    if not glue and len(option) > 2:
        glue = "="
    argv = ("/opt/a/worker", *f"{option}{glue}{POOL}".split(), "--donate-level", "1")
    assert connections_see(*argv) == [(POOL, "high")]
    assert processes_see(*argv) == (POOL, "high")


@pytest.mark.parametrize(
    "argv",
    [
        ("/usr/bin/java", "-server", "203.0.113.9:3333", "-a", "x509"),
        ("/usr/bin/b2sum", "-a", "blake2b", "-o", "203.0.113.9:3333"),
        ("/opt/a/worker", "-a", "aes-256-gcm", "-o", POOL, "-u", "x"),
        ("/opt/a/worker", "--url", POOL, "--user", "x"),
    ],
)
def test_another_programs_options_name_no_pool_anywhere(argv: tuple[str, ...]) -> None:
    assert connections_see(*argv) == []
    assert processes_see(*argv)[0] is None


CONFIGS = {
    "xmrig.json": f'{{"donate-level": 1, "pools": [{{"url": "POOL", "user": "{XMR}"}}]}}',
    "srbminer.json": f'{{"pools": [{{"pool": "POOL", "wallet": "{XMR}", "password": "x"}}]}}',
    "pools.txt": f'"pool_list": [{{"pool_address": "POOL", "wallet_address": "{XMR}"}},],\n"currency": "monero",\n',
    "nanominer.ini": f"rigName = a\n[RandomX]\nwallet = {XMR}\npool1 = POOL\n",
    "trex.json": '{"algo": "kawpow", "api-bind-http": "127.0.0.1:4067", "pools": [{"url": "POOL", "user": "x"}]}',
}


@pytest.mark.root
def test_three_tables_agree_on_the_pool_of_every_miners_configuration() -> None:
    """Five programs called `worker`, each with another miner's configuration and a connection to the pool in it."""
    body = f"""
    import socket
    from tests.lab.namespaces import bring_up_loopback
    bring_up_loopback()
    configs = {CONFIGS!r}
    connect = "c = socket.create_connection(('127.0.0.1', int(sys.argv[1])))"
    code = f"import socket, sys, time; {{connect}}; print(1, flush=True); time.sleep(600)"
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    script = folder + "/worker.py"
    open(script, "w").write(code)
    pids = {{}}
    for name, text in configs.items():
        path = folder + "/" + name
        open(path, "w").write(text.replace("POOL", f"127.0.0.1:{{port}}"))
        argv = ["worker", script, str(port), *["-c", folder + "/none"] * 9, "-c", path]
        process = subprocess.Popen(argv, executable=sys.executable, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        started.append(process)
        process.stdout.readline()
        pids[name] = str(process.pid)
    pool = f"127.0.0.1:{{port}}"
    answer([pids, pool, query("SELECT pid, pools FROM miner_configs WHERE pid IS NOT NULL"),
        query("SELECT pid, pool, confidence FROM miner_processes"),
        query(f"SELECT pid, matched, confidence FROM miner_pool_connections WHERE remote_port = {{port}}")])
    """
    pids, pool, configs, processes, connections = run_in_namespaces(textwrap.dedent(body), "--net", timeout=120)
    wanted = {pids[name]: pool for name in CONFIGS}
    assert {row["pid"]: row["pools"] for row in configs if row["pid"] in wanted} == wanted
    assert {row["pid"]: row["pool"] for row in processes if row["pid"] in wanted and row["confidence"] != "low"} == wanted
    assert {row["pid"]: row["matched"] for row in connections if row["confidence"] == "high"} == wanted
