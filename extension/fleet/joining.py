"""Which incidents are joined by what they share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from extension.fleet.shared_things import PAID, Bonds, Shared, are_paid_apart, paid
from extension.incidents.groups import Groups

_JOINS = 0.999
# With the program in it an image is one tool, and so is a module with what loads it.
_PROGRAMS = ("image", "module")


def joined(count: int, bonds: Bonds) -> list[list[int]]:
    """Groups of the `count` incidents, by number: who shares a thing that joins by itself, or weaker ones of several kinds."""
    groups = Groups(count)
    having = bonds.having()
    crews = _Crews(groups, bonds.lent)
    weak = []
    # Wallets first: whoever is paid is who it is.
    for thing, worth in sorted(bonds.worth.items(), key=lambda each: (each[0].kind not in PAID, each[0])):
        if not worth:
            continue
        # Two incidents of one host that share nothing there are two stories, and no third host's thing makes them one.
        owners = having[thing]
        if worth >= _JOINS / 2 and _is_strong(thing, worth):
            for owner in owners[1:]:
                crews.join(owners[0], owner, thing)
        if worth < _JOINS / 2 or not _is_strong(thing, worth) or thing in bonds.lent:
            weak.append((thing, worth))
    ties: dict[tuple[int, int], dict[str, float]] = defaultdict(dict)
    lent: dict[tuple[int, int], set[str]] = defaultdict(set)
    for thing, worth in weak:
        roots = sorted({groups.of(owner) for owner in having[thing]})
        for other in roots[1:]:
            kinds, kind = ties[roots[0], other], "hash" if thing.kind in _PROGRAMS else thing.kind
            kinds[kind] = max(kinds.get(kind, 0.0), worth)
            if thing in bonds.lent:
                lent[roots[0], other].add(kind)
    wallets: dict[int, set[str]] = defaultdict(set)
    for index, things in enumerate(bonds.things):
        wallets[groups.of(index)] |= paid(things)
    for (one, other), kinds in ties.items():
        if crews.are_two(one, other):
            # By one tool or site of somebody else's they are not joined, by two of them they are.
            kinds = {kind: worth for kind, worth in kinds.items() if kind in lent[one, other]}
        elif are_paid_apart(wallets[one], wallets[other]):
            # Whoever has a wallet of their own has a public pool in common with everybody.
            kinds = {kind: worth for kind, worth in kinds.items() if kind != "pool"}
        if sum(kinds.values()) >= _JOINS and len(kinds) > 1:
            groups.join(one, other)
    return groups.all()


class _Crews:
    """Who is paid in each group of incidents, by the wallets and accounts that several of its hosts mine for."""

    def __init__(self, groups: Groups, lent: Collection[Shared]) -> None:
        self._groups = groups
        self._lent = lent
        self._wallets: dict[int, set[str]] = {}

    def join(self, one: int, other: int, thing: Shared) -> None:
        """Join the groups of two incidents by a thing, unless it is one that two crews may both have from a third."""
        if (thing in self._lent or thing.kind == "command") and self.are_two(one, other):
            return
        wallets = self.of(one) | self.of(other) | paid([thing])
        self._groups.join(one, other)
        self._wallets[self._groups.of(one)] = wallets

    def of(self, number: int) -> set[str]:
        """The wallets and accounts of an incident's group."""
        return self._wallets.get(self._groups.of(number), set())

    def are_two(self, one: int, other: int) -> bool:
        """Whether the groups of two incidents are paid apart."""
        return are_paid_apart(self.of(one), self.of(other))


def _is_strong(thing: Shared, worth: float) -> bool:
    return worth > 0.6 and thing.kind not in ("pool", "unit", "file", "folder", "account")
