"""Numbers that are joined into groups, a pair at a time."""

from __future__ import annotations


class Groups:
    """The numbers below `count`, each in a group of its own until it is joined to another."""

    def __init__(self, count: int) -> None:
        self._leader = list(range(count))

    def of(self, number: int) -> int:
        """The number that leads its group; the same for all that are joined."""
        leader = self._leader
        while leader[number] != number:
            leader[number] = leader[leader[number]]
            number = leader[number]
        return number

    def join(self, one: int, other: int) -> None:
        """Make one group of theirs, led by the leader of `one`."""
        self._leader[self.of(other)] = self.of(one)

    def all(self) -> list[list[int]]:
        """The members of each group in order; the groups in the order of their first members."""
        groups: dict[int, list[int]] = {}
        for number in range(len(self._leader)):
            groups.setdefault(self.of(number), []).append(number)
        return list(groups.values())
