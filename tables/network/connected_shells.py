"""Shells that take their commands from a connection: reverse and bind shells, by whatever program the connection is held."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Optional

from tables.host import Host
from tables.host.containers.columns import container_column, names_containers
from tables.host.network.columns import socket_column, socket_facts
from tables.host.network.sockets import TABLES, Socket, network_namespaces, parse_line, socket_lines
from tables.host.processes.columns import is_hidden_column, process_column, process_facts
from tables.host.processes.procfs import Process
from tables.host.processes.visibility import Visibility
from tables.schema import BIGINT, TEXT, QueryContext, Row, column, table
from tables.text.programs import SHELLS, Invocation, is_interpreter, resolve

# Programs whose work is to pass on what comes over a connection; interpreters do it with a program on their command line.
_RELAYS = re.compile(r"nc(\.(traditional|openbsd))?|ncat|netcat|socat|telnet|openssl|busybox")
_SOCKET = re.compile(r"socket:\[(\d+)\]")
_DESCRIPTORS = 64
_PROCESS = "pid process_name exe_path cmdline cwd owner_uid parent parent_name start_time container_id"


@dataclass(frozen=True)
class ConnectedShell(Row):
    """One shell or interpreter without a script, and the connection that its input comes from."""

    pid: int = process_column("pid", index=True)
    process_name: str = process_column("process_name")
    exe_path: Optional[str] = process_column("exe_path")
    cmdline: Optional[str] = process_column("cmdline")
    cwd: Optional[str] = process_column("cwd")
    owner_uid: Optional[int] = process_column("owner_uid")
    parent: Optional[int] = process_column("parent")
    parent_name: Optional[str] = process_column("parent_name")
    start_time: Optional[int] = process_column("start_time")
    is_hidden: Optional[int] = is_hidden_column()
    container_id: Optional[str] = process_column("container_id")
    container_name: Optional[str] = container_column("container_name")
    image: Optional[str] = container_column("image")
    pod: Optional[str] = container_column("pod")
    how: str = column(
        TEXT,
        "socket (its standard input is the connection), relay (its parent passes on what the connection brings), pipe or fifo "
        "(a program of its session writes that into its standard input)",
    )
    relay_pid: Optional[int] = column(BIGINT, "process that holds the connection, where that is another")
    relay_cmdline: Optional[str] = column(TEXT, "its command line")
    protocol: int = socket_column("protocol")
    local_address: str = socket_column("local_address")
    local_port: int = socket_column("local_port")
    remote_address: str = socket_column("remote_address")
    remote_port: int = socket_column("remote_port")
    state: Optional[str] = socket_column("state")
    net_namespace: Optional[str] = socket_column("net_namespace")


# What only hands on what it reads, and how many of them may stand one behind the other.
_PASSERS = frozenset({"cat", "tail", "tee", "sed", "stdbuf", "dd", "head"})
_MOST_PASSES = 2


class _Suspect(NamedTuple):
    """A shell, how its input may come from a connection, and the process that would hold it with its sockets."""

    process: Process
    how: str
    holder: Process
    inodes: tuple[int, ...]


@table(
    "connected_shells",
    ConnectedShell,
    needs_live=True,
    description="Shells and interpreters without a script that take their commands from a network connection.",
    sop_steps=(3, 8),
    examples=["SELECT pid, cmdline, how, remote_address, remote_port, relay_cmdline FROM connected_shells"],
)
@names_containers
def connected_shells(host: Host, query: QueryContext) -> Iterator[ConnectedShell]:
    """One row per shell and connection; none on a host where nobody is led by the nose.

    Looked at are shells that run neither a script nor a command given as an argument, and other interpreters with program
    text as an argument or none. Their standard input is a TCP or UDP socket (bash -i >& /dev/tcp/…, nc -e, python's dup2); a
    pipe or terminal of a parent that holds such a socket (socat, ncat, node -e); or a pipe or FIFO that another process of
    the session writes to (openssl s_client | sh, mkfifo with nc). Services that a super-server starts with the connection as
    their input run a script or a program of their own, and are none. sshd and terminals in a browser hold their connections
    elsewhere.

    Not seen: a shell behind a program that is no known relay, and connections of other users' processes without root.
    """
    procfs = host.truth
    own = host.own_processes()
    processes = {one.pid: one for one in procfs.processes() if one.identity not in own and not one.is_kernel_thread}
    suspects = [suspect for one in processes.values() for suspect in _suspects(one, processes)]
    if not host.is_root:
        query.could_not_see("not root: the open files of other users' processes are not readable")
    sockets = _sockets(host, suspects, query)
    visibility = Visibility(host)
    for suspect in suspects:
        query.check_time()
        found = [sockets[inode] for inode in suspect.inodes if inode in sockets]
        if found and suspect.process.is_same_process():
            yield _row(suspect, found[0], visibility)


def _suspects(process: Process, processes: dict[int, Process]) -> Iterator[_Suspect]:
    name = _program(process)
    if not is_interpreter(name):
        return
    started = resolve(process.argv) or Invocation(name, ())
    if started.script is not None:
        return
    is_shell = name in SHELLS
    given = process.procfs.try_readlink(f"{process.pid}/fd/0") or ""
    # A shell that is given its command does that, and no more; interpreters are given what makes them shells.
    if is_shell and started.code is not None:
        return
    if found := _SOCKET.fullmatch(given):
        yield _Suspect(process, "socket", process, (int(found[1]),))
    if given.startswith("pipe:") and started.reads_input:
        yield from _written_by(process, processes, given, "pipe")
    if not is_shell:
        return
    parent = processes.get(process.stat.ppid)
    if given.startswith(("pipe:", "socket:", "/dev/pts/", "/pts/")) and parent is not None and _relays(parent):
        yield _Suspect(process, "relay", parent, _held_sockets(parent))
    if given.startswith("/") and _is_fifo(process):
        yield from _written_by(process, processes, given, "fifo")


def _written_by(
    process: Process, processes: dict[int, Process], pipe: str, how: str, passes_left: int = _MOST_PASSES
) -> Iterator[_Suspect]:
    """The programs of its session that pass on what a connection brings into `pipe`, its standard input, also through cat."""
    for other in processes.values():
        if other.stat.session != process.stat.session or other.pid == process.pid:
            continue
        if process.procfs.try_readlink(f"{other.pid}/fd/1") != pipe:
            continue
        if _relays(other):
            yield _Suspect(process, how, other, _held_sockets(other))
        elif passes_left and _program(other) in _PASSERS:
            for source in _read_by(other):
                yield from _written_by(process, processes, source, "fifo", passes_left - 1)


def _read_by(process: Process) -> Iterator[str]:
    """The pipes and FIFOs that a program like cat has open beside its output."""
    for number in process.procfs.descriptors(process.pid)[:_DESCRIPTORS]:
        if number in ("1", "2"):
            continue
        target = process.procfs.try_readlink(f"{process.pid}/fd/{number}") or ""
        if target.startswith("pipe:") or (target.startswith("/") and _is_fifo(process, number)):
            yield target


def _program(process: Process) -> str:
    """The name of the running file, else what the process calls itself."""
    name = (process.exe_path or (process.argv or [process.name])[0]).rpartition("/")[2]
    return process.name if name == "busybox" else name.lstrip("-")


def _relays(process: Process) -> bool:
    """Whether the process passes on what a connection brings, or is given program text that can."""
    name = _program(process)
    if _RELAYS.fullmatch(name):
        return True
    found = resolve(process.argv)
    return name not in SHELLS and is_interpreter(name) and found is not None and found.code is not None


def _is_fifo(process: Process, number: str = "0") -> bool:
    try:
        return stat.S_ISFIFO(process.procfs.stat(f"{process.pid}/fd/{number}").st_mode)
    except OSError:
        return False


def _held_sockets(process: Process) -> tuple[int, ...]:
    """The inodes of the sockets among the first open files of a process."""
    targets = (
        process.procfs.try_readlink(f"{process.pid}/fd/{number}") or ""
        for number in process.procfs.descriptors(process.pid)[:_DESCRIPTORS]
    )
    return tuple(int(found[1]) for target in targets if (found := _SOCKET.fullmatch(target)))


def _sockets(host: Host, suspects: Iterable[_Suspect], query: QueryContext) -> dict[int, Socket]:
    """The internet sockets with a remote end among those of the suspects, by inode."""
    wanted = {inode for suspect in suspects for inode in suspect.inodes}
    found: dict[int, Socket] = {}
    if not wanted:
        return found
    tokens = {b" %d " % inode for inode in wanted}
    for namespace in network_namespaces(host.truth, {suspect.holder.pid for suspect in suspects}):
        for name, protocol in TABLES:
            for lines in socket_lines(host.truth, namespace, name):
                query.check_time()
                for line in lines:
                    if not any(token in line for token in tokens):
                        continue
                    socket = parse_line(line, protocol, namespace.inode)
                    if socket is not None and socket.inode in wanted and socket.remote_port:
                        found[socket.inode] = socket
    return found


def _row(suspect: _Suspect, socket: Socket, visibility: Visibility) -> ConnectedShell:
    relay = suspect.holder if suspect.holder is not suspect.process else None
    return ConnectedShell(
        **process_facts(suspect.process, _PROCESS),
        is_hidden=visibility.is_hidden(suspect.process),
        how=suspect.how,
        relay_pid=relay.pid if relay else None,
        relay_cmdline=relay.cmdline if relay else None,
        **socket_facts(socket),
    )
