from __future__ import annotations

import ctypes
import fcntl
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tables.errors import TableError
from tables.host import Host
from tables.processes.process_exe_mismatches import ProcessExeMismatch, process_exe_mismatches
from tables.schema import EQUALS, Constraint, QueryContext
from tests.support.namespaces import run_in_namespaces
from tests.support.planted_programs import PIVOT_ROOT, SHELL, WAIT, Memfd, Planter, container_code, copy_shell, fill_root
from tests.support.scans import unseen_by

ALL_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
# A program in machine code that every host has, and that is no relative of the shell.
CLAIMED = shutil.which("passwd", path="/usr/bin:/bin:/usr/sbin") or "/usr/bin/env"
CLAIMED_NAME = os.path.basename(CLAIMED)
LOADERS = [os.path.realpath(path) for path in sorted(glob.glob("/lib*/ld-linux*"))]
needs_pivot_root = pytest.mark.skipif(PIVOT_ROOT is None, reason="the number of pivot_root is not known on this architecture")


def rows(*pids: int, host: Host | None = None) -> list[ProcessExeMismatch]:
    terms = {"pid": [Constraint(EQUALS, str(pid)) for pid in pids]}
    return list(process_exe_mismatches.generate(host or Host(), QueryContext(terms)))


def reasons(pid: int) -> dict[str, ProcessExeMismatch]:
    found = rows(pid)
    assert all(row.pid == pid for row in found)
    by_reason = {row.reason: row for row in found}
    assert len(by_reason) == len(found), "one row a reason"
    return by_reason


# What must be reported.


def test_a_deleted_program_is_reported_with_all_that_is_known_of_it(plant: Planter, quiet: Path) -> None:
    program = copy_shell(quiet / "worker")
    inode = program.stat().st_ino
    pid = plant(program, cwd=quiet)
    assert not reasons(pid), "in place it is an ordinary program"
    program.unlink()
    row = reasons(pid)["deleted"]
    assert (row.exe_path, row.on_disk, row.exe_inode, row.disk_inode) == (str(program), 0, inode, None)
    assert (row.process_name, row.argv0, row.cmdline) == ("worker", str(program), " ".join([str(program), *WAIT]))
    assert (row.parent, row.owner_uid, row.cwd) == (os.getpid(), os.getuid(), str(quiet))
    assert row.parent_name and row.start_time and row.exe_ctime and row.exe_mtime
    assert row.exception is None


@pytest.mark.skipif(not LOADERS, reason="the dynamic loader is in no usual place")
def test_a_program_run_by_way_of_the_dynamic_loader_is_judged_where_it_lies(quiet: Path) -> None:
    good, bad = copy_shell(quiet / "worker"), copy_shell(Path("/dev/shm/.minehunt-worker"))
    try:
        for options in ((), ("--library-path", "/usr/lib/x86_64-linux-gnu")):
            for program, expected in ((good, set()), (bad, {"writable_dir", "hidden_path"})):
                command = [LOADERS[0], *options, str(program), "-c", "echo runs; read x"]
                process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                try:
                    assert process.stdout is not None and process.stdout.readline() == b"runs\n"
                    found = reasons(process.pid)
                    assert set(found) == expected
                    assert all(f"{bad}" in row.evidence and LOADERS[0] in row.evidence for row in found.values())
                finally:
                    process.kill()
                    process.wait()
    finally:
        bad.unlink()


def test_a_release_that_was_replaced_under_its_service(plant: Planter, quiet: Path) -> None:
    for name in ("first", "second"):
        copy_shell(quiet / f"releases/{name}/bin/app")
    pid = plant(quiet / "releases/first/bin/app")
    shutil.rmtree(quiet / "releases/first")
    assert reasons(pid)["deleted"].exception is None, "no release is current"
    (quiet / "current").symlink_to("releases/second")
    assert reasons(pid)["deleted"].exception == "release replaced"
    (quiet / "releases/second/bin/app").write_text("#!/bin/sh\n")
    assert reasons(pid)["deleted"].exception is None, "the current one has another program there"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("jvm/java-17-openjdk-17.0.9.0.9-2.el9.x86_64/bin/java", "jvm/java-17-openjdk-17.0.10.0.7-1.el9.x86_64/bin/java"),
        ("share/claude/versions/1.0.100", "share/claude/versions/1.0.101"),
        ("node/v18.1/bin/node", "node/v20/bin/node"),
    ],
)
def test_a_version_that_was_renewed_under_its_user(plant: Planter, quiet: Path, old: str, new: str) -> None:
    pid = plant(copy_shell(quiet / old))
    (quiet / old).unlink()
    assert reasons(pid)["deleted"].exception is None, "no other is there"
    copy_shell(quiet / new).chmod(0o777)
    assert reasons(pid)["deleted"].exception is None, "others may have put it there"
    (quiet / new).chmod(0o755)
    assert reasons(pid)["deleted"].exception == "release replaced"
    (quiet / new).write_text("#!/bin/sh\n")
    assert reasons(pid)["deleted"].exception is None, "it is no program"


