"""What is true now, whatever osqueryd and the pipeline did to the lines."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from extension.fleet.answers import Ground
from extension.fleet.coverage import coverage
from tests.fleet.looking import line, there

T = 1795436552
Grounded = Callable[..., Ground]


def test_added_and_removed(grounded: Grounded) -> None:
    ground = grounded(
        line("kernel_modules", 0, T, "added", module="a"),
        line("kernel_modules", 0, T, "added", module="b"),
        line("kernel_modules", 1, T + 60, "removed", module="a"),
        line("kernel_modules", 2, T + 120, "added", module="c"),
    )
    assert there(ground, "kernel_modules", "module") == ["b", "c"]


def test_a_row_that_comes_back_is_there(grounded: Grounded) -> None:
    history = [line("kernel_modules", n, T + n, ("added", "removed")[n % 2], module="a") for n in range(5)]
    assert there(grounded(*history), "kernel_modules", "module") == ["a"]
    assert there(grounded(*history[:4]), "kernel_modules", "module") == []


def test_counter_zero_and_a_new_epoch_replace_everything(grounded: Grounded) -> None:
    old = [line("kernel_modules", 0, T, "added", module="a"), line("kernel_modules", 7, T + 9, "added", module="b")]
    again = line("kernel_modules", 0, T + 100, "added", module="c")
    assert there(grounded(*old, again), "kernel_modules", "module") == ["c"]
    epoch = line("kernel_modules", 0, T + 100, "added", epoch=5, module="d")
    late = line("kernel_modules", 8, T + 10, "added", module="late")
    assert there(grounded(*old, epoch, late), "kernel_modules", "module") == ["d"]


def test_a_host_that_began_anew_no_longer_has_what_it_found_before(grounded: Grounded) -> None:
    """An empty answer logs nothing: that the old finding is gone shows only in the other queries' full sets."""
    finding = line("miner_process", 1, T + 50, "added", pid="7")
    first = [line(query, 0, T, "added", module=query, path="/x") for query in ("kernel_modules", "cron_files")]
    anew = [line(query, 0, T + 9000, "added", module=query, path="/x") for query in ("kernel_modules", "cron_files")]
    assert there(grounded(*first, finding), "miner_process", "pid") == ["7"]
    assert there(grounded(*first, finding, *anew), "miner_process", "pid") == []


@pytest.mark.parametrize("epoch", [0, 1])
def test_what_was_found_in_the_first_full_sets_after_a_new_beginning_is_there(grounded: Grounded, epoch: int) -> None:
    """Detections are asked more often than inventories, so that theirs come before any query's that had rows before."""
    queries = ("kernel_modules", "cron_files", "accounts")
    first = [line(query, 0, T, "added", module=query, path="/x", username="x") for query in queries]
    found = line("miner_process", 0, T + 9000, "added", epoch=epoch, pid="7")
    anew = [line(query, 0, T + 12000, "added", epoch=epoch, module=query, path="/x", username="x") for query in queries]
    assert there(grounded(*first, found, *anew), "miner_process", "pid") == ["7"]


def test_a_query_whose_sql_is_new_does_not_void_what_the_others_said(grounded: Grounded) -> None:
    """An upgrade of the pack has the queries that it changes log a full set, and no others."""
    queries = ("kernel_modules", "cron_files", "accounts", "startup_files", "udev_rules")
    first = [line(query, 0, T, "added", module=query, path="/x", username="x") for query in queries]
    found = line("miner_process", 1, T + 60, "added", pid="7")
    changed = [line(query, 0, T + 90000, "added", module=query, path="/y") for query in queries[:2]]
    assert there(grounded(*first, found, *changed), "miner_process", "pid") == ["7"]
    assert there(grounded(*first, found, *changed), "kernel_modules", "module") == ["kernel_modules"]


