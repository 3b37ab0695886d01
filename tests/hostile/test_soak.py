from __future__ import annotations

from tests.hostile.soak import QUERIES, soak


def test_queries_are_answered_rightly_or_refused_whatever_ends_meanwhile() -> None:
    found = soak(12, QUERIES[::4])
    assert found.faults == []
    assert found.outcomes["answered"] > 20
