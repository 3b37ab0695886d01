"""What is odd about a container: it mines, it downloads and runs what it got, or it reaches the host."""

from __future__ import annotations

import os
import posixpath
import re
import shlex
from typing import NamedTuple, Optional

from tables.host.containers.model import Container, HostMount
from tables.indicators.container_images import container_images
from tables.indicators.pools import HIGH, LOW, MEDIUM, PoolIndicators
from tables.indicators.process_names import is_below, process_names
from tables.reasons.command_patterns import alert_reasons
from tables.reasons.commands import command_reasons
from tables.reasons.mining.process_strings import variables
from tables.reasons.mining.signals import Facts, Verdict, miner_signals
from tables.schema import Words
from tables.text.programs import SHELLS, is_interpreter

REASONS = Words.listed(
    "miner_image miner_command reaches_host",
    explaining="miner_hint privileged host_pid mounts_host_root mounts_host_folder mounts_runtime_socket",
)
_MINER_IMAGE, _MINER_COMMAND, _REACHES_HOST, _MINER_HINT = "miner_image", "miner_command", "reaches_host", "miner_hint"
# A command of the patterns' that is a miner's.
_KNOWN_MINER = "known_miner"
# Where what is written is run by the host, or lets somebody in; below them as well.
_HOST_FOLDERS = (
    "/etc", "/root", "/boot", "/usr", "/bin", "/sbin", "/lib", "/var/spool/cron", "/var/spool/at", "/var/lib/kubelet",
    "/var/lib/docker", "/var/lib/containerd", "/var/lib/rancher",
)  # fmt: skip
# Single files of /etc that programs in containers read as their own.
_HARMLESS_FILES = re.compile(
    r"/etc/(?:localtime|timezone|hostname|hosts|resolv\.conf|machine-id|os-release|nsswitch\.conf|passwd|group|ssl(?:/.{1,255})?"
    r"|pki(?:/.{1,255})?|ca-certificates(?:/.{1,255})?|letsencrypt(?:/.{1,255})?|krb5\.conf|fonts(?:/.{1,255})?|cni(?:/.{1,255})?)"
    r"|/usr/share/(?:zoneinfo|ca-certificates|fonts|icons|themes)(?:/.{1,255})?|/usr/src|/usr/lib/modules|/lib/modules"
)
# What makes the host's own, given for writing: nothing more is needed to have the host run something.
_TAKES_OVER = re.compile(
    r"/|/etc|/var/spool/(?:cron|at)(?:/.{1,255})?|/etc/(?:cron[.\w-]{0,64}|systemd|init\.d|profile\.d|sudoers\.d|rc\.d)(?:/.{1,255})?"
    r"|/etc/(?:ld\.so\.preload|sudoers|shadow|crontab|rc\.local)"
)
_FOLDERS_OF_SOCKETS = ("/run", "/var/run")
_SOCKET = re.compile(
    r"(?:/var)?/run/(?:[\w.-]{1,64}/){0,4}(?:docker|containerd|crio|podman|dockershim|cri-dockerd|buildkitd)\.sock"
)
# Programs with which one leaves a container, or enters the host.
_LEAVING = frozenset({"chroot", "nsenter"})
_SHELL_TEXT = re.compile(r"[\s;|&`$<>]")
_MAX_EVIDENCE = 2048
_MAX_ARGUMENTS = 32 * 1024


class ContainerVerdict(NamedTuple):
    """`reasons` of REASONS, sorted, `command_reasons` of the command patterns, and the facts behind them, in words.

    `exception` names the well-known agent that the container is, `environment` the variables that speak of a pool or wallet.
    """

    reasons: tuple[str, ...]
    command_reasons: tuple[str, ...]
    mining: Optional[Verdict]
    exception: str
    environment: str
    evidence: str

    @property
    def alert_reasons(self) -> tuple[str, ...]:
        """Those of the command that are worth an alert by themselves."""
        return tuple(alert_reasons(",".join(self.command_reasons)))


