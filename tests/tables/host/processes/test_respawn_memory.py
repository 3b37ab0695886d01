from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.host.processes.respawn_memory import RespawnMemory, Sighting, family


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/tmp/.ab12cd34", "/tmp/.ef56gh78"),
        ("/tmp/tmp.kJ3Xq9ZbWe", "/tmp/tmp.Zq81LpXmT2"),
        ("/usr/bin/xjpzkvwqlr", "/usr/bin/qzwrtplkmn"),
        ("/run/0123456789abcdef/x", "/run/fedcba9876543210/x"),
        ("worker-7", "worker-12"),
    ],
)
def test_random_parts_of_names_make_one_family(one: str, other: str) -> None:
    assert family(one) == family(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/usr/bin/md5sum", "/usr/bin/sha256sum"),
        ("/usr/lib/WebKitWebProcess", "/usr/lib/WebKitNetworkProcess"),
        ("/usr/sbin/strongswan", "/usr/sbin/systemd-journald"),
        ("/tmp/.ab12cd34", "/var/tmp/.ab12cd34"),
        ("/tmp/kworkerds", "/tmp/kdevtmpfsi"),
    ],
)
def test_names_that_somebody_chose_stay_apart(one: str, other: str) -> None:
    assert family(one) != family(other)


@given(st.text(max_size=2000))
def test_a_family_is_bounded(text: str) -> None:
    assert len(family(text)) <= 512


def seen(pid: int, start: int, name: str = "a", starter: int = 1, exe: str = "") -> Sighting:
    return Sighting(
        (pid, start), name, exe or f"/x/{name}", name, name, start, starter=(starter, 0), starter_name="sh", starter_family="init"
    )


def look(memory: RespawnMemory, now: int, *sightings: Sighting) -> None:
    memory.look(now, sightings, frozenset(sighting.identity for sighting in sightings))


def test_a_program_comes_back_when_one_ended_and_a_later_one_started() -> None:
    memory = RespawnMemory()
    look(memory, 10, seen(5, 1))
    look(memory, 20, seen(6, 15))
    look(memory, 30)
    look(memory, 40, seen(9, 35))
    (program,) = memory.returned(2)
    assert (program.respawns, program.first_seen, program.interval_seconds) == (2, 10, 17)
    assert (program.last.identity, program.previous and program.previous.identity) == ((9, 35), (6, 15))
    assert list(program.starters) == ["sh(1)"] * 3


def test_a_second_copy_is_no_return_and_a_process_counts_once() -> None:
    memory = RespawnMemory()
    look(memory, 10, seen(5, 1))
    look(memory, 20, seen(5, 1), seen(6, 15))
    # Under another title it is still the process that was there.
    look(memory, 30, seen(5, 1, "b"), seen(6, 15))
    look(memory, 40, seen(6, 15))
    assert not memory.returned(1)


def test_a_reused_pid_is_another_process() -> None:
    memory = RespawnMemory()
    look(memory, 10, seen(5, 1))
    look(memory, 20, seen(5, 15))
    assert memory.returned(1)[0].respawns == 1


def test_more_programs_than_fit_drop_the_one_not_seen_for_longest() -> None:
    memory = RespawnMemory(limit=3)
    look(memory, 1, seen(1, 1, "old"), seen(2, 1, "living"))
    for turn in range(2, 40):
        look(memory, turn, seen(2, 1, "living"), seen(100 + turn, turn, f"x{turn}"))
        assert len(memory) <= 3
    assert memory.get("living") is not None
    assert memory.get("old") is None
    assert memory.lost == 0


def test_programs_that_run_and_do_not_fit_are_counted() -> None:
    memory = RespawnMemory(limit=2)
    look(memory, 1, *(seen(pid, 1, f"p{pid}") for pid in range(10)))
    assert (len(memory), memory.lost) == (2, 8)


def test_a_name_that_is_all_random_changes() -> None:
    memory = RespawnMemory()
    for turn, name in enumerate(("ab12cd34", "ef56gh78"), 1):
        look(memory, turn, seen(turn, turn, "/x/.*\0", exe=f"/x/.{name}"))
    assert memory.returned(1)[0].changes_name


def test_a_hash_at_the_end_of_a_name_is_a_new_build() -> None:
    memory = RespawnMemory()
    for turn, name in enumerate(("0123456789abcdef", "fedcba9876543210"), 1):
        look(memory, turn, seen(turn, turn, "/x/app-*\0", exe=f"/x/app-{name}"))
    assert not memory.returned(1)[0].changes_name


def pair(pid: int, start: int, name: str, starter: tuple[int, int], starter_family: str) -> Sighting:
    return seen(pid, start, name)._replace(starter=starter, starter_family=starter_family)


def test_two_programs_that_outlive_and_revive_each_other_are_mutual_guards() -> None:
    memory = RespawnMemory()
    a, b = pair(1, 1, "a", (0, 0), "init"), pair(2, 2, "b", (1, 1), "a")
    look(memory, 1, a, b)
    again_b = pair(3, 30, "b", (1, 1), "a")
    look(memory, 2, a, again_b)
    look(memory, 3, pair(4, 40, "a", (3, 30), "b"), again_b)
    found = memory.get("a")
    assert found is not None
    other = memory.mutual_guard(found)
    assert other is not None and other.family == "b"


def test_a_recursive_build_is_no_pair_of_guards() -> None:
    memory = RespawnMemory()
    top, shell = pair(1, 1, "make", (0, 0), "init"), pair(2, 2, "sh", (1, 1), "make")
    look(memory, 1, top, shell, pair(3, 3, "make", (2, 2), "sh"), pair(4, 4, "sh", (3, 3), "make"))
    look(memory, 2, top, shell, pair(5, 5, "make", (2, 2), "sh"), pair(6, 6, "sh", (5, 5), "make"))
    look(memory, 3, top, shell, pair(7, 7, "make", (2, 2), "sh"), pair(8, 8, "sh", (7, 7), "make"))
    found = memory.get("make")
    assert found is not None and found.respawns == 2
    assert memory.mutual_guard(found) is None
