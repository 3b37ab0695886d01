from __future__ import annotations

from tables.unseen import Unseen


def test_each_is_kept_once_in_order() -> None:
    found = Unseen()
    found.could_not_see("/b: Permission denied", "/a: Permission denied")
    found.could_not_see("/b: Permission denied")
    found.truncate("more than 2 rows")
    assert found.unseen == ("/b: Permission denied", "/a: Permission denied")
    assert found.said == (*found.unseen, "more than 2 rows") and found.truncated == "more than 2 rows"
    assert Unseen().truncated is None


def test_what_is_not_named_is_counted_and_handed_on() -> None:
    found, other = Unseen(), Unseen()
    other.could_not_see(*(f"/{number}: Permission denied" for number in range(30)))
    found.take(other)
    assert len(found.unseen) == 21 and found.unseen[-1] == "and 10 more"