def test_a_hidden_programs_namesake_excuses_nothing(plant: Planter, quiet: Path) -> None:
    pid = plant(copy_shell(quiet / ".x/1/worker"))
    copy_shell(quiet / ".x/2/worker")
    (quiet / ".x/1/worker").unlink()
    assert reasons(pid)["deleted"].exception is None


def test_a_deleted_program_with_another_name_left_is_deleted_where_it_ran(plant: Planter, quiet: Path) -> None:
    program = copy_shell(quiet / "worker")
    pid = plant(program)
    os.link(program, quiet / "other")
    program.unlink()
    assert "1 names left" in reasons(pid)["deleted"].evidence


def test_a_program_deleted_and_put_back_is_replaced(plant: Planter, quiet: Path) -> None:
    program = copy_shell(quiet / "worker")
    pid = plant(program)
    program.unlink()
    (quiet / "keeps the inode number taken").touch()
    copy_shell(program)
    found = reasons(pid)
    assert set(found) == {"deleted_replaced"}
    row = found["deleted_replaced"]
    assert (row.on_disk, row.disk_inode) == (1, program.stat().st_ino)
    assert row.exe_inode != row.disk_inode
    assert row.exception is None, "no package puts programs there"


@pytest.mark.root
def test_only_a_sound_file_in_a_package_folder_counts_as_an_upgrade() -> None:
    found = run_in_namespaces(f"""
        mount("none", "/usr/games", "tmpfs", 0)
        answers = []
        for mode in (0o755, 0o777):
            shutil.copy({SHELL!r}, "/usr/games/worker")
            pid = start("/usr/games/worker", "-c", "kill -STOP $$").pid
            shutil.copy({SHELL!r}, "/usr/games/new")
            os.chmod("/usr/games/new", mode)
            os.rename("/usr/games/new", "/usr/games/worker")
            sql = "SELECT reason, iif(exception = '', 'none', exception) AS excuse FROM process_exe_mismatches WHERE pid = "
            answers.append([tuple(row.values()) for row in query(sql + str(pid))])
        answer(answers)
    """)
    assert found == [[["deleted_replaced", "package upgrade"]], [["deleted_replaced", "none"]]]


@pytest.mark.parametrize("seals", [0, ALL_SEALS & ~fcntl.F_SEAL_WRITE, fcntl.F_SEAL_WRITE])
def test_a_memfd_that_can_still_be_changed_has_no_exception(plant: Planter, seals: int) -> None:
    row = reasons(plant.python(Memfd("runc_cloned:/proc/self/exe", seals).code))["memfd"]
    assert row.exception is None
    assert "memfd `runc_cloned:/proc/self/exe`" in row.evidence
    assert ("not sealed" in row.evidence) == (not seals)


def test_a_fully_sealed_memfd_has_one_and_is_still_reported(plant: Planter) -> None:
    found = reasons(plant.python(Memfd("own copy", ALL_SEALS).code))
    assert {reason: row.exception for reason, row in found.items()} == {"memfd": "sealed memfd"}
    assert "sealed against grow, seal, shrink, write, holds no socket" in found["memfd"].evidence


def test_a_sealed_copy_that_a_container_runtime_started_is_the_runtimes(plant: Planter, quiet: Path) -> None:
    runtime = copy_shell(quiet / "containerd-shim")
    code = Memfd("runc_cloned:/proc/self/exe", ALL_SEALS).code
    script = 'exec 3<&0; "$0" -c "$1" <&3 & echo $! >pid; wait'
    plant(runtime, "-c", script, os.path.realpath(sys.executable), code, cwd=quiet)
    assert reasons(int((quiet / "pid").read_text()))["memfd"].exception == "container runtime"


