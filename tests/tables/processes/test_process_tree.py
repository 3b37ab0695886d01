"""process_tree tells where processes come from: planted chains, orphans, sessions and hidden parents, and honest twins."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.errors import TableError
from tables.host import Host
from tables.host.disk.mounts import parse_mountinfo
from tables.processes.process_tree import ProcessInTree, parse_uids, process_tree, terminal
from tables.schema import QueryContext
from tests.support.namespaces import run_in_namespaces
from tests.support.planted_programs import SHELL, Planter, copy_shell

SLEEP = "import time; print('ready', flush=True); time.sleep(600)"


def tree(host: Host | None = None) -> dict[int, ProcessInTree]:
    return {row.pid: row for row in process_tree.generate(host or Host(), QueryContext())}


def child_of(pid: int) -> int:
    """The one child of `pid`."""
    for _ in range(100):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if children:
            return int(children[0])
        time.sleep(0.05)
    raise AssertionError(f"{pid} has no child")


def test_a_process_is_shown_with_all_that_is_known_of_it(plant: Planter, tmp_path: Path) -> None:
    pid = plant.python(SLEEP, cwd=tmp_path)
    found = tree()
    row, ours = found[pid], found[os.getpid()]
    assert (row.parent, row.parent_name, row.parent_visible) == (os.getpid(), ours.process_name, 1)
    assert row.ancestry == f"{ours.ancestry} > {row.process_name}({pid})" and row.depth == ours.depth + 1
    assert (row.session_id, row.process_group) == (os.getsid(pid), os.getpgid(pid))
    assert (row.owner_uid, row.effective_uid) == (os.getuid(), os.geteuid())
    assert (row.exe_path, row.cwd) == (os.path.realpath(sys.executable), str(tmp_path))
    assert row.cmdline and "time.sleep(600)" in row.cmdline
    assert abs(row.start_time - time.time()) < 600
    assert (row.is_kernel_thread, row.is_orphan, row.orphaned_from) == (0, 0, None)


def test_shells_are_passed_over_by_the_file_they_run(plant: Planter, tmp_path: Path) -> None:
    shell = plant(SHELL, "-c", f"echo ready; {sys.executable} -c 'import time; time.sleep(600)'; :", argv0="nginx")
    posing = plant(copy_shell(tmp_path / "worker"), "-c", f"echo ready; {sys.executable} -c 'import time; time.sleep(600)'; :")
    below_shell, below_other = child_of(shell), child_of(posing)
    found = tree()
    assert found[below_shell].parent == shell
    assert found[below_shell].first_non_shell_ancestor == found[shell].first_non_shell_ancestor
    assert found[below_other].first_non_shell_ancestor == f"worker({posing})"
    for pid in (below_shell, below_other):
        os.kill(pid, 9)


def test_an_orphan_is_told_by_the_session_it_was_left_in(plant: Planter) -> None:
    code = f"({sys.executable} -c 'import os; os.write(1, str(os.getpid()).encode()); import time; time.sleep(600)' &); read line"
    leader = subprocess.Popen([SHELL, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    orphan = 0
    try:
        assert leader.stdout is not None
        orphan = int(os.read(leader.stdout.fileno(), 20))
        twin = plant.python(SLEEP)
        found = tree()
        row = found[orphan]
        assert (row.is_orphan, row.orphaned_from) == (1, f"{found[leader.pid].process_name}({leader.pid})")
        assert row.parent != leader.pid and row.session_id == leader.pid and row.parent_visible == 1
        assert row.session_leader_name == found[leader.pid].process_name
        assert found[leader.pid].is_orphan == 0, "it began a session of its own, and its parent is alive"
        assert found[twin].is_orphan == 0
    finally:
        if orphan:
            os.kill(orphan, 9)
        leader.kill()
        leader.communicate()


def test_a_session_begun_further_down_makes_no_orphan(plant: Planter) -> None:
    # The shell is in our session, its child in one of its own, and the grandchild in that of the child.
    code = f"import os, subprocess, sys, time\nos.setsid()\nsubprocess.Popen([sys.executable, '-c', {SLEEP!r}]).wait()"
    middle = plant.python(code)
    below = child_of(middle)
    found = tree()
    assert (found[below].session_id, found[below].parent) == (middle, middle)
    assert (found[middle].is_orphan, found[below].is_orphan) == (0, 0)
    os.kill(below, 9)


def test_the_terminal_of_a_login_is_named(plant: Planter) -> None:
    controller, terminal_fd = pty.openpty()
    try:
        name = os.ttyname(terminal_fd)
        code = f"import os; os.setsid(); os.open({name!r}, os.O_RDWR)\n{SLEEP}"
        on_terminal, off = plant.python(code), plant.python(f"import os; os.setsid()\n{SLEEP}")
        found = tree()
        assert found[on_terminal].tty == name.removeprefix("/dev/") and found[off].tty is None
    finally:
        plant.clean()
        plant.started.clear()
        os.close(controller)
        os.close(terminal_fd)


def test_a_name_cannot_forge_an_ancestor(plant: Planter) -> None:
    rename = "ctypes.CDLL(None).prctl(15, b'x(1) > sshd(8)', 0, 0, 0)"
    parent = plant.python(f"import ctypes, subprocess, sys; {rename}; subprocess.Popen([sys.executable, '-c', {SLEEP!r}]).wait()")
    below = child_of(parent)
    found = tree()
    assert found[below].ancestry.startswith(found[os.getpid()].ancestry + f" > x(1) \\x3E sshd(8)({parent}) > ")
    assert found[below].ancestry.count(" > ") == found[below].depth
    assert found[below].parent_name == "x(1) > sshd(8)"
    os.kill(below, 9)


def test_a_zombie_keeps_its_place(plant: Planter) -> None:
    zombie = subprocess.Popen(["sleep", "0"])
    try:
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        row = tree()[zombie.pid]
        assert (row.exe_path, row.cmdline, row.parent) == (None, None, os.getpid())
        assert row.ancestry.endswith(f"sleep({zombie.pid})")
    finally:
        zombie.wait()


def test_kernel_threads_descend_from_kthreadd() -> None:
    kernel = [row for row in tree().values() if row.is_kernel_thread]
    if not kernel:
        pytest.skip("no kernel threads are visible here")
    assert all(row.exe_path is None and row.cmdline is None and not row.is_orphan for row in kernel)
    assert all(row.ancestry.startswith("kthreadd(2)") for row in kernel)
    assert {row.depth for row in kernel} <= {0, 1}


@pytest.mark.root
def test_users_are_told_apart(plant: Planter) -> None:
    pid = plant.python(f"import os; os.setresuid(0, 1234, 0)\n{SLEEP}")
    row = tree()[pid]
    assert (row.owner_uid, row.effective_uid) == (0, 1234)


@pytest.mark.root
def test_the_login_survives_a_change_of_user(plant: Planter) -> None:
    if not Path("/proc/self/loginuid").exists():
        pytest.skip("this kernel records no logins (CONFIG_AUDIT)")
    code = f"import os\nopen('/proc/self/loginuid', 'w').write('4242')\nos.setresuid(33, 33, 33)\n{SLEEP}"
    pid, without = plant.python(code), plant.python(SLEEP)
    found = tree()
    assert (found[pid].login_uid, found[pid].owner_uid) == (4242, 33)
    inherited = int(Path("/proc/self/loginuid").read_text())
    assert found[without].login_uid == (None if inherited == 0xFFFFFFFF else inherited)


HIDE_PARENT = """
parent = start(sys.executable, "-c", "import subprocess, sys; subprocess.Popen(['sleep', '600']).wait()")
while not (children := open(f"/proc/{parent.pid}/task/{parent.pid}/children").read()):
    time.sleep(0.01)