def test_batches_and_snapshots_of_whole_runs(grounded: Grounded) -> None:
    common = {"hostIdentifier": "h", "epoch": 0, "decorations": {"hostname": "h", "host_uuid": "uuid-h"}}
    name = "pack/Global/cryptominer_triage_"
    ground = grounded(
        {
            **common,
            "name": name + "kernel_modules",
            "unixTime": T,
            "counter": 0,
            "diffResults": {"removed": [], "added": [{"module": "a"}, {"module": "b"}]},
        },
        {
            **common,
            "name": name + "kernel_modules",
            "unixTime": T + 9,
            "counter": 1,
            "diffResults": {"removed": [{"module": "a"}], "added": ""},
        },
        {
            **common,
            "name": name + "logins",
            "unixTime": T,
            "counter": 0,
            "action": "snapshot",
            "snapshot": [{"remote": "192.0.2.1"}],
        },
        {
            **common,
            "name": name + "tcp_connections",
            "unixTime": T,
            "counter": 0,
            "action": "snapshot",
            "snapshot": [{"pid": "1"}],
        },
        {**common, "name": name + "tcp_connections", "unixTime": T + 9, "counter": 0, "action": "snapshot", "snapshot": []},
    )
    assert there(ground, "kernel_modules", "module") == ["b"]
    assert there(ground, "logins", "remote") == ["192.0.2.1"]
    assert there(ground, "tcp_connections", "pid") == []


def test_the_last_snapshot_counts_alone(grounded: Grounded) -> None:
    ground = grounded(
        line("logins", 0, T + 60, "snapshot", remote="b"),
        line("logins", 0, T, "snapshot", remote="a"),
        line("logins", 0, T + 60, "snapshot", remote="c"),
    )
    assert there(ground, "logins", "remote") == ["b", "c"]


def test_numbers_and_their_texts(grounded: Grounded) -> None:
    told = {**line("kernel_modules", 0, 0, "added", module="a"), "unixTime": str(T), "counter": "0", "epoch": "0"}
    gone = {
        **line("kernel_modules", 1, 0, "removed", module="a"),
        "unixTime": None,
        "calendarTime": "Mon Nov 23 12:30:00 2026 UTC",
    }
    assert there(grounded(told), "kernel_modules", "module") == ["a"]
    assert there(grounded(told, gone), "kernel_modules", "module") == []


@pytest.mark.parametrize("seed", range(4))
def test_any_history_in_any_order_delivered_more_than_once(grounded: Grounded, seed: int) -> None:
    """Random changes of two hosts and three queries, against the sets that made them."""
    chance = random.Random(seed)
    lines: list[dict[str, Any]] = []
    expected: dict[tuple[str, str], set[str]] = {}
    for host in ("h", "g"):
        offset = chance.choice((0, 0, 40 * 86400))
        for query in ("kernel_modules", "cron_files", "accounts"):
            known: set[str] = set()
            counter, epoch = -1, 0
            for run in range(chance.randrange(1, 12)):
                now = T + run * 60 + offset
                rows = {f"m{chance.randrange(6)}" for _ in range(chance.randrange(5))}
                if chance.random() < 0.1 and rows:
                    counter, epoch, removed, added = 0, epoch + 1, set(), rows
                elif rows != known or run == 0:
                    counter, removed, added = counter + 1, known - rows, rows - known
                else:
                    continue
                known = rows
                lines += [line(query, counter, now, "removed", host, epoch, module=row) for row in removed]
                lines += [line(query, counter, now, "added", host, epoch, module=row) for row in added]
            expected[host, query] = known
    lines += chance.choices(lines, k=len(lines) // 3)
    chance.shuffle(lines)
    ground = grounded(*lines)
    for (host, query), rows in expected.items():
        assert there(ground, query, "module", host) == sorted(rows), (host, query)


def test_what_was_lost_on_the_way_is_said(grounded: Grounded) -> None:
    lines = [line("kernel_modules", n, T + n, "added", module=f"m{n}") for n in (0, 1, 2, 5)]
    late = line("accounts", 3, T, "added", username="x")
    ground = grounded(*lines, late)
    (one,) = coverage(ground)().hosts.values()
    assert ("lost_results", "kernel_modules (2)") in one.problems
    assert ("starts_late", "accounts") in one.problems


def test_a_clock_that_was_set_back_does_not_hide_what_came_after(grounded: Grounded) -> None:
    """Other hosts say what time it is; this one booted nine years ahead and was corrected."""
    others = [line("kernel_modules", 0, T + n, "added", host, module="x") for host in ("a", "b", "c", "d") for n in range(2)]
    ahead = T + 9 * 365 * 86400
    ground = grounded(
        *others,
        line("kernel_modules", 0, ahead, "added", module="a"),
        line("kernel_modules", 1, T + 1, "added", module="b"),
        line("kernel_modules", 2, T + 2, "removed", module="a"),
    )
    assert there(ground, "kernel_modules", "module") == ["b"]
    (host,) = [one for one in ground.hosts.values() if one.name == "h"]
    assert "clock_changed" in host.notes