def test_a_memfd_with_a_socket_says_so(plant: Planter) -> None:
    code = "import socket; s = socket.socket(); s.set_inheritable(True)\n" + Memfd("m", 0).code
    assert "holds sockets" in reasons(plant.python(code))["memfd"].evidence


@pytest.mark.parametrize("argv0", ["[kworker/0:1]", "[kworker/u16:3-events_unbound]", "kworker/0:1", "[anything]", "kswapd0"])
def test_argv0_of_a_kernel_thread(plant: Planter, quiet: Path, argv0: str) -> None:
    row = reasons(plant(copy_shell(quiet / "worker"), argv0=argv0))["kernel_thread_masquerade"]
    assert f"argv[0] `{argv0}`" in row.evidence
    assert row.argv0 == argv0
    assert row.exception is None


@pytest.mark.parametrize(
    "comm", ["kworker/0:1", "[kworker/u16:3-e", "rcu_tasks_kthre", "ksoftirqd/0", "scsi_eh_0", "jbd2/sda1-8"]
)
def test_comm_of_a_kernel_thread(plant: Planter, comm: str) -> None:
    code = f"import ctypes, sys; ctypes.CDLL(None).prctl(15, {comm.encode()!r}); print('ready', flush=True); sys.stdin.read()"
    row = reasons(plant.python(code))["kernel_thread_masquerade"]
    assert row.process_name == comm[:15]
    assert "PF_KTHREAD is off" in row.evidence


def test_a_leader_that_ended_does_not_hide_its_threads(plant: Planter, quiet: Path) -> None:
    program = copy_shell(quiet / "ld")
    exit_number = {"x86_64": 60, "aarch64": 93}.get(os.uname().machine)
    if exit_number is None:
        pytest.skip("the number of exit is not known on this architecture")
    program.unlink()
    code = f"""
import ctypes, sys, threading
libc = ctypes.CDLL(None)
libc.prctl(15, b"kworker/0:1")
leader = int(open("/proc/self/stat").read().split()[0])
def live():
    while open(f"/proc/{{leader}}/stat").read().rpartition(")")[2].split()[0] != "Z":
        pass
    print("ready", flush=True)
    sys.stdin.read()
threading.Thread(target=live).start()
libc.syscall({exit_number}, 0)
"""
    pid = plant.python(code)
    assert Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    row = reasons(pid)["kernel_thread_masquerade"]
    assert (row.pid, row.exe_path) == (pid, os.path.realpath(sys.executable))


@pytest.mark.parametrize("folder", ["/dev/shm", "/tmp", "/var/tmp"])
def test_a_program_in_a_folder_that_all_may_write(plant: Planter, folder: str) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        row = reasons(plant(copy_shell(Path(scratch) / "worker")))["writable_dir"]
    assert row.exception is None
    assert folder in row.evidence


@pytest.mark.parametrize("name", [".x/worker", "...", " /worker", "deeper/.hidden/worker", "new\nline"])
def test_a_program_at_a_hidden_path(plant: Planter, quiet: Path, name: str) -> None:
    found = reasons(plant(copy_shell(quiet / name), argv0="worker"))
    assert set(found) == {"hidden_path"}
    assert found["hidden_path"].exception is None


@pytest.mark.parametrize("argv0", [CLAIMED, CLAIMED_NAME, f"{CLAIMED} -D --opt", f"{CLAIMED_NAME}: listener", f"-{CLAIMED_NAME}"])
def test_argv0_of_another_installed_program(plant: Planter, quiet: Path, argv0: str) -> None:
    row = reasons(plant(copy_shell(quiet / "worker"), argv0=argv0))["name_mismatch"]
    assert "argv[0] claims" in row.evidence and CLAIMED_NAME in row.evidence
    assert row.exception is None


def test_argv0_of_a_program_that_is_not_installed(plant: Planter, quiet: Path) -> None:
    row = reasons(plant(copy_shell(quiet / "worker"), argv0="/usr/sbin/minehunt-no-such-daemon"))["name_mismatch"]
    assert "does not exist" in row.evidence


def test_a_login_shell_that_is_none(plant: Planter, quiet: Path) -> None:
    assert "name_mismatch" in reasons(plant(copy_shell(quiet / "worker"), argv0="-bash"))