child = int(children)
while open(f"/proc/{child}/comm").read() != "sleep\\n":
    time.sleep(0.01)
HIDE
sql = f"SELECT parent_visible, parent_name, ancestry, parent FROM process_tree WHERE pid IN ({child}, {parent.pid}) ORDER BY pid"
try:
    answer([parent.pid, query(sql)])
finally:
    os.kill(child, 9)
"""


@pytest.mark.root
@pytest.mark.parametrize(
    "hide", ['mount("none", f"/proc/{parent.pid}", "tmpfs", 0)', 'mount(f"/proc/{os.getpid()}", f"/proc/{parent.pid}")']
)
def test_a_parent_that_is_hidden_is_told_and_named(hide: str) -> None:
    pid, (parent, child) = run_in_namespaces(HIDE_PARENT.replace("HIDE", hide))
    assert (child["parent_visible"], child["parent"]) == ("0", str(pid))
    assert f"({pid}) > sleep(" in child["ancestry"] and child["parent_name"]
    assert parent["parent_visible"] == "1", "its own parent is shown"


@pytest.mark.root
def test_nothing_hidden_means_every_parent_is_visible() -> None:
    _, found = run_in_namespaces(HIDE_PARENT.replace("HIDE", "pass"))
    assert [row["parent_visible"] for row in found] == ["1", "1"]
    assert not [row for row in tree().values() if row.parent_visible == 0], "on this host neither"


@pytest.fixture
def scope_and_service() -> Iterator[tuple[Path, Path]]:
    """New cgroups of this machine, named like a login session's scope and like a service."""
    mounts = list(parse_mountinfo(Path("/proc/self/mountinfo").read_bytes()))
    roots = [mount.mount_point for mount in mounts if mount.fs_type == "cgroup2"]
    if not roots:
        pytest.skip("no unified cgroup hierarchy")
    folders = Path(roots[0], f"minehunt-test-{os.getpid()}.scope"), Path(roots[0], f"minehunt-test-{os.getpid()}.service")
    made = []
    try:
        for folder in folders:
            folder.mkdir()
            made.append(folder)
        yield folders
    except PermissionError:
        pytest.skip("cgroups are read-only here")
    finally:
        for folder in made:
            for _ in range(50):
                with contextlib.suppress(OSError):
                    folder.rmdir()
                    break
                time.sleep(0.1)


