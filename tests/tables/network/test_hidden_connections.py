"""hidden_connections finds what /proc/net lacks and the kernel's own dump shows, and nothing on an honest host."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extension.engines.embedded import EmbeddedEngine
from tables.host import Host
from tables.host.network.sock_diag import dump, parse_messages
from tables.host.network.sockets import TABLES, network_namespaces, parse_line, socket_lines
from tables.host.processes.procfs import Procfs
from tables.network.hidden_connections import differences
from tests.support.namespaces import run_in_namespaces

SAMPLES = Path(__file__).resolve().parents[4] / "shared" / "kernel-samples"


@pytest.fixture
def many() -> Iterator[list[socket.socket]]:
    """Listeners and connections of all kinds, on IPv4, IPv6 and mapped addresses."""
    with ExitStack() as opened:
        sockets = []
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"), (socket.AF_INET6, "::ffff:127.0.0.1")):
            server = opened.enter_context(socket.socket(family, socket.SOCK_STREAM))
            server.bind((address, 0))
            server.listen()
            for _ in range(20):
                client = opened.enter_context(socket.socket(family, socket.SOCK_STREAM))
                client.connect(server.getsockname())
                sockets += [client, opened.enter_context(server.accept()[0])]
            datagrams = opened.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            datagrams.bind((address, 0))
            sockets += [server, datagrams]
        yield sockets


def test_the_dump_tells_what_the_text_tells(many: list[socket.socket]) -> None:
    procfs = Procfs.open()
    own = procfs.stat("self/ns/net").st_ino
    (here,) = [one for one in network_namespaces(procfs, procfs.listed()) if one.inode == own]
    wanted = {sock.getsockname()[1] for sock in many}
    for name, protocol in TABLES:
        lines = [line for batch in socket_lines(procfs, here, name) for line in batch]
        listed = {found for line in lines if (found := parse_line(line, protocol, here.inode)) and found.local_port in wanted}
        assert {one.socket for one in dump(procfs, here, name) if one.socket.local_port in wanted} == listed


def test_is_silent_while_connections_come_and_go() -> None:
    done = threading.Event()
    server = socket.create_server(("127.0.0.1", 0))

    def churn() -> None:
        while not done.is_set():
            with socket.create_connection(server.getsockname()), server.accept()[0]:
                pass

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(3):
            assert EmbeddedEngine(Host()).query("SELECT * FROM hidden_connections") == []
    finally:
        done.set()
        thread.join()
        server.close()


# In a network namespace of its own. Nothing can be mounted over a file of /proc/PID/net (the kernel looks it up anew each time,
# proc_net_d_revalidate in fs/proc/proc_net.c), so what a hooked tcp4_seq_show does is done where its lines are read.
HIDE = """
import socket
from tables.network import hidden_connections as module
from tests.lab.namespaces import bring_up_loopback
bring_up_loopback("203.0.113.77")
server = socket.create_server(("203.0.113.77", 3333))
client = socket.create_connection(("203.0.113.77", 3333))
accepted, _ = server.accept()
read = module.socket_lines
module.socket_lines = lambda *place: [[line for line in batch if b":0D05 " not in line or {shown}] for batch in read(*place)]
sql = "SELECT pid, how_hidden, local_port, remote_address, remote_port, state, is_hidden, owner_uid FROM hidden_connections"
answer([os.getpid(), client.getsockname()[1], query(sql)])
"""


@pytest.mark.root
def test_finds_what_the_text_lacks() -> None:
    pid, port, rows = run_in_namespaces(HIDE.format(shown=False), "--net", "--pid", "--fork", "--mount-proc")
    assert {(row["local_port"], row["remote_port"], row["state"]) for row in rows} == {
        ("3333", "0", "LISTEN"),
        ("3333", str(port), "ESTABLISHED"),
        (str(port), "3333", "ESTABLISHED"),
    }
    assert all(
        (row["pid"], row["how_hidden"], row["is_hidden"], row["owner_uid"]) == (str(pid), "proc_net", "0", "0") for row in rows
    )


@pytest.mark.root
def test_is_silent_about_a_text_that_lacks_nothing() -> None:
    assert run_in_namespaces(HIDE.format(shown=True), "--net", "--pid", "--fork", "--mount-proc")[2] == []


@pytest.mark.root
def test_a_namespace_that_has_no_process_of_ours_is_looked_into() -> None:
    body = """
    other = subprocess.Popen(
        ["unshare", "--net", sys.executable, "-c",
         "import socket, time; s = socket.create_server(('0.0.0.0', 4711)); print(1, flush=True); time.sleep(600)"],
        stdout=subprocess.PIPE,
    )
    started.append(other)
    other.stdout.readline()
    from tables.host.processes.procfs import Procfs
    from tables.host.network.sock_diag import dump
    from tables.host.network.sockets import network_namespaces
    procfs = Procfs.open()
    before = os.stat("/proc/self/ns/net").st_ino
    found = [(one.socket.local_port, one.socket.net_namespace) for space in network_namespaces(procfs, procfs.listed())
             for one in dump(procfs, space, "tcp")]
    answer([found, os.stat(f"/proc/{other.pid}/ns/net").st_ino, before == os.stat("/proc/self/ns/net").st_ino])
    """
    found, namespace, stayed = run_in_namespaces(body, "--net")
    assert [4711, namespace] in found and stayed


@pytest.mark.skipif(not SAMPLES.exists(), reason="../shared/kernel-samples is not beside this repository")
@pytest.mark.parametrize(("name", "ports"), [("clean", set()), ("listing_hook", set()), ("denied_everywhere", {3333, 59122})])
def test_recorded_kernels(name: str, ports: set[int]) -> None:
    recorded = json.loads((SAMPLES / f"{name}.json").read_text())
    lines = [line.encode() for line in recorded["proc_net_tcp"][1:]]
    listed = [found for line in lines if (found := parse_line(line, socket.IPPROTO_TCP, None)) is not None]
    messages = bytes.fromhex("".join(recorded["sock_diag_dump_hex"]))
    dumped = {one.socket: one.owner_uid for one in parse_messages(messages, "tcp", None)}
    assert len(listed) == len(lines) and len(dumped) >= len(listed)
    hidden = list(differences(listed, dumped))
    assert {one.socket.local_port for one in hidden} == ports and {one.how for one in hidden} <= {"proc_net"}


@given(st.binary(max_size=600))
def test_any_bytes_are_messages_or_nothing(data: bytes) -> None:
    try:
        for _ in parse_messages(data, "tcp6", None):
            pass
    except OSError as error:
        assert "sock_diag" in str(error)
