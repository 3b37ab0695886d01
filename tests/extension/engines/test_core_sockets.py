"""The core tables about sockets: planted sockets compared with the sockets' own addresses, psutil and the sample rows."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extension.engines.core.sockets import decode_address, parse_inet, parse_packet, parse_unix
from extension.engines.embedded import EmbeddedEngine
from tables.host import Host
from tests.support.namespaces import run_in_namespaces

INET_HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


@pytest.fixture(scope="module")
def engine() -> EmbeddedEngine:
    return EmbeddedEngine(Host())


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def inode(sock: socket.socket) -> str:
    return str(os.fstat(sock.fileno()).st_ino)


def own_row(engine: EmbeddedEngine, sock: socket.socket) -> dict[str, str]:
    (row,) = engine.query(f"SELECT * FROM process_open_sockets WHERE pid = {os.getpid()} AND socket = {inode(sock)}")
    return row


def expected_row(sock: socket.socket, **values: object) -> dict[str, str]:
    row = {
        "pid": os.getpid(), "fd": sock.fileno(), "socket": inode(sock), "family": int(sock.family), "protocol": 0,
        "local_address": "", "remote_address": "", "local_port": 0, "remote_port": 0, "path": "", "state": "",
        "net_namespace": os.stat("/proc/self/ns/net").st_ino, **values,
    }  # fmt: skip
    return {name: str(value) for name, value in row.items()}


def listener(stack: ExitStack, family: socket.AddressFamily, address: str) -> socket.socket:
    sock = stack.enter_context(socket.socket(family))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, 0))
    sock.listen()
    return sock


def test_tcp(engine: EmbeddedEngine, stack: ExitStack) -> None:
    server = listener(stack, socket.AF_INET, "127.0.0.1")
    port = server.getsockname()[1]
    client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
    assert own_row(engine, server) == expected_row(
        server, protocol=6, local_address="127.0.0.1", local_port=port, remote_address="0.0.0.0", state="LISTEN"
    )
    assert own_row(engine, client) == expected_row(
        client, protocol=6, local_address="127.0.0.1", local_port=client.getsockname()[1],
        remote_address="127.0.0.1", remote_port=port, state="ESTABLISHED",
    )  # fmt: skip


def test_tcp_over_ipv6(engine: EmbeddedEngine, stack: ExitStack) -> None:
    server = listener(stack, socket.AF_INET6, "::1")
    port = server.getsockname()[1]
    assert own_row(engine, server) == expected_row(
        server, protocol=6, local_address="::1", local_port=port, remote_address="::", state="LISTEN"
    )


def test_udp_has_no_state(engine: EmbeddedEngine, stack: ExitStack) -> None:
    sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    sock.bind(("0.0.0.0", 0))
    assert own_row(engine, sock) == expected_row(
        sock, protocol=17, local_address="0.0.0.0", local_port=sock.getsockname()[1], remote_address="0.0.0.0"
    )


def test_unix_paths_end_at_a_space(engine: EmbeddedEngine, stack: ExitStack, tmp_path: Path) -> None:
    for name, shown in (("plain", "plain"), ("two words", "two")):
        sock = stack.enter_context(socket.socket(socket.AF_UNIX))
        sock.bind(str(tmp_path / name))
        sock.listen()
        assert own_row(engine, sock) == expected_row(sock, path=tmp_path / shown)
        listening = engine.query(f"SELECT * FROM listening_ports WHERE pid = {os.getpid()} AND fd = {sock.fileno()}")
        own = [row for row in listening if row["net_namespace"] != "0"]
        assert own == [
            {"pid": str(os.getpid()), "port": "0", "protocol": "0", "family": "1", "address": "", "fd": str(sock.fileno()),
             "socket": "0", "path": str(tmp_path / shown), "net_namespace": str(os.stat("/proc/self/ns/net").st_ino)}
        ]  # fmt: skip


@pytest.mark.root
def test_raw_and_packet(engine: EmbeddedEngine, stack: ExitStack) -> None:
    raw = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP))
    row = own_row(engine, raw)
    assert (row["protocol"], row["local_address"], row["state"]) == ("255", "0.0.0.0", "")
    packet = stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806)))
    assert own_row(engine, packet) == expected_row(packet, protocol=0x0806, state="NONE")


def test_own_sockets_are_those_psutil_sees(engine: EmbeddedEngine, stack: ExitStack) -> None:
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        server = listener(stack, family, address)
        stack.enter_context(socket.create_connection((address, server.getsockname()[1])))
        stack.enter_context(server.accept()[0])
    process = psutil.Process()
    connections = getattr(process, "net_connections", None) or process.connections
    truth = {(c.fd, *c.laddr, *(c.raddr or ("", 0))) for c in connections(kind="tcp")}
    rows = engine.query(f"SELECT * FROM process_open_sockets WHERE pid = {os.getpid()} AND protocol = 6")
    found = set()
    for row in rows:
        remote = row["remote_address"] if row["remote_port"] != "0" else ""
        found.add((int(row["fd"]), row["local_address"], int(row["local_port"]), remote, int(row["remote_port"])))
    assert found == truth
    assert len(found) >= 6


def test_listening_ports_have_no_remote_port(engine: EmbeddedEngine, stack: ExitStack) -> None:
    server = listener(stack, socket.AF_INET, "127.0.0.1")
    client = stack.enter_context(socket.create_connection(server.getsockname()))
    bound = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
    bound.bind(("::1", 0))
    rows = {
        int(row["fd"]): row
        for row in engine.query(f"SELECT * FROM listening_ports WHERE pid = {os.getpid()} AND family <> 1")
        if row["net_namespace"] != "0"
    }
    assert client.fileno() not in rows
    namespace = str(os.stat("/proc/self/ns/net").st_ino)
    for sock, protocol, family in ((server, "6", "2"), (bound, "17", "10")):
        assert rows[sock.fileno()] == {
            "pid": str(os.getpid()), "port": str(sock.getsockname()[1]), "protocol": protocol, "family": family,
            "address": sock.getsockname()[0], "fd": str(sock.fileno()), "socket": inode(sock), "path": "",
            "net_namespace": namespace,
        }  # fmt: skip


def test_time_wait_belongs_to_nobody(engine: EmbeddedEngine, stack: ExitStack) -> None:
    server = listener(stack, socket.AF_INET, "127.0.0.1")
    port = server.getsockname()[1]
    client = socket.create_connection(("127.0.0.1", port))
    peer, _ = server.accept()
    client.close()
    peer.close()
    rows = engine.query(f"SELECT * FROM process_open_sockets WHERE remote_port = {port} AND state = 'TIME_WAIT'")
    assert rows
    assert {(row["pid"], row["fd"], row["socket"]) for row in rows} == {("-1", "-1", "0")}
    by_number = engine.query("SELECT remote_port FROM process_open_sockets WHERE pid = -1 AND state = 'TIME_WAIT'")
    assert {"remote_port": str(port)} in by_number


def test_shared_socket_is_the_last_owners(engine: EmbeddedEngine, stack: ExitStack) -> None:
    server = listener(stack, socket.AF_INET, "127.0.0.1")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    try:
        rows = engine.query(f"SELECT DISTINCT pid FROM process_open_sockets WHERE socket = {inode(server)}")
    finally:
        os.close(writer)
        os.close(reader)
        os.waitpid(child, 0)
    assert rows == [{"pid": max(str(child), str(os.getpid()))}]


def test_pid_without_sockets_and_pid_of_nobody(engine: EmbeddedEngine) -> None:
    assert engine.query("SELECT * FROM process_open_sockets WHERE pid = 4194305") == []


@pytest.mark.root
def test_every_network_namespace_is_read_once() -> None:
    found = run_in_namespaces(
        """
        import socket
        server = socket.create_server(("0.0.0.0", 0))
        start("sleep", "300")
        answer({
            "rows": query(f"SELECT pid, net_namespace FROM process_open_sockets WHERE local_port = {server.getsockname()[1]} "
                          f"AND state = 'LISTEN' AND pid = {os.getpid()}"),
            "all": query("SELECT socket, net_namespace FROM process_open_sockets WHERE socket <> 0"),
            "pid": os.getpid(), "own": os.stat("/proc/self/ns/net").st_ino, "inode": os.fstat(server.fileno()).st_ino,
        })
        """,
        "--net",
    )
    assert found["rows"] == [{"pid": str(found["pid"]), "net_namespace": str(found["own"])}]
    seen = [(row["socket"], row["net_namespace"]) for row in found["all"]]
    assert seen.count((str(found["inode"]), str(found["own"]))) == 1


@pytest.mark.parametrize(
    ("digits", "family", "address"),
    [
        ("0100007F", socket.AF_INET, "127.0.0.1"),
        ("00000000", socket.AF_INET, "0.0.0.0"),
        ("00000000000000000000000001000000", socket.AF_INET6, "::1"),
        ("0000000000000000FFFF00000100007F", socket.AF_INET6, "::ffff:127.0.0.1"),
        ("000080FE00000000FF00FC020100E0FE", socket.AF_INET6, "fe80::2fc:ff:fee0:1"),
        ("0100007F", socket.AF_INET6, ""),
        ("xx00007F", socket.AF_INET, ""),
        ("-100007F", socket.AF_INET, ""),
        ("", socket.AF_INET, ""),
    ],
)
@pytest.mark.skipif(sys.byteorder != "little", reason="the examples are of a little-endian kernel")
def test_addresses(digits: str, family: int, address: str) -> None:
    assert decode_address(digits, family) == address


def test_unknown_states_and_bad_lines() -> None:
    line = "0: 0100007F:1F90 00000000:0000 {} 00000000:00000000 00:00000000 00000000 0 0 42 1\n"
    text = (
        INET_HEADER
        + "".join(line.format(state) for state in ("0A", "00", "0C", "FF", "zz"))
        + "0: broken\n0: a b c d e f g h i\n"
    )
    assert [row["state"] for row in parse_inet(text, socket.AF_INET, 6)] == ["LISTEN", *["UNKNOWN"] * 4]
    assert [row["state"] for row in parse_inet(text, socket.AF_INET, 17)] == [""] * 5
    assert list(parse_inet(text, socket.AF_INET, 6, only={"7"})) == []
    assert list(parse_inet("something else\n" + line, socket.AF_INET, 6)) == []


@given(st.text() | st.text("0123456789ABCDEF: \n"))
def test_parsers_never_raise(text: str) -> None:
    for row in (
        *parse_inet(INET_HEADER + text, socket.AF_INET6, 6),
        *parse_unix("Num       RefCount Protocol\n" + text),
        *parse_packet("sk       RefCnt Type Proto\n" + text),
    ):
        assert isinstance(row["socket"], str)