@pytest.mark.root
def test_orphans_of_scopes_and_services_are_told_by_their_unit(scope_and_service: tuple[Path, Path]) -> None:
    scope, service = scope_and_service
    # Pid 1 of the new namespace stands for systemd: it starts what is in the service, and adopts who has lost a parent.
    body = f"""
    from tables.processes import process_tree as module
    def move(pid, folder):
        open(folder + "/cgroup.procs", "w").write(str(pid))
        time.sleep(0.05)
        return pid
    def orphan():
        code = "import subprocess as s; print(s.Popen(['sh', '-c', 'sleep 600; :'], stdout=-3, start_new_session=True).pid)"
        return int(subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE).stdout)
    def child(pid):
        return int(open(f"/proc/{{pid}}/task/{{pid}}/children").read())
    own = [line for line in open("/proc/self/cgroup") if line.startswith("0::")]
    restarted = "export SYSTEMD_EXEC_PID=$$; exec sleep 600"
    pids = {{
        "in_scope": move(orphan(), {str(scope)!r}),
        "main": move(start("sleep", "600", start_new_session=True).pid, {str(service)!r}),
        "in_service": move(orphan(), {str(service)!r}),
        "restarted": move(start("sh", "-c", restarted, start_new_session=True).pid, {str(service)!r}),
        "nowhere": orphan(),
    }}
    pids["below_it"] = move(child(pids["in_scope"]), {str(scope)!r})
    answers = {{}}
    for seconds in (60, 0):
        module._SETTLED_TICKS = seconds * 100
        sql = "SELECT pid, coalesce(nullif(orphaned_from, ''), '-') o, coalesce(nullif(unit, ''), '-') u FROM process_tree"
        found = {{int(row["pid"]): row for row in query(sql)}}
        answers[seconds] = {{name: [found[pid]["o"], found[pid]["u"]] for name, pid in pids.items()}}
    answer([own, pids, answers])
    """
    own, pids, answers = run_in_namespaces(body, "--pid", "--fork", "--mount-proc")
    if own != ["0::/\n"]:
        pytest.skip("pid 1 is known to be a manager only in the topmost cgroup")
    fresh, settled = answers["60"], answers["0"]
    assert settled["in_scope"] == [scope.name, scope.name]
    assert settled["in_service"] == [f"sleep({pids['main']})", service.name]
    assert settled["restarted"] == ["-", service.name], "systemd says that it started it"
    assert settled["below_it"] == ["-", scope.name], "its parent is the one that started it"
    assert settled["main"] == ["-", service.name] and settled["nowhere"] == ["-", "-"]
    assert fresh["in_service"] == ["-", service.name], "it may be a start or reload command of the unit"


def test_a_mounted_disk_has_no_processes(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="running system"):
        list(process_tree.generate(Host(str(tmp_path)), QueryContext()))


@pytest.mark.parametrize(
    ("number", "name"),
    [(0, None), (0x8800, "pts/0"), (0x8805, "pts/5"), (0x1088FF, "pts/511"), (0x8901, "pts/257"), (0x0401, "tty1"),
     (0x0440, "ttyS0"), (0x0501, "console"), (0xCC40, "204:64"), (-1, "4095:1048575")],
)  # fmt: skip
def test_terminals_have_names(number: int, name: str | None) -> None:
    assert terminal(number) == name


@given(st.integers(-(2**31), 2**32), st.binary(max_size=100))
def test_odd_numbers_and_texts_are_no_errors(number: int, data: bytes) -> None:
    assert terminal(number) != ""
    parse_uids(data)
    parse_uids(b"\nUid:" + data)


def test_user_ids_are_read_from_their_own_line() -> None:
    assert parse_uids(b"Name:\tUid:\t5\nUid:\t1000\t0\t0\t0\nGid:\t1\t1\t1\t1\n") == (1000, 0)
    assert parse_uids(b"Name:\tx\n") == (None, None)
