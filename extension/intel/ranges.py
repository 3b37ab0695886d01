"""Addresses that no list may name as a pool: those of nobody in particular, and those of everybody's CDN or cloud."""

from __future__ import annotations

import json
import pkgutil
from bisect import bisect_right
from collections.abc import Iterable
from functools import cache
from typing import Optional

from tables.indicators.networks import Network, parse_network
from tables.indicators.pools import builtin_shared_networks

# Not globally reachable, by the IANA special-purpose address registries (RFC 6890), and multicast.
_RESERVED = {
    "a private address": "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 fc00::/7",
    "an address of the machine itself": "127.0.0.0/8 0.0.0.0/8 ::/128 ::1/128",
    "a link-local address": "169.254.0.0/16 fe80::/10",
    "an address for documentation": "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 3fff::/20",
    "a reserved address": "192.0.0.0/24 198.18.0.0/15 240.0.0.0/4 100::/64 64:ff9b:1::/48 2001:2::/48 5f00::/16",
    "a multicast address": "224.0.0.0/4 ff00::/8",
}
# The widest ranges that a pool list may hold: a hosting provider's whole network is no pool.
_WIDEST = {4: 16, 16: 32}

_Range = tuple[int, int, str]


class RangeSet:
    """Which of many named ranges a network has an address in common with, found by bisection."""

    def __init__(self, named: Iterable[tuple[Network, str]]) -> None:
        ranges: dict[int, list[_Range]] = {4: [], 16: []}
        for network, name in named:
            ranges[len(network.packed)].append((*_bounds(network), name))
        self._ranges = {size: _disjoint(found) for size, found in ranges.items()}
        self._starts = {size: [start for start, _, _ in found] for size, found in self._ranges.items()}

    def find(self, network: Network) -> Optional[str]:
        """The name of a range that overlaps `network`; None where none does."""
        size = len(network.packed)
        first, last = _bounds(network)
        position = bisect_right(self._starts[size], last) - 1
        if position < 0:
            return None
        _, end, name = self._ranges[size][position]
        return name if end >= first else None


def _bounds(network: Network) -> tuple[int, int]:
    first = int.from_bytes(network.packed, "big")
    return first, first + (1 << len(network.packed) * 8 - network.length) - 1


def _disjoint(ranges: list[_Range]) -> list[_Range]:
    """The same addresses without overlaps; where two names share some, the range that begins first gives its own."""
    found: list[_Range] = []
    for start, end, name in sorted(ranges):
        if found and start <= found[-1][1]:
            start = found[-1][1] + 1
        if start <= end:
            found.append((start, end, name))
    return found


@cache
def reserved_ranges() -> RangeSet:
    """Addresses that are nobody's on the internet, by what they are."""
    return RangeSet((parse_network(text), name) for name, texts in _RESERVED.items() for text in texts.split())


def shared_ranges(more: Iterable[tuple[Network, str]] = ()) -> RangeSet:
    """The address ranges of CDNs and clouds that ship with minehunt, and `more` of them, by the provider's name."""
    clouds = json.loads(pkgutil.get_data(__name__, "cloud_ranges.json") or b"{}")
    shipped = [(parse_network(text), name) for name, cloud in clouds.items() for text in cloud["ranges"]]
    return RangeSet([*builtin_shared_networks().items(), *shipped, *more])


def reserved_reason(network: Network) -> Optional[str]:
    """Why nothing on the internet can be at `network`; None when something can."""
    found = reserved_ranges().find(network)
    return found if found is None or network.is_address else f"a range that holds {found}"


def refusal(network: Network, shared: RangeSet) -> Optional[str]:
    """Why a pool list may not name `network`; None when it may."""
    if network.length < _WIDEST[len(network.packed)]:
        return f"a range wider than /{_WIDEST[len(network.packed)]}"
    reserved = reserved_reason(network)
    if reserved:
        return reserved
    owner = shared.find(network)
    return f"in a range that {owner} shares between its customers" if owner else None