class ContainerJudge:
    """Judges containers by the indicators in force."""

    def __init__(self, indicators: PoolIndicators) -> None:
        self.indicators = indicators
        self.signals = miner_signals(process_names())

    def judge(self, container: Container) -> ContainerVerdict:
        """What is odd about `container`."""
        facts: dict[str, str] = {}
        mining = self._mines(container)
        commands = self._command(container.argv)
        miner = container_images().miner(container.image)
        if miner:
            facts[_MINER_IMAGE] = f"the image {container.image} is a miner's ({miner})"
        if mining is not None and mining.confidence in (HIGH, MEDIUM):
            facts[_MINER_COMMAND] = mining.evidence
        elif _KNOWN_MINER in commands:
            facts[_MINER_COMMAND] = "its command runs a miner"
        elif mining is not None and mining.confidence == LOW:
            facts[_MINER_HINT] = mining.evidence
        facts.update(self._reach(container))
        said = [*facts.values(), *([f"its command: {', '.join(commands)}"] if commands else [])]
        signals = mining.signals if mining else {}
        environment = "; ".join(fact for name, fact in sorted(signals.items()) if name.endswith("_environment"))
        return ContainerVerdict(
            tuple(sorted(facts)), commands, mining, self._agent(container, commands), environment, "; ".join(said)[:_MAX_EVIDENCE]
        )

    def _mines(self, container: Container) -> Optional[Verdict]:
        """The signals of mining in command and environment, as those of a process; None without one that counts."""
        environ = variables(os.fsencode("\0".join(container.environ)))
        program = container.argv[0] if container.argv else ""
        facts = Facts(comm=posixpath.basename(program)[:15], argv=container.argv, exe=program or None, environ=environ)
        verdict = self.signals.judge(facts, self.indicators)
        return verdict if any(not self.signals.is_context(name) for name in verdict.signals) else None

    @staticmethod
    def _command(argv: tuple[str, ...]) -> tuple[str, ...]:
        if not argv:
            return ()
        name = posixpath.basename(argv[0])
        # A program with plain arguments starts nothing else.
        if name not in SHELLS and not is_interpreter(name) and not any(map(_SHELL_TEXT.search, argv)):
            return ()
        return tuple(command_reasons(shlex.join(argv)[:_MAX_ARGUMENTS]))

    def _reach(self, container: Container) -> dict[str, str]:
        """Which of the host's is within reach, by reason."""
        facts = {}
        is_over = container.is_privileged or "pid" in container.host_namespaces
        if container.is_privileged:
            facts["privileged"] = "it is privileged"
        if "pid" in container.host_namespaces:
            facts["host_pid"] = "it sees the host's processes"
        # A privileged one mounts anew for writing what was given to it for reading.
        mounts = [mount for mount in container.mounts if mount.is_writable or container.is_privileged or _socket(mount)]
        for reason, found in (
            ("mounts_host_root", [mount for mount in mounts if posixpath.normpath(mount.source) == "/"]),
            ("mounts_host_folder", [mount for mount in mounts if _is_host_folder(mount)]),
            ("mounts_runtime_socket", [mount for mount in mounts if _socket(mount)]),
        ):
            if found:
                facts[reason] = f"it has {', '.join(map(str, found[:8]))}"
                if is_over or any(map(_takes_over, found)):
                    facts[_REACHES_HOST] = "with that it reaches the host"
        return facts

    def _agent(self, container: Container, commands: tuple[str, ...]) -> str:
        """Which agent it is: by the name of its image, which was pulled under it, running its own program and no shell."""
        agent = container_images().agent(container.image)
        names = {posixpath.basename(word) for word in container.argv[:2]}
        if agent is None or container.is_pulled is False or commands or not names.isdisjoint(SHELLS | _LEAVING):
            return ""
        return f"known agent: {agent}"


def _is_host_folder(mount: HostMount) -> bool:
    source = posixpath.normpath(mount.source)
    return (source in _HOST_FOLDERS or is_below(source, _HOST_FOLDERS) is not None) and not _HARMLESS_FILES.fullmatch(source)


def _takes_over(mount: HostMount) -> bool:
    return mount.is_writable and _TAKES_OVER.fullmatch(posixpath.normpath(mount.source)) is not None


def _socket(mount: HostMount) -> bool:
    source = posixpath.normpath(mount.source)
    return source in _FOLDERS_OF_SOCKETS or _SOCKET.fullmatch(source) is not None
