"""Containers of every runtime, running or stopped, and what starts some by itself: their images, commands and rights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

from tables.host import Host
from tables.host.containers.model import Container as FoundContainer
from tables.host.containers.reader import Containers
from tables.indicators.pools import PoolIndicators, pool_indicators
from tables.reasons.command_patterns import command_words
from tables.reasons.containers import REASONS, ContainerJudge
from tables.reasons.finding_columns import evidence_column, exception_column
from tables.schema import BIGINT, DOUBLE, TEXT, QueryContext, Row, column, table
from tables.text.secrets import mask_arguments, mask_secrets

_NAME = "containers"
_MAX_ROWS = 20_000
_MAX_LISTED = 256
_MAX_KEPT = 2000


@dataclass(frozen=True)
class Container(Row):
    """One container, or one that a file declares and the host starts by itself."""

    container_id: Optional[str] = column(
        TEXT, "its id, as in container_id of processes; a name where the runtime gives no ids; empty for what a file declares",
        index=True,
    )  # fmt: skip
    runtime: str = column(
        TEXT,
        "docker, containerd, crio, podman, runc, crun, youki, lxc, lxd, incus, nspawn; or what declares it: static_pod, "
        "k3s_manifest, quadlet, compose",
    )
    container_name: Optional[str] = column(TEXT, "its name; in a pod the container's there")
    image: Optional[str] = column(TEXT, "image by the name under which it was started")
    image_digest: Optional[str] = column(TEXT, "digest or id of the image, where the runtime's files have it")
    pod_name: Optional[str] = column(TEXT, "pod that it is in; of a declared one the workload")
    pod_namespace: Optional[str] = column(TEXT, "Kubernetes namespace of the pod")
    pod_uid: Optional[str] = column(TEXT, "uid of the pod")
    command: Optional[str] = column(
        TEXT, "what it is started with, joined by blanks; empty where the image decides; secrets are blotted out"
    )
    created: Optional[int] = column(BIGINT, "when it was made (unix seconds); of containerd's when its bundle was written")
    started: Optional[int] = column(BIGINT, "when it was last started (unix seconds)")
    state: str = column(TEXT, "running, paused, created, stopped; declared: a file says that it is started, by the host itself")
    pid: Optional[int] = column(BIGINT, "its first process, while it runs")
    restart_policy: Optional[str] = column(
        TEXT,
        "when it is started again: always, unless-stopped, on-failure, no …; kubelet (as the pod says, which the node does not "
        "keep); at boot; empty where unknown",
    )
    is_privileged: int = column(BIGINT, "1 if nothing of the host is kept from it")
    capabilities_added: Optional[str] = column(
        TEXT, "capabilities beyond those of an ordinary container, without CAP_, comma separated; ALL for all"
    )
    host_namespaces: Optional[str] = column(
        TEXT,
        "which of net, pid, ipc, user it shares with the host, comma separated; of a running one by the kernel, else by its "
        "settings",
    )
    mounts: Optional[str] = column(
        TEXT, "the host's files and folders in it, SOURCE:TARGET and `:ro`, comma separated; no volumes"
    )
    published_ports: Optional[str] = column(
        TEXT, "ports of the host that lead to it, as the runtime writes them, comma separated"
    )
    memory_limit: Optional[int] = column(BIGINT, "bytes of memory that it may use; NULL without limit")
    cpu_limit: Optional[float] = column(DOUBLE, "cores that it may use; NULL without limit")
    apparmor_off: Optional[int] = column(BIGINT, "1 if no AppArmor profile confines it, 0 if one does, NULL where unknown")
    seccomp_off: Optional[int] = column(BIGINT, "1 if no seccomp filter bounds its system calls, NULL where unknown")
    environment_names: Optional[str] = column(TEXT, "names of the variables that it is started with, sorted, comma separated")
    environment: Optional[str] = column(TEXT, "variables that name a pool or a wallet, with that; other values are not shown")
    root_folder: Optional[str] = column(TEXT, "its root folder on the host, as far as its files tell")
    path: str = column(TEXT, "file that says so")
    username: Optional[str] = column(TEXT, "account whose own (rootless) container it is")
    reasons: Optional[str] = column(TEXT, "what is odd about it, comma separated", words=REASONS)
    command_reasons: Optional[str] = column(
        TEXT, "what is suspicious in its command, comma separated (indicators/data/command_patterns.yaml)", words=command_words
    )
    alert_reasons: Optional[str] = column(TEXT, "those of `command_reasons` that are worth an alert alone")
    signals: Optional[str] = column(TEXT, "signals of mining in command and environment, comma separated (miner_signals.yaml)")
    pool: Optional[str] = column(TEXT, "pool that it names, without user and password")
    wallet: Optional[str] = column(TEXT, "wallet that it names, its checksum verified")
    exception: Optional[str] = exception_column()
    evidence: Optional[str] = evidence_column()


@table(
    _NAME,
    Container,
    description="Containers of Docker, containerd, Kubernetes, CRI-O, Podman, LXC, Incus, nspawn and others, from their files.",
    sop_steps=(5, 7, 10, 16, 17),
    examples=[
        "SELECT container_id, runtime, container_name, image, command, evidence FROM containers WHERE reasons <> ''",
        "SELECT c.container_name, c.image, p.pid, p.signals FROM miner_processes p JOIN containers c USING (container_id)",
    ],
)
def containers(host: Host, query: QueryContext) -> Iterator[Container]:
    """One row per container and per container that a static pod, k3s manifest, quadlet or started compose file declares.

    Read are the runtimes' own files, on a live host and below a root folder; nothing is asked by socket or network: Docker's
    config.v2.json and hostconfig.json, containerd's bundles below /run, containers/storage and Podman's database, runc's and
    crun's states, the configurations of LXC, LXD, Incus and systemd-nspawn, the manifests of kubelets and k3s servers,
    quadlets, and compose files that a unit of the host's starts; rootless stores in all homes, too. Of a running container
    the kernel tells whether its first process is there and which namespaces are the host's.

    Cannot see: stopped containers of containerd, whose database is not read, Podman's restart policies before its SQLite
    database, what an image starts when nothing says otherwise (of containerd and Podman that is known), and volumes' content.
    """
    if not host.is_root and host.is_live:
        query.could_not_see("not root: the runtimes' files are not readable")
    indicators = pool_indicators(host)
    made = host.state("containers: rows", _Rows).by(indicators)
    for count, found in enumerate(Containers(host, query).all()):
        if count >= _MAX_ROWS:
            query.truncate(f"only the first {_MAX_ROWS} containers are reported")
            return
        yield made.of(found)


class _Rows:
    """The rows of containers that did not change, by the indicators that were last in force."""

    def __init__(self) -> None:
        self._judge: Optional[ContainerJudge] = None
        self._made: dict[FoundContainer, Container] = {}

    def by(self, indicators: PoolIndicators) -> _Rows:
        """The memory itself, emptied when other indicators are in force now."""
        if self._judge is None or self._judge.indicators is not indicators:
            self._judge = ContainerJudge(indicators)
            self._made.clear()
        return self

    def of(self, found: FoundContainer) -> Container:
        """The row of a container."""
        assert self._judge is not None
        row = self._made.get(found)
        if row is None:
            row = _row(found, self._judge)
            if len(self._made) >= _MAX_KEPT:
                self._made.clear()
            self._made[found] = row
        return row


def _row(found: FoundContainer, judge: ContainerJudge) -> Container:
    verdict = judge.judge(found)
    mining = verdict.mining
    names = sorted({entry.partition("=")[0] for entry in found.environ})
    return Container(
        container_id=found.container_id,
        runtime=found.runtime,
        container_name=found.name,
        image=found.image,
        image_digest=found.image_digest,
        pod_name=found.pod_name,
        pod_namespace=found.pod_namespace,
        pod_uid=found.pod_uid,
        command=mask_arguments(found.argv),
        created=found.created,
        started=found.started,
        state=found.state,
        pid=found.pid,
        restart_policy=found.restart_policy,
        is_privileged=found.is_privileged,
        capabilities_added=",".join(found.capabilities_added),
        host_namespaces=",".join(found.host_namespaces),
        mounts=",".join(map(str, found.mounts[:_MAX_LISTED])),
        published_ports=",".join(found.published_ports[:_MAX_LISTED]),
        memory_limit=found.memory_limit,
        cpu_limit=found.cpu_limit,
        apparmor_off=found.is_apparmor_off,
        seccomp_off=found.is_seccomp_off,
        environment_names=",".join(names[:_MAX_LISTED]),
        environment=mask_secrets(verdict.environment),
        root_folder=found.root_folder,
        path=found.path,
        username=found.username,
        reasons=",".join(verdict.reasons),
        command_reasons=",".join(verdict.command_reasons),
        alert_reasons=",".join(verdict.alert_reasons),
        signals=",".join(sorted(mining.signals)) if mining else "",
        pool=mining.pool if mining else None,
        wallet=mining.wallet.address if mining and mining.wallet else None,
        exception=verdict.exception,
        evidence=verdict.evidence,
    )
