"""miner_pool_connections finds real connections to listed or self-named pools, whoever holds them, and nothing else."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from extension.engines.embedded import EmbeddedEngine
from tables.host import Host
from tests.support.connections import connect_argv, connecting_process, host_with_list, listener
from tests.support.namespaces import needs_readable_repository, run_in_namespaces


def rows(host: Host, where: str = "1") -> list[dict[str, str]]:
    return EmbeddedEngine(host).query(f"SELECT * FROM miner_pool_connections WHERE {where}")


def worrying(found: list[dict[str, str]]) -> list[dict[str, str]]:
    return [row for row in found if row["confidence"] != "low"]


@pytest.mark.parametrize(
    ("bound", "target", "protocol", "line"),
    [
        ("127.0.0.1", "127.0.0.1", "tcp", "127.0.0.1:{port}"),
        ("::1", "::1", "tcp", "[::1]:{port}"),
        ("127.0.0.1", "::ffff:127.0.0.1", "tcp", "127.0.0.1:{port}"),
        ("127.0.0.1", "127.0.0.1", "tcp", "[::ffff:127.0.0.1]:{port}"),
        ("127.0.0.1", "127.0.0.1", "udp", "127.0.0.1:{port}"),
        ("::1", "::1", "udp", "[::1]:{port}"),
    ],
    ids=["v4", "v6", "v4-mapped socket", "v4-mapped indicator", "udp", "udp v6"],
)
def test_finds_a_connection_to_a_listed_endpoint(tmp_path: Path, bound: str, target: str, protocol: str, line: str) -> None:
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    with listener(bound, kind=kind) as server:
        port = server.getsockname()[1]
        listed = line.format(port=port)
        host = host_with_list(tmp_path, listed)
        assert worrying(rows(host)) == []
        with connecting_process(target, port, protocol=protocol) as process:
            (row,) = rows(host, f"remote_port = {port}")
        assert (row["pid"], row["owner_visible"]) == (str(process.pid), "1")
        assert row["exe_path"] == os.path.realpath(sys.executable)
        assert row["cmdline"].startswith(sys.executable) and row["process_name"].startswith("python")
        assert (row["owner_uid"], row["parent"]) == (str(os.getuid()), str(os.getpid()))
        assert abs(int(row["start_time"]) - time.time()) < 60
        assert (row["protocol"], row["state"]) == ("17" if protocol == "udp" else "6", "ESTABLISHED")
        assert (row["local_address"], row["remote_address"], row["remote_port"]) == (bound, bound, str(port))
        assert row["net_namespace"] == str(os.stat("/proc/self/ns/net").st_ino)
        shown = f"[{bound}]:{port}" if ":" in bound else f"{bound}:{port}"
        assert (row["matched"], row["match_type"], row["confidence"]) == (shown, "ip_port", "high")
        assert row["feed"] == str(tmp_path / "pools.txt") and row["feed_date"].count("-") == 2
        assert f"{shown} is listed" in row["evidence"]


@pytest.mark.parametrize(("line", "kind", "confidence"), [("127.0.0.2", "ip", "high"), ("127.0.0.0/30", "cidr", "medium")])
def test_a_listed_address_matches_on_every_port_but_not_what_comes_in_from_it(
    tmp_path: Path, line: str, kind: str, confidence: str
) -> None:
    with listener("127.0.0.2") as server, connecting_process("127.0.0.2", server.getsockname()[1]) as process:
        port = server.getsockname()[1]
        host = host_with_list(tmp_path, line)
        (row,) = rows(host, f"remote_port = {port}")
        assert (row["pid"], row["match_type"], row["matched"], row["confidence"]) == (str(process.pid), kind, line, confidence)
        accepted, peer = server.accept()
        with accepted:
            # The client's address is 127.0.0.1 or .2, as routing has it; only one that is listed is a row, and a weak one.
            for incoming in rows(host, f"local_port = {port}"):
                assert (incoming["remote_port"], incoming["confidence"]) == (str(peer[1]), "low")
                assert "came in" in incoming["evidence"]


def test_one_row_for_each_process_that_holds_the_socket(tmp_path: Path) -> None:
    with listener() as server, socket.create_connection(server.getsockname()) as client:
        port = server.getsockname()[1]
        code = "import sys; sys.stdin.read()"
        child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, pass_fds=[client.fileno()])
        try:
            found = rows(host_with_list(tmp_path, f"127.0.0.1:{port}"), f"remote_port = {port}")
            assert sorted(int(row["pid"]) for row in found) == sorted([os.getpid(), child.pid])
        finally:
            child.communicate()


def test_a_connection_under_way_counts_too(tmp_path: Path) -> None:
    """A listener with a full backlog lets a connection wait in SYN_SENT, as a firewalled pool does."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        port = server.getsockname()[1]
        clients = [socket.socket() for _ in range(4)]
        try:
            for client in clients:
                client.setblocking(False)
                client.connect_ex(("127.0.0.1", port))
            found = rows(host_with_list(tmp_path, f"127.0.0.1:{port}"), "state = 'SYN_SENT'")
            assert found and {(row["pid"], row["confidence"]) for row in found} == {(str(os.getpid()), "high")}
        finally:
            for client in clients:
                client.close()


