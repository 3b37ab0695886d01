"""Configuration files of miners: named by, or beside, running processes, and in the places where miners put them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

from tables.host import Host
from tables.host.containers.columns import container_column, names_containers
from tables.host.processes.columns import process_column, process_facts
from tables.host.processes.procfs import Process
from tables.indicators.pools import HIGH, LOW, MEDIUM, PoolIndicators, pool_indicators
from tables.indicators.process_names import ProcessNames, hidden_component, is_below
from tables.reasons.mining.config_search import MAX_ENTRIES, ConfigSearch, FoundConfig
from tables.reasons.mining.configs import MinerConfig
from tables.reasons.mining.named_configs import WORKING
from tables.reasons.mining.references import parse_endpoint
from tables.schema import BIGINT, TEXT, QueryContext, Row, Words, column, table

_TABLE = "miner_configs"
_SOURCE_MARKS = (".git", "CMakeLists.txt", "configure.ac", "Cargo.toml")
_SOURCE_DEPTH = 4
_TEMPLATE = "donate.v2.xmrig.com:3333"


@dataclass(frozen=True)
class MinerConfigFile(Row):
    """One configuration file of a miner, once for each process that uses it."""

    path: str = column(TEXT, "path of the file, as the process sees it where there is one")
    program: Optional[str] = column(TEXT, "miner that the file is written for; empty when several could read it")
    pools: Optional[str] = column(TEXT, "pools, comma separated, without user names")
    wallets: Optional[str] = column(TEXT, "wallets whose checksum is right, and Ethereum addresses without one, comma separated")
    coin: Optional[str] = column(TEXT, "coin that the file names, else that of the first wallet")
    algorithm: Optional[str] = column(TEXT, "mining algorithm")
    donate_level: Optional[int] = column(BIGINT, "percentage for the miner's author")
    http_api: Optional[str] = column(TEXT, "address at which the miner answers about itself")
    pid: Optional[int] = column(BIGINT, "process that uses the file; NULL when no running process does")
    process_name: Optional[str] = process_column("process_name")
    cmdline: Optional[str] = process_column("cmdline")
    exe_path: Optional[str] = process_column("exe_path")
    owner_uid: int = column(BIGINT, "owner of the file")
    mode: str = column(TEXT, "permission bits, octal")
    file_size: int = column(BIGINT, "bytes")
    mtime: int = column(BIGINT, "last change of content, in unix seconds")
    ctime: int = column(BIGINT, "last change of the inode, in unix seconds, which nobody can set")
    sha256: Optional[str] = column(TEXT, "SHA-256 of the file; empty when it was not read to its end")
    container_id: Optional[str] = process_column("container_id")
    container_name: Optional[str] = container_column("container_name")
    image: Optional[str] = container_column("image")
    pod: Optional[str] = container_column("pod")
    reasons: str = column(
        TEXT,
        "why it counts (`confidence` weighs these), and what stands out, comma separated",
        words=Words.listed(
            "temp_folder hidden_path",
            explaining="algorithm miner_keys options stratum_url wallet listed_pool named_by_process beside_program "
            "in_working_folder source_tree template",
        ),
    )
    confidence: str = column(
        TEXT,
        "high: a process names it or runs beside it, or it has a right wallet or a listed pool; "
        "low: no process uses it and it is a template, part of a source tree, or a script; else medium",
    )


def _users(found: FoundConfig, processes: dict[int, Process], names: ProcessNames) -> dict[int, str]:
    """The processes that use the file; one that only works in its folder counts when no other does, and is no shell."""
    close = {pid: how for pid, how in found.users.items() if how != WORKING}
    return close or {
        pid: how
        for pid, how in found.users.items()
        if os.path.basename(processes[pid].exe_path or "") not in names.shells
        and not names.interpreters.match(processes[pid].name)
    }


def _rows(search: ConfigSearch, found: FoundConfig, indicators: PoolIndicators) -> Iterator[MinerConfigFile]:
    config = found.content.config
    assert config is not None
    users = {
        pid: how for pid, how in _users(found, search.processes, search.names).items() if search.processes[pid].is_same_process()
    }
    facts = set(config.reasons) | _facts(search, found, config, indicators)
    confidence = _confidence(facts, any(how != WORKING for how in users.values()))
    for pid, how in sorted(users.items()) or [(0, "")]:
        process = search.processes.get(pid)
        yield MinerConfigFile(
            path=found.path,
            program=config.program,
            pools=",".join(config.pools),
            wallets=",".join(wallet.address for wallet in config.wallets),
            coin=config.coin,
            algorithm=config.algorithm,
            donate_level=config.donate_level,
            http_api=config.http_api,
            **process_facts(process, "pid process_name cmdline exe_path container_id"),
            owner_uid=found.status.st_uid,
            mode=f"{stat.S_IMODE(found.status.st_mode):04o}",
            file_size=found.status.st_size,
            mtime=int(found.status.st_mtime),
            ctime=int(found.status.st_ctime),
            sha256=found.content.sha256,
            reasons=",".join(sorted(facts | ({how} if how else set()))),
            confidence=confidence,
        )


def _facts(search: ConfigSearch, found: FoundConfig, config: MinerConfig, indicators: PoolIndicators) -> set[str]:
    hosts = [endpoint.host for pool in config.pools if (endpoint := parse_endpoint(pool)) is not None]
    facts = {
        "listed_pool": any(indicators.listed_domain(host) for host in hosts),
        "temp_folder": is_below(found.path, search.names.writable_folders) is not None,
        "hidden_path": hidden_component(found.path) is not None,
        "source_tree": _is_in_source(search.host, found.path),
        "template": config.pools == (_TEMPLATE,) and not config.wallets,
    }
    return {name for name, holds in facts.items() if holds}


def _is_in_source(host: Host, path: str) -> bool:
    folder = os.path.dirname(path)
    for _ in range(_SOURCE_DEPTH):
        if folder == "/":
            break
        if any(host.files.exists(os.path.join(folder, mark)) for mark in _SOURCE_MARKS):
            return True
        folder = os.path.dirname(folder)
    return False


def _confidence(facts: set[str], is_used: bool) -> str:
    if is_used:
        return HIGH
    if facts & {"source_tree", "template"} or ("options" in facts and not facts & {"temp_folder", "hidden_path"}):
        return LOW
    return HIGH if facts & {"wallet", "listed_pool"} else MEDIUM


@table(
    _TABLE,
    MinerConfigFile,
    description="Configuration files of miners, with pools, wallets, and the process that uses them.",
    sop_steps=(7,),
    examples=[
        "SELECT path, program, pools, wallets, pid, reasons FROM miner_configs WHERE confidence <> 'low'",
        "SELECT c.path, c.pools, p.path, p.cmdline FROM miner_configs c JOIN processes p USING (pid)",
    ],
)
@names_containers
def miner_configs(host: Host, query: QueryContext) -> Iterator[MinerConfigFile]:
    """One row per file and process that uses it; a file that no process uses is one row without a process.

    Looked at are the files that processes name behind -c and --config, those beside their programs and in their working
    folders (not in folders of packaged programs), as each process sees them; xmrig's own places in every home; and
    /etc, /root, /opt, homes, /tmp, /var/tmp and /dev/shm down to two or three folders, dot folders included; in each folder of
    /boot, /srv, /usr/lib, /usr/local, /usr/share, /var/lib, /var/www and the like its config.json. Files over 1 MiB, and
    network file systems, are left out. Passwords and tokens are never shown. A file in a source tree, an unchanged template,
    or a script that nobody runs has low confidence as long as no process uses it. Below a root folder other than / only the
    places are looked at.
    """
    search = ConfigSearch(host, query)
    if host.is_live:
        search.by_processes()
    cut = search.by_places()
    if cut:
        query.truncate(f"only the first {MAX_ENTRIES} entries of each place were looked at, up to {cut}")
    if not host.is_root:
        query.could_not_see("not root: other users' files and processes are out of reach")
    indicators = pool_indicators(host)
    for found in search.found.values():
        yield from _rows(search, found, indicators)
