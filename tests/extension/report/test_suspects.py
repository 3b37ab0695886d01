"""The process tree: suspects among their kin, whatever the rows say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from extension.report.suspects import Forest, Process, forest
from tests.support.made_triage import NOW, made, process


def drawn(found: Forest) -> dict[str, Process]:
    """Every process by pid; each must stand in the trees once."""
    seen: dict[int, Process] = {}

    def walk(one: Process) -> None:
        assert id(one) not in seen
        seen[id(one)] = one
        for child in one.children:
            walk(child)

    for root in found.roots:
        walk(root)
    return {one.pid: one for one in seen.values()}


TREE = [
    process(1, 0, "init"),
    process(10, 1, "sshd"),
    process(11, 10),
    process(12, 11, "x"),
    process(13, 12),
    process(20, 1, "cron"),
]


def test_a_suspect_stands_below_its_ancestors_and_above_its_children() -> None:
    found = forest(made({"process_tree": TREE, "miner_process": [TREE[3]], "busy_suspect": [TREE[3]]}))
    (root,) = found.roots
    assert root.pid == "1" and [one.pid for one in root.children] == ["10"]
    processes = drawn(found)
    assert set(processes) == {"1", "10", "11", "12", "13"}
    assert [result.query.name for result in processes["12"].findings] == ["miner_process", "busy_suspect"]
    assert not processes["13"].findings and processes["12"].children == [processes["13"]]


def test_sockets_and_files_are_told_of_it_once_each() -> None:
    suspect = {**TREE[3], "config_path": "/tmp/config.json", "exe_sha256": "ab"}
    pool = {**TREE[3], "remote_address": "198.51.100.7", "remote_port": "3333", "pool": "P"}
    rows = {
        "process_tree": TREE,
        "miner_process": [suspect],
        "pool_connection": [pool],
        "tcp_connections": [{**pool, "pool": ""}, {"pid": "20", "remote_address": "192.0.2.1", "remote_port": "22"}],
        "open_ports": [{"pid": "12", "address": "::", "port": "5555"}],
        "suspect_program_on_network": [{**TREE[3], "listen_port": "5555", "remote_port": "0"}],
        "startup_of_running_program": [{**TREE[3], "trigger": "at boot", "path": "/etc/rc.local", "line": "3"}],
    }
    one = drawn(forest(made(rows)))["12"]
    assert one.sockets == {("connects", "198.51.100.7:3333"): "P", ("listens", "[::]:5555"): ""}
    assert one.files[("program_file", "/usr/bin/x")] == "sha256 ab" and ("config_file", "/tmp/config.json") in one.files
    assert one.files[("started_by", "/etc/rc.local:3")] == "at boot"


def test_a_hidden_process_hangs_below_the_parent_that_its_finding_names() -> None:
    found = forest(
        made({"process_tree": TREE, "hidden_processes": [process(99, 10, "ghost"), process(98, 97, "x", parent_name="gone")]})
    )
    processes = drawn(found)
    assert processes["99"] in processes["10"].children
    assert processes["97"].facts["process_name"] == "gone" and processes["97"] in found.roots


def test_without_the_evidence_of_step_1_the_findings_are_drawn_all_the_same() -> None:
    assert set(drawn(forest(made({"miner_process": [process(12, 11, "x", parent_name="sh")]})))) == {"11", "12"}


def test_an_earlier_process_with_the_same_pid_is_another_one() -> None:
    found = forest(made({"process_tree": TREE, "miner_process": [{**TREE[3], "start_time": str(NOW - 90000)}, TREE[3]]}))
    twins = [one for root in found.roots for one in _all(root) if one.pid == "12"]
    assert len(twins) == 2 and [len(one.children) for one in sorted(twins, key=lambda one: one.facts["start_time"])] == [0, 1]


def test_findings_without_a_process_and_too_many_suspects() -> None:
    assert forest(made({"miner_process": [{"pid": "-1"}, {"pid": ""}, {"pid": "0"}, {"path": "/x"}]})) == Forest((), 0)
    found = forest(made({"miner_process": [process(pid, 1) for pid in range(2, 150)]}))
    assert found.left_out == 48 and len(drawn(found)) == 101


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=12), st.sets(st.integers(0, 8)))
def test_every_suspect_is_drawn_once_even_where_parents_go_in_circles(tree: list[tuple[int, int]], suspects: set[int]) -> None:
    rows = [process(pid, parent, start_time="5") for pid, parent in tree]
    found = forest(made({"process_tree": rows, "miner_process": [process(pid, 1, start_time="5") for pid in suspects]}))
    assert {str(pid) for pid in suspects if pid} <= set(drawn(found))


def _all(root: Process) -> list[Process]:
    return [root, *(one for child in root.children for one in _all(child))]
