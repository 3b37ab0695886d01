"""Hidden processes are judged like visible ones, and said to be hidden."""

from __future__ import annotations

import shutil
from collections import Counter

import pytest

from extension.engines.embedded import EmbeddedEngine
from tables.host import Host
from tests.support.namespaces import run_in_namespaces

SLEEP = shutil.which("sleep") or "/bin/sleep"
TABLES = ("process_tree", "process_cpu_usage")


@pytest.mark.parametrize("table", TABLES)
def test_nobody_is_hidden_on_an_honest_host(table: str) -> None:
    rows = EmbeddedEngine(Host()).query(f"SELECT is_hidden FROM {table}")
    assert Counter(row["is_hidden"] for row in rows).keys() == {"0"}


@pytest.mark.root
@pytest.mark.parametrize("table", TABLES)
def test_what_a_mount_covers_is_hidden(table: str) -> None:
    body = f"""
    from collections import Counter
    process, other = start("{SLEEP}", "600"), start("{SLEEP}", "600")
    mount("none", f"/proc/{{process.pid}}", "tmpfs", 0)
    found = {{row["pid"]: row["is_hidden"] for row in query("SELECT pid, is_hidden FROM {table}")}}
    answer([found[str(process.pid)], found[str(other.pid)], Counter(found.values())["1"]])
    """
    assert run_in_namespaces(body) == ["1", "0", 1]


# A kernel module that hooks the listing, and nothing else; the pid is in its cgroup's list as ever.
HOOKED = """
from tables.host.processes.procfs import Procfs
process = start("/dev/shm/.minehunt-hidden", "600", executable=shutil.which("sleep"))
entries = Procfs.entries
def hooked(self, folder="."):
    return [entry for entry in entries(self, folder) if entry[0] != b"%d" % process.pid]
Procfs.entries = hooked
"""


@pytest.mark.root
@pytest.mark.parametrize("table", TABLES)
def test_what_only_its_cgroup_lists_is_seen_and_hidden(table: str) -> None:
    sql = f"SELECT process_name, is_hidden FROM {table} WHERE pid = "
    body = f'{HOOKED}\nanswer(query("{sql}" + str(process.pid)))'
    found = run_in_namespaces(body)
    assert found == [{"process_name": "sleep", "is_hidden": "1"}]


@pytest.mark.root
def test_a_hidden_process_is_examined_like_any_other() -> None:
    body = """
    shutil.copy(shutil.which("sleep"), folder + "/.worker")
    from tables.host.processes.procfs import Procfs
    process = start(folder + "/.worker", "600")
    entries = Procfs.entries
    Procfs.entries = lambda self, at=".": [one for one in entries(self, at) if one[0] != b"%d" % process.pid]
    rows = query("SELECT DISTINCT pid, is_hidden FROM process_exe_mismatches WHERE reason = 'hidden_path'")
    answer([process.pid, rows])
    """
    pid, rows = run_in_namespaces(body)
    assert {"pid": str(pid), "is_hidden": "1"} in rows