@pytest.mark.parametrize(
    "words", [("-o", "pool.supportxmr.com:{port}"), ("--url=stratum+tcp://127.0.0.1:{port}",)], ids=["domain", "stratum"]
)
def test_finds_the_pool_that_a_command_line_names(words: tuple[str, ...]) -> None:
    with listener() as server:
        port = server.getsockname()[1]
        visible = [word.format(port=port) for word in words]
        with connecting_process("127.0.0.1", port, *visible) as process, connecting_process("127.0.0.1", port):
            (row,) = rows(Host(), f"remote_port = {port}")
        assert (row["pid"], row["match_type"], row["confidence"]) == (str(process.pid), "cmdline", "high")
        assert row["matched"] in visible[-1]
        assert row["pool"] == ("SupportXMR" if "supportxmr" in visible[-1] else "")
        assert "its command line names the pool" in row["evidence"]


def test_naming_a_pool_without_a_connection_to_it_is_nothing() -> None:
    with listener() as server, listener() as other:
        words = ("-o", f"pool.supportxmr.com:{other.getsockname()[1]}")
        with connecting_process("127.0.0.1", server.getsockname()[1], *words):
            assert worrying(rows(Host())) == []


@pytest.mark.parametrize("named", [True, False], ids=["by option", "config.json in the working folder"])
def test_finds_the_pool_that_a_configuration_file_names(tmp_path: Path, named: bool) -> None:
    with listener() as server:
        port = server.getsockname()[1]
        config = {"randomx": {"1gb-pages": True}, "donate-level": 1, "pools": [{"url": f"pool.internal:{port}", "user": "x"}]}
        path = tmp_path / ("settings.txt" if named else "config.json")
        path.write_text(json.dumps(config))
        words = ["--config=settings.txt"] if named else []
        with connecting_process("127.0.0.1", port, *words, cwd=tmp_path) as process:
            (row,) = rows(Host(), f"remote_port = {port}")
        assert (row["pid"], row["match_type"], row["confidence"]) == (str(process.pid), "config", "high")
        assert row["matched"] == f"pool.internal:{port}" and str(path) in row["evidence"]


def test_a_connection_pool_of_a_database_is_at_most_a_hint(tmp_path: Path) -> None:
    with listener() as server:
        port = server.getsockname()[1]
        (tmp_path / "config.json").write_text(json.dumps({"pools": [{"url": f"127.0.0.1:{port}", "user": "app"}]}))
        with connecting_process("127.0.0.1", port, cwd=tmp_path):
            assert worrying(rows(Host())) == []


def test_a_fifo_as_configuration_does_not_hold_us_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    with listener() as server, connecting_process("127.0.0.1", server.getsockname()[1], cwd=tmp_path):
        assert worrying(rows(Host())) == []


def test_is_silent_on_this_host_and_about_development_servers() -> None:
    assert worrying(rows(Host())) == []
    try:
        servers = [socket.create_server(("127.0.0.1", port)) for port in (3333, 4444, 5555, 7777)]
    except OSError:
        pytest.skip("a development server's port is taken on this host")
    clients = [socket.create_connection(server.getsockname()) for server in servers]
    try:
        assert rows(Host(), "remote_port IN (3333, 4444, 5555, 7777) OR local_port IN (3333, 4444, 5555, 7777)") == []
    finally:
        for each in (*clients, *servers):
            each.close()


