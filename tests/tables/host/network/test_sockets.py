"""Socket tables are read as the kernel wrote them, and sockets lead to every process that holds them."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from typing import Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.host.network.socket_owners import find_owners, held_sockets
from tables.host.network.sockets import (
    TABLES,
    Namespace,
    Socket,
    address_text,
    decode_address,
    endpoint_token,
    listening_ports,
    network_namespaces,
    parse_line,
    remote_tokens,
    socket_lines,
)
from tables.host.processes.procfs import Procfs
from tests.support.connections import listener
from tests.support.namespaces import run_in_namespaces


def here(procfs: Procfs) -> Namespace:
    return network_namespaces(procfs, [os.getpid()])[0]


def find(procfs: Procfs, wanted: socket.socket) -> Optional[Socket]:
    inode = os.fstat(wanted.fileno()).st_ino
    for table, protocol in TABLES:
        for lines in socket_lines(procfs, here(procfs), table):
            for line in lines:
                parsed = parse_line(line, protocol, here(procfs).inode)
                assert parsed is not None, line
                if parsed.inode == inode:
                    return parsed
    return None


@pytest.fixture
def procfs() -> Procfs:
    return Procfs.open()


@pytest.mark.parametrize(
    ("bound", "target", "family"),
    [
        ("127.0.0.1", "127.0.0.1", socket.AF_INET),
        ("::1", "::1", socket.AF_INET6),
        ("127.0.0.1", "::ffff:127.0.0.1", socket.AF_INET6),
    ],
    ids=["v4", "v6", "v4-mapped"],
)
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["tcp", "udp"])
def test_reads_a_connected_socket(procfs: Procfs, bound: str, target: str, family: int, kind: int) -> None:
    with listener(bound, kind=kind) as server, socket.socket(family, kind) as client:
        port = server.getsockname()[1]
        client.connect((target, port))
        found = find(procfs, client)
        assert found is not None
        assert found == Socket(
            socket.IPPROTO_TCP if kind == socket.SOCK_STREAM else socket.IPPROTO_UDP,
            bound,
            client.getsockname()[1],
            bound,
            port,
            "ESTABLISHED",
            os.fstat(client.fileno()).st_ino,
            os.stat("/proc/self/ns/net").st_ino,
        )


def test_reads_listening_sockets_and_their_ports(procfs: Procfs) -> None:
    with listener() as server, listener("::1") as server6:
        found = find(procfs, server)
        assert found is not None and (found.state, found.remote_port) == ("LISTEN", 0)
        ports: set[int] = set()
        for table in ("tcp", "tcp6"):
            for lines in socket_lines(procfs, here(procfs), table):
                ports |= listening_ports(lines, remote_tokens(lines))
        assert {server.getsockname()[1], server6.getsockname()[1]} <= ports


def test_a_closed_connection_has_no_inode(procfs: Procfs) -> None:
    with listener() as server:
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
        local = client.getsockname()[1]
        client.close()
        accepted.close()
        lines = [line for batch in socket_lines(procfs, here(procfs), "tcp") for line in batch]
        found = [parsed for line in lines if (parsed := parse_line(line, 6, None)) and parsed.local_port == local]
        assert [(each.state, each.inode) for each in found] == [("TIME_WAIT", 0)]


def test_the_table_is_read_whole_over_many_batches(procfs: Procfs) -> None:
    """3,000 sockets are several batches of 256 KiB."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(listener())
        inodes = set()
        for _ in range(3000):
            client = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            client.connect(server.getsockname())
            inodes.add(os.fstat(client.fileno()).st_ino)
        batches = list(socket_lines(procfs, here(procfs), "udp"))
        assert len(batches) > 1
        parsed = [parse_line(line, 17, None) for batch in batches for line in batch]
        assert inodes <= {each.inode for each in parsed if each}
        port = server.getsockname()[1]
        tokens = [token for batch in batches for token in remote_tokens(batch)]
        assert tokens.count(endpoint_token(b"\x7f\0\0\1", port)) == 3000


