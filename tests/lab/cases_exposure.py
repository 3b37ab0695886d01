"""Services that miners come in by, listening for other hosts: open ones, and the same closed."""

from __future__ import annotations

from typing import Any

from tests.lab.case import case
from tests.lab.namespaces import bring_up_loopback, new_network
from tests.lab.room import Planted, Room

# Of this room's own loopback device.
_OUTSIDE = "198.51.100.7"
_EVERYWHERE = "0.0.0.0"


def serve(room: Room, program: str, address: str, port: int, *arguments: str, **options: Any) -> Planted:
    """A program of this name that listens; each port has a file of its own, because those that run cannot be rewritten."""
    return {"pid": room.listen(address, port, room.program(f"/opt/{port}/{program}"), *arguments, **options)}


def redis(room: Room, port: int, name: str, text: str) -> Planted:
    """A redis-server of a configuration of its own."""
    path = room.write(f"/etc/redis/{name}.conf", f"port {port}\n{text}")
    return serve(room, "redis-server", _OUTSIDE, port, path)


@case(17, exposed_entry_service="pid")
def redis_without_password(room: Room) -> Planted:
    """Redis without a password and without protected mode."""
    return redis(room, 6379, "redis", "bind 0.0.0.0\nprotected-mode no\ndir /var/lib/redis\n")


@redis_without_password.twin
def _(room: Room) -> Planted:
    """Redis whose included file sets a password."""
    room.write("/etc/redis/secret.conf", "requirepass correct-horse-battery-staple\n", 0o600)
    return redis(room, 6380, "closed", "bind 0.0.0.0\nprotected-mode no\ninclude /etc/redis/secret.conf\n")


@case(17, exposed_entry_service="pid")
def redis_told_by_options(room: Room) -> Planted:
    """Redis that its options leave open."""
    return serve(room, "redis-server", _EVERYWHERE, 6390, "--port", "6390", "--protected-mode", "no")


@redis_told_by_options.twin
def _(room: Room) -> Planted:
    """Redis in protected mode, which refuses other hosts, and one for this host only."""
    serve(room, "redis-server", "127.0.0.1", 6392, "--port", "6392", "--protected-mode", "no")
    return serve(room, "redis-server", _EVERYWHERE, 6391, "--port", "6391")


@case(17, database_writes_jobs_or_keys="pid")
def redis_writes_crontabs(room: Room) -> Planted:
    """Redis whose database has been sent to the crontabs (CONFIG SET dir)."""
    room.write("/var/spool/cron/root", b"REDIS0009\xfa\n\n")
    path = room.write("/etc/redis/cron.conf", "port 6393\nrequirepass secret\n")
    return serve(room, "redis-server", _OUTSIDE, 6393, path, cwd="/var/spool/cron")


@redis_writes_crontabs.twin
def _(room: Room) -> Planted:
    """Redis whose database is in its own folder."""
    room.write("/var/lib/redis/dump.rdb")
    path = room.write("/etc/redis/own.conf", "port 6394\nrequirepass secret\ndir /var/lib/redis\n")
    return serve(room, "redis-server", _OUTSIDE, 6394, path, cwd="/var/lib/redis")


@case(17, exposed_entry_service="pid")
def docker_without_tls(room: Room) -> Planted:
    """the Docker API on the network without TLS."""
    return serve(room, "dockerd", _OUTSIDE, 2375, "-H", "fd://", "-H", f"tcp://{_OUTSIDE}:2375")


@docker_without_tls.twin
def _(room: Room) -> Planted:
    """the Docker API that asks for a client certificate, as daemon.json has it."""
    hosts = f'{{\n\t"hosts": ["fd://", "tcp://{_OUTSIDE}:2376"],\n\t"tlsverify": true\n}}\n'
    path = room.write("/etc/docker/verified.json", hosts)
    return serve(room, "dockerd", _OUTSIDE, 2376, "--config-file", path)


@case(17, exposed_entry_service="pid")
def docker_of_daemon_json(room: Room) -> Planted:
    """the Docker API on a port of its own, as daemon.json has it."""
    path = room.write("/etc/docker/open.json", f'{{"hosts": ["tcp://{_OUTSIDE}:4243"]}}\n')
    return serve(room, "dockerd", _OUTSIDE, 4243, "--config-file", path)


@docker_of_daemon_json.twin
def _(room: Room) -> Planted:
    """dockerd listening for the other nodes of its swarm."""
    return serve(room, "dockerd", _OUTSIDE, 2377, "-H", "fd://")


_KUBELET = "kind: KubeletConfiguration\nauthentication:\n  anonymous:\n    enabled: {}\nauthorization:\n  mode: {}\n"


@case(17, exposed_entry_service="pid")
def kubelet_open(room: Room) -> Planted:
    """a kubelet that lets everybody do everything."""
    path = room.write("/var/lib/kubelet/open.yaml", _KUBELET.format("true", "AlwaysAllow"))
    return serve(room, "kubelet", _OUTSIDE, 10250, f"--config={path}")


@kubelet_open.twin
def _(room: Room) -> Planted:
    """a kubelet as kubeadm sets it up."""
    path = room.write("/var/lib/kubelet/config.yaml", _KUBELET.format("false", "Webhook"))
    return serve(room, "kubelet", "203.0.113.9", 10250, f"--config={path}")