def test_comm_of_another_installed_program(plant: Planter, quiet: Path) -> None:
    (quiet / "bin").mkdir()
    link = quiet / "bin" / CLAIMED_NAME
    link.symlink_to(copy_shell(quiet / "worker"))
    row = reasons(plant(link, argv0="./worker"))["name_mismatch"]
    assert "comm claims" in row.evidence


def test_an_interpreter_posing_as_a_daemon(plant: Planter) -> None:
    code = "import sys; print('ready', flush=True); sys.stdin.read()"
    pid = plant.python(code, argv0=CLAIMED, env={"PYTHONHOME": sys.base_prefix})
    assert "name_mismatch" in reasons(pid)


@pytest.mark.parametrize(
    "argv0",
    [
        "(sd-pam)",
        "(systemd)",
        "(udev-worker)",
        "sshd: root@pts/0",
        "sshd-session: kim [priv]",
        "nginx: worker process",
        "php-fpm: pool www",
        "postgres: checkpointer ",
        "/usr/libexec/dbus-daemon --system --nofork",
        "systemd-logind",
        "crond",
        "redis-server 127.0.0.1:6379",
    ],
)
def test_a_title_is_its_programs_whether_or_not_that_is_installed(plant: Planter, quiet: Path, argv0: str) -> None:
    assert "name_mismatch" in reasons(plant(copy_shell(quiet / "java"), argv0=argv0))


@pytest.mark.parametrize("comm", ["sshd", "nginx", "systemd-journal", "dbus-daemon", "-bash"])
def test_comm_of_a_daemon_on_an_interpreter(plant: Planter, comm: str) -> None:
    code = f"import ctypes, sys; ctypes.CDLL(None).prctl(15, {comm.encode()!r}); print('ready', flush=True); sys.stdin.read()"
    assert f"comm `{comm}`" in reasons(plant.python(code))["name_mismatch"].evidence


def test_a_script_named_as_no_script_is(plant: Planter, quiet: Path) -> None:
    for name, is_odd in (("sshd", True), ("nginx", False), ("backup", False)):
        script = quiet / "scripts" / name
        script.parent.mkdir(exist_ok=True)
        script.write_text("#!/bin/sh\necho ready\nread line\n")
        script.chmod(0o755)
        assert ("name_mismatch" in reasons(plant(script))) == is_odd


def test_a_file_named_as_a_login_shell(plant: Planter, quiet: Path) -> None:
    pid = plant(copy_shell(quiet / "-bash"), argv0="./-bash")
    assert "the file's name `-bash`" in reasons(pid)["name_mismatch"].evidence


@pytest.mark.root
def test_a_file_mounted_over_the_running_one_in_a_namespace_of_its_own(plant: Planter, quiet: Path) -> None:
    program = copy_shell(quiet / "worker")
    decoy = copy_shell(quiet / "decoy")
    twin = plant(program)
    pid = plant(shutil.which("unshare") or "unshare", "--mount", "--propagation", "private", str(program), *WAIT)
    assert not reasons(pid)
    subprocess.run(["nsenter", "-t", str(pid), "-m", "mount", "--bind", decoy, program], check=True)
    row = reasons(pid)["inode_mismatch"]
    assert (row.on_disk, row.exe_inode, row.disk_inode) == (1, program.stat().st_ino, decoy.stat().st_ino)
    assert not reasons(twin), "outside the namespace nothing is mounted there"


@needs_pivot_root
@pytest.mark.root
def test_a_container_is_judged_inside_its_own_root(plant: Planter, quiet: Path) -> None:
    fill_root(quiet, "/usr/bin/env")
    copy_shell(quiet / "usr/sbin/minehunt-daemon")
    claims = container_code(quiet, "/usr/bin/env", "/usr/sbin/minehunt-daemon")
    assert "/usr/sbin/minehunt-daemon" in reasons(plant.python(claims))["name_mismatch"].evidence
    pid = plant.python(container_code(quiet, "/usr/bin/env", "env"))
    (quiet / "usr/bin/env").unlink()
    row = reasons(pid)["deleted"]
    assert (row.exe_path, row.on_disk) == ("/usr/bin/env", 0)


