from __future__ import annotations

import pytest

from tests.benchmarks import goals
from tests.benchmarks.goals import Goal
from tests.benchmarks.measure import Series, Taken, show


@pytest.fixture(autouse=True)
def _nothing_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(goals, "JUDGED", [])


def test_what_is_missed_is_named_at_the_end_with_its_floor(capsys: pytest.CaptureFixture[str]) -> None:
    find = Series("find", [Taken(1.0, 1.0)])
    one = Series("one process", [Taken(1.2, 1.2)], goal=Goal("<= 1.0 x find", 1.0, "The kernel takes most.", is_ratio=True))
    both = Series("all cores", [Taken(0.6, 0.6)], goal=Goal("< 2 s", 2.0))
    show("a walk", [find, one, both], find)
    table = capsys.readouterr().out
    assert "goal: <= 1.0 x find, MISSED" in table and "goal: < 2 s, met" in table
    assert goals.conclusion().splitlines()[1:] == [
        "1 of 2 goals met",
        "  missed: a walk: one process: <= 1.0 x find",
        "    The kernel takes most.",
    ]


def test_without_what_it_is_measured_against_a_goal_is_not_judged(capsys: pytest.CaptureFixture[str]) -> None:
    show("a walk", [Series("ours", [Taken(1.0, 1.0)], goal=Goal("<= 1.0 x ss", 1.0, is_ratio=True))])
    assert "goal: <= 1.0 x ss, which is not there" in capsys.readouterr().out
    assert goals.conclusion() == ""


def test_what_did_not_end_met_no_goal() -> None:
    show("a walk", [Series("ours", limit=1.0, goal=Goal("< 2 s", 2.0))])
    assert [judged.is_met for judged in goals.JUDGED] == [False]
