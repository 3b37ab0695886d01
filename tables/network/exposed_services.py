"""Services that miners are known to come in by, listening where others can reach them, and whether they ask for a password."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

from tables.host import Host
from tables.host.containers.columns import container_column, names_containers
from tables.host.network.listeners import (
    WILDCARDS,
    Forward,
    Listener,
    is_loopback,
    namespace_addresses,
    outside_listeners,
    parse_docker_proxy,
)
from tables.host.processes.columns import process_column
from tables.host.processes.process_files import ProcessFiles
from tables.host.processes.procfs import Process, Procfs
from tables.reasons.services.auth import judge
from tables.reasons.services.entry_services import EntryService, entry_services
from tables.reasons.services.facts import ServiceFacts, Verdict
from tables.schema import BIGINT, TEXT, QueryContext, Row, Words, column, table
from tables.text.secrets import mask_arguments

_NAME = "exposed_services"
_HOST, _PUBLISHED, _NAMESPACE = "host", "published", "namespace"


@dataclass(frozen=True)
class ExposedService(Row):
    """One listener of one service."""

    service: str = column(TEXT, "service, as indicators/data/entry_services.yaml names it: redis, docker, kubelet, postgresql …")
    address: str = column(TEXT, "address that it listens on: the host's for a published port of a container")
    port: int = column(BIGINT, "port that it listens on: the host's for a published port of a container")
    is_wildcard: int = column(BIGINT, "1 if it listens on every address")
    reach: str = column(
        TEXT,
        "host (the host's own network), published (a container's port that docker-proxy opens to the host's network), "
        "namespace (a container's own network; what leads there from outside is not seen)",
    )
    pid: int = column(BIGINT, "process that holds the listener", index=True)
    process_name: str = process_column("process_name")
    exe_path: Optional[str] = process_column("exe_path")
    cmdline: str = column(TEXT, "its command line; values of options for passwords, tokens and keys are blotted out")
    owner_uid: Optional[int] = process_column("owner_uid")
    parent: int = process_column("parent")
    parent_name: Optional[str] = process_column("parent_name")
    start_time: int = process_column("start_time")
    container_id: Optional[str] = process_column("container_id")
    container_name: Optional[str] = container_column("container_name")
    image: Optional[str] = container_column("image")
    pod: Optional[str] = container_column("pod")
    auth_state: str = column(
        TEXT,
        "none (everybody is let in), password (or token), tls (client certificates), local_only (the service itself refuses "
        "other hosts), unknown",
    )
    reasons: Optional[str] = column(
        TEXT,
        "what is wrong with it, comma separated",
        words=Words.listed(
            "cron_dir_as_dbdir ssh_dir_as_dbdir vulnerable_version",
            explaining="no_auth protected_mode_off tls_missing anonymous_auth always_allow read_only_port trust_from_anywhere "
            "trust_from_network token_disabled anonymous_read default_password runs_as_root",
        ),
    )
    config_path: Optional[str] = column(TEXT, "configuration file that says so, as the process sees it")
    config_line: Optional[int] = column(BIGINT, "line in it")
    evidence: str = column(TEXT, "why auth_state is what it is, in words; never a secret itself")


@table(
    _NAME,
    ExposedService,
    needs_live=True,
    description="Services that miners come in by, listening on other addresses than loopback, and whether they want a password.",
    sop_steps=(17, 18),
    examples=[
        "SELECT service, address, port, pid, auth_state, evidence, config_path, config_line FROM exposed_services "
        "WHERE reach <> 'namespace'"
    ],
)
@names_containers
def exposed_services(host: Host, query: QueryContext) -> Iterator[ExposedService]:
    """One row per listening TCP socket of a known service in any network namespace, on an address other than loopback.

    A service is known by its program and arguments, never by its port alone. Whether it asks for a password is read from
    its options, from switches in its environment, and from its configuration files below the process's own root folder;
    nothing is sent over the network. Accounts that a database keeps in its own data, firewalls, and ports that iptables,
    Podman or Kubernetes lead into a container are not seen. Where the configuration cannot be found or read, auth_state is
    unknown. Without root, services of other users are not seen; minehunt_status says so.
    """
    if not host.is_live:
        query.cannot_tell("a mounted disk has no listeners")
        return
    truth = host.truth
    own = {pid for pid, _ in host.own_processes()}
    found = outside_listeners(truth, (pid for pid in truth.pids() if pid not in own), query.check_time)
    scan = _Scan(truth, query)
    for listener in found.found:
        query.check_time()
        yield from scan.rows(listener)
    if not host.is_root:
        query.could_not_see("not root: which processes of other users listen is not seen")
    elif found.unreadable and not all(listener.pids for listener in found.found):
        query.could_not_see(f"the open files of {len(found.unreadable)} processes could not be read")


class _Scan:
    """One scan."""

    def __init__(self, procfs: Procfs, query: QueryContext) -> None:
        self.procfs = procfs
        self.query = query
        self.services = entry_services()
        self.files = ProcessFiles(procfs)
        self.host_namespace = procfs.network_namespace(1) or procfs.network_namespace("self")
        self._forwards: Optional[list[tuple[Forward, bool]]] = None
        self._addresses: dict[Optional[int], frozenset[str]] = {}

    def rows(self, listener: Listener) -> Iterator[ExposedService]:
        """The row of a listener, if a known service holds it: the eldest of its processes."""
        processes = [process for pid in listener.pids if (process := self.procfs.process(pid)) is not None]
        for process in sorted(processes, key=lambda found: found.stat.start_ticks):
            service = self.services.of_process(process)
            if service is None:
                continue
            if not service.ports or listener.socket.local_port in service.ports:
                yield from self._judged(listener, process, service)
            return

    def _judged(self, listener: Listener, process: Process, service: EntryService) -> Iterator[ExposedService]:
        cmdline = process.cmdline
        facts = ServiceFacts(process, listener.socket, self.files, cmdline)
        verdict = judge(service, facts)
        where = f"pid {process.pid} ({service.service})"
        self.query.could_not_see(*(f"{where}: {path} could not be read" for path in facts.unreadable))
        # A pid that was given away meanwhile would lend its successor's files to the service.
        if verdict is not None and process.is_same_process():
            for address, port, is_wildcard, reach in self._ends(listener, process):
                yield _row(service, verdict, process, address, port, is_wildcard, reach)

    def _ends(self, listener: Listener, process: Process) -> list[tuple[str, int, bool, str]]:
        """Where others reach the listener: (address, port, whether every address, reach)."""
        socket = listener.socket
        if socket.net_namespace is None or socket.net_namespace == self.host_namespace:
            return [(socket.local_address, socket.local_port, listener.is_wildcard, _HOST)]
        if socket.net_namespace not in self._addresses:
            self._addresses[socket.net_namespace] = namespace_addresses(self.procfs, process.pid)
        inside = self._addresses[socket.net_namespace]
        published = [
            (forward.host_address, forward.host_port, is_wildcard, _PUBLISHED)
            for forward, is_wildcard in self._docker_proxies()
            if forward.container_port == socket.local_port and forward.container_address in inside
        ]
        return published or [(socket.local_address, socket.local_port, listener.is_wildcard, _NAMESPACE)]

    def _docker_proxies(self) -> list[tuple[Forward, bool]]:
        """The running docker-proxies that are open to other hosts."""
        if self._forwards is None:
            argvs = [process.argv for process in self.procfs.processes() if process.name.startswith("docker-proxy")]
            forwards = sorted(filter(None, map(parse_docker_proxy, argvs)))
            self._forwards = [
                (forward, forward.host_address in WILDCARDS) for forward in forwards if not is_loopback(forward.host_address)
            ]
        return self._forwards


def _row(
    service: EntryService, verdict: Verdict, process: Process, address: str, port: int, is_wildcard: bool, reach: str
) -> ExposedService:
    where = verdict.path if verdict.line is None else f"{verdict.path}:{verdict.line}"
    said = "; ".join(verdict.facts)
    return ExposedService(
        service=service.service,
        address=address,
        port=port,
        is_wildcard=is_wildcard,
        reach=reach,
        pid=process.pid,
        process_name=process.name,
        exe_path=process.exe_path,
        cmdline=mask_arguments(process.argv),
        owner_uid=process.uid,
        parent=process.stat.ppid,
        parent_name=process.parent_name,
        start_time=process.start_time,
        container_id=process.container_id,
        auth_state=verdict.auth_state,
        reasons=",".join(verdict.reasons),
        config_path=verdict.path,
        config_line=verdict.line,
        evidence=f"{where}: {said}" if where else said,
    )
