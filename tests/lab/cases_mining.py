"""What makes a process a miner whatever it is called: wallets, environment, configuration, its binary, its memory."""

from __future__ import annotations

import json
from collections.abc import Iterable

from tests.lab.case import case
from tests.lab.cases_connections import configuration
from tests.lab.room import Planted, Room
from tests.lab.wallets import ADDRESSES, XMR, misspelt

# What the dataset of RandomX takes (RandomX doc/specs.md: 2080 MiB).
_DATASET = 2_181_038_080


def each(room: Room, path: str, addresses: Iterable[str]) -> Planted:
    """A program for each address, with it as the user."""
    return {"pid": tuple(room.run(f"{path}{number}", "-u", address) for number, address in enumerate(addresses))}


@case(1, miner_process="pid")
def wallet_as_user(room: Room) -> Planted:
    """wallets of every kind that has a checksum, behind -u."""
    return each(room, "/opt/run/worker", ADDRESSES.values())


@wallet_as_user.twin
def _(room: Room) -> Planted:
    """the same addresses with one letter changed."""
    return each(room, "/opt/shop/worker", map(misspelt, ADDRESSES.values()))


@wallet_as_user.twin
def _(room: Room) -> Planted:
    """a wallet program and a password manager that were given an address."""
    room.run("/usr/bin/monero-wallet-rpc", "--wallet-file", "/srv/wallet", "--transfer-to", XMR)
    return {"pid": room.run("/usr/bin/keepassxc", env={"WALLET": XMR})}


@case(1, miner_process="pid")
def name_respelt(room: Room) -> Planted:
    """xmrig written with a digit, beside a pool."""
    return {"pid": room.run("/opt/run/xmr1g", "-o", "203.0.113.9:3333")}


@name_respelt.twin
def _(room: Room) -> Planted:
    """a compiler at work on xmrig's source."""
    source = "/srv/src/xmrig/src/net/strategies/DonateStrategy.cpp"
    return {"pid": room.run("/usr/lib/gcc/x86_64-linux-gnu/12/cc1plus", "-quiet", "-I", "/srv/src/xmrig/src", source)}


@case(7, miner_process="pid")
def environment_only(room: Room) -> Planted:
    """pool and wallet in the environment only."""
    return {"pid": room.run("/opt/run/worker", env={"POOL_URL": "203.0.113.9:3333", "WALLET": XMR, "DONATE_LEVEL": "1"})}


@environment_only.twin
def _(room: Room) -> Planted:
    """a web application with a database pool and a wallet service in its environment."""
    environment = {
        "POOL_URL": "10.0.0.5:5432",
        "POOL_SIZE": "20",
        "WALLET_SERVICE": "http://10.0.0.6:8080",
        "TOKEN": misspelt(XMR),
    }
    return {"pid": room.run("/opt/shop/api", env=environment)}


@case(7, miner_process="pid", miner_config_file="config_path")
def configuration_only(room: Room) -> Planted:
    """a miner's config.json beside the program, and nothing else."""
    path = room.write("/opt/run/config.json", configuration("203.0.113.9:3333", user=XMR))
    return {"pid": room.run("/opt/run/worker"), "config_path": path}


@configuration_only.twin
def _(room: Room) -> Planted:
    """an editor on the example configuration in xmrig's source."""
    path = room.write("/srv/src/xmrig/src/config.json", configuration("donate.v2.xmrig.com:3333", user="YOUR_WALLET_ADDRESS"))
    return {"pid": room.run("/usr/bin/nano", "config.json", cwd="/srv/src/xmrig/src"), "config_path": path}


@case(7, miner_config_file="config_path")
def configuration_of_qubic(room: Room) -> Planted:
    """the settings of Qubic's client beside a program of another name."""
    client = {"poolAddress": "wss://wps.qubic.li/ws", "accessToken": "x", "trainer": {"cpu": True}, "pps": True}
    path = room.write("/opt/run/appsettings.json", json.dumps({"ClientSettings": client}))
    room.run("/opt/run/worker")
    return {"config_path": path}


@configuration_of_qubic.twin
def _(room: Room) -> Planted:
    """the settings of a web application, under the name that such settings have."""
    settings = {
        "ConnectionStrings": {"Default": "Host=10.0.0.5;Port=5432;Pooling=true"},
        "Client": {"baseUrl": "https://shop.example.org/"},
    }
    path = room.write("/opt/store/appsettings.json", json.dumps(settings))
    return {"pid": room.run("/opt/store/api"), "config_path": path}


@case(7, miner_config_file="config_path")
def configuration_left(room: Room) -> Planted:
    """a miner's configuration in a dot folder of /var/tmp, nothing running."""
    return {"config_path": room.write("/var/tmp/.font/config.json", configuration("203.0.113.9:3333", user=XMR))}


@configuration_left.twin
def _(room: Room) -> Planted:
    """an application's config.json in /tmp with a pool of connections."""
    text = json.dumps({"pools": [{"url": "10.0.0.5:5432", "user": "shop", "pass": "x"}], "cpu": 2})
    return {"config_path": room.write("/tmp/shop/config.json", text)}


@case(7, miner_config_file="config_path")
def configuration_among_packages(room: Room) -> Planted:
    """a miner's configuration in a folder like those of packages, nothing running."""
    return {"config_path": room.write("/usr/share/ntpd/config.json", configuration("203.0.113.9:3333", user=XMR))}


@configuration_among_packages.twin
def _(room: Room) -> Planted:
    """a web site's config.json, with the address to which gifts go."""
    text = json.dumps({"title": "Shop", "pools": {"db": "10.0.0.5:5432"}, "donate": {"address": XMR}})
    return {"config_path": room.write("/var/www/html/shop/config.json", text)}


@case(7, miner_process="pid")
def strings_in_binary(room: Room) -> Planted:
    """a program whose only trace are the strings in its file, running from a dot folder."""
    text = b"stratum+tcp://\0mining.subscribe\0donate.v2.xmrig.com\0randomx\0cryptonight\0--cpu-max-threads-hint\0"
    return {"pid": room.start(room.program("/var/lib/.cache/agent", text))}


@strings_in_binary.twin
def _(room: Room) -> Planted:
    """a scanner that carries such strings as its rules."""
    text = b"stratum+tcp://\0donate.v2.xmrig.com\0randomx\0cryptonight\0"
    return {"pid": room.start(room.program("/usr/bin/yara", text), "-r", "/etc/yara/miners.yar", "/srv")}


@case(6, miner_process="pid")
def memory_of_randomx(room: Room) -> Planted:
    """memory for RandomX's dataset, under a kernel thread's name."""
    return {"pid": room.start("[kworker/u8:3]", executable=room.program("/opt/run/worker", memory=_DATASET))}


@memory_of_randomx.twin
def _(room: Room) -> Planted:
    """a Monero node with such memory, an address and a peer."""
    program = room.program("/usr/bin/monerod", memory=_DATASET)
    return {"pid": room.start(program, "--add-peer", "203.0.113.9:18080", "--zmq-pub", "tcp://127.0.0.1:18083")}
