"""The line of ancestors: right for long chains, for cycles and reused pids, and not to be forged by names."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.host import Host
from tables.host.processes.ancestry import ProcessTree, label
from tables.host.processes.procfs import Procfs, ProcStat


def stat(pid: int, ppid: int, comm: bytes = b"sh", start: int = 100) -> ProcStat:
    return ProcStat(pid, comm, "S", ppid, pid, pid, 0, 0, 0, 0, 0, 0, 0, 1, start, 4096)


@pytest.fixture
def empty(tmp_path: object) -> Procfs:
    """A folder without processes: only what a test puts into the tree is known."""
    return Procfs.open(str(tmp_path))


def tree_of(procfs: Procfs, *stats: ProcStat) -> ProcessTree:
    tree = ProcessTree(procfs)
    tree._stats = {each.pid: each for each in stats}
    return tree


def test_our_own_ancestors_are_those_that_the_kernel_names() -> None:
    tree = ProcessTree.take(Host().truth)
    me = tree.get(os.getpid())
    assert me is not None
    parent = tree.parent(me)
    assert parent is not None and parent.pid == os.getppid()
    assert tree.ancestry(me).endswith(f"{label(parent)} > {label(me)}")
    assert tree.depth(me) == len(list(tree.ancestors(me))) == tree.ancestry(me).count(" > ")
    assert tree.is_ancestor(os.getppid(), of=me) and not tree.is_ancestor(os.getpid(), of=me)


def test_a_tree_read_piece_by_piece_says_the_same() -> None:
    whole, lazy = ProcessTree.take(Host().truth), ProcessTree(Host().truth)
    ours, same = whole.get(os.getpid()), lazy.get(os.getpid())
    assert ours is not None and same is not None
    assert whole.ancestry(ours) == lazy.ancestry(same)


def test_a_process_that_is_not_there_has_no_entry() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    assert ProcessTree(Host().truth).get(child.pid) is None
    assert ProcessTree(Host().truth).get(0) is None and ProcessTree(Host().truth).get(-1) is None


def test_an_unreadable_parent_begins_the_line(empty: Procfs) -> None:
    child = stat(900, 812)
    assert tree_of(empty, child).ancestry(child) == "?(812) > sh(900)"
    assert tree_of(empty, child).depth(child) == 0


def test_a_parent_younger_than_its_child_is_another_process(empty: Procfs) -> None:
    child, reused = stat(900, 812, start=100), stat(812, 1, b"nginx", start=101)
    tree = tree_of(empty, child, reused, stat(1, 0, b"systemd", start=1))
    assert tree.parent(child) is None
    assert tree.ancestry(child) == "?(812) > sh(900)"


def test_cycles_end(empty: Procfs) -> None:
    one, other, itself = stat(5, 6), stat(6, 5), stat(7, 7)
    tree = tree_of(empty, one, other, itself)
    assert tree.ancestry(one) == "sh(6) > sh(5)"
    assert tree.ancestry(itself) == "sh(7)" and tree.depth(itself) == 0


@pytest.mark.parametrize(("length", "shown"), [(32, 32), (33, 33), (34, 33), (5000, 33)])
def test_long_chains_keep_their_top_and_their_end(empty: Procfs, length: int, shown: int) -> None:
    chain = [stat(pid, pid - 1, b"init" if pid == 1 else b"sh") for pid in range(1, length + 1)]
    tree = tree_of(empty, *chain)
    for each in (chain[-1], chain[length // 2], chain[0]):
        assert tree.depth(each) == each.pid - 1
    text = tree.ancestry(chain[-1])
    assert text.startswith("init(1) > ") and text.endswith(f"sh({length - 1}) > sh({length})")
    assert len(re.findall(r"\(\d+\)", text)) == shown
    assert ("…" in text) == (length > 33)


@given(st.binary(max_size=15))
def test_no_name_forges_another_generation(comm: bytes) -> None:
    text = label(stat(900, 1, comm))
    assert text.endswith("(900)") and ">" not in text and "?" not in text and text.count("\n") == 0


@given(st.dictionaries(st.integers(1, 30), st.tuples(st.integers(0, 30), st.integers(0, 3)), max_size=30))
def test_any_parents_make_a_tree(parents: dict[int, tuple[int, int]]) -> None:
    procfs = Procfs.open(os.path.dirname(__file__))
    try:
        tree = tree_of(procfs, *(stat(pid, ppid, start=start) for pid, (ppid, start) in parents.items()))
        for each in list(tree):
            assert tree.ancestry(each).endswith(label(each))
            assert 0 <= tree.depth(each) < 31
    finally:
        procfs.close()
