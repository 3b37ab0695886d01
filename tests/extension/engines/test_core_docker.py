"""The docker_containers table, asked of an HTTP server at Docker's socket in a mount namespace of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from extension.engines.core.docker import container_row
from extension.engines.embedded import EmbeddedEngine
from tables.host import Host

REPOSITORY = Path(__file__).parents[3]
ID = "0123456789abcdef" * 4
LISTED = {
    "Id": ID, "Names": ["/miner"], "Image": "alpine:3", "ImageID": "sha256:feed", "Command": "/m -o pool", "Created": 1795436638,
    "State": "running", "Status": "Up 2 hours",
}  # fmt: skip
DETAILS = {
    "Path": "/m", "State": {"Pid": 1, "StartedAt": "2026-11-23T12:00:00Z", "FinishedAt": "0001-01-01T00:00:00Z"},
    "Config": {"Entrypoint": ["/m", "-o"], "Env": ["A=1", "B=2"]},
    "HostConfig": {"Privileged": True, "ReadonlyRootfs": False, "SecurityOpt": ["seccomp=unconfined"]},
}  # fmt: skip

PROGRAM = """
import http.server, json, os, socketserver, subprocess, sys, threading
subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
listed, details = json.load(sys.stdin)
details["State"]["Pid"] = os.getpid()
answers = {"/containers/json?all=1": [listed, {**listed, "Id": "gone"}], f"/containers/{listed['Id']}/json": details}

class Docker(http.server.BaseHTTPRequestHandler):
    def address_string(self):
        return "docker"
    def log_message(self, *arguments):
        pass
    def do_GET(self):
        body = json.dumps(answers.get(self.path, {})).encode()
        self.send_response(200 if self.path in answers else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

server = socketserver.ThreadingUnixStreamServer("/run/docker.sock", Docker)
threading.Thread(target=server.serve_forever, daemon=True).start()
from extension.engines.embedded import EmbeddedEngine
from tables.host import Host
host = Host()
engine = EmbeddedEngine(host)
rows = engine.query("SELECT * FROM docker_containers")
first_gaps = host.status.get("docker_containers").degraded
server.shutdown(); server.server_close()
print(json.dumps([rows, os.readlink("/proc/self/ns/net"), first_gaps, engine.query("SELECT * FROM docker_containers"),
                  host.status.get("docker_containers").degraded]))
"""


@pytest.mark.root
def test_docker_containers() -> None:
    done = subprocess.run(
        ["unshare", "--mount", sys.executable, "-c", PROGRAM],
        input=json.dumps([LISTED, DETAILS]), capture_output=True, text=True, check=True, cwd=REPOSITORY,
    )  # fmt: skip
    (row, gone), network, gaps, after, gaps_after = json.loads(done.stdout)
    namespaces = {name: row.pop(name) for name in list(row) if name.endswith("_namespace")}
    assert namespaces["net_namespace"] == network[5:-1] and all(namespaces.values())
    assert row.pop("pid").isdigit()
    assert row == {
        "id": ID, "name": "/miner", "image": "alpine:3", "image_id": "feed", "command": "/m -o pool", "created": "1795436638",
        "state": "running", "status": "Up 2 hours", "path": "/m", "config_entrypoint": "/m, -o",
        "started_at": "2026-11-23T12:00:00Z", "finished_at": "", "privileged": "1", "security_options": "seccomp=unconfined",
        "env_variables": "A=1, B=2", "readonly_rootfs": "0",
    }  # fmt: skip
    # Removed between the list and the question about it.
    assert (gone["id"], gone["pid"], gone["net_namespace"]) == ("gone", "-1", "")
    assert (gaps, after) == ([], [])
    assert "/var/run/docker.sock" in gaps_after[0]


def test_empty_parts_of_an_answer() -> None:
    row = container_row({"Id": "x", "Names": None}, {"Config": None, "HostConfig": {"SecurityOpt": None}})
    assert (row["name"], row["config_entrypoint"], row["security_options"], row["pid"]) == (None, "", "", -1)


@pytest.mark.skipif(Path("/var/run/docker.sock").exists(), reason="Docker runs on this machine")
def test_no_docker_is_no_error() -> None:
    host = Host()
    assert EmbeddedEngine(host).query("SELECT * FROM docker_containers") == []
    assert host.status.get("docker_containers").degraded == ()
