"""Compares version strings as osquery's version_compare and its version collations do (osquery/sql/sqlite_version.cpp)."""

from __future__ import annotations

from typing import NamedTuple

# A delimiter's rank; other characters have none.
_RANKS = {"~": 1, "-": 2, "^": 3, ".": 4, ":": 5}


class Rules(NamedTuple):
    """How a package system orders versions: an epoch wins, delimiters rank, the rest of a longer version counts."""

    epoch: bool = False
    ranks: bool = False
    rest: bool = False
    length_after_digit: bool = False


FLAVOURS = {
    "": Rules(),
    "ARCH": Rules(epoch=True, rest=True, length_after_digit=True),
    "DPKG": Rules(epoch=True, ranks=True),
    "RHEL": Rules(epoch=True, ranks=True, rest=True),
}


def compare_versions(left: str, right: str, rules: Rules) -> int:
    """-1, 0 or 1 as `left` is older than, the same as or newer than `right`."""
    difference = _difference(left, right, rules)
    return (difference > 0) - (difference < 0)


def _difference(left: str, right: str, rules: Rules) -> int:
    if not left or not right or left == right:
        return len(left) - len(right)
    if rules.epoch:
        # Only the place of the colon is compared: a longer epoch is a higher one.
        difference = left.find(":") - right.find(":")
        if difference:
            return difference
    segment = 0
    for one, other in zip(left, right):
        rank, other_rank = _RANKS.get(one, 0), _RANKS.get(other, 0)
        if not rank and not other_rank:
            segment = segment or ord(one) - ord(other)
            continue
        if not rank or not other_rank:
            return 1 if not rank else -1
        if segment or (rules.ranks and rank != other_rank):
            return segment or rank - other_rank
    if len(left) == len(right):
        return segment
    shorter, longer, sign = (left, right, -1) if len(left) < len(right) else (right, left, 1)
    following = longer[len(shorter)]
    if not rules.rest:
        if segment and following in _RANKS:
            return segment
    elif following in "~-^":
        return sign * {"~": -1, "-": 0, "^": 1}[following]
    elif segment and not (rules.length_after_digit and shorter[-1].isdigit()):
        return segment
    return len(left) - len(right)
