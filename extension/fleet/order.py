"""In which order hosts fell."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence


def in_order(ranked: Sequence[str], steps: Iterable[tuple[str, str]]) -> list[str]:
    """The hosts in their order, but for each that was reached from another after that one; of a circle the first is the first."""
    place = {key: number for number, key in enumerate(ranked)}
    after: dict[str, set[str]] = defaultdict(set)
    waits: Counter[str] = Counter()
    for source, to in set(steps):
        if source != to and source in place and to in place:
            after[source].add(to)
            waits[to] += 1
    ready = [place[key] for key in ranked if not waits[key]]
    heapq.heapify(ready)
    left = iter(ranked)
    order: dict[str, None] = {}
    while len(order) < len(ranked):
        key = ranked[heapq.heappop(ready)] if ready else next(each for each in left if each not in order)
        if key in order:
            continue
        order[key] = None
        for to in after[key]:
            waits[to] -= 1
            if waits[to] == 0:
                heapq.heappush(ready, place[to])
    return list(order)