def test_a_closing_connection_is_a_hint_without_owner(tmp_path: Path) -> None:
    with listener() as server:
        port = server.getsockname()[1]
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
        client.close()
        accepted.close()
        (row,) = rows(host_with_list(tmp_path, f"127.0.0.1:{port}"), f"remote_port = {port}")
        assert (row["state"], row["pid"], row["owner_visible"], row["confidence"]) == ("TIME_WAIT", "", "", "low")
        assert "also matched" not in row["evidence"]


def test_connections_that_close_during_the_scan_are_no_hidden_owners(tmp_path: Path) -> None:
    """A child opens and closes connections as fast as it can: a socket that is gone by the end has no hidden owner."""
    code = """
import socket, sys
while True:
    c = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\\1\\0\\0\\0\\0\\0\\0\\0")
    c.close()
"""
    serve = "import socket, sys\ns = socket.socket(fileno=int(sys.argv[1]))\nwhile True: s.accept()[0].close()"
    with listener() as server:
        port = server.getsockname()[1]
        server.setblocking(True)
        acceptor = subprocess.Popen(
            [sys.executable, "-c", serve, str(server.fileno())], pass_fds=[server.fileno()], stderr=subprocess.DEVNULL
        )
        churner = subprocess.Popen([sys.executable, "-c", code, str(port)], stderr=subprocess.DEVNULL)
        try:
            host = host_with_list(tmp_path, f"127.0.0.1:{port}")
            found = [row for _ in range(30) for row in rows(host, f"remote_port = {port}")]
            assert churner.poll() is None
            assert [row for row in found if row["owner_visible"] == "0"] == []
            assert {row["pid"] for row in found} <= {str(churner.pid), ""}
        finally:
            for process in (churner, acceptor):
                process.kill()
                process.wait()


COMMON = """
import socket
from tests.lab.namespaces import bring_up_loopback
bring_up_loopback()
from tables.host.settings import Settings
from tests.support.connections import connect_argv
server = socket.create_server(("127.0.0.1", 0))
port = server.getsockname()[1]
open(folder + "/pools.txt", "w").write(f"127.0.0.1:{port}\\n")
os.chmod(folder + "/pools.txt", 0o600)

def scan(listed=True):
    host = Host(settings=Settings(indicators=(folder + "/pools.txt",))) if listed else Host()
    return query(f"SELECT * FROM miner_pool_connections WHERE remote_port = {port}", host)

def connected(*words):
    process = subprocess.Popen(connect_argv("127.0.0.1", port, *words), stdout=subprocess.PIPE)
    started.append(process)
    process.stdout.readline()
    return process

def connected_in_a_namespace():
    code = (
        "import fcntl, socket, struct, sys; c = socket.socket(); port = int(sys.argv[1]); "
        "fcntl.ioctl(c, 0x8914, struct.pack('16sh14x', b'lo', 0x41)); s = socket.create_server(('127.0.0.1', port)); "
        "c.connect(('127.0.0.1', port)); print(1, flush=True); sys.stdin.read()"
    )
    command = ["unshare", "--net", sys.executable, "-c", code, str(port)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    started.append(process)
    process.stdout.readline()
    return process, os.stat(f"/proc/{process.pid}/ns/net").st_ino
"""


def isolated(body: str, *flags: str) -> Any:
    return run_in_namespaces(COMMON + textwrap.dedent(body), "--net", *flags)


PID_NAMESPACE = ("--pid", "--fork", "--mount-proc")


@pytest.mark.root
@pytest.mark.parametrize("flags", [(), PID_NAMESPACE], ids=["this pid namespace", "a child pid namespace"])
@pytest.mark.parametrize(
    "cover",
    [
        'os.mkdir(folder + "/empty"); mount(folder + "/empty", f"/proc/{process.pid}")',
        'mount("/proc/self", f"/proc/{process.pid}")',
        'os.mkdir(folder + "/empty"); [mount(folder + "/empty", f"/proc/{process.pid}/{name}") for name in ("fd", "task")]',
    ],
    ids=["empty folder", "decoy", "only its descriptors"],
)
@pytest.mark.parametrize("words", [(), ("-o", "pool.supportxmr.com:{port}")], ids=["listed", "named in its command line"])
def test_a_hidden_owner_shows_as_a_row_without_pid(flags: tuple[str, ...], cover: str, words: tuple[str, ...]) -> None:
    arguments = ", ".join(f"f{word!r}" for word in words)
    body = f"process = connected({arguments})\n{cover}\nanswer([process.pid, scan(listed={not words})])"
    pid, found = isolated(body, *flags)
    (row,) = found
    assert (row["pid"], row["owner_visible"], row["process_name"], row["cmdline"]) == ("", "0", "", "")
    assert (row["match_type"], row["confidence"]) == ("cmdline" if words else "ip_port", "high")
    assert f"pid {pid} ({os.path.realpath(sys.executable)}: {sys.executable}" in row["evidence"]