@pytest.fixture
def image(quiet: Path) -> Path:
    """A folder with an image, a writable layer, and the place where a container of it has its root folder."""
    for name in ("image", "upper", "work", "root"):
        (quiet / name).mkdir()
    fill_root(quiet / "image", "/usr/bin/service")
    return quiet


def in_container(image: Path, program: str) -> str:
    layers = f"lowerdir={image}/image,upperdir={image}/upper,workdir={image}/work"
    return container_code(image / "root", program, program, layers)


@needs_pivot_root
@pytest.mark.root
def test_a_program_that_was_put_into_a_running_container_is_not_of_its_image(plant: Planter, image: Path) -> None:
    copy_shell(image / "upper/usr/local/bin/dropped")
    pid = plant.python(in_container(image, "/usr/local/bin/dropped"))
    assert f"/usr/local/bin/dropped, which is not of the container's image but in {image}/upper" in (
        reasons(pid)["not_from_image"].evidence
    )


@needs_pivot_root
@pytest.mark.root
def test_a_program_of_the_image_is_none_that_was_put_there_however_it_was_touched(plant: Planter, image: Path) -> None:
    assert not reasons(plant.python(in_container(image, "/usr/bin/service")))
    # As overlayfs copies up for chmod(2).
    shutil.copy2(image / "image/usr/bin/service", image / "upper/service")
    (image / "upper/usr/bin").mkdir(parents=True)
    (image / "upper/service").rename(image / "upper/usr/bin/service")
    assert not reasons(plant.python(in_container(image, "/usr/bin/service")))
    os.utime(image / "upper/usr/bin/service", (1, 1))
    assert "not_from_image" in reasons(plant.python(in_container(image, "/usr/bin/service")))


@needs_pivot_root
@pytest.mark.root
def test_what_was_put_there_and_deleted_is_told_from_what_the_image_had(plant: Planter, image: Path) -> None:
    copy_shell(image / "upper/dropped")
    dropped, own = (plant.python(in_container(image, program)) for program in ("/dropped", "/usr/bin/service"))
    for pid, path in ((dropped, "dropped"), (own, "usr/bin/service")):
        os.unlink(f"/proc/{pid}/root/{path}")
    assert set(reasons(dropped)) == {"deleted", "not_from_image"}
    assert set(reasons(own)) == {"deleted"}


@needs_pivot_root
@pytest.mark.root
def test_a_layer_that_is_out_of_reach_is_told(plant: Planter, image: Path) -> None:
    plant.python(in_container(image, "/usr/bin/service"))
    (image / "upper").rename(image / "gone")
    assert any(f"{image}/upper is out of reach" in why for why in unseen_by(process_exe_mismatches, Host()))


# What must stay silent.


def test_ordinary_names_are_silent(plant: Planter, quiet: Path) -> None:
    worker = copy_shell(quiet / "worker")
    copy_shell(quiet / "cron")
    (quiet / "bin").mkdir()
    (quiet / "bin" / CLAIMED_NAME).symlink_to(worker)
    (quiet / "variant").mkdir()
    script = quiet / "scripts" / CLAIMED_NAME
    script.parent.mkdir()
    script.write_text("#!/bin/sh\necho ready\nread line\n")
    script.chmod(0o755)
    pids = [
        plant("/bin/sh"),
        plant("/bin/sh", argv0="sh"),
        plant(worker, argv0="worker: idle"),
        plant(worker, argv0="./worker"),
        plant(worker, argv0="(worker)"),
        plant(worker, argv0="[worker pid=1]"),
        plant(worker, argv0="[lxc monitor] /var/lib/lxc web"),
        plant(worker, argv0="no such program: anything"),
        plant(worker, argv0="/proc/self/exe"),
        plant(worker, argv0=""),
        plant(worker, argv0=b"\xff\xfe\x1b[2J"),
        plant(quiet / "cron", argv0="/usr/sbin/CRON"),
        plant(copy_shell(quiet / "sbin/sshd-session"), argv0="sshd: root@pts/0"),
        plant(copy_shell(quiet / "sbin/php-fpm8.2"), argv0="php-fpm: pool www"),
        plant(copy_shell(quiet / "sbin/nginx"), argv0="nginx: worker process"),
        plant(copy_shell(quiet / "sbin/redis-check-rdb"), argv0="redis-server 127.0.0.1:6379"),
        plant(copy_shell(quiet / "sbin/systemd-journald")),
        plant(worker, argv0="(squid-1)"),
        plant(worker, argv0="nginx-exporter: http://127.0.0.1/status"),
        plant(worker, argv0="dovecot/imap"),
        plant(copy_shell(quiet / "kdevtmpfsi")),
        plant(copy_shell(quiet / "variant" / f"{CLAIMED_NAME}-2.1"), argv0=CLAIMED_NAME),
        plant(copy_shell(quiet / "variant" / CLAIMED_NAME), argv0=f"{CLAIMED_NAME}: worker 1"),
        plant(quiet / "bin" / CLAIMED_NAME, argv0=CLAIMED_NAME, env={"PATH": f"/usr/bin:{quiet}/bin"}),
        plant(script),
    ]
    if shutil.which("bash"):
        pids.append(plant(shutil.which("bash") or "", argv0="-bash"))
    if shutil.which("busybox"):
        pids.append(plant(shutil.which("busybox") or "", argv0="ash"))
    assert not rows(*pids)


