from __future__ import annotations

from tables.reasons.fair_choice import FairChoice


def test_a_large_group_pushes_no_small_one_out() -> None:
    choice = FairChoice[str](10)
    choice.add("small", 1, "old")
    for number in range(1000):
        choice.add("large", 2 + number, f"new {number}")
    choice.add("other", 1, "older")
    assert sorted(choice) == [
        "new 992",
        "new 993",
        "new 994",
        "new 995",
        "new 996",
        "new 997",
        "new 998",
        "new 999",
        "old",
        "older",
    ]
    assert choice.dropped == 992


def test_nothing_is_left_out_that_fits() -> None:
    choice = FairChoice[int](10)
    for number in range(10):
        choice.add(number % 3, 0, number)
    assert sorted(choice) == list(range(10))
    assert choice.dropped == 0


def test_more_groups_than_room() -> None:
    choice = FairChoice[int](10)
    for number in range(100):
        choice.add(number, number, number)
    assert len(list(choice)) <= 10
    assert choice.dropped >= 90