@pytest.mark.parametrize("text", ["127.0.0.1", "203.0.113.254", "::1", "2001:db8::dead:beef"])
def test_tokens_stand_for_addresses(text: str) -> None:
    packed = socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    assert address_text(decode_address(endpoint_token(packed))) == text


def test_mapped_addresses_are_shown_as_ipv4() -> None:
    token = endpoint_token(socket.inet_pton(socket.AF_INET6, "::ffff:192.0.2.7"))
    assert address_text(decode_address(token)) == "192.0.2.7"


@given(st.binary(max_size=200))
def test_a_damaged_line_is_no_socket(line: bytes) -> None:
    assert parse_line(line, 6, None) is None


@given(st.lists(st.binary(max_size=60).filter(lambda line: b"\n" not in line)), st.sampled_from(["tcp", "tcp6"]))
def test_there_is_one_remote_token_a_line(lines: list[bytes], table: str) -> None:
    tokens = remote_tokens(lines)
    assert len(tokens) == len(lines)
    listening_ports(lines, tokens)


def test_finds_every_process_that_shares_a_socket(procfs: Procfs) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as shared:
        inode = os.fstat(shared.fileno()).st_ino
        child = subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, pass_fds=[shared.fileno()]
        )
        try:
            owners = find_owners(procfs, procfs.pids(), [inode])
            assert owners.by_inode == {inode: sorted([os.getpid(), child.pid])}
            assert inode in held_sockets(procfs, child.pid)
        finally:
            child.communicate()


def test_finds_an_owner_with_many_descriptors_and_its_fork(procfs: Procfs) -> None:
    code = """
import os, socket, sys
keep = [os.open("/dev/null", os.O_RDONLY) for _ in range(600)]
kept = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
child = os.fork()
if child == 0:
    sys.stdin.read()
    os._exit(0)
print(child, os.fstat(kept.fileno()).st_ino, flush=True)
sys.stdin.read()
os.waitpid(child, 0)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        child, inode = map(int, process.stdout.readline().split())
        assert find_owners(procfs, procfs.pids(), [inode]).by_inode == {inode: sorted([process.pid, child])}
    finally:
        process.communicate()


def test_finds_a_socket_that_only_one_thread_holds(procfs: Procfs) -> None:
    """A thread may leave the descriptor table that the others share (unshare(2), CLONE_FILES)."""
    code = """
import ctypes, os, socket, sys, threading
def work():
    assert ctypes.CDLL(None, use_errno=True).unshare(0x400) == 0
    kept = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    print(os.fstat(kept.fileno()).st_ino, flush=True)
    sys.stdin.read()
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        inode = int(process.stdout.readline())
        assert find_owners(procfs, [process.pid], [inode]).by_inode == {}
        assert find_owners(procfs, [process.pid], [inode], every_thread=True).by_inode == {inode: [process.pid]}
    finally:
        process.communicate()


@pytest.mark.root
def test_tells_network_namespaces_apart_also_when_their_links_are_not_ours_to_read() -> None:
    """As an ordinary user the links of root's processes are closed, their tables are not."""
    body = """
    from tables.host.processes.procfs import Procfs
    from tables.host.network.sockets import network_namespaces
    code = "import sys; print(1, flush=True); sys.stdin.read()"
    command = ["unshare", "--net", sys.executable, "-c", code]
    inside = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    started.append(inside)
    inside.stdout.readline()
    name = os.stat(f"/proc/{inside.pid}/ns/net").st_ino
    procfs = Procfs.open()
    as_root = network_namespaces(procfs, [os.getpid(), inside.pid])
    os.setuid(65534)
    as_user = network_namespaces(procfs, [os.getpid(), inside.pid])
    answer([os.getpid(), inside.pid, name, as_root, as_user])
    os._exit(0)
    """
    own_pid, other_pid, other, as_root, as_user = run_in_namespaces(body, "--pid", "--fork", "--mount-proc", "--kill-child")
    assert as_root == [[os.stat("/proc/self/ns/net").st_ino, [own_pid]], [other, [other_pid]]]
    # What gave up root is root's own to look into until it starts another program: its link is closed to it as well.
    assert sorted(members for _, members in as_user) == sorted([[own_pid], [other_pid]])