@pytest.mark.root
def test_finds_connections_in_every_network_namespace() -> None:
    body = """
    inner, namespace = connected_in_a_namespace()
    answer([inner.pid, namespace, os.stat("/proc/self/ns/net").st_ino, scan()])
    """
    pid, namespace, own, found = isolated(body)
    assert namespace != own
    assert [(row["pid"], row["net_namespace"], row["owner_visible"]) for row in found] == [(str(pid), str(namespace), "1")]


@pytest.mark.root
def test_finds_a_namespace_that_only_a_hidden_process_lives_in() -> None:
    body = """
    inner, namespace = connected_in_a_namespace()
    mount("none", f"/proc/{inner.pid}", "tmpfs", 0)
    answer([inner.pid, namespace, scan()])
    """
    pid, namespace, found = isolated(body, *PID_NAMESPACE)
    assert [(row["pid"], row["owner_visible"], row["net_namespace"]) for row in found] == [("", "0", str(namespace))]
    assert f"pid {pid} " in found[0]["evidence"]


@pytest.mark.root
@needs_readable_repository
def test_an_ordinary_user_is_told_that_owners_are_closed_to_it() -> None:
    body = """
    process = connected()
    os.chmod(folder, 0o755)
    os.chmod(folder + "/pools.txt", 0o644)
    import yaml
    from tables import discover
    from tables.schema import QueryContext
    table = discover()["miner_pool_connections"]
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            host = Host(settings=Settings(indicators=(folder + "/pools.txt",)))
            query = QueryContext()
            rows = [row.to_wire() for row in table.generate(host, query)]
            os.write(writer, json.dumps([rows, query.unseen]).encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    answer(json.loads(os.read(reader, 1 << 16)))
    """
    found, degraded = isolated(body)
    (row,) = [row for row in found if row["match_type"] == "ip_port"]
    assert "pid" not in row and "owner_visible" not in row and row["confidence"] == "high"
    assert "not root" in degraded[0]


@pytest.mark.root
def test_public_addresses_ports_and_cdn_ranges() -> None:
    """In a namespace of its own, public addresses are put on the loopback device and connected to for real."""
    body = """
    kept = []
    for text in ("8.8.4.4", "104.16.1.1", "51.15.65.182"):
        subprocess.run(["ip", "address", "add", text + "/32", "dev", "lo"], check=True)
    remotes = (("8.8.4.4", 3333), ("104.16.1.1", 8443), ("104.16.1.1", 9001), ("8.8.4.4", 443), ("51.15.65.182", 10300))
    for text, remote in remotes:
        listening = socket.create_server((text, remote))
        kept += [listening, socket.create_connection((text, remote))]
    open(folder + "/pools.txt", "w").write("104.16.1.1\\n104.16.1.1:9001\\n")
    host = Host(settings=Settings(indicators=(folder + "/pools.txt",)))
    answer(query("SELECT * FROM miner_pool_connections", host))
    """
    found = isolated(body, *PID_NAMESPACE)
    shown = {
        (row["remote_address"], row["remote_port"]): (row["match_type"], row["confidence"], row["shared_infra"], row["pool"])
        for row in found
        if row["owner_visible"] == "1"
    }
    assert shown == {
        ("8.8.4.4", "3333"): ("port", "low", "", ""),
        ("104.16.1.1", "8443"): ("ip", "low", "cloudflare", ""),
        ("104.16.1.1", "9001"): ("ip_port", "medium", "cloudflare", ""),
        ("51.15.65.182", "10300"): ("ip_port", "high", "", "Nanopool"),
    }


def test_the_command_line_of_a_test_process_is_what_it_seems() -> None:
    """The tests above rest on it: the port must stand in no place where it could be taken for a pool."""
    assert "://" not in " ".join(connect_argv("127.0.0.1", 1)) and struct.calcsize("16sh14x") == 32