def test_an_interpreter_is_no_oddity(plant: Planter) -> None:
    found = reasons(plant.python("import sys; print('ready', flush=True); sys.stdin.read()"))
    # Under a version manager's folder the path is hidden, and explained.
    assert {row.exception for row in found.values()} <= {"developer tool folder"}
    assert set(found) <= {"hidden_path"}


def test_threads_may_be_called_anything(plant: Planter) -> None:
    code = """
import ctypes, sys, threading
def thread():
    ctypes.CDLL(None).prctl(15, b"kworker/0:1")
    print("ready", flush=True)
    sys.stdin.read()
threading.Thread(target=thread).start()
"""
    pid = plant.python(code)
    tids = [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    assert "kworker/0:1" in {Path(f"/proc/{tid}/comm").read_text().strip() for tid in tids}
    assert "kernel_thread_masquerade" not in {row.reason for row in rows(*tids)}


def test_a_zombie_has_no_program(plant: Planter) -> None:
    code = """
import ctypes, os, sys
pid = os.fork()
if not pid:
    ctypes.CDLL(None).prctl(15, b"kworker/0:1")
    os._exit(0)
os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
print("ready", flush=True)
sys.stdin.read()
"""
    parent = plant.python(code)
    zombie = int(Path(f"/proc/{parent}/task/{parent}/children").read_text())
    assert "Z" in Path(f"/proc/{zombie}/stat").read_text()
    assert not rows(zombie)


def test_a_program_whose_name_ends_as_the_kernel_marks_deletion(plant: Planter, quiet: Path) -> None:
    program = copy_shell(quiet / "worker (deleted)")
    pid = plant(program)
    assert not reasons(pid)
    program.unlink()
    assert reasons(pid)["deleted"].exe_path == str(program)


def test_a_program_moved_away_is_where_the_kernel_says(plant: Planter, quiet: Path) -> None:
    program = copy_shell(quiet / "worker")
    pid = plant(program)
    program.rename(quiet / "moved")
    assert not reasons(pid)


@pytest.mark.root
def test_a_chroot_is_silent_until_its_program_is_deleted(plant: Planter, quiet: Path) -> None:
    fill_root(quiet, "/bin/worker")
    pid = plant(shutil.which("chroot") or "chroot", str(quiet), "/bin/worker", *WAIT)
    assert not reasons(pid)
    (quiet / "bin/worker").unlink()
    row = reasons(pid)["deleted"]
    assert row.exe_path == f"{quiet}/bin/worker"
    assert "at /bin/worker now" in row.evidence


@pytest.mark.root
def test_a_daemon_that_moved_into_an_empty_root_is_silent(plant: Planter, quiet: Path) -> None:
    code = f"import os, sys; os.chroot({str(quiet)!r}); print('ready', flush=True); sys.stdin.read()"
    assert set(reasons(plant.python(code))) <= {"hidden_path"}


@needs_pivot_root
@pytest.mark.root
def test_a_container_whose_paths_mean_other_files_here_is_silent(plant: Planter, quiet: Path) -> None:
    fill_root(quiet, "/usr/bin/env")
    (quiet / "usr/sbin").mkdir()
    (quiet / "usr/sbin/daemon").symlink_to("/usr/bin/env")
    assert os.path.exists("/usr/bin/env"), "the host has another file there"
    for argv0 in ("/usr/bin/env", "/usr/sbin/daemon", CLAIMED_NAME):
        assert not reasons(plant.python(container_code(quiet, "/usr/bin/env", argv0)))


@needs_pivot_root
@pytest.mark.root
def test_a_process_that_entered_a_container_is_not_mistaken_for_a_file_in_it(plant: Planter, quiet: Path) -> None:
    fill_root(quiet, "/bin/worker")
    copy_shell(Path(f"{quiet}{os.path.realpath(sys.executable)}"))
    container = plant.python(container_code(quiet, "/bin/worker", "worker"))
    code = f"""
import ctypes, os, sys
assert not ctypes.CDLL(None).setns(os.open("/proc/{container}/ns/mnt", os.O_RDONLY), 0)
print("ready", flush=True)
sys.stdin.read()
"""
    assert set(reasons(plant.python(code))) <= {"hidden_path"}


@pytest.mark.root
def test_explained_places_in_a_private_mount_namespace() -> None:
    found = run_in_namespaces(f"""
        mount("none", "/home", "tmpfs", 0)
        mount("none", "/usr/local/bin", "tmpfs", 0)
        open("/usr/local/bin/wrapped", "w").write("#!/bin/sh\\nexec -a wrapped /home/dev/worker\\n")
        pids = {{}}
        names = (".cargo/bin/tool", ".cargo/bin/.x/tool", "sub/.cargo/t", "worker", ".local/share/next", ".local/share/Steam/g")
        for name in names:
            name = "/home/dev/" + name
            os.makedirs(os.path.dirname(name), exist_ok=True)
            shutil.copy({SHELL!r}, name)
            pids[start("wrapped", "-c", "kill -STOP $$", executable=name).pid] = name
        sql = "SELECT pid, reason, iif(exception = '', 'none', exception) AS excuse FROM process_exe_mismatches WHERE pid IN (%s)"
        answer([[pids[int(row["pid"])], row["reason"], row["excuse"]] for row in query(sql % ",".join(map(str, pids)))])
    """)
    assert sorted(found, key=str) == [
        ["/home/dev/.cargo/bin/.x/tool", "hidden_path", "none"],
        ["/home/dev/.cargo/bin/tool", "hidden_path", "developer tool folder"],
        ["/home/dev/.local/share/Steam/g", "hidden_path", "developer tool folder"],
        ["/home/dev/.local/share/next", "hidden_path", "folder of a user's own programs"],
        ["/home/dev/sub/.cargo/t", "hidden_path", "none"],
    ]


@pytest.mark.root
def test_programs_where_data_is_kept_or_served_in_a_private_mount_namespace() -> None:
    found = run_in_namespaces(f"""
        for folder in ("/var/lib", "/var/log", "/var/spool", "/srv", "/opt"):
            mount("none", folder, "tmpfs", 0)
        pids = {{}}
        paths = ["/var/lib/postgresql/15/main/x", "/var/lib/app/x", "/srv/site/wp-content/uploads/2026/x",
            "/srv/www/app/node_modules/esbuild/x", "/srv/www/html/x", "/srv/www/html/other", "/opt/tomcat9/webapps/ROOT/x",
            "/opt/tomcat9/bin/x", "/var/spool/postfix/x", "/var/log/x"]
        for path in paths:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            shutil.copy({SHELL!r}, path)
            os.chown(path, 1 if path.endswith("other") else 0, 0)
            pids[start(path, "-c", "kill -STOP $$", executable=path).pid] = path
        sql = "SELECT pid, reason FROM process_exe_mismatches WHERE pid IN (%s)"
        answer([[pids[int(row["pid"])], row["reason"]] for row in query(sql % ",".join(map(str, pids)))])
    """)
    assert sorted(found) == [
        ["/opt/tomcat9/webapps/ROOT/x", "data_dir"],
        ["/srv/site/wp-content/uploads/2026/x", "data_dir"],
        ["/srv/www/html/x", "served_dir"],
        ["/var/lib/postgresql/15/main/x", "data_dir"],
        ["/var/log/x", "data_dir"],
        ["/var/spool/postfix/x", "data_dir"],
    ]


def test_a_mount_point_alone_makes_no_appimage(plant: Planter) -> None:
    with tempfile.TemporaryDirectory(prefix=".mount_", dir="/tmp") as scratch:
        found = reasons(plant(copy_shell(Path(scratch) / "AppRun")))
    assert {row.exception for row in found.values()} == {None}
    assert {"writable_dir", "hidden_path"} <= set(found)


def test_programs_that_follow_each_other_in_one_process_are_not_mixed_up(quiet: Path) -> None:
    loops = (
        "while :; do sh -c 'sh -c : | cat'; done",
        "while :; do (exec sh -c 'exec env true'); done",
        "while :; do tar --version; env sh -c :; done",
    )
    storm = [
        subprocess.Popen(["sh", "-c", loop], cwd=quiet, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for loop in loops
    ]
    host = Host()
    try:
        found = [
            row for _ in range(100) for row in process_exe_mismatches.generate(host, QueryContext()) if row.cwd == str(quiet)
        ]
    finally:
        for process in storm:
            process.kill()
        for process in storm:
            process.wait()
    assert found == []


# Scope, rights and failures.


def test_nothing_on_this_host_is_unexplained() -> None:
    def is_planted(pid: int) -> bool:
        try:
            return b"PYTEST_CURRENT_TEST=" in Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return False

    found = list(process_exe_mismatches.generate(Host(), QueryContext()))
    assert [row for row in found if row.exception is None and not is_planted(row.pid)] == []
    assert not [row for row in found if row.parent == 2]


def test_a_full_scan_finds_what_a_query_by_pid_finds(plant: Planter, quiet: Path) -> None:
    pid = plant(copy_shell(quiet / ".x"), argv0="[kworker/0:1]")
    full = [row for row in process_exe_mismatches.generate(Host(), QueryContext()) if row.pid == pid]
    assert full == rows(pid)
    assert {row.reason for row in full} == {"hidden_path", "kernel_thread_masquerade"}


def test_pids_that_are_none(plant: Planter) -> None:
    assert rows(0, -1, 1 << 40) == []


def test_this_process_is_left_out_by_identity(quiet: Path) -> None:
    libc = ctypes.CDLL(None)
    name = Path("/proc/self/comm").read_bytes().strip()
    try:
        libc.prctl(15, b"kworker/0:1")
        assert "kernel_thread_masquerade" not in {row.reason for row in rows(os.getpid())}
    finally:
        libc.prctl(15, name)


def test_a_mounted_disk_has_no_processes(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    with pytest.raises(TableError, match="running system only"):
        list(process_exe_mismatches.generate(Host(str(tmp_path)), QueryContext()))


@pytest.mark.root
def test_without_root_the_blind_spot_is_named(plant: Planter, quiet: Path) -> None:
    pid = plant(copy_shell(quiet / "worker"), argv0="[kworker/0:1]")
    receive, send = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            host = Host()
            found = [row for row in process_exe_mismatches.generate(host, QueryContext()) if row.pid in (1, pid)]
            answer = [[(row.pid, row.reason, row.exe_path) for row in found], unseen_by(process_exe_mismatches, host)]
        except BaseException as error:
            answer = [repr(error), []]
        os.write(send, json.dumps(answer).encode())
        os._exit(0)
    os.close(send)
    with open(receive, "rb") as stream:
        found, degraded = json.load(stream)
    os.waitpid(child, 0)
    assert found == [[pid, "kernel_thread_masquerade", None]]
    assert "not root" in degraded[0]


@pytest.mark.root
def test_root_that_may_not_look_says_so_in_a_row(plant: Planter) -> None:
    pid = plant("/bin/sh")
    code = f"""
import json, sys
sys.path.insert(0, {str(Path(__file__).resolve().parents[3])!r})
from tables.host import Host
from tables.processes.process_exe_mismatches import process_exe_mismatches
from tables.schema import QueryContext
host = Host()
rows = process_exe_mismatches.generate(host, QueryContext())
print(json.dumps([host.is_root, [[row.reason, row.exception] for row in rows if row.pid == {pid}]]))
"""
    result = subprocess.run(
        ["unshare", "--user", "--map-root-user", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    if result.returncode and "unshare" in result.stderr:
        pytest.skip(f"no user namespaces here: {result.stderr.strip()}")
    assert json.loads(result.stdout) == [True, [["exe_unreadable", "not dumpable or protected: EACCES"]]], result.stderr