@case(17, exposed_entry_service="pid")
def etcd_without_certificates(room: Room) -> Planted:
    """etcd that asks no client for a certificate."""
    url = f"http://{_OUTSIDE}:2379"
    return serve(room, "etcd", _OUTSIDE, 2379, "--listen-client-urls", url)


@etcd_without_certificates.twin
def _(room: Room) -> Planted:
    """etcd of a control plane, told by its environment."""
    environment = {"ETCD_LISTEN_CLIENT_URLS": "https://203.0.113.9:2379", "ETCD_CLIENT_CERT_AUTH": "true"}
    return serve(room, "etcd", "203.0.113.9", 2379, env=environment)


@case(17, exposed_entry_service="pid")
def jupyter_without_token(room: Room) -> Planted:
    """a notebook server with an empty token."""
    words = ("/opt/conda/bin/jupyter-lab", "--ip=0.0.0.0", "--ServerApp.token=", "--allow-root")
    return serve(room, "python3.11", _EVERYWHERE, 8888, *words)


@jupyter_without_token.twin
def _(room: Room) -> Planted:
    """a notebook server with a token, and its kernel."""
    serve(
        room,
        "python3.11",
        _EVERYWHERE,
        8890,
        "-m",
        "ipykernel_launcher",
        "-f",
        "/root/.local/share/jupyter/runtime/kernel-1.json",
    )
    return serve(room, "python3.11", _EVERYWHERE, 8889, "/opt/conda/bin/jupyter-lab", "--ip=0.0.0.0")


def postgres(room: Room, folder: str, port: int, rule: str) -> Planted:
    """A postgres of a data folder of its own."""
    room.write(f"{folder}/postgresql.conf", "listen_addresses = '*'\n")
    room.write(f"{folder}/pg_hba.conf", f"local all all peer\nhost all all 127.0.0.1/32 trust\n{rule}\n")
    return serve(room, "postgres", _EVERYWHERE, port, "-D", folder)


@case(17, exposed_entry_service="pid")
def postgres_trusts_everybody(room: Room) -> Planted:
    """PostgreSQL that trusts every address."""
    return postgres(room, "/var/lib/postgresql/open", 5432, "host all all 0.0.0.0 0.0.0.0 trust")


@postgres_trusts_everybody.twin
def _(room: Room) -> Planted:
    """PostgreSQL that asks other hosts for a password."""
    return postgres(room, "/var/lib/postgresql/main", 5433, "host all all 0.0.0.0/0 scram-sha-256")


def in_network_of_its_own() -> None:
    """Move into a new network namespace that has an address of its own."""
    new_network()
    bring_up_loopback("172.17.0.2")


_MONGOD = """
import os, socket
server = socket.create_server(("0.0.0.0", 27017))
os.set_inheritable(server.fileno(), True)
os.execv("{0}", ["mongod", "--bind_ip_all"])
"""


def mongod_in_container(room: Room, program: str) -> int:
    """A mongod without users in a network namespace of its own; its pid."""
    code = _MONGOD.format(room.program(program))
    pid = room.start("python3", "-c", code, before=in_network_of_its_own)
    room.wait_for(program)
    return pid


@case(17, exposed_entry_service="pid")
def mongodb_published(room: Room) -> Planted:
    """MongoDB without users in a container, its port published to every address."""
    pid = mongod_in_container(room, "/opt/container/mongod")
    to = ("-container-ip", "172.17.0.2", "-container-port", "27017")
    serve(room, "docker-proxy", _EVERYWHERE, 27018, "-proto", "tcp", "-host-ip", _EVERYWHERE, "-host-port", "27018", *to)
    return {"pid": pid}


@mongodb_published.twin
def _(room: Room) -> Planted:
    """the same in a container that nothing is published of."""
    return {"pid": mongod_in_container(room, "/opt/inner/mongod")}


@case(17, exposed_entry_service="pid")
def model_server_without_key(room: Room) -> Planted:
    """a server of models that asks nobody, as Ollama is."""
    return serve(room, "ollama", _EVERYWHERE, 11434, "serve")


@model_server_without_key.twin
def _(room: Room) -> Planted:
    """a server of models that wants a key, and Ollama for this host only."""
    serve(room, "ollama", "127.0.0.1", 11435, "serve")
    return serve(room, "python3.11", _EVERYWHERE, 8000, "/usr/bin/vllm", "serve", "llama", env={"VLLM_API_KEY": "correct-horse"})


@case(17, vulnerable_entry_service="pid")
def next_before_the_patch(room: Room) -> Planted:
    """a Next.js application of a version that runs whatever it is sent (React2Shell)."""
    room.write("/srv/shop/node_modules/next/package.json", '{"name": "next", "version": "15.1.8"}')
    return serve(room, "node", _EVERYWHERE, 3000, "node_modules/next/dist/bin/next", "start", cwd="/srv/shop")


@next_before_the_patch.twin
def _(room: Room) -> Planted:
    """the same of the version after the patch."""
    room.write("/srv/mended/node_modules/next/package.json", '{"name": "next", "version": "15.1.9"}')
    return serve(room, "node", _EVERYWHERE, 3001, "node_modules/next/dist/bin/next", "start", cwd="/srv/mended")
