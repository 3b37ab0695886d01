"""Processes that mine, or look so: the signals that each one gives, weighed into a score."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

from tables.errors import TableError
from tables.host import Host
from tables.host.containers.columns import container_column, names_containers
from tables.host.network.socket_owners import find_owners
from tables.host.processes.ancestry import ProcessTree
from tables.host.processes.columns import is_hidden_column, process_column
from tables.host.processes.procfs import CLOCK_TICKS
from tables.host.processes.visibility import Visibility
from tables.indicators.pools import pool_indicators
from tables.reasons.mining.facts import Collector, Suspect
from tables.reasons.mining.gpu import busy_facts
from tables.reasons.mining.pool_sockets import pool_sockets
from tables.schema import BIGINT, DOUBLE, TEXT, QueryContext, Row, column, table

_NAME = "miner_processes"
_HASH_LIMIT = 64 << 20
_MAX_EVIDENCE = 4096


@dataclass(frozen=True)
class MinerProcess(Row):
    """One process with at least one signal of mining."""

    pid: int = process_column("pid", index=True)
    process_name: str = process_column("process_name")
    exe_path: Optional[str] = process_column("exe_path")
    cmdline: Optional[str] = process_column("cmdline")
    parent: int = process_column("parent")
    parent_name: Optional[str] = process_column("parent_name")
    owner_uid: Optional[int] = process_column("owner_uid")
    start_time: int = process_column("start_time")
    cwd: Optional[str] = process_column("cwd")
    cgroup_path: Optional[str] = process_column("cgroup_path")
    container_id: Optional[str] = process_column("container_id")
    container_name: Optional[str] = container_column("container_name")
    image: Optional[str] = container_column("image")
    pod: Optional[str] = container_column("pod")
    is_hidden: int = is_hidden_column()
    score: int = column(BIGINT, "sum of the signals' weights, 0 to 100")
    confidence: str = column(
        TEXT,
        "high: one unmistakable signal, two strong ones that are independent, or a strong one and a program in an odd place; "
        "medium: one strong signal, or several weak ones; low: the rest",
    )
    signals: str = column(TEXT, "names of the signals, sorted, separated by commas (tables/indicators/data/miner_signals.yaml)")
    pool: Optional[str] = column(TEXT, "pool that it names, without user and password")
    wallet: Optional[str] = column(TEXT, "wallet that it names, its checksum verified")
    coin: Optional[str] = column(TEXT, "coin that the wallet, the configuration or the pool is of")
    algorithm: Optional[str] = column(TEXT, "mining algorithm that it names")
    config_path: Optional[str] = column(TEXT, "miner configuration file that it uses, as the process sees the path")
    exe_sha256: Optional[str] = column(
        TEXT, "SHA-256 of the running file, read from the kernel; NULL above 64 MiB", on_demand=True
    )
    ancestry: Optional[str] = column(TEXT, "its ancestors and itself, the oldest first: `systemd(1) > sh(812) > kworkerds(901)`")
    evidence: str = column(TEXT, "the fact behind each signal")
    cpu_seconds: float = column(DOUBLE, "CPU time it has used; changes with every call")


@table(
    _NAME,
    MinerProcess,
    needs_live=True,
    description="Processes that mine or look so, with a score, the signals behind it, pool, wallet, coin and ancestry.",
    sop_steps=(1, 6, 7, 8),
    examples=[
        "SELECT pid, process_name, exe_path, confidence, score, signals, pool, wallet, ancestry FROM miner_processes "
        "WHERE confidence <> 'low'"
    ],
    uses_constraints=True,
)
@names_containers
def miner_processes(host: Host, query: QueryContext) -> Iterator[MinerProcess]:
    """One row per process that gives a signal; signals, weights and exemptions are in miner_signals.yaml.

    Every process is looked at by its names, command line, environment, the miner configurations it is given or that lie
    beside it, its large anonymous mappings, its GPUs, and its connections to pools. Programs are searched for the strings of
    miners, each file once as long as it does not change; a call searches only as much as its time allows, and
    `minehunt_status` says how many programs are left for later calls. What a first look finds counts only when a second
    look at the same program of the same process finds it again. Editors, searching tools, shells, compilers, wallets and
    nodes are left out where their arguments say nothing, as long as nothing else speaks against them. Of the environment
    only pools and wallets are shown. A connection that is interrupted at the time of a call takes `pool_connection` away.
    """
    if not host.is_live:
        raise TableError(f"processes can be examined on the running system only, not below {host.files.root}")
    procfs = host.truth
    own = {pid for pid, _ in host.own_processes()}
    pids = [pid for pid in procfs.pids() if pid not in own]
    wanted = query.equal_integers("pid")
    if wanted is not None:
        # Not every process is listed: one may be asked for that a kernel module hides.
        named = (procfs.process(pid) for pid in sorted(set(wanted) - own))
        pids = [process.pid for process in named if process is not None and process.is_leader]
    if not host.is_root:
        query.could_not_see("not root: environment, files and programs of other users' processes are not readable")
    try:
        connections = _connections(host, pids, query)
    except OSError as error:
        connections = {}
        query.could_not_see(f"connections could not be read: {error}")
    collector = Collector(host, connections, query, busy_facts(host, query, time.time()))
    looks = {}
    suspects = set()
    for pid in pids:
        query.check_time()
        process = procfs.process(pid)
        facts = collector.first_look(process) if process is not None and process.pid == pid else None
        if process is None or facts is None:
            continue
        looks[pid] = facts
        if collector.is_suspicious(facts):
            suspects.add(pid)
    suspects |= collector.search_programs(looks, suspects)
    if collector.unsearched:
        query.could_not_see(f"{len(collector.unsearched)} programs are not searched for a miner's strings yet; later calls go on")
    tree = ProcessTree(procfs)
    visibility = Visibility(host)
    for pid in sorted(suspects):
        query.check_time()
        process = procfs.process(pid)
        suspect = collector.second_look(process) if process is not None and process.pid == pid else None
        if process is not None and suspect is not None:
            yield _row(suspect, tree, query, visibility.is_hidden(process))


def _connections(host: Host, pids: list[int], query: QueryContext) -> dict[int, list[str]]:
    """The pool endpoints that each process is connected to, by pid."""
    procfs = host.truth
    sockets = pool_sockets(procfs, pids, pool_indicators(host), query)
    found: dict[int, list[str]] = {}
    for inode, owners in find_owners(procfs, pids, sockets).by_inode.items() if sockets else ():
        for pid in owners:
            found.setdefault(pid, []).append(sockets[inode])
    return found


def _row(suspect: Suspect, tree: ProcessTree, query: QueryContext, is_hidden: bool) -> MinerProcess:
    process, facts, verdict = suspect
    return MinerProcess(
        pid=process.pid,
        process_name=facts.comm,
        exe_path=facts.exe,
        cmdline=process.cmdline or None,
        parent=process.stat.ppid,
        parent_name=process.parent_name,
        owner_uid=process.uid,
        start_time=process.start_time,
        cwd=process.cwd,
        cgroup_path=process.cgroup_path or None,
        container_id=process.container_id,
        is_hidden=is_hidden,
        score=verdict.score,
        confidence=verdict.confidence,
        signals=",".join(sorted(verdict.signals)),
        pool=verdict.pool,
        wallet=verdict.wallet.address if verdict.wallet else None,
        coin=verdict.coin,
        algorithm=verdict.algorithm,
        config_path=verdict.config_path,
        exe_sha256=process.exe_sha256(_HASH_LIMIT) if query.uses("exe_sha256") else None,
        ancestry=tree.ancestry(process.stat),
        evidence=verdict.evidence[:_MAX_EVIDENCE],
        cpu_seconds=(process.stat.utime + process.stat.stime) / CLOCK_TICKS,
    )
